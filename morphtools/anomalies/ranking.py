"""How good a ranking of galaxies is, given which ones are anomalies."""

import numpy as np
from scipy.stats import t as student


def precision_at(anomalous: np.ndarray, n: int) -> float:
    """Fraction of anomalies among the first n of a ranking (of all, if there are fewer; NaN if there are none).

    Args:
        anomalous: (N,) true or false, the galaxy ranked first in front.
        n: How many.
    """
    return float(np.mean(anomalous[:n])) if len(anomalous) else np.nan


def rank_weighted_score(anomalous: np.ndarray, n: int) -> float:
    """Fraction of anomalies among the first n of a ranking, with weights n − i (i from 0); NaN if there are none.

    Args:
        anomalous: (N,) true or false, the galaxy ranked first in front.
        n: How many, at most N.

    Reference:
        Lochner & Bassett 2021, arXiv:2010.11202.
    """
    n = min(n, len(anomalous))
    if not n:
        return np.nan
    weight = np.arange(n, 0, -1)
    return float(weight @ np.asarray(anomalous[:n], float) / weight.sum())


def average_precision(anomalous: np.ndarray) -> float:
    """Mean over all anomalies of the fraction of anomalies down to their rank; NaN if there are none.

    Args:
        anomalous: (N,) true or false, the galaxy ranked first in front.
    """
    ranks = np.flatnonzero(anomalous) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else np.nan


def recall_curve(anomalous: np.ndarray) -> np.ndarray:
    """Fraction of all anomalies among the first 1, 2, … N of a ranking; NaN if there are none.

    Args:
        anomalous: (N,) true or false, the galaxy ranked first in front.
    """
    cumulative = np.cumsum(anomalous, dtype=float)
    return cumulative / cumulative[-1] if cumulative.any() else np.full(len(cumulative), np.nan)


def ranking_metrics(anomalous: np.ndarray) -> dict[str, float]:
    """Average precision, precision in the first 50, 100 and 200, rank-weighted score in the first 200.

    Args:
        anomalous: (N,) true or false, the galaxy ranked first in front.
    """
    return {"average_precision": average_precision(anomalous)} | metrics_of_first(anomalous)


def metrics_of_first(anomalous: np.ndarray) -> dict[str, float]:
    """Those of `ranking_metrics` that follow from the first 200 of a ranking alone.

    Args:
        anomalous: (N,) true or false, the galaxy ranked first in front.
    """
    return {f"top_{n}": precision_at(anomalous, n) for n in (50, 100, 200)} | {
        "rank_weighted": rank_weighted_score(anomalous, 200)
    }


def mean_with_interval(values: np.ndarray) -> tuple[float, float]:
    """Mean over repeats, and half the width of its 95% interval (Student's t; NaN for one repeat).

    Args:
        values: (R,).
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        return float(values.mean()), np.nan
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)
