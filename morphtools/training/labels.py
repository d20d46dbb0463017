"""The galaxies to train on: where they come from, and which of them have labels."""

import logging
import math
from typing import Any

import pandas as pd

from morphtools.answers.kinds import Answer
from morphtools.answers.reading import read_question
from morphtools.sky.simulate import simulate_galaxies
from morphtools.survey.tasks import RedshiftTask, Task
from morphtools.training.finetune_settings import FinetuneSettings
from morphtools.training.settings import Inputs
from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.images import Source, from_pixels, open_images
from tfrecords_builder.listing import images_of
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)

_CHUNK = 256  # galaxies that are simulated at a time


def labelled_galaxies(
    settings: FinetuneSettings,
) -> tuple[Answer, pd.DataFrame, Source, tuple[str, ...] | None]:
    """Finds labelled galaxies and draws as many as requested.

    Returns:
        The answer to learn; the galaxies drawn, with its label columns and `split`; the source of their images; and
        the bands of the images, if known.
    """
    given = given_galaxies(settings.inputs)
    galaxies, source, bands = given or _simulated(settings.simulated_task(), settings)
    question: dict[str, Any] = {
        "task": settings.question,
        "columns": settings.columns(galaxies.columns),
        "answer": settings.answer,
    }
    answer, labels, rule = read_question(galaxies, **question, photoz=settings.photoz)
    log.info("labels: %s", rule)
    rest = galaxies[[name for name in ("id_str", "file_loc", "split", "ebv") if name in galaxies]]
    options: dict[str, Any] = {"test_labels": settings.test_labels, "seed": settings.seed, "balance": settings.balance}
    answer, drawn = answer.draw(rest.join(labels), settings.labels, **options)
    return answer, drawn, source, bands


def _simulated(task: Task | RedshiftTask, settings: FinetuneSettings):
    """Simulates galaxies until enough of them have a clear answer."""
    log.warning("no catalog or records given: using galaxies of a simulated sky in %s", task.sky["bands"])
    needed, catalogs, images, labelled = max(800, math.ceil(1.6 * settings.labels)), [], [], 0
    with progress_bar(total=needed, desc="galaxies with a clear answer", unit="galaxy") as progress:
        while labelled < needed:
            options = {
                "image_size": settings.start.image_size or 64,
                "seed": settings.seed,
                "start": _CHUNK * len(catalogs),
            }
            catalog, rendered = simulate_galaxies(_CHUNK, **options, **task.sky)
            labelled += read_question(catalog, task=task).labels.notna().any(axis=1).sum()
            progress.update(min(labelled, needed) - progress.n)
            catalogs.append(catalog)
            images.append(rendered)
    catalog = pd.concat(catalogs, ignore_index=True)
    catalog["file_loc"] = catalog.index.astype(str)
    bands = tuple(task.sky["bands"])
    return catalog, lambda place: from_pixels(images[int(place) // _CHUNK][int(place) % _CHUNK]), bands


def given_galaxies(inputs: Inputs) -> tuple[pd.DataFrame, Source, tuple[str, ...] | None] | None:
    """Returns the galaxies of records or of a catalogue; None if neither is given.

    Returns:
        One row per galaxy, the source of their images, and the bands of the images, if known.
    """
    if inputs.records is not None:
        opened = Records.open(inputs.records)
        return opened.index().assign(file_loc=lambda table: table["id_str"]), opened.source(), opened.bands
    if inputs.catalog is not None:
        catalog = check_catalog(read_catalog(inputs.catalog))
        return catalog, open_images(images_of(inputs.catalog, inputs.images)), None
    return None


def bright_galaxies(image_size: int | None, seed: int, **options: Any) -> tuple[pd.DataFrame, Source]:
    """Simulates a thousand bright galaxies; returns their catalogue and the source of their images.

    Args:
        image_size: Side in pixels; 64 by default.
        seed: Seed of the sky.
        **options: Arguments of `simulate_galaxies`.
    """
    log.warning("no catalog or records given: using a thousand galaxies of a simulated sky")
    table, rendered = simulate_galaxies(1000, image_size=image_size or 64, seed=seed, magnitude_limit=15.5, **options)
    table["file_loc"] = table.index.astype(str)
    return table, lambda place: from_pixels(rendered[int(place)])
