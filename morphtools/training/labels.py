"""The labelled galaxies of a task: where they come from, and which of them are used."""

import logging
import math
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.survey.simulate import simulate_galaxies
from morphtools.survey.tasks import Task, task_labels
from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.images import Source, from_pixels, open_images
from tfrecords_builder.records import Records
from tfrecords_builder.splits import FRACTIONS, hash_uniform, split_of

log = logging.getLogger(__name__)


def labelled_galaxies(
    task: Task,
    *,
    catalog: str | None,
    images: str | None,
    records: str | None,
    column: str | None,
    labels: int,
    test_labels: int,
    image_size: int | None,
    seed: int,
) -> tuple[pd.DataFrame, Source, tuple[str, ...] | None]:
    """Finds the galaxies that answer a task: in records, in a catalogue, or on the simulated sky.

    Args:
        task: What is asked.
        catalog: Path of a catalogue.
        images: Path of its images; by default the catalogue's folder.
        records: Path of records, instead of both.
        column: Column with the answer, if not one of the task's.
        labels: Galaxies to draw for training and validation.
        test_labels: Most galaxies to draw for the test.
        image_size: Side in pixels of simulated galaxies; 64 by default.
        seed: Seed of the draw and of the splits; records have theirs.

    Returns:
        The drawn galaxies (see `draw_labels`), the source of their images, and the bands of these if they are known.
    """
    if records is not None:
        opened = Records.open(records)
        bands = opened.bands
        galaxies, source = opened.index(), opened.source()
        galaxies["file_loc"] = galaxies["id_str"]
    elif catalog is not None:
        galaxies = check_catalog(read_catalog(catalog))
        source, bands = open_images(images or Path(catalog).parent), None
    else:
        log.warning("no catalog or records given: using galaxies of a simulated sky, half of them with what is asked")
        galaxies, source = _simulated(task, max(800, math.ceil(1.6 * labels)), image_size or 64, seed)
        bands = tuple("grz")
    galaxies["label"], rule = task_labels(task, galaxies, column)
    log.info("labels by %s", rule)
    return draw_labels(galaxies, labels, test_labels=test_labels, classes=task.classes, seed=seed), source, bands


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


def _simulated(task: Task, labels: int, image_size: int, seed: int) -> tuple[pd.DataFrame, Source]:
    """Renders galaxies until `labels` of them have votes that decide the task."""
    catalogs, images, chunk = [], [], 256
    while not catalogs or sum(task_labels(task, table)[0].notna().sum() for table in catalogs) < labels:
        catalog, rendered = simulate_galaxies(
            chunk,
            image_size=image_size,
            seed=seed,
            start=chunk * len(catalogs),
            fractions={task.simulated: 0.5},
            magnitude_limit=15.5,
            field_radii=6.0,
        )
        catalogs.append(catalog)
        images.append(rendered)
    catalog = pd.concat(catalogs, ignore_index=True)
    catalog["file_loc"] = catalog.index.astype(str)
    return catalog, lambda file_loc: from_pixels(images[int(file_loc) // chunk][int(file_loc) % chunk])


def draw_labels(catalog: pd.DataFrame, labels: int, *, test_labels: int, classes, seed: int) -> pd.DataFrame:
    """Draws labelled galaxies for training, validation and test, keeping the proportions of the classes.

    `labels` counts training *and* validation: both have to be labelled by somebody. The test split and the order of
    drawing follow from hashes of `id_str`: 50 labels are among the 100 of the same seed, and no test galaxy is ever
    trained on.

    Args:
        catalog: `id_str`, `label` (1, 0 or NaN) and, where it is decided already, `split`.
        labels: Galaxies for training and validation together.
        test_labels: Most galaxies for the test.
        classes: Names of the negative and the positive class.
        seed: Seed of the draw and of the splits.

    Returns:
        The drawn rows with `label` as integer and `split`.

    Raises:
        ValueError: There is only one class, or too few of one to train, validate and test.
    """
    known = catalog[catalog["label"].notna()].copy()
    known["label"] = known["label"].astype(int)
    counts = known["label"].value_counts().reindex([0, 1], fill_value=0)
    if counts.min() == 0:
        have = ", ".join(f"{counts[i]} {classes[i]}" for i in (0, 1))
        raise ValueError(f"a classifier needs both classes, the catalogue has {have}")
    if "split" not in known.columns:
        known["split"] = [split_of(i, seed) for i in known["id_str"]]
    known = known.iloc[np.argsort([hash_uniform(i, seed, salt="draw") for i in known["id_str"]], kind="stable")]
    test = _stratified(known[known["split"] == "test"], test_labels)
    fitted = _stratified(known[known["split"] != "test"], labels)
    # An eighth of every class validates: by the hash alone, a small set could be left without one.
    share = FRACTIONS[1] / (FRACTIONS[0] + FRACTIONS[1])
    rank = fitted.groupby("label").cumcount()
    size = fitted.groupby("label")["label"].transform("size")
    fitted = fitted.assign(split=np.where(rank < np.maximum(1, (size * share).round()), "val", "train"))
    drawn = pd.concat([fitted, test])
    for split, least in (("train", 2), ("val", 1), ("test", 1)):
        have = drawn[drawn["split"] == split]["label"].value_counts().reindex([0, 1], fill_value=0)
        if have.min() < least:
            raise ValueError(
                f"too few labels: {have[0]} {classes[0]} and {have[1]} {classes[1]} for {split}, at least {least} of "
                f"each are needed; {labels} were asked for, and the catalogue has {counts[0]} {classes[0]} and "
                f"{counts[1]} {classes[1]}"
            )
    if len(fitted) < labels:
        log.warning("%d labels were asked for, %d are available: going on with those", labels, len(fitted))
    return drawn


def _stratified(rows: pd.DataFrame, n: int) -> pd.DataFrame:
    """The first `n` rows class by class, in the proportions of `rows`, at least three of each if there are."""
    if n >= len(rows):
        return rows
    counts = rows["label"].value_counts().sort_index()
    quota = (counts * n / len(rows)).round().astype(int).clip(lower=counts.clip(upper=min(3, n // 2)))
    quota[counts.idxmax()] += n - quota.sum()
    return pd.concat([rows[rows["label"] == label].head(q) for label, q in quota.items()])
