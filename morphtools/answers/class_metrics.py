"""How good a classifier is, with intervals."""

from typing import Any

import numpy as np

from morphtools.answers.resampling import interval

METRICS = ("accuracy", "precision", "recall", "f1", "auc", "log_loss", "brier", "calibration_error")


def classification_metrics(
    label: np.ndarray,
    probability: np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Scores of a classifier with 95% percentile-bootstrap intervals over galaxies.

    Args:
        label: (N,) 0 … K-1.
        probability: (N,) of the positive one of two classes, or (N, K) of every class.
        resamples: Number of bootstrap samples.
        seed: Seed of the samples.

    Returns:
        `{metric: {"value", "low", "high"}}` for the metrics of `weighted_scores` or `weighted_class_scores`; NaN where
        one is not defined (a precision without positive predictions, an AUC with one class).
    """
    label, probability = np.asarray(label, float), np.asarray(probability, float)
    scores = weighted_scores if probability.ndim == 1 else weighted_class_scores
    value = scores(label, probability, np.ones((1, len(label))))
    rng = np.random.default_rng(seed)
    n, chunk = len(label), 50  # resamples at a time: memory is bounded by 50 numbers per galaxy
    samples = []
    for start in range(0, resamples, chunk):
        weights = rng.multinomial(n, np.full(n, 1 / n), size=min(chunk, resamples - start))
        samples.append(scores(label, probability, weights))
    return {name: interval(value[name][0], np.concatenate([each[name] for each in samples])) for name in value}


def weighted_scores(label: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """All of `METRICS` for several weightings of the same galaxies at once.

    Calibration error: Σ_b n_b/N · |mean label − mean probability| over ten equally wide bins of probability. Brier
    score: the mean of (probability − label)².

    Args:
        label: (N,) 0.0 or 1.0.
        probability: (N,) of the positive class; 0.5 and above predicts it.
        weights: (R, N), one weighting per row; counts of galaxies for a bootstrap.

    Returns:
        (R,) per metric, NaN where it is not defined.

    Reference:
        Guo et al. 2017, arXiv:1706.04599, equation 3 (calibration error).
    """
    predicted = (probability >= 0.5).astype(float)
    total = weights.sum(axis=1)
    positive, predicted_positive, both = weights @ label, weights @ predicted, weights @ (label * predicted)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "accuracy": (weights @ (label == predicted)) / total,
            "precision": both / predicted_positive,
            "recall": both / positive,
            "f1": 2 * both / (positive + predicted_positive),
            "auc": _auc(label, probability, weights),
            "log_loss": weights @ _surprise(np.where(label == 1, probability, 1 - probability)) / total,
            "brier": weights @ (probability - label) ** 2 / total,
            "calibration_error": _calibration_error(label, probability, weights),
        }


def weighted_class_scores(label: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of a classifier into K classes, for several weightings of the same galaxies at once.

    `accuracy`; `top_2` (and `top_3` of six or more classes): how often the true class is among the two most probable;
    `balanced_accuracy`, `macro_f1` and `auc` (one class against the rest): means over the classes, rare ones counting
    as much as common ones; `log_loss`; `brier`: the mean of Σ_k (p_k − y_k)²; `calibration_error` of the most probable
    class.

    Args:
        label: (N,) 0 … K-1.
        probability: (N, K).
        weights: (R, N), one weighting per row.

    Returns:
        (R,) per metric, NaN where it is not defined.
    """
    label, classes = label.astype(int), probability.shape[1]
    truth, total = np.eye(classes)[label], weights.sum(axis=1)
    predicted = probability.argmax(axis=1)
    rank = (probability > probability[np.arange(len(label)), label][:, np.newaxis]).sum(axis=1)
    _, recall, f1 = class_scores(truth, np.eye(classes)[predicted], weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = np.stack([_auc(truth[:, k], probability[:, k], weights) for k in range(classes)])
    scores = {"accuracy": weights @ (predicted == label) / total}
    scores |= {f"top_{k}": weights @ (rank < k) / total for k in ((2, 3) if classes > 5 else (2,))}
    return scores | {
        "balanced_accuracy": _mean_of_defined(recall),
        "macro_f1": _mean_of_defined(f1),
        "auc": _mean_of_defined(auc),
        "log_loss": weights @ _surprise((probability * truth).sum(axis=1)) / total,
        "brier": weights @ ((probability - truth) ** 2).sum(axis=1) / total,
        "calibration_error": _calibration_error(predicted == label, probability.max(axis=1), weights),
    }


def class_scores(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Precision, recall and F1 of every class, (K, R) each; NaN where not defined.

    Args:
        truth: (N, K), 1 for the true class.
        predicted: (N, K), 1 for the predicted class.
        weights: (R, N).
    """
    positive, predicted_positive, both = (weights @ each for each in (truth, predicted, truth * predicted))
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = both / predicted_positive, both / positive
        f1 = np.where(positive > 0, 2 * both / (positive + predicted_positive), np.nan)
    return precision.T, recall.T, f1.T


def _mean_of_defined(scores: np.ndarray) -> np.ndarray:
    """(K, R) → (R,): the mean over classes that have a score."""
    defined = np.isfinite(scores)
    with np.errstate(invalid="ignore"):
        return np.where(defined, scores, 0).sum(axis=0) / defined.sum(axis=0)


def _surprise(probability: np.ndarray) -> np.ndarray:
    """−ln p, finite where a classifier was certain and wrong."""
    return -np.log(np.clip(probability, 1e-15, 1))


def _auc(label: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The fraction of (positive, negative) pairs in the right order; equal probabilities count half."""
    order = np.unique(probability, return_inverse=True)[1]
    negative = np.zeros((len(weights), order.max() + 1))
    everywhere: Any = (slice(None), order)
    np.add.at(negative, everywhere, weights * (1 - label))
    below = np.cumsum(negative, axis=1) - negative / 2
    positive, total = weights @ label, weights.sum(axis=1)
    return (weights * label * below[:, order]).sum(axis=1) / (positive * (total - positive))


def _calibration_error(label: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    which = np.minimum((probability * 10).astype(int), 9)
    gaps = weights @ (np.eye(10)[which] * (label - probability)[:, np.newaxis])
    return np.abs(gaps).sum(axis=1) / weights.sum(axis=1)
