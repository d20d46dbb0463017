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
from tfrecords_builder.naming import some
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.records import Records
from tfrecords_builder.splits import split_of

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
    galaxies = without_twins(galaxies, settings.seed)
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


def without_twins(galaxies: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Leaves out galaxies to train on whose image is that of a test galaxy: one galaxy may have two ids.

    Args:
        galaxies: `id_str`; `image_hash` (from records) or `file_loc`; and, where it is decided already, `split`.
        seed: Seed of the splits, where they are not.
    """
    image = galaxies["image_hash" if "image_hash" in galaxies else "file_loc"]
    shared = image.duplicated(keep=False) & image.notna()
    if not shared.any():
        return galaxies
    splits = galaxies.get("split", pd.Series([split_of(i, seed) for i in galaxies["id_str"]], galaxies.index))
    twins = shared & (splits != "test") & image.isin(image[shared & (splits == "test")])
    if twins.any():
        log.warning(
            "%d galaxies are not trained on, because they have the image of a test galaxy: %s",
            *(twins.sum(), some(galaxies["id_str"][twins])),
        )
    return galaxies[~twins]


def warn_of_twins(records: Records) -> None:
    """Warns of test galaxies whose image is also trained on: their scores are too good."""
    index = records.index()
    if "image_hash" not in index:  # records of an earlier version
        return
    index = index[index["findings"].str.contains("repeated")]
    tested = index["split"] == "test"
    twins = index[tested].merge(index[~tested], on="image_hash", suffixes=("", "_trained")).drop_duplicates("id_str")
    if len(twins):
        pairs = some(f"{a} and {b}" for a, b in zip(twins["id_str"], twins["id_str_trained"], strict=True))
        log.warning(
            "%d test galaxies have the same image as one that is trained on (%s), which makes scores too good: leave "
            "one of each out of the catalogue",
            *(len(twins), pairs),
        )


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
