from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from morphtools.answers.classes import Classes
from morphtools.models.answering import head_for
from morphtools.training import stages


def test_a_dimension_that_is_constant_in_few_galaxies_does_not_explode_in_others(monkeypatch, tmp_path):
    rng, classes = np.random.default_rng(0), Classes(("no", "yes"))
    train, val = (rng.normal(size=(n, 16)).astype("float32") for n in (28, 8))
    train[:, 3] = 0  # as from a ReLU that none of these galaxies activates
    rows = [pd.DataFrame({classes.label_cols[0]: np.arange(n) % 2}) for n in (28, 8)]
    splits = {"train": (train, rows[0]), "val": (val, rows[1])}
    monkeypatch.setattr(stages, "represent_for_head", lambda *arguments: splits)
    head = head_for(classes, seed=0)
    head.build((None, 16))
    settings = SimpleNamespace(seed=0, learning_rate=1e-3, batch_size=32, epochs=1)
    history = stages.train_head(SimpleNamespace(layers=[head]), classes, None, {}, settings, tmp_path)
    assert history["val_loss"].item() < 2  # one that knows nothing has about ln 2
    variance = 30 * train.var(axis=0).mean() / 58  # of 28 galaxies with none, and 30 with the mean of all dimensions
    standardized = keras.ops.convert_to_numpy(head.standardize(train.mean(axis=0) + np.eye(16, dtype="float32")[3]))
    assert standardized[3] == pytest.approx(1 / np.sqrt(variance), rel=1e-4)
