"""How many labels a way of training saves, derived from its scores against the number of labels."""

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression
from scipy.stats import t as student

from morphtools.answers.score_names import score_name

_SHARES = ("accuracy", "precision", "recall", "f1", "auc", "outlier_fraction", "calibration_error", "eta")
_SHARES += ("hq_accuracy", "hq_precision", "hq_recall", "hq_auc")
_LOSSES = ("log_loss", "brier", "rmse", "cross_entropy", "eta")
LOWER_IS_BETTER = ("sigma_mad", "outlier_fraction", "crps", "calibration_error", *_LOSSES)


def means_by_labels(results: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Means over seeds with 95% intervals of the mean (Student's t, within 0–1 for shares; NaN for one seed).

    Args:
        results: A row per `way`, number of labels `asked` for and `seed`, with `labels`, those used, and scores.
        metrics: Which scores.

    Returns:
        A row per way and number: `way`, `asked`, `labels` (mean over seeds), `seeds`, every score, `… low`, `… high`.
    """
    rows = []
    for (way, asked), group in results.groupby(["way", "asked"], sort=False):
        row = {"way": way, "asked": asked, "labels": group["labels"].mean(), "seeds": len(group)}
        for metric in metrics:
            values = group[metric].dropna()
            mean, half = values.mean(), values.sem() * student.ppf(0.975, max(1, len(values) - 1))
            low, high = np.clip([mean - half, mean + half], *((0, 1) if metric in _SHARES else (-np.inf, np.inf)))
            row |= {metric: mean, f"{metric} low": low, f"{metric} high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def equivalent_labels(labels, scores, wanted: float) -> float:
    """The number of labels at which a score is reached, by interpolation linear in the logarithm of their number.

    Args:
        labels: (K,) ascending.
        scores: (K,) never falling; higher is better.
        wanted: The score.

    Returns:
        The smallest such number; 0 if the fewest labels do better, infinity if the most do not suffice.
    """
    labels, scores = np.asarray(labels, float), np.asarray(scores, float)
    if scores[0] > wanted or scores[-1] < wanted:
        return 0.0 if scores[0] > wanted else np.inf
    after = int(np.argmax(scores >= wanted))
    if after == 0:
        return float(labels[0])
    share = (wanted - scores[after - 1]) / (scores[after] - scores[after - 1])
    return float(np.exp(np.interp(share, (0, 1), np.log(labels[after - 1 : after + 1]))))


def label_savings(
    results: pd.DataFrame, metric: str, reference: str, *, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """How many times fewer labels a way of training needs than another for the same score.

    The score is the best that `reference` reaches, and is compared with the number of labels that it needs for that,
    which is not the largest if its curve ends flat. Curves are made monotone (isotonic regression). The interval comes
    from curves drawn from Student's t distribution of all means together, over the seeds that all cells have; so
    whatever a seed does to all ways alike, such as an easy test set, cancels. Factors are limited to the numbers of
    labels that were tried.

    Args:
        results: As for `means_by_labels`.
        metric: The score.
        reference: The way to compare with.
        draws: Curves to draw.
        seed: Seed of the draws.

    Returns:
        A row per other way: `way`, the `score`, labels that the reference needs (`reference_labels`) and that the way
        needs (`labels`: 0 if fewer than the fewest tried suffice, infinite if more than the most are needed), their
        ratio `factor` with its 95% interval `low`, `high` (NaN for a single seed), and the smallest and largest factor,
        `least` and `most`, that could be found.
    """
    sign = -1 if metric in LOWER_IS_BETTER else 1
    scores = sign * results.pivot(index="seed", columns=["way", "asked"], values=metric).sort_index(axis=1)
    labels = results.groupby(["way", "asked"])["labels"].mean().to_numpy()  # in the order of the columns
    where = {way: np.flatnonzero(scores.columns.get_level_values("way") == way) for way in results["way"].unique()}
    base = where.pop(reference, ())
    mean, drawn = scores.mean().to_numpy(), _drawn_means(scores.dropna().to_numpy(), draws, seed)
    rows = []
    for way, own in where.items():
        if min(len(own), len(base)) < 2:
            continue
        score, needed, found = _compare(labels[base], mean[base], labels[own], mean[own])
        limits = needed / labels[own][-1], needed / labels[own][0]
        others = (_compare(labels[base], curves[base], labels[own], curves[own]) for curves in drawn)
        factors = [np.clip(_ratio(*pair), *limits) for _, *pair in others]
        low, high = np.percentile(factors, (2.5, 97.5)) if factors else (np.nan, np.nan)
        row = {"way": way, "score": sign * score, "reference_labels": needed, "labels": found}
        row |= {"factor": np.clip(_ratio(needed, found), *limits), "low": low, "high": high}
        rows.append(row | {"least": limits[0], "most": limits[1]})
    return pd.DataFrame(rows)


def in_a_sentence(row: pd.Series, metric: str, reference: str) -> str:
    """A row of `label_savings` in words."""
    name, score = score_name(metric), f"{row['score']:.3g}"
    if np.isclose(row["most"], 1):  # the reference is at its best with the fewest labels
        flat = f"“{reference}” gets no better with more labels ({name} {score}); “{row['way']}”"
        reached = "does not reach that" if np.isinf(row["labels"]) else f"reaches the same with {row['labels']:.0f}"
        return f"{flat} {reached if row['labels'] else 'is better even with the fewest labels tried'}"
    needed = f"“{reference}” needs {row['reference_labels']:.0f} labels for {name} {score}; “{row['way']}”"
    if row["labels"] == 0:
        sentence = (
            f"{needed} does better even with the fewest labels tried: at least {row['most']:.1f} times fewer labels"
        )
    elif np.isinf(row["labels"]):
        sentence = f"{needed} does not reach that even with the most labels tried"
    elif row["factor"] >= 1:
        sentence = f"{needed} reaches the same with {row['labels']:.0f}: {row['factor']:.1f} times fewer labels"
    else:
        sentence = f"{needed} needs {row['labels']:.0f}: {1 / row['factor']:.1f} times more labels"
    if np.isnan(row["low"]):
        return f"{sentence} (one seed: no interval)"
    below = "at most " if np.isclose(row["low"], row["least"]) else ""
    above = "at least " if np.isclose(row["high"], row["most"]) else ""
    low, high = f"{below}{row['low']:.1f}", f"{above}{row['high']:.1f}"
    interval = f"{low} to {high}" if row["low"] < row["high"] else low if below else high
    return f"{sentence} (95% interval of the factor: {interval})"


def _drawn_means(scores: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Draws plausible means of (seeds, cells): (draws, cells) from a multivariate t with their covariance."""
    seeds, cells = scores.shape
    if seeds < 2:
        return np.empty((0, cells))
    rng = np.random.default_rng(seed)
    apart = (scores - scores.mean(axis=0)) / np.sqrt(seeds * (seeds - 1))
    scale = np.sqrt((seeds - 1) / rng.chisquare(seeds - 1, (draws, 1)))
    return scores.mean(axis=0) + scale * rng.normal(size=(draws, seeds)) @ apart


def _compare(reference_labels, reference_scores, labels, scores) -> tuple[float, float, float]:
    """The best score of the reference, the labels it needs for that, and those that the other needs."""
    ours, theirs = (isotonic_regression(each, increasing=True).x for each in (scores, reference_scores))
    wanted = theirs[-1]
    return wanted, equivalent_labels(reference_labels, theirs, wanted), equivalent_labels(labels, ours, wanted)


def _ratio(needed: float, found: float) -> float:
    return np.inf if found == 0 else needed / found
