"""How good a classifier is, with intervals."""

import numpy as np

METRICS = ("accuracy", "precision", "recall", "f1", "auc", "calibration_error")


def classification_metrics(
    label: np.ndarray,
    probability: np.ndarray,
    *,
    resamples: int = 1000,
    coverage: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Scores of a yes-or-no classifier with percentile-bootstrap intervals over galaxies.

    Args:
        label: (N,) 0 or 1.
        probability: (N,) of the positive class.
        resamples: Number of bootstrap samples.
        coverage: Of the interval.
        seed: Seed of the samples.

    Returns:
        `{metric: {"value", "low", "high"}}` for every one of `METRICS`; NaN where it is not defined (a precision
        without positive predictions, an AUC with one class).
    """
    label, probability = np.asarray(label, float), np.asarray(probability, float)
    value = weighted_scores(label, probability, np.ones((1, len(label))))
    rng = np.random.default_rng(seed)
    n, chunk = len(label), 50  # resamples at a time: memory is bounded by 50 numbers per galaxy
    samples = []
    for start in range(0, resamples, chunk):
        weights = rng.multinomial(n, np.full(n, 1 / n), size=min(chunk, resamples - start))
        samples.append(weighted_scores(label, probability, weights))
    edges = 50 * (1 - coverage), 50 * (1 + coverage)
    result = {}
    for name in METRICS:
        sample = np.concatenate([each[name] for each in samples])
        sample = sample[np.isfinite(sample)]
        low, high = np.percentile(sample, edges) if len(sample) else (np.nan, np.nan)
        result[name] = {"value": float(value[name][0]), "low": float(low), "high": float(high)}
    return result


def weighted_scores(label: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """All of `METRICS` for several weightings of the same galaxies at once.

    Calibration error: Σ_b n_b/N · |mean label − mean probability| over ten equally wide bins of probability.

    Args:
        label: (N,) 0.0 or 1.0.
        probability: (N,) of the positive class; 0.5 and above predicts it.
        weights: (R, N), one weighting per row; counts of galaxies for a bootstrap.

    Returns:
        (R,) per metric, NaN where it is not defined.

    Reference:
        Guo et al. 2017, arXiv:1706.04599, equation 3 (calibration error).
    """
    said = (probability >= 0.5).astype(float)
    total = weights.sum(axis=1)
    yes, said_yes, both = weights @ label, weights @ said, weights @ (label * said)
    which = np.minimum((probability * 10).astype(int), 9)
    gaps = weights @ (np.eye(10)[which] * (label - probability)[:, np.newaxis])
    # AUC: the share of (positive, negative) pairs in the right order; equal probabilities count half.
    order = np.unique(probability, return_inverse=True)[1]
    negative = np.zeros((len(weights), order.max() + 1))
    np.add.at(negative, (slice(None), order), weights * (1 - label))
    below = np.cumsum(negative, axis=1) - negative / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "accuracy": (weights @ (label == said)) / total,
            "precision": both / said_yes,
            "recall": both / yes,
            "f1": 2 * both / (yes + said_yes),
            "auc": (weights * label * below[:, order]).sum(axis=1) / (yes * (total - yes)),
            "calibration_error": np.abs(gaps).sum(axis=1) / total,
        }
