"""What `finetune` does where the answer is a redshift; `finetune_classes` has the same functions."""

import logging
import math
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from morphtools.answers.redshift_figures import draw_redshift_figures
from morphtools.answers.redshift_metrics import photoz_metrics
from morphtools.answers.redshifts import ESTIMATES, Redshifts
from morphtools.data.augment import RandomView
from morphtools.models.redshift_head import RedshiftLoss, redshift_head
from morphtools.sky.simulate import simulate_galaxies
from morphtools.survey.extinction import COEFFICIENTS
from morphtools.survey.instruments import camera_for
from morphtools.survey.tasks import RedshiftTask, task_redshifts
from morphtools.training.labels import draw_redshifts, given_galaxies
from tfrecords_builder.images import Source, from_pixels
from tfrecords_builder.naming import unknown
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)

SLOWER = 10  # how many times lower the learning rate of a pretrained encoder is than the head's
HEAD_FIRST = False  # both are trained from the first epoch on (Hayat et al. 2021)
BATCH_NORM = True  # frozen, a pretrained encoder stayed behind one from scratch (CONTRIBUTING, traps)
ENOUGH = 5  # training galaxies a bin: with 2.4 of them a softmax was no better than the mean of all redshifts
STRETCH = "sdss_rgb"  # of the simulated sky, for weights that take pictures


def choose(task: RedshiftTask, arguments: dict) -> tuple[pd.DataFrame, Source, tuple[str, ...] | None]:
    """Finds galaxies with redshifts and draws some.

    Returns:
        The drawn galaxies with `label` and `split`, the source of their images, and the bands of these if known.
    """
    given = given_galaxies(**{name: arguments[name] for name in ("catalog", "images", "records")})
    galaxies, source, bands = given or _simulated(arguments)
    galaxies["label"], where = task_redshifts(task, galaxies, arguments["column"])
    log.info("redshifts of %s", where)
    names = ("labels", "test_labels", "redshift_range", "seed")
    drawn = draw_redshifts(galaxies, **{name: arguments[name] for name in names})
    _tell_of_few((drawn["split"] == "train").sum(), arguments)
    return drawn, source, bands


def _tell_of_few(galaxies: int, arguments: dict) -> None:
    """Warns where a softmax, whose bins learn nothing from each other, has too few spectra to learn from."""
    each = galaxies / arguments["bins"]
    if arguments["pdf"] == "softmax" and each < ENOUGH:
        log.warning(
            "%.2g spectra a bin are few for a softmax, which wants %d: its PDFs will be combs; pdf mixture suits few",
            each, ENOUGH,
        )  # fmt: skip


def _simulated(arguments: dict):
    log.warning("no catalog or records given: using galaxies of a simulated sky in ugriz")
    galaxies = max(800, math.ceil(1.6 * arguments["labels"]))
    options = {"image_size": arguments["image_size"] or 64, "seed": arguments["seed"], "bands": "ugriz"}
    catalog, images = simulate_galaxies(galaxies, **options)
    catalog["file_loc"] = catalog.index.astype(str)
    return catalog, lambda place: from_pixels(images[int(place)]), tuple("ugriz")


def check_usable(chosen: Records) -> None:
    """Raises ValueError where images of too few galaxies could be read."""
    for split in ("train", "val", "test"):
        if not chosen.splits[split]:
            raise ValueError(f"too few usable images: none is left for {split}")


def survey(chosen: Records, arguments: dict) -> str | None:
    """The survey by whose bands to deredden: the one named, or else that of the camera that takes these bands."""
    if arguments["survey"] is not None:
        return None if arguments["survey"] == "none" else arguments["survey"]
    if chosen.encoding == "encoded":
        log.info("pictures cannot be dereddened: the dust of the Galaxy stays in their colours")
        return None
    try:
        found = camera_for(chosen.bands).survey
    except ValueError:
        if "ebv" not in chosen.label_cols:
            log.warning("without a column ebv images cannot be dereddened: their colours stay those behind the dust")
            return None
        raise ValueError(
            f"it is not known whose bands {', '.join(chosen.bands)} are, so images cannot be dereddened: give survey, "
            f"one of {', '.join(COEFFICIENTS)} (build-records names bands), or none to leave them as they are"
        ) from None
    log.info("the bands %s are taken for those of %s; survey says otherwise", ", ".join(chosen.bands), found)
    return found


def head(arguments: dict) -> keras.layers.Layer:
    """(B, D) → (B, bins) probabilities; ValueError where the arguments about them make no sense."""
    low, high = arguments["redshift_range"]
    if not -0.01 <= low < high:
        raise ValueError(f"redshift_range must rise from 0 or more, got {low:g} to {high:g}")
    if arguments["estimate"] not in ESTIMATES:
        raise ValueError(unknown("estimate", arguments["estimate"], ESTIMATES))
    return redshift_head(**{name: arguments[name] for name in ("bins", "redshift_range", "pdf", "seed")})


def first_guess(head: keras.layers.Layer, labels: np.ndarray, arguments: dict) -> None:
    """Lets a softmax say of every galaxy what is known of all: the distribution of the training redshifts (N,).

    It is smoothed by a Gaussian (Scott's rule), with 2% for redshifts never seen. Where bins have no neighbours, a few
    hundred galaxies would otherwise be spent on learning that most redshifts are rare. A mixture stays as it is.
    """
    if arguments["pdf"] != "softmax":
        return
    counts, edges = np.histogram(labels, arguments["bins"], arguments["redshift_range"])
    middle = (edges[:-1] + edges[1:]) / 2
    width = max(np.std(labels) * len(labels) ** -0.2, edges[1] - edges[0])
    density = np.exp(-(((middle[:, np.newaxis] - middle) / width) ** 2) / 2) @ counts
    head.out.bias.assign(np.log(0.98 * density / density.sum() + 0.02 / len(density)))


def loss(arguments: dict) -> keras.losses.Loss:
    """Of `label` and what the head says."""
    return RedshiftLoss(*arguments["redshift_range"])


def view(arguments: dict, side: int, size: int | None) -> RandomView:
    """How a galaxy is seen in training: any rotation, up to 7 pixels of 107 aside; `size` of the image's `side`.

    No zoom: how large a galaxy looks tells its distance.
    """
    geometry = {"flip": False, "zoom": 0.0, "shift": 0.0, "jitter": round(7 / 107 * side)}
    return RandomView(**geometry, size=size, seed=arguments["seed"])


def schedule(arguments: dict, galaxies: int) -> tuple[int, int, tuple[float, ...]]:
    """Most epochs, patience, and after which shares of the epochs the learning rate falls to a tenth."""
    epochs = arguments["epochs"] or 100
    return epochs, epochs, (0.6, 0.9)


def predictions(
    values: np.ndarray, rows: pd.DataFrame, task: RedshiftTask, arguments: dict, provenance: dict
) -> Redshifts:
    """What the model says (N, bins) about the test galaxies."""
    edges = np.linspace(*arguments["redshift_range"], arguments["bins"] + 1)
    redshift = rows["label"].to_numpy(float)
    return Redshifts(rows["id_str"].to_numpy(), values, edges, arguments["estimate"], redshift, provenance)


def scores(found: Redshifts, seed: int) -> dict[str, dict[str, float]]:
    """`{metric: {"value", "low", "high"}}`."""
    return photoz_metrics(found, seed=seed)


def draw(folder: Path, found: Redshifts, records: Records, history: pd.DataFrame) -> None:
    """Draws the pictures of the test."""
    draw_redshift_figures(folder, found, records, history)


def described(task: RedshiftTask, arguments: dict) -> dict:
    """What the model card says of the head."""
    names = {"bins": "bins", "redshift_range": "range", "pdf": "pdf", "estimate": "estimate"}
    redshifts = {there: arguments[name] for name, there in names.items()}
    return {"kind": "redshifts", "redshifts": redshifts, "classes": None, "schema": None}
