"""Measures how well representations predict labels, from how many of them."""

import numpy as np
import pandas as pd

from morphtools.answers.class_metrics import weighted_scores
from morphtools.survey.label_columns import is_class


def label_efficiency(
    fitted: np.ndarray,
    fitted_labels,
    tested: np.ndarray,
    tested_labels,
    *,
    numbers: list[int],
    repeats: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores a linear probe and five neighbours on the same test galaxies, against the number of labels.

    Args:
        fitted: (N, D) representations to draw labels from.
        fitted_labels: (N,) classes or numbers, all known.
        tested: (M, D).
        tested_labels: (M,).
        numbers: How many labels to draw; more than N are left out.
        repeats: Draws of each number.
        seed: Seed of the draws.

    Returns:
        One row per probe (`linear` or `knn`), number of `labels` and `repeat`: `score` is the accuracy, or R² for
        numbers; for two classes also `precision`, `recall`, `auc` and `outliers` (η, in percent).

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, section 3.2 and appendix C.2 (logistic regression with L-BFGS;
        η on certain labels).
    """
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(seed)
    classes = is_class(np.concatenate([fitted_labels, tested_labels]))
    fitted_labels, tested_labels = (
        np.asarray(y).astype(str if classes else float) for y in (fitted_labels, tested_labels)
    )
    rows = []
    for number in [n for n in numbers if n <= len(fitted)]:
        for repeat in range(repeats):
            drawn = rng.permutation(len(fitted))[:number]
            if classes and len(np.unique(fitted_labels[drawn])) < 2:
                continue
            scale = StandardScaler().fit(fitted[drawn])
            for probe, model in _probes(classes, number).items():
                data = (
                    (fitted[drawn], tested)
                    if probe == "knn"
                    else (scale.transform(fitted[drawn]), scale.transform(tested))
                )
                model.fit(data[0], fitted_labels[drawn])
                row = {"probe": probe, "labels": number, "repeat": repeat, "score": model.score(data[1], tested_labels)}
                if classes and len(np.unique(tested_labels)) == 2 and len(model.classes_) == 2:
                    row |= _two_classes(tested_labels == model.classes_[1], model.predict_proba(data[1])[:, 1])
                rows.append(row)
    return pd.DataFrame(rows)


def _probes(classes: bool, number: int) -> dict:
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    neighbours = min(5, number)
    if classes:
        return {"linear": LogisticRegression(C=0.1, max_iter=1000), "knn": KNeighborsClassifier(neighbours)}
    return {"linear": RidgeCV(np.logspace(0, 5, 6)), "knn": KNeighborsRegressor(neighbours)}


def _two_classes(label: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    point_scores = weighted_scores(label.astype(float), probability, np.ones((1, len(label))))
    scores = {name: float(point_scores[name][0]) for name in ("precision", "recall", "auc")}
    return scores | {"outliers": outlier_percent(label, probability)}


def outlier_percent(label, probability) -> float:
    """The percentage η of galaxies with a certain label (at most 0.2 or at least 0.8) predicted at the opposite end.

    Args:
        label: (N,) vote fractions, or 0 and 1.
        probability: (N,) predicted.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, section 3.2.
    """
    label, probability = np.asarray(label, float), np.asarray(probability, float)
    opposite = ((label <= 0.2) & (probability >= 0.8)) | ((label >= 0.8) & (probability <= 0.2))
    certain = (label <= 0.2) | (label >= 0.8)
    return 100 * float(opposite.sum()) / max(int(certain.sum()), 1)
