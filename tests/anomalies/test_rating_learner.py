"""What morphtools relies on in modAL, which is no longer maintained: these tests fail when it breaks."""

from pathlib import Path

import numpy as np
import pytest
from modAL.models import BayesianOptimizer
from sklearn.gaussian_process import GaussianProcessRegressor

from morphtools.anomalies.acquisition import most_promising
from morphtools.anomalies.rating_learner import fit_learner

ROOT = Path(__file__).parent.parent.parent
X = np.random.default_rng(0).normal(size=(30, 3))
Y = X[:, 0] + 2


def test_the_constructor_fits_the_estimator_to_what_it_is_given():
    optimizer = BayesianOptimizer(GaussianProcessRegressor(alpha=0.1), most_promising, X, Y)
    alone = GaussianProcessRegressor(alpha=0.1).fit(X, Y)
    np.testing.assert_allclose(optimizer.predict(X[:5]), alone.predict(X[:5]))
    mean, covariance = optimizer.predict(X[:5], return_cov=True)
    assert mean.shape == (5,) and covariance.shape == (5, 5)
    np.testing.assert_array_equal(optimizer.y_training, Y)
    assert optimizer.y_max == Y.max() and optimizer.estimator.X_train_.shape == X.shape


def test_a_query_asks_the_strategy_once_and_passes_everything_on():
    calls = []

    def strategy(learner, candidates, n_instances, **options):
        calls.append((learner, candidates, n_instances, options))
        return np.array([2, 0]), np.array([1.0, 0.5])

    optimizer = BayesianOptimizer(GaussianProcessRegressor(alpha=0.1), strategy, X, Y)
    rows, galaxies = optimizer.query(X, 2, asked=7)
    assert len(calls) == 1 and calls[0][0] is optimizer and calls[0][1] is X and calls[0][2:] == (2, {"asked": 7})
    np.testing.assert_array_equal(rows, [2, 0])
    np.testing.assert_array_equal(galaxies, X[[2, 0]])


def test_the_learner_of_ratings_is_such_an_optimizer():
    learner = fit_learner(X, Y)
    assert isinstance(learner, BayesianOptimizer)
    rows, _ = learner.query(X, 3, asked=np.arange(25))
    assert len(rows) == 3 and set(rows) <= set(range(25, 30))
    with pytest.raises(ValueError, match="unknown acquisition 'best'"):
        learner.query(X, 3, acquisition="best")


def test_modal_is_imported_in_one_file_only():
    texts = {path.name: path.read_text() for path in (ROOT / "morphtools").rglob("*.py")}
    assert [name for name, text in texts.items() if "import modAL" in text or "from modAL" in text] == [
        "rating_learner.py"
    ]
