"""How good a classifier is, with intervals."""

import math

import numpy as np
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score


def calibration_error(label: np.ndarray, probability: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: the mean distance between what was said and what happened.

    Σ_b n_b/N · |mean label − mean probability| over equally wide bins of probability.

    Args:
        label: (N,) 0 or 1.
        probability: (N,) said for label 1.
        bins: Number of bins.

    Returns:
        From 0 (calibrated) to 1.

    Reference:
        Guo et al. 2017, arXiv:1706.04599, equation 3.
    """
    which = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = np.bincount(which, label - probability, minlength=bins)
    return float(np.abs(gaps).sum() / len(label))


METRICS = {
    "accuracy": lambda label, p: float(np.mean(label == (p >= 0.5))),
    "precision": lambda label, p: precision_score(label, p >= 0.5, zero_division=np.nan),
    "recall": lambda label, p: recall_score(label, p >= 0.5, zero_division=np.nan),
    "f1": lambda label, p: f1_score(label, p >= 0.5, zero_division=np.nan),
    "auc": lambda label, p: roc_auc_score(label, p) if 0 < label.sum() < len(label) else math.nan,
    "calibration_error": calibration_error,
}


def classification_metrics(
    label: np.ndarray, probability: np.ndarray, *, resamples: int = 1000, coverage: float = 0.95, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Scores of a yes-or-no classifier with bootstrap intervals over galaxies.

    Args:
        label: (N,) 0 or 1.
        probability: (N,) of the positive class.
        resamples: Number of bootstrap samples.
        coverage: Of the percentile interval.
        seed: Seed of the samples.

    Returns:
        `{metric: {"value", "low", "high"}}` for every one of `METRICS`; NaN where it is not defined (a precision
        without positive predictions, an AUC with one class).
    """
    label, probability = np.asarray(label).astype(int), np.asarray(probability, float)
    rng = np.random.default_rng(seed)
    samples = {name: np.empty(resamples) for name in METRICS}
    for i in range(resamples):
        rows = rng.integers(len(label), size=len(label))
        for name, metric in METRICS.items():
            samples[name][i] = metric(label[rows], probability[rows])
    edges = 50 * (1 - coverage), 50 * (1 + coverage)
    result = {}
    for name, metric in METRICS.items():
        defined = samples[name][np.isfinite(samples[name])]
        low, high = np.percentile(defined, edges) if len(defined) else (math.nan, math.nan)
        result[name] = {"value": float(metric(label, probability)), "low": float(low), "high": float(high)}
    return result
