"""What a run's training galaxies are like, kept beside its weights, so that every prediction can be compared."""

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
    """Fits `familiarity.npz` to the galaxies of a run, and draws those of its test that are least like them.

    Args:
        out: Folder of the run.
        model: Orientations, encoder, their mean and head.
        chosen: Its galaxies, in splits.
        reading: How to read them for the encoder.
        store: Where their representations by this encoder are, or will be.
        fit_to: The splits that tell what galaxies are like. Where the encoder was trained on them, others are needed
            for what is usual: it brings galaxies that it has learned closer together.
        usual: The split that tells how far away is usual; by default those of `fit_to`, a fifth of them left out at a
            time.

    Returns:
        For the metrics: the `familiarity` up to which a galaxy is unlike the training galaxies, and the fraction of
        test galaxies that are. None if there are too few galaxies to tell.
    """
    represent = keras.Sequential([keras.Input(model.input_shape[1:]), *model.layers[:-1]])
    splits = sorted({*fit_to, *([usual] if usual else []), "test"})
    known = represent_splits(represent, chosen, splits, store, reading)
    fitted, test = np.concatenate([known[split][0] for split in fit_to]), known["test"][0]
    others = known[usual][0] if usual else None
    if len(fitted) < _FEWEST or (others is not None and len(others) < _FEWEST):
        log.info("too few galaxies to tell whether others are like them: predictions have no familiarity")
        return None
    familiarity = fit_familiarity(fitted, others)
    familiarity.save(out / FILE)
    distance = familiarity.distance(test)
    p, farthest = familiarity.share_beyond(distance), np.argsort(-distance, kind="stable")[:_SHOWN]
    ids = known["test"][1]["id_str"].to_numpy()[farthest]
    pictures = class_figures.pictures_of(chosen)(ids)
    captions = [f"{value:.3f}\n{name[:22]}" for name, value in zip(ids, p[farthest], strict=True)]
    title = "Least like the training galaxies: the fraction of galaxies that are as far from them"
    figure = class_figures.gallery(pictures, captions, title)
    write_figure(out / "figures" / "unfamiliar.png", figure)
    return {"rare": familiarity.rare, "share": float(np.mean(p <= familiarity.rare))}
