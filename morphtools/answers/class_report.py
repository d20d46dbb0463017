"""The pictures of a classifier's test: curves, and the galaxies behind them."""

from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.answers import class_figures as figures
from morphtools.answers.predictions import Predictions
from tfrecords_builder.files import write_whole
from tfrecords_builder.records import Records, read_pixels


def draw_figures(folder: Path, predictions: Predictions, records: Records, history: pd.DataFrame) -> None:
    """Draws `training_curve`, `roc`, `confusion`, `calibration` and three galleries as PNG files.

    The galleries show the galaxies that the classifier is most certain of (eight of each class), is most uncertain
    of, and is most wrong about.

    Args:
        folder: Where to.
        predictions: For galaxies whose labels are known.
        records: Where their images are.
        history: Of the training, as `morphtools.training.fitting.fit` returns it.
    """
    p, label, classes = predictions.probability, predictions.label, predictions.classes

    def gallery(rows, title):
        pixels = read_pixels(records, predictions.id_str[rows], fill=True)
        pictures = [figures.as_picture(each, records.noise) for each in pixels]
        captions = [f"{p[i]:.2f} ({classes[label[i]]})\n{predictions.id_str[i][:22]}" for i in rows]
        return figures.gallery(pictures, captions, f"{title}: P({classes[1]}), and what it is")

    order = np.argsort(p)
    wrong = np.flatnonzero((p >= 0.5) != label)
    drawn = {
        "training_curve": figures.training_curve(history),
        "roc": figures.roc(label, p),
        "confusion": figures.confusion(label, p, classes),
        "calibration": figures.calibration(label, p),
        "confident": gallery([*order[::-1][:8], *order[:8]], "Most confident"),
        "uncertain": gallery(np.argsort(np.abs(p - 0.5))[:16], "Most uncertain"),
        "mistakes": gallery(wrong[np.argsort(-np.abs(p - label)[wrong])][:16], "Worst mistakes"),
    }
    for name, figure in drawn.items():
        write_whole(folder / f"{name}.png", lambda path, figure=figure: figure.savefig(path, dpi=150))
