"""Everything we use from modAL: its `BayesianOptimizer`, which contains a fitted process and calls a query strategy.

Of that class these are used: the constructor with an estimator, a strategy and the rated galaxies, which fits the
estimator; `query`, which calls the strategy with the optimiser, the candidates and the number; `predict`; and the
attributes `estimator`, `y_training` and `y_max`. modAL is no longer maintained. If one of these breaks,
`tests/anomalies/test_rating_learner.py` fails, and this file is the only one to change.
"""

import warnings

import numpy as np
from modAL.models import BayesianOptimizer
from sklearn.exceptions import ConvergenceWarning

from morphtools.anomalies.acquisition import most_promising
from morphtools.anomalies.gaussian_process import gaussian_process, one_thread


def fit_learner(
    x: np.ndarray, ratings: np.ndarray, kernel: str = "rational_quadratic", start: np.ndarray | float = 0.0
) -> BayesianOptimizer:
    """A Gaussian process fitted to rated galaxies, as modAL's optimiser that asks `most_promising`.

    If all ratings are equal, there is nothing to fit a kernel to: it keeps its initial scales.

    Args:
        x: (n, D) standardised representations.
        ratings: (n,).
        kernel: One of `KERNELS`.
        start: (n,) what was expected of them before: the process learns the difference.
    """
    process, ratings = gaussian_process(kernel, x.shape[1]), np.asarray(ratings, float)
    if np.ptp(ratings - start) == 0:
        process.optimizer = None
    # A new optimiser for every batch, not `teach`: that needs an argument which scikit-learn 1.8 removed, and it
    # could not take a rating back.
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a scale at its bound is intended
        learner = BayesianOptimizer(process, most_promising, np.asarray(x, float), ratings - start)
    learner.y_training, learner.y_max = ratings, ratings.max()  # an improvement is one of the rating
    return learner
