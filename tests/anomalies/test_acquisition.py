import numpy as np
import pytest
from modAL.acquisition import max_EI
from modAL.models import BayesianOptimizer
from scipy.integrate import quad
from scipy.stats import norm

from morphtools.anomalies import acquisition
from morphtools.anomalies.acquisition import ACQUISITIONS, log_expected_improvement, most_promising
from morphtools.anomalies.gaussian_process import Posterior
from morphtools.anomalies.rating_learner import fit_learner

X = np.random.default_rng(0).normal(size=(1500, 6)).astype("float32")
RATINGS = np.clip(np.round(2 * X[:, 0] + 1), 0, 5)
RATED = np.arange(60)


@pytest.fixture(scope="module")
def learner():
    return fit_learner(X[RATED], RATINGS[RATED])


@pytest.mark.parametrize(
    ("mean", "deviation", "best", "value"), [(3, 1, 5, 0.00200414), (5, 0.5, 5, 0.04165774), (2, 2, 4, 0.10117374)]
)
def test_expected_improvement_has_its_golden_values_and_is_the_integral(mean, deviation, best, value):
    found = np.exp(log_expected_improvement(mean, deviation, best, 0.5))
    assert found == pytest.approx(value, abs=1e-8)
    gain, _ = quad(lambda f: (f - best - 0.5) * norm.pdf(f, mean, deviation), best + 0.5, mean + 40 * deviation)
    assert found == pytest.approx(gain, rel=1e-6)


def test_without_uncertainty_the_expected_improvement_is_the_gain():
    found = log_expected_improvement([6, 5.5, 3], [0, 0, 0], 5, 0.5)
    np.testing.assert_array_equal(np.exp(found), [0.5, 0, 0])
    np.testing.assert_allclose(np.exp(log_expected_improvement([6, 3], [1e-9, 1e-9], 5, 0.5)), [0.5, 0], atol=1e-9)


def test_hopeless_galaxies_keep_their_order_where_the_plain_formula_is_zero():
    means = np.linspace(-50, 5, 200)
    for deviation in (1e-3, 0.1, 1):
        found = log_expected_improvement(means, deviation, 5, 0.5)
        assert np.isfinite(found).all() and (np.diff(found) > 0).all()
    # Mills' ratio: EI → σ φ(z)/z² (1 − 3/z²)
    z = -30.0
    assert log_expected_improvement(z, 1, 0, 0) == pytest.approx(
        norm.logpdf(z) - 2 * np.log(30) + np.log1p(-3 / 900), 1e-6
    )


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_every_acquisition_grows_with_mean_and_deviation(name):
    mean, deviation = np.meshgrid(np.linspace(0, 7, 50), np.linspace(0.1, 2, 50))
    value = ACQUISITIONS[name](mean, deviation, 5.0, 0.5)
    assert (np.diff(value, axis=0) >= -1e-12).all() and (np.diff(value, axis=1) > 0).all()


@pytest.mark.parametrize("block", [1500, 400, 7])
@pytest.mark.parametrize("name", ACQUISITIONS)
def test_a_pruned_search_finds_the_same_as_a_full_one(learner, name, block, monkeypatch):
    monkeypatch.setattr(acquisition, "_POOL", 20)
    monkeypatch.setattr(acquisition, "_BLOCK", block)
    rows, values = most_promising(learner, X, 10, acquisition=name, asked=RATED)
    everywhere = ACQUISITIONS[name](*Posterior(learner.estimator).predict(X), learner.y_max, 0.5)
    everywhere[RATED] = -np.inf
    assert list(rows) == list(np.argsort(-everywhere)[:10])
    np.testing.assert_allclose(values, everywhere[rows], rtol=1e-4)


def test_a_search_that_starts_from_expectations_adds_them_to_what_is_learned_and_compares_with_the_best_rating():
    start = (2 * np.sin(X[:, 1])).astype("float32")
    learner = fit_learner(X[RATED], RATINGS[RATED], start=start[RATED])
    mean, deviation = learner.estimator.predict(X, return_std=True)
    value = log_expected_improvement(mean + start, deviation, RATINGS[RATED].max(), 0.5)
    value[RATED] = -np.inf
    assert list(most_promising(learner, X, 10, asked=RATED, start=start)[0]) == list(np.argsort(-value)[:10])
    believed, _ = most_promising(learner, X, 10, asked=RATED, start=start, diversity="believer")
    assert believed[0] == np.argmax(value)


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_a_batch_has_as_many_galaxies_as_requested(name):
    rng = np.random.default_rng(0)
    x, ratings = rng.normal(size=(3000, 40)).astype("float32"), rng.integers(0, 6, 20)
    learner = fit_learner(x[:20], ratings)  # so few galaxies that the bound of a deviation is the deviation itself
    for n in range(1, 41):
        assert len(most_promising(learner, x, n, acquisition=name, asked=np.arange(20))[0]) == n


def test_modal_chooses_the_same_galaxies_from_the_unrated():
    rest = np.setdiff1d(np.arange(len(X)), RATED)
    process = fit_learner(X[RATED], RATINGS[RATED]).estimator
    process = type(process)(process.kernel_, optimizer=None)
    peer = BayesianOptimizer(process, max_EI, X[RATED].astype(float), RATINGS[RATED])
    theirs, _ = peer.query(X[rest].astype(float), n_instances=10, tradeoff=0.5)
    ours, _ = fit_learner(X[RATED], RATINGS[RATED]).query(X, 10, asked=RATED)
    assert set(ours) == set(rest[theirs])


@pytest.mark.parametrize("diversity", ["believer", "liar"])
def test_a_diverse_batch_is_one_galaxy_after_the_other_with_their_supposed_ratings(learner, diversity, monkeypatch):
    monkeypatch.setattr(acquisition, "_BLOCK", 1100)
    found, _ = most_promising(learner, X, 4, diversity=diversity, asked=RATED)
    process, slow = learner.estimator, list(RATED)
    ratings = list(RATINGS[RATED])
    for _ in range(4):  # a new process with the same kernel for each
        fitted = type(process)(process.kernel_, optimizer=None).fit(X[slow].astype(float), ratings)
        value = log_expected_improvement(*fitted.predict(X.astype(float), return_std=True), learner.y_max, 0.5)
        value[slow] = -np.inf
        slow.append(int(np.argmax(value)))
        ratings.append(float(fitted.predict(X[slow[-1:]].astype(float))[0]) if diversity == "believer" else 0.0)
    assert list(found) == slow[60:]


def test_a_liar_spreads_a_batch(learner):
    def spread(rows):
        return np.linalg.norm(X[rows][:, np.newaxis] - X[rows], axis=2).mean()

    plain, liar = (most_promising(learner, X, 10, diversity=d, asked=RATED)[0] for d in ("none", "liar"))
    assert plain[0] == liar[0] and spread(liar) > spread(plain)


def test_equal_ratings_do_not_constrain_the_kernel_but_still_rank():
    learner = fit_learner(X[:3], np.array([5.0, 5, 5]))
    assert learner.estimator.kernel_.k1.k2.length_scale == pytest.approx(np.sqrt(12))
    rows, _ = learner.query(X, 5, asked=[0, 1, 2])
    distance = np.linalg.norm(X[:, np.newaxis] - X[:3], axis=2).mean(axis=1)
    assert (distance[rows] < np.quantile(distance, 0.1)).all()


def test_nothing_is_suggested_when_all_galaxies_are_rated(learner):
    for diversity in ("none", "liar"):
        rows, values = most_promising(learner, X, 5, diversity=diversity, asked=np.arange(len(X)))
        assert len(rows) == len(values) == 0
        assert len(most_promising(learner, X, 5, diversity=diversity, asked=np.arange(3, len(X)))[0]) == 3


def test_names_that_do_not_exist_are_refused(learner):
    with pytest.raises(ValueError, match=r"unknown acquisition 'ei'"):
        most_promising(learner, X, acquisition="ei")
    with pytest.raises(ValueError, match=r"unknown diversity 'beliver'; .*did you mean 'believer'"):
        most_promising(learner, X, diversity="beliver")
