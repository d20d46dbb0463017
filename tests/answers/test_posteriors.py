import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import brentq

from morphtools.answers import posteriors
from morphtools.survey.schemas import SCHEMAS, Schema, get_schema

ONE = get_schema({"name": "one", "questions": [{"question": "q", "answers": ["a", "b", "c"]}]})
DECALS = SCHEMAS["gz_decals_dr5"]
GOLDEN = np.array([[60.0, 12.0, 4.0]])


def concentrations(views, galaxies, schema=DECALS, seed=0):
    return np.random.default_rng(seed).uniform(1, 101, (views, galaxies, len(schema.label_cols)))


def test_fractions_and_intervals_of_one_question_are_those_of_its_betas():
    # Computed with SciPy for α = 60, 12, 4.
    np.testing.assert_allclose(posteriors.expected_fractions(GOLDEN, ONE)[0], [0.78947, 0.15789, 0.05263], atol=5e-6)
    ends = posteriors.credible_intervals(GOLDEN, ONE)[0]
    np.testing.assert_allclose(ends, [[0.70887, 0.86137], [0.0950, 0.23107], [0.01842, 0.10015]], atol=1.5e-5)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.998])
def test_intervals_are_quantiles_of_the_mixture(level):
    alpha = concentrations(3, 2)
    alpha[:, 0, 0] = 101, 1, 30  # views that disagree
    alpha[:, 0, 1] = 1, 101, 30
    total = alpha @ DECALS.membership.T @ DECALS.membership

    def slow(galaxy, answer, q):
        betas = stats.beta(alpha[:, galaxy, answer], (total - alpha)[:, galaxy, answer])
        return brentq(lambda x: betas.cdf(x).mean() - q, 0, 1, xtol=1e-12)

    tails = 0.5 - level / 2, 0.5 + level / 2
    expected = [[[slow(g, a, q) for q in tails] for a in range(len(DECALS.label_cols))] for g in range(2)]
    np.testing.assert_allclose(posteriors.credible_intervals(alpha, DECALS, level), expected, atol=3e-5)


def test_views_that_disagree_widen_the_interval_beyond_each_of_their_own():
    alpha = np.array([[[90.0, 5.0, 5.0]], [[5.0, 90.0, 5.0]]])
    together = posteriors.credible_intervals(alpha, ONE)[0, 0]
    single = [posteriors.credible_intervals(each, ONE)[0, 0] for each in alpha]
    assert together[0] <= min(s[0] for s in single) + 0.02 and together[1] >= max(s[1] for s in single) - 0.02
    assert np.ptp(together) > 5 * max(np.ptp(s) for s in single)


def test_the_intervals_of_many_galaxies_are_those_of_each(monkeypatch):
    alpha = concentrations(2, 7)
    whole = posteriors.credible_intervals(alpha, DECALS)
    monkeypatch.setattr(posteriors, "_CHUNK", 5000)
    np.testing.assert_allclose(posteriors.credible_intervals(alpha, DECALS), whole, atol=1e-7)
    np.testing.assert_allclose(posteriors.credible_intervals(alpha[:, 3:4], DECALS)[0], whole[3], atol=1e-7)


def test_the_extremes_of_the_head_have_intervals():
    alpha = np.array([[[101.0, 1.0, 1.0]], [[1.0, 1.0, 1.0]], [[101.0, 101.0, 101.0]]])
    ends = posteriors.credible_intervals(alpha[:1], ONE)[0]
    np.testing.assert_allclose(ends[0], stats.beta(101, 2).ppf([0.05, 0.95]), atol=1e-5)
    assert np.isfinite(posteriors.credible_intervals(alpha, ONE)).all()
    np.testing.assert_allclose(
        posteriors.credible_intervals(alpha[1], ONE, 0.9999)[0, 0], stats.beta(1, 2).ppf([5e-5, 1 - 5e-5]), atol=3e-5
    )


def test_intervals_of_models_far_more_certain_than_the_head_can_be_are_right_too():
    sharp = GOLDEN * 1e4
    of_first = stats.beta(60e4, 16e4).ppf([0.05, 0.95])
    np.testing.assert_allclose(posteriors.credible_intervals(sharp, ONE)[0, 0], of_first, atol=1e-5)


def test_an_end_between_two_models_that_exclude_each_other_is_where_either_half_lies():
    apart = np.array([[[1e4, 1.0, 1.0]], [[1.0, 1e4, 1.0]]])
    ends = posteriors.credible_intervals(apart, ONE, level=1e-9)[0, 0]  # the median: anywhere between
    below = posteriors.posterior_cdf([[*ends, 0.5]], apart, ONE)[0, :2]
    np.testing.assert_allclose(below, 0.5, atol=1e-3)


def test_fractions_are_means_of_ratios_not_ratios_of_means():
    alpha = np.array([[[2.0, 1.0, 1.0]], [[10.0, 40.0, 50.0]]])
    np.testing.assert_allclose(posteriors.expected_fractions(alpha, ONE)[0], [0.3, 0.325, 0.375])


def test_one_view_needs_no_axis_of_its_own():
    alpha = concentrations(1, 4)
    for function in (posteriors.expected_fractions, posteriors.asked_probability, posteriors.credible_intervals):
        np.testing.assert_array_equal(function(alpha, DECALS), function(alpha[0], DECALS))


def test_the_chance_to_be_asked_is_the_product_down_the_tree():
    f = posteriors.expected_fractions(concentrations(2, 5), DECALS)
    asked = posteriors.asked_probability(concentrations(2, 5), DECALS)
    column, question = list(DECALS.label_cols).index, [q.text for q in DECALS.questions].index
    featured, face_on = f[:, column("smooth-or-featured-dr5_featured-or-disk")], f[:, column("disk-edge-on-dr5_no")]
    spiral = f[:, column("has-spiral-arms-dr5_yes")]
    np.testing.assert_allclose(asked[:, question("spiral-winding-dr5")], featured * face_on * spiral)
    np.testing.assert_allclose(asked[:, 0], 1)


def test_predicted_votes_are_a_mixture_of_scipys_beta_binomials():
    rng = np.random.default_rng(1)
    alpha = rng.uniform(1, 101, (2, 30, 3))
    alpha[:, :4, 1] = 1.0
    votes = rng.multinomial(rng.integers(0, 60, 30), [0.6, 0.3, 0.1])
    n = votes.sum(axis=1, keepdims=True)
    of_two = [stats.betabinom(n, a, a.sum(axis=1, keepdims=True) - a) for a in alpha]
    fewer, same = posteriors.predictive(votes, alpha, ONE)
    np.testing.assert_allclose(fewer, np.mean([d.cdf(votes - 1) for d in of_two], axis=0), atol=1e-10)
    np.testing.assert_allclose(same, np.mean([d.pmf(votes) for d in of_two], axis=0), atol=1e-10)


@pytest.mark.parametrize(
    "votes, alpha, loss",  # computed with SciPy
    [
        ([30, 5, 2], [60, 12, 4], 3.384381),
        ([10, 0, 0], [101, 1, 1], 0.187936),
        ([12, 20, 8], [1, 1, 1], 6.758095),
        ([0, 0, 0], [5, 5, 5], 0.0),
    ],
)
def test_the_log_score_is_the_dirichlet_multinomial(votes, alpha, loss):
    score = posteriors.log_score([votes], [alpha], ONE)[0, 0]
    assert score == pytest.approx(-loss, abs=1e-6)
    if sum(votes):
        expected = stats.dirichlet_multinomial(alpha, sum(votes)).logpmf(votes)
        assert score == pytest.approx(expected)
        both = posteriors.log_score([votes], [[alpha], [[9.0, 9.0, 9.0]]], ONE)[0, 0]
        other = stats.dirichlet_multinomial([9.0] * 3, sum(votes)).logpmf(votes)
        assert both == pytest.approx(np.log(np.exp(expected) / 2 + np.exp(other) / 2))


def test_the_posterior_cdf_of_an_intervals_ends_is_what_it_leaves_outside():
    alpha = concentrations(3, 4)
    ends = posteriors.credible_intervals(alpha, DECALS, 0.8)
    for end, below in ((ends[..., 0], 0.1), (ends[..., 1], 0.9)):
        np.testing.assert_allclose(posteriors.posterior_cdf(end, alpha, DECALS), below, atol=1e-4)


def test_the_readable_table_omits_rarely_asked_questions_and_the_full_one_omits_none():
    alpha = concentrations(2, 6)
    alpha[:, 0, :3] = 101, 1, 1  # everybody votes smooth
    friendly, full = posteriors.vote_tables([f"g{i}" for i in range(6)], alpha, DECALS)
    assert friendly["id_str"].tolist() == full["id_str"].tolist() == [f"g{i}" for i in range(6)]
    assert np.isnan(friendly["disk-edge-on-dr5_yes_fraction"][0])
    assert friendly["how-rounded-dr5_round_fraction"].notna()[0]
    asked = posteriors.asked_probability(alpha, DECALS)
    for q, question in enumerate(DECALS.questions):
        for name in question.label_cols:
            missing = friendly[f"{name}_fraction"].isna()
            np.testing.assert_array_equal(missing, asked[:, q] < 0.5)
            pd.testing.assert_series_equal(friendly[f"{name}_fraction"][~missing], full[f"{name}_fraction"][~missing])
    assert full.notna().all(axis=None)
    short = posteriors.vote_tables(friendly["id_str"], alpha, DECALS, level=None)[1]
    assert list(short.columns) == [c for c in full.columns if not c.endswith(("_low", "_high"))]
    assert (full["bar-dr5_no_low"] < full["bar-dr5_no_fraction"]).all()
    assert (full["bar-dr5_no_fraction"] < full["bar-dr5_no_high"]).all()
    np.testing.assert_allclose(full["bar-dr5_asked"], asked[:, 3], rtol=1e-6)
    np.testing.assert_allclose(
        full["bar-dr5_no_concentration_1"], alpha[1, :, DECALS.label_cols.index("bar-dr5_no")], rtol=1e-6
    )


@pytest.mark.parametrize("views", [1, 3, 12])
def test_concentrations_are_read_back_from_the_full_table_whole_or_for_some_questions(views, tmp_path):
    alpha = concentrations(views, 4).astype("float32")
    _, full = posteriors.vote_tables([f"g{i}" for i in range(4)], alpha, DECALS, level=None)
    full.to_parquet(tmp_path / "predictions-full.parquet")
    np.testing.assert_array_equal(posteriors.read_concentrations(full, DECALS), alpha)
    first = Schema("first", DECALS.questions[:1])
    np.testing.assert_array_equal(posteriors.read_concentrations(tmp_path, first), alpha[:, :, :3])
    with pytest.raises(ValueError, match=r"no column q_a_concentration: is it predictions-full of these questions"):
        posteriors.read_concentrations(full, ONE)


def test_wrong_shapes_and_levels_are_refused():
    with pytest.raises(ValueError, match=r"'one' must be \(galaxies, 3\) or \(views, galaxies, 3\), not \(2, 4\)"):
        posteriors.expected_fractions(np.ones((2, 4)), ONE)
    for impossible in (np.nan, 0.0, -1.0, np.inf, 1e30):
        with pytest.raises(ValueError, match="must be positive numbers, at most 1e\\+09"):
            posteriors.expected_fractions(np.array([[1.0, impossible, 1.0]]), ONE)
    with pytest.raises(ValueError, match=r"level must lie between 0 and 1, got 90"):
        posteriors.credible_intervals(GOLDEN, ONE, level=90)


def test_tensorflow_is_only_imported_for_intervals():
    code = "import sys, morphtools.answers.posteriors; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
