"""The pictures of a classifier's test: curves, and the galaxies behind them."""

from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.answers import class_figures as figures
from morphtools.answers.predictions import Predictions


def draw_figures(
    folder: Path, predictions: Predictions, show: figures.ShowGalaxies | None, history: pd.DataFrame | None
) -> None:
    """Draws the training curve, the confusion matrix with and without galaxies, the calibration, and three galleries.

    The galleries show the galaxies about which the classifier is most certain (eight of each if there are two classes),
    most uncertain, and most wrong. If there are two classes, and galaxies of both, it also draws the `roc` curve.

    Args:
        folder: The folder.
        predictions: For galaxies whose labels are known.
        show: Gives pictures of galaxies; None leaves out what needs them.
        history: History of the training, as `morphtools.training.fitting.fit` returns it; None leaves out its curve.
    """
    p, label, classes = predictions.by_class, predictions.label.astype(int), predictions.classes
    two, predicted, rows = len(classes) == 2, predictions.predicted, np.arange(len(label))
    certainty, of_truth = p[rows, predicted], p[rows, label]

    def gallery(chosen, title):
        shown = [f"P({classes[1]})", p[:, 1]] if two else ["the most probable class", certainty]
        names = [figures.in_short(name, 20) for name in classes]
        called = ["" if two else f"{names[predicted[i]]}\n" for i in chosen]
        captions = [
            f"{name}{shown[1][i]:.2f} ({names[label[i]]})\n{predictions.id_str[i][:22]}"
            for name, i in zip(called, chosen, strict=True)
        ]
        return figures.gallery(show(predictions.id_str[chosen]), captions, f"{title}: {shown[0]} and the truth")

    def examples():
        places = {}
        # for every pair of classes, the galaxy that the classifier is most certain about
        for i in np.argsort(-certainty):
            places.setdefault((label[i], predicted[i]), i)
        pictures = show(predictions.id_str[list(places.values())])
        return figures.confusion_examples(dict(zip(places, pictures, strict=True)), classes)

    order = np.argsort(-p[:, 1], kind="stable") if two else np.argsort(-certainty, kind="stable")
    confident = [*order[:8], *order[::-1][:8]] if two else order[:16]
    wrong = np.flatnonzero(predicted != label)
    drawn = {
        "confusion": figures.confusion(label, predicted, classes),
        "calibration": figures.calibration(label, p[:, 1])
        if two
        else figures.calibration(predicted == label, certainty),
    }
    if history is not None:
        drawn["training_curve"] = figures.training_curve(history)
    if two and len(np.unique(label)) == 2:
        drawn["roc"] = figures.roc(label, p[:, 1])
    if show is not None:
        drawn["confusion_examples"] = examples()
        drawn["confident"] = gallery(confident, "Most confident")
        drawn["uncertain"] = gallery(np.argsort(certainty)[:16], "Most uncertain")
        drawn["mistakes"] = gallery(wrong[np.argsort(of_truth[wrong])][:16], "Worst mistakes")
    figures.write_figures(folder, drawn)
