"""Describes a run's training galaxies, so that predictions can report whether a galaxy resembles them."""

import logging
from pathlib import Path

import keras
import numpy as np

from morphtools.answers import class_figures
from morphtools.answers.familiarity import FILE, fit_familiarity
from morphtools.training.representing import represent_splits
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)

_FEWEST, _SHOWN = 10, 16


def keep_familiarity(
    out: Path,
    model: keras.Model,
    chosen: Records,
    reading: dict,
    store: Path,
    *,
    fit_to: tuple[str, ...],
    usual: str | None = None,
) -> dict | None:
    """Fits `familiarity.npz` to the galaxies of a run, and draws the test galaxies that resemble them least.

    Args:
        out: Folder of the run.
        model: Orientations, encoder, their mean and head.
        chosen: The galaxies of the run, in splits.
        reading: How to read them for the encoder.
        store: Where their representations are stored, or will be.
        fit_to: The splits that describe the galaxies. If the encoder was trained on them, `usual` must be another
            split, because an encoder moves galaxies it has learned closer together.
        usual: The split that shows which distances are usual; by default `fit_to`, a fifth of it left out at a
            time.

    Returns:
        For the metrics: the `familiarity` up to which a galaxy is unlike the training galaxies, and the fraction of
        test galaxies that are. None if there are too few galaxies to tell.
    """
    represent = keras.Sequential([keras.Input(model.input_shape[1:]), *model.layers[:-1]])
    splits = sorted({*fit_to, *([usual] if usual else []), "test"})
    representations = represent_splits(represent, chosen, splits, store, reading)
    fitted, test = np.concatenate([representations[split][0] for split in fit_to]), representations["test"][0]
    others = representations[usual][0] if usual else None
    if len(fitted) < _FEWEST or (others is not None and len(others) < _FEWEST):
        log.info("too few galaxies to describe: predictions will have no column familiarity")
        return None
    familiarity = fit_familiarity(fitted, others)
    familiarity.save(out / FILE)
    distance = familiarity.distance(test)
    p, farthest = familiarity.share_beyond(distance), np.argsort(-distance, kind="stable")[:_SHOWN]
    ids = representations["test"][1]["id_str"].to_numpy()[farthest]
    pictures = class_figures.pictures_of(chosen)(ids)
    captions = [f"{value:.3f}\n{name[:22]}" for name, value in zip(ids, p[farthest], strict=True)]
    title = "Least like the training galaxies (number: fraction of training galaxies at least as unusual)"
    figure = class_figures.gallery(pictures, captions, title)
    write_figure(out / "figures" / "unfamiliar.png", figure)
    return {"rare": familiarity.rare, "share": float(np.mean(p <= familiarity.rare))}
