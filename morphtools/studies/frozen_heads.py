"""Measures how many labels a frozen encoder needs: exact heads on the representations of several weights."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from morphtools.answers.classes import Classes
from tfrecords_builder.naming import some
from tfrecords_builder.progress import progress_bar

METRICS = ("log_loss", "accuracy", "auc")
_TEST = 0.25  # fraction of the rarest class to test on, and as many galaxies of every other class


def frozen_heads(
    values: Mapping[str, np.ndarray], truth: pd.Series, labels: Sequence[int], *, repeats: int = 5, seed: int = 0
) -> pd.DataFrame:
    """Fits a head to more and more labels, and tests it on held-out galaxies, with all classes equally common.

    In every repeat, a quarter of the rarest class, and as many galaxies of every other class, are held out for the
    test. Smaller sets of labels are contained in larger ones, have as many of each class, and are the same for all
    weights.

    Args:
        values: (N, D) representations of the same galaxies by name.
        truth: (N,) their classes.
        labels: Numbers of labels, all classes together.
        repeats: How often, each with another draw.
        seed: Seed of the first draw.

    Returns:
        A row per `way` (the name), `asked` and `labels` (both the number of labels) and `seed`, with `tested`,
        `log_loss`, `accuracy` and `auc` (several classes: the mean over pairs).

    Raises:
        ValueError: There are too few galaxies of a class, or fewer labels than two of each.

    Reference:
        Walmsley et al. 2022, arXiv:2110.12735, section 4 and figures 7 to 9 (balanced training sets, test loss).
    """
    classes, number = np.unique(truth.to_numpy().astype(str), return_inverse=True)
    counts = np.bincount(number)
    tested = max(1, round(_TEST * counts.min()))
    most = len(classes) * (counts.min() - tested)
    if bad := [n for n in labels if not 2 * len(classes) <= n <= most]:
        rarest = f"{classes[counts.argmin()]} has {counts.min()} galaxies, {tested} of them for the test"
        raise ValueError(f"labels must be from {2 * len(classes)} to {most}, got {some(bad)}: {rarest}")
    answer, rows = Classes(tuple(classes)), []
    cells = [(repeat, n) for repeat in range(repeats) for n in sorted(labels)]
    for repeat, n in progress_bar(cells, desc="fitting heads", unit="cell"):
        order = _balanced(number, seed + repeat)
        test, train = order[: tested * len(classes)], order[tested * len(classes) :][:n]
        for name, x in values.items():
            head = answer.linear(x[train], number[train, np.newaxis], seed + repeat)
            logits = head(x[test])
            row = {"way": name, "asked": n, "seed": repeat, "labels": n, "tested": len(test)}
            rows.append(row | _scores(number[test], softmax(logits, axis=1)))
    order = list(values)
    return pd.DataFrame(rows).sort_values("way", key=lambda way: way.map(order.index), kind="stable", ignore_index=True)


def _balanced(number: np.ndarray, seed: int) -> np.ndarray:
    """Rows in an order in which the first n have as many of each class, for any n, until the rarest class runs out."""
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(number == each)) for each in range(number.max() + 1)]
    least = min(map(len, drawn))
    return np.stack([rows[:least] for rows in drawn], axis=1).ravel()


def _scores(number: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    right = np.maximum(probability[np.arange(len(number)), number], 1e-12)
    two = probability.shape[1] == 2
    auc = roc_auc_score(number, probability[:, 1] if two else probability, multi_class="ovo")
    accuracy = (probability.argmax(axis=1) == number).mean()
    return dict(zip(METRICS, map(float, (-np.log(right).mean(), accuracy, auc)), strict=True))
