"""What `finetune` does where a galaxy belongs to one of two classes; `finetune_redshifts` has the same functions."""

import logging
import math
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from morphtools.answers.class_metrics import classification_metrics
from morphtools.answers.class_report import draw_figures
from morphtools.answers.predictions import Predictions
from morphtools.data.augment import RandomView
from morphtools.models.heads import classification_head
from morphtools.sky.simulate import simulate_galaxies
from morphtools.survey.tasks import Task, task_labels
from morphtools.training.fitting import patience_of_walmsley
from morphtools.training.labels import draw_labels, given_galaxies
from tfrecords_builder.images import Source, from_pixels
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)

SLOWER = 100  # how many times lower the learning rate of a pretrained encoder is than the head's
HEAD_FIRST = True  # whether the head is trained alone before the encoder is (Walmsley et al. 2022)
BATCH_NORM = False  # a few hundred galaxies would only blur its statistics (Walmsley et al. 2022)
STRETCH = "dr2_rgb"  # of the simulated sky, for weights that take pictures


def choose(task: Task, arguments: dict) -> tuple[pd.DataFrame, Source, tuple[str, ...] | None]:
    """Finds labelled galaxies and draws some.

    Returns:
        The drawn galaxies with `label` and `split`, the source of their images, and the bands of these if known.
    """
    given = given_galaxies(**{name: arguments[name] for name in ("catalog", "images", "records")})
    galaxies, source, bands = given or _simulated(task, arguments)
    galaxies["label"], rule = task_labels(task, galaxies, arguments["column"])
    log.info("labels by %s", rule)
    options = {name: arguments[name] for name in ("labels", "test_labels", "seed")}
    return draw_labels(galaxies, classes=task.classes, **options), source, bands


def _simulated(task: Task, arguments: dict):
    """Renders galaxies until enough of them have votes that decide the task."""
    log.warning("no catalog or records given: using galaxies of a simulated sky, half of them with what is asked")
    needed, chunk = max(800, math.ceil(1.6 * arguments["labels"])), 256
    catalogs, images = [], []
    while not catalogs or sum(task_labels(task, table)[0].notna().sum() for table in catalogs) < needed:
        catalog, rendered = simulate_galaxies(
            chunk,
            image_size=arguments["image_size"] or 64,
            seed=arguments["seed"],
            start=chunk * len(catalogs),
            fractions={task.simulated: 0.5},
            magnitude_limit=15.5,
            field_radii=6.0,
        )
        catalogs.append(catalog)
        images.append(rendered)
    catalog = pd.concat(catalogs, ignore_index=True)
    catalog["file_loc"] = catalog.index.astype(str)
    return catalog, lambda place: from_pixels(images[int(place) // chunk][int(place) % chunk]), tuple("grz")


def check_usable(chosen: Records) -> None:
    """Raises ValueError where images of too few galaxies could be read."""
    left = chosen.index().groupby("split")["label"].nunique()
    if (left < 2).any():
        raise ValueError(f"too few usable images: only one class is left for {left.idxmin()}")


def survey(chosen: Records, arguments: dict) -> str | None:
    """The survey by whose bands to deredden: none, unless one is named."""
    return None if arguments["survey"] == "none" else arguments["survey"]


def head(arguments: dict) -> keras.layers.Layer:
    """(B, D) → (B, 2) probabilities."""
    return classification_head(2, seed=arguments["seed"])


def first_guess(head: keras.layers.Layer, labels: np.ndarray, arguments: dict) -> None:
    """Lets the head say nothing of any galaxy: all classes are as likely.

    Random weights say something wrong, and loudly: with few labels the best epoch could be that in which they had not
    been unlearned yet.
    """
    head.out.kernel.assign(np.zeros(head.out.kernel.shape))


def loss(arguments: dict):
    """Of `label` and what the head says."""
    return "sparse_categorical_crossentropy"


def view(arguments: dict, side: int, size: int | None) -> RandomView:
    """How a galaxy is seen in training: any rotation, flips, a little zoom and shift; `size` of the image's `side`."""
    return RandomView(size=size, seed=arguments["seed"])


def schedule(arguments: dict, galaxies: int) -> tuple[int, int, tuple[float, ...]]:
    """Most epochs, patience, and after which shares of the epochs the learning rate falls to a tenth."""
    epochs, patience = patience_of_walmsley(galaxies)
    return arguments["epochs"] or epochs, patience, ()


def predictions(values: np.ndarray, rows: pd.DataFrame, task: Task, arguments: dict, provenance: dict) -> Predictions:
    """What the model says (N, 2) about the test galaxies."""
    return Predictions(rows["id_str"].to_numpy(), values[:, 1], rows["label"].to_numpy(), task.classes, provenance)


def scores(found: Predictions, seed: int) -> dict[str, dict[str, float]]:
    """`{metric: {"value", "low", "high"}}`."""
    return classification_metrics(found.label, found.probability, seed=seed)


def draw(folder: Path, found: Predictions, records: Records, history: pd.DataFrame) -> None:
    """Draws the pictures of the test."""
    draw_figures(folder, found, records, history)


def described(task: Task, arguments: dict) -> dict:
    """What the model card says of the head."""
    return {"kind": "classes", "classes": task.classes, "redshifts": None, "schema": None}
