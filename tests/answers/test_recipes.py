"""The defaults of training are those of the papers."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from morphtools.answers.redshift_pdfs import Photoz
from morphtools.training.stages import _optimizer


def test_learning_rates_for_redshifts_fall_to_a_tenth_after_60_and_after_90_of_100_epochs():
    """Hayat et al. 2021: 1e-3 for the head, 1e-4 for the encoder, divided by 10 at epochs 60 and 90 of 100."""
    answer, records = Photoz(), SimpleNamespace(splits={"train": 20})
    encoder = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model = keras.Sequential([encoder, keras.layers.Dense(1, use_bias=False)])
    settings = SimpleNamespace(
        optimizer="sgd",
        learning_rate=1e-3,
        encoder_rate=lambda answer: 1e-3 / answer.recipe.slower,
        start=SimpleNamespace(pretrained=True),
        batch_size=2,
    )
    optimizer = _optimizer(model, encoder, answer, settings, [100 * share for share in answer.recipe.drops], records)
    optimizer.momentum = 0.0
    optimizer.build(model.trainable_variables)
    steps = []
    for epoch in (0, 59, 60, 89, 90, 99):
        optimizer.iterations.assign(10 * epoch + 5)
        model.set_weights([np.zeros((1, 1)), np.zeros((1, 1))])
        optimizer.apply([np.ones((1, 1), "float32")] * 2, model.trainable_variables)
        steps.append([-weight.item() for weight in model.get_weights()])
    first = np.array([1e-4, 1e-3])  # encoder and head
    factors = np.array([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert np.array(steps) == pytest.approx(factors[:, np.newaxis] * first)
