"""What a run's training galaxies are like, kept beside its weights, so that every prediction can be compared."""

import logging
from pathlib import Path

import keras
import numpy as np

from morphtools.answers import class_figures
from morphtools.answers.familiarity import FILE, fit_familiarity
from morphtools.training.representing import represent_splits
from tfrecords_builder.files import write_whole
from tfrecords_builder.records import Records, read_pixels

log = logging.getLogger(__name__)

_FEWEST, _SHOWN = 10, 16


def keep_familiarity(out: Path, model: keras.Model, chosen: Records, reading: dict, store: Path, *, frozen: bool):
    """Fits `familiarity.npz` to the galaxies of a run, and draws those of its test that are least like them.

    Where the encoder was frozen, all labelled galaxies serve for both, what they are like and how far away is usual;
    where it was trained, those that validated tell what is usual.

    Args:
        out: Folder of the run.
        model: Orientations, encoder, their mean and head.
        chosen: Its galaxies, in splits.
        reading: How to read them for the encoder.
        store: Where their representations by this encoder are, or will be.
        frozen: Whether the encoder was not trained.

    Returns:
        For the metrics: up to which `familiarity` a galaxy is unlike the training galaxies, and the share of the test
        that is. None where there are too few galaxies to tell.
    """
    represent = keras.Sequential([keras.Input(model.input_shape[1:]), *model.layers[:-1]])
    known = represent_splits(represent, chosen, ["train", "val", "test"], store, reading)
    train, val, test = (known[split][0] for split in ("train", "val", "test"))
    if frozen:
        train, val = np.concatenate([train, val]), None
    if len(train) < _FEWEST or (val is not None and len(val) < _FEWEST):
        log.info("too few galaxies to tell whether others are like them: predictions have no familiarity")
        return None
    familiarity = fit_familiarity(train, val)
    familiarity.save(out / FILE)
    distance = familiarity.distance(test)
    p, farthest = familiarity.share_beyond(distance), np.argsort(-distance, kind="stable")[:_SHOWN]
    ids = known["test"][1]["id_str"].to_numpy()[farthest]
    pictures = [class_figures.as_picture(each, chosen.noise) for each in read_pixels(chosen, ids, fill=True)]
    captions = [f"{value:.3f}\n{name[:22]}" for name, value in zip(ids, p[farthest], strict=True)]
    title = "Least like the training galaxies: the share of galaxies that are as far from them"
    figure = class_figures.gallery(pictures, captions, title)
    write_whole(out / "figures" / "unfamiliar.png", lambda path: figure.savefig(path, dpi=150))
    return {"rare": familiarity.rare, "share": float(np.mean(p <= familiarity.rare))}
