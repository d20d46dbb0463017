"""The pictures of a classifier's test: curves, and the galaxies behind them."""

from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.answers import class_figures as figures
from morphtools.answers.predictions import Predictions
from tfrecords_builder.files import write_whole
from tfrecords_builder.records import Records, read_pixels


def draw_figures(folder: Path, predictions: Predictions, records: Records, history: pd.DataFrame) -> None:
    """Draws the training curve, the confusion matrix with and without galaxies, the calibration, and three galleries.

    The galleries show the galaxies that the classifier is most certain of (of two classes eight each), is most
    uncertain of, and is most wrong about. Of two classes there is a `roc` curve too.

    Args:
        folder: Where to.
        predictions: For galaxies whose labels are known.
        records: Where their images are.
        history: Of the training, as `morphtools.training.fitting.fit` returns it.
    """
    p, label, classes = predictions.by_class, predictions.label.astype(int), predictions.classes
    two, predicted, rows = len(classes) == 2, predictions.predicted, np.arange(len(label))
    certainty, of_truth = p[rows, predicted], p[rows, label]

    def pictures(chosen):
        pixels = read_pixels(records, predictions.id_str[chosen], fill=True)
        return [figures.as_picture(each, records.noise) for each in pixels]

    def gallery(chosen, title):
        shown = [f"P({classes[1]})", p[:, 1]] if two else ["the most probable class", certainty]
        names = [figures.in_short(name, 20) for name in classes]
        called = ["" if two else f"{names[predicted[i]]}\n" for i in chosen]
        captions = [
            f"{name}{shown[1][i]:.2f} ({names[label[i]]})\n{predictions.id_str[i][:22]}"
            for name, i in zip(called, chosen, strict=True)
        ]
        return figures.gallery(pictures(chosen), captions, f"{title}: {shown[0]} and the truth")

    def examples():
        places = {}
        for i in np.argsort(-certainty):  # of every pair of classes, the galaxy that is most certain
            places.setdefault((label[i], predicted[i]), i)
        return figures.confusion_examples(dict(zip(places, pictures(list(places.values())), strict=True)), classes)

    order = np.argsort(-p[:, 1], kind="stable") if two else np.argsort(-certainty, kind="stable")
    confident = [*order[:8], *order[::-1][:8]] if two else order[:16]
    wrong = np.flatnonzero(predicted != label)
    drawn = {
        "training_curve": figures.training_curve(history),
        "confusion": figures.confusion(label, predicted, classes),
        "confusion_examples": examples(),
        "calibration": figures.calibration(label, p[:, 1])
        if two
        else figures.calibration(predicted == label, certainty),
        "confident": gallery(confident, "Most confident"),
        "uncertain": gallery(np.argsort(certainty)[:16], "Most uncertain"),
        "mistakes": gallery(wrong[np.argsort(of_truth[wrong])][:16], "Worst mistakes"),
    }
    if two:
        drawn["roc"] = figures.roc(label, p[:, 1])
    for name, figure in drawn.items():
        write_whole(folder / f"{name}.png", lambda path, figure=figure: figure.savefig(path, dpi=150))
