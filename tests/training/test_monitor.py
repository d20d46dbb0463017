import math

import numpy as np
import pytest

from morphtools.training.learning_figures import learning_curve
from morphtools.training.monitor import Watched, alarms, baselines, chance, scores

RNG = np.random.default_rng(0)


def test_a_guess_costs_what_the_papers_say():
    # Hayat et al. 2021: ln(1 + 62000) = 11.04
    assert chance("moco", queue=62000, batch_size=256) == pytest.approx(11.04, abs=0.01)
    assert chance("simclr", queue=None, batch_size=4) == pytest.approx(math.log(7))


def test_a_loss_at_a_guess_and_a_collapse_are_reported_and_learning_is_not():
    learning = {"loss": 3.0, "spread": 0.6, "effective_rank": 40.0}
    assert alarms(learning, 11.0) == []
    (said,) = alarms(learning | {"loss": 11.0}, 11.04)
    assert "the loss 11.000 is that of a guess, 11.040" in said and "\n" not in said
    (said,) = alarms(learning | {"spread": 0.01}, 11.0)
    assert "collapse" in said
    (said,) = alarms(learning | {"effective_rank": 1.2}, 11.0)
    assert "effective rank 1.2" in said


def test_every_label_of_twenty_galaxies_is_scored_on_those_that_have_it():
    x = RNG.normal(size=(100, 4))
    labels = {
        "kind": np.where(x[:, 0] > 0, "a", "b").astype(object),
        "few": np.array(["a", "b"] * 8 + [None] * 84, object),
        "z": np.where(RNG.uniform(size=100) < 0.5, x[:, 1], np.nan),
    }
    found = scores(x, labels, splits=5)
    assert found["knn kind low"] <= found["knn kind"] <= found["knn kind high"] and found["linear kind"] > 0.8
    assert "knn z" in found and "knn few" not in found


def test_the_curve_shows_every_label_beside_its_baselines():
    import pandas as pd

    rows = [{"epoch": i, "loss": 4 - i, "spread": 0.5, "effective_rank": 9.0} for i in (1, 2)]
    table = pd.DataFrame(rows).assign(**{"knn ring": 0.7, "knn ring low": 0.6, "knn ring high": 0.8})
    beat = {"random encoder": {"knn ring": 0.5, "effective_rank": 3.0}, "pixels + PCA": {"knn ring": 0.55}}
    figure = learning_curve(table, beat, 4.2, "moco")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["loss", "dimensions used (effective rank)", "ring, from the representations"]
    texts = [text.get_text() for text in figure.axes[2].get_legend().get_texts()]
    assert texts == ["5 neighbours", "random encoder", "pixels + PCA"]


def test_neighbours_must_beat_guessing_the_most_common_class():
    images = np.random.default_rng(0).normal(size=(40, 8, 8, 1)).astype("float32")
    kind = np.array(["a"] * 24 + ["b"] * 8 + [None] * 8, dtype=object)
    watched = Watched(images, {"kind": kind, "z": np.linspace(0, 1, 40), "few": np.where(np.arange(40) < 9, "a", None)})
    assert baselines(watched, {}, noise=None)["most common class"] == {"knn kind": 0.75}
