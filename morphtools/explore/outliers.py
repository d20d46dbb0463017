"""Anomaly scores without ratings, or with an earlier way of using them: baselines for the rating loop."""

import numpy as np
from scipy.spatial import cKDTree
from sklearn.ensemble import IsolationForest, RandomForestRegressor
from sklearn.neighbors import LocalOutlierFactor


def isolation_forest(x: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """How easily random cuts isolate each galaxy.

    Args:
        x: (N, D).
        seed: Seed of the forest.

    Returns:
        (N,), from 0, the most ordinary, to 5, the most anomalous.

    Reference:
        Liu, Ting & Zhou 2008, doi:10.1109/ICDM.2008.17; rescaled as in Lochner & Bassett 2021, arXiv:2010.11202.
    """
    return _as_ratings(-IsolationForest(random_state=seed).fit(x).score_samples(x))


def local_outlier_factor(x: np.ndarray) -> np.ndarray:
    """How much sparser the surroundings of each galaxy are than those of its twenty nearest neighbours.

    Args:
        x: (N, D).

    Returns:
        (N,), from 0, the most ordinary, to 5, the most anomalous.

    Reference:
        Breunig et al. 2000, doi:10.1145/342009.335388.
    """
    factor = LocalOutlierFactor(min(20, len(x) - 1)).fit(x).negative_outlier_factor_
    return _as_ratings(np.log(-factor))  # outliers of one galaxy would leave no scale for the others


def neighbour_score(
    x: np.ndarray, anomaly: np.ndarray, rows: np.ndarray, ratings: np.ndarray, *, seed: int = 0
) -> np.ndarray:
    """An anomaly score that ratings lower near dull galaxies: S·tanh(δ − 1 + artanh f).

    f = 0.1 + 0.85·U/5 for the rating U that a random forest expects, δ = exp(d/mean d) for the distance d to the
    nearest rated galaxy: far from all of them the score stays S, near them it follows the ratings.

    Args:
        x: (N, D) scaled features.
        anomaly: (N,) S, as of `isolation_forest`.
        rows: (n,) which galaxies were rated.
        ratings: (n,) 0–5.
        seed: Seed of the forest.

    Returns:
        (N,) scores.

    Reference:
        Lochner & Bassett 2021, arXiv:2010.11202.
    """
    expected = RandomForestRegressor(100, random_state=seed).fit(x[rows], ratings).predict(x)
    distance = cKDTree(x[rows]).query(x)[0]
    far = np.exp(distance / distance.mean()) if distance.any() else np.ones(len(x))
    return anomaly * np.tanh(far - 1 + np.arctanh(0.1 + 0.85 * expected / 5))


def _as_ratings(score):
    return 5 * (score - score.min()) / max(np.ptp(score), np.finfo(float).tiny)
