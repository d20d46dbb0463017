"""The labelled galaxies of a task: where they come from, and which of them are used."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.sky.simulate import simulate_galaxies
from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.images import Source, from_pixels, open_images
from tfrecords_builder.records import Records
from tfrecords_builder.splits import FRACTIONS, hash_uniform, split_of

log = logging.getLogger(__name__)

_VALIDATE = FRACTIONS[1] / (FRACTIONS[0] + FRACTIONS[1])  # share of the labels that validates: an eighth


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
    known = _in_order(known, seed)
    test = _stratified(known[known["split"] == "test"], test_labels)
    fitted = _stratified(known[known["split"] != "test"], labels)
    # An eighth of every class validates: by the hash alone, a small set could be left without one.
    rank = fitted.groupby("label").cumcount()
    size = fitted.groupby("label")["label"].transform("size")
    fitted = fitted.assign(split=np.where(rank < np.maximum(1, (size * _VALIDATE).round()), "val", "train"))
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


def draw_redshifts(catalog: pd.DataFrame, labels: int, *, test_labels: int, redshift_range, seed: int) -> pd.DataFrame:
    """Draws galaxies with a redshift for training, validation and test, by hashes as `draw_labels` does.

    Redshifts outside the range cannot be learned: such galaxies are not drawn for training or validation, but they are
    for the test, which is about the catalogue as it is.

    Args:
        catalog: `id_str`, `label` (the redshift, or NaN) and, where it is decided already, `split`.
        labels: Galaxies for training and validation together.
        test_labels: Most galaxies for the test.
        redshift_range: (low, high).
        seed: Seed of the draw and of the splits.

    Returns:
        The drawn rows with `split`.

    Raises:
        ValueError: There are too few to train, validate and test.
    """
    known = _in_order(catalog[catalog["label"].notna()].copy(), seed)
    inside = known["label"].between(*redshift_range)
    if not inside.all():
        log.warning(
            "%d of %d redshifts lie outside redshift_range, %g to %g, and are not trained on: the test has to get them "
            "wrong",
            (~inside).sum(), len(known), *redshift_range,
        )  # fmt: skip
    test = known[known["split"] == "test"].head(test_labels)
    fitted = known[(known["split"] != "test") & inside].head(labels)
    validating = max(1, round(len(fitted) * _VALIDATE))
    if len(fitted) < 3 or len(test) < 1:
        raise ValueError(
            f"too few redshifts: {len(fitted)} from {redshift_range[0]:g} to {redshift_range[1]:g} to train and "
            f"validate, {len(test)} to test; at least 3 and 1 are needed"
        )
    if len(fitted) < labels:
        log.warning("%d labels were asked for, %d are available: going on with those", labels, len(fitted))
    return pd.concat([fitted.assign(split=np.where(np.arange(len(fitted)) < validating, "val", "train")), test])


def _in_order(known: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The rows in the order of drawing, with the split of each, both by hashes of `id_str`."""
    if "split" not in known.columns:
        known["split"] = [split_of(i, seed) for i in known["id_str"]]
    return known.iloc[np.argsort([hash_uniform(i, seed, salt="draw") for i in known["id_str"]], kind="stable")]
