"""The galaxies of a training: where they come from, and which of them have labels."""

import logging
import math
from pathlib import Path

import pandas as pd

from morphtools.answers.kinds import Answer
from morphtools.answers.reading import read_question
from morphtools.sky.simulate import simulate_galaxies
from morphtools.survey.tasks import RedshiftTask, Task
from morphtools.training.finetune_settings import FinetuneSettings
from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.images import Source, from_pixels, open_images
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)

_CHUNK = 256  # simulated galaxies at a time


def labelled_galaxies(
    settings: FinetuneSettings,
) -> tuple[Answer, pd.DataFrame, Source, tuple[str, ...] | None]:
    """Finds labelled galaxies and draws some.

    Returns:
        What is asked; the drawn galaxies, with the columns of its labels and `split`; the source of their images; and
        the bands of these if they are known.
    """
    given = given_galaxies(catalog=settings.catalog, images=settings.images, records=settings.records)
    galaxies, source, bands = given or _simulated(settings.question, settings)
    question = {"task": settings.question, "columns": settings.columns(galaxies.columns), "answer": settings.answer}
    answer, labels, rule = read_question(galaxies, **question, photoz=settings.photoz)
    log.info("labels: %s", rule)
    rest = galaxies[[name for name in ("id_str", "file_loc", "split", "ebv") if name in galaxies]]
    options = {"test_labels": settings.test_labels, "seed": settings.seed, "balance": settings.balance}
    answer, drawn = answer.draw(rest.join(labels), settings.labels, **options)
    return answer, drawn, source, bands


def _simulated(task: Task | RedshiftTask, settings: FinetuneSettings):
    """Renders galaxies until enough of them have an answer."""
    log.warning("no catalog or records given: using galaxies of a simulated sky in %s", task.sky["bands"])
    needed, catalogs, images, known = max(800, math.ceil(1.6 * settings.labels)), [], [], 0
    while known < needed:
        options = {"image_size": settings.image_size or 64, "seed": settings.seed, "start": _CHUNK * len(catalogs)}
        catalog, rendered = simulate_galaxies(_CHUNK, **options, **task.sky)
        known += read_question(catalog, task=task).labels.notna().all(axis=1).sum()
        catalogs.append(catalog)
        images.append(rendered)
    catalog = pd.concat(catalogs, ignore_index=True)
    catalog["file_loc"] = catalog.index.astype(str)
    bands = tuple(task.sky["bands"])
    return catalog, lambda place: from_pixels(images[int(place) // _CHUNK][int(place) % _CHUNK]), bands


def given_galaxies(
    *, catalog: str | None, images: str | None, records: str | None
) -> tuple[pd.DataFrame, Source, tuple[str, ...] | None] | None:
    """The galaxies of records or of a catalogue; None where neither is given.

    Args:
        catalog: Path of a catalogue.
        images: Path of its images; by default the catalogue's folder.
        records: Path of records, instead of both.

    Returns:
        One row per galaxy, the source of their images, and the bands of these if they are known.
    """
    if records is not None:
        opened = Records.open(records)
        return opened.index().assign(file_loc=lambda table: table["id_str"]), opened.source(), opened.bands
    if catalog is not None:
        return check_catalog(read_catalog(catalog)), open_images(images or Path(catalog).parent), None
    return None


def unlabelled_galaxies(
    *, catalog: str | None, images: str | None, image_size: int | None, seed: int
) -> tuple[pd.DataFrame, Source]:
    """All galaxies of a catalogue, or a thousand of the simulated sky, and the source of their images.

    Args:
        catalog: Path of a catalogue.
        images: Path of its images; by default the catalogue's folder.
        image_size: Side in pixels of simulated galaxies; 64 by default.
        seed: Seed of the simulated sky.
    """
    if catalog is not None:
        return check_catalog(read_catalog(catalog)), open_images(images or Path(catalog).parent)
    log.warning("no catalog or records given: using a thousand galaxies of a simulated sky")
    options = {"image_size": image_size or 64, "magnitude_limit": 15.5, "field_radii": 6.0}
    table, rendered = simulate_galaxies(1000, seed=seed, **options)
    table["file_loc"] = table.index.astype(str)
    return table, lambda file_loc: from_pixels(rendered[int(file_loc)])
