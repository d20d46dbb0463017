import numpy as np
import pytest

from morphtools.answers.resampling import with_intervals


def test_the_interval_of_a_mean_is_that_of_the_central_limit():
    x = np.random.default_rng(0).normal(size=500)
    score = with_intervals(lambda rows: {"mean": x[rows].mean()}, 500, resamples=4000)["mean"]
    assert score["value"] == x.mean()
    assert score["high"] - score["low"] == pytest.approx(2 * 1.96 * x.std() / np.sqrt(500), rel=0.05)


def test_without_galaxies_scores_are_nan():
    assert np.isnan(list(with_intervals(lambda rows: {"n": np.nan}, 0)["n"].values())).all()
