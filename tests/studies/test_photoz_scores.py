import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from morphtools.answers.redshifts import Redshifts
from morphtools.studies.photoz_scores import SCORES, flat, photoz_scores, scores_by, take, uniformity

EDGES = np.linspace(0, 0.4, 81)


def normal(n=1000, seed=0, width=0.02):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.1, 0.3, n)
    pdf = np.diff(norm.cdf(EDGES, (truth + rng.normal(0, 0.02, n))[:, np.newaxis], width), axis=1)
    return Redshifts(np.arange(n).astype(str), pdf / pdf.sum(axis=1, keepdims=True), EDGES, "mean", truth, {})


def test_the_log_likelihood_of_calibrated_normal_pdfs_is_minus_their_entropy():
    found = photoz_scores(normal(4000), resamples=100)["log_likelihood"]
    entropy = 0.5 * np.log(2 * np.pi * np.e * 0.02**2)
    assert found["low"] < -entropy < found["high"]
    assert found["high"] - found["low"] == pytest.approx(4 * np.sqrt(0.5 / 4000), rel=0.25)  # variance of z²/2 is 1/2


def test_the_log_likelihood_is_best_for_the_true_width():
    scores = [photoz_scores(normal(2000, width=w), resamples=2)["log_likelihood"]["value"] for w in (0.01, 0.02, 0.04)]
    assert np.argmax(scores) == 1


def test_an_impossible_redshift_costs_a_finite_amount():
    one = take(normal(), np.arange(1))
    for outside in (0.399, 0.7):
        lost = dataclasses.replace(one, redshift=np.array([outside]))
        found = photoz_scores(lost, resamples=2)["log_likelihood"]["value"]
        assert found == pytest.approx(np.log(1e-3 / 0.4), abs=1e-3)


def test_the_tests_of_uniformity_reject_only_non_uniform_values():
    rng = np.random.default_rng(1)
    even = uniformity(rng.uniform(size=2000))
    assert min(even["ks_p"], even["chi2_p"]) > 0.01 and even["ks"] < 0.04
    for wrong in (rng.beta(0.8, 0.8, 2000), rng.beta(1.3, 1, 2000)):
        assert max(uniformity(wrong)[name] for name in ("ks_p", "chi2_p")) < 1e-3
    with_unknown = uniformity(np.append(rng.uniform(size=30), np.nan))
    assert 0 <= with_unknown["chi2_p"] <= 1


def test_in_bins_every_galaxy_counts_once_and_the_scores_are_those_of_the_galaxies_there():
    redshifts = normal(500)
    values = np.where(np.arange(500) < 490, redshifts.redshift, np.nan)
    edges = np.quantile(values[:490], [0, 0.25, 0.5, 1])
    table = scores_by(redshifts, values, edges, least=100, resamples=10)
    assert table["galaxies"].sum() == 490 and len(table) == 3
    inside = (values >= edges[1]) & (values < edges[2])
    expected = flat(photoz_scores(take(redshifts, inside), resamples=10))
    pd.testing.assert_series_equal(table.iloc[1][list(expected)].astype(float), pd.Series(expected, name=1))
    assert set(SCORES) <= set(table.columns)


def test_bins_with_too_few_galaxies_are_left_out():
    redshifts = normal(200)
    table = scores_by(redshifts, np.arange(200.0), np.array([0, 10, 100, 199]), least=30, resamples=2)
    assert list(table["galaxies"]) == [90, 100] and list(table["low"]) == [10, 100]


def test_missing_redshifts_are_reported():
    with pytest.raises(ValueError, match="no galaxies with a redshift"):
        photoz_scores(dataclasses.replace(normal(5), redshift=np.full(5, np.nan)))
