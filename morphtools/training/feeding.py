"""Feeds a model, epoch by epoch: from the memory of the device or from files, on any backend."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from morphtools.data.batches import read_batches
from morphtools.training.devices import all_devices
from morphtools.training.fitting import Batches
from morphtools.training.on_device import Resident, keep_on_device
from tfrecords_builder.records import Records


def feed(
    model: keras.Model,
    records: Records,
    reading: dict[str, Any],
    columns: Sequence[str] = (),
    *,
    batch_size: int,
    seed: int,
    in_memory: bool | None,
    state: Path,
    remainder: bool = False,
    tested: int | None = None,
) -> tuple[Callable[[int], Batches], Callable[[], Batches]]:
    """Returns the batches that `fit` needs to train a model on images and to validate it.

    Args:
        model: Compiled before anything is fed to it.
        records: The galaxies.
        reading: Keyword arguments of `load_dataset`.
        columns: The labels (B, L) to learn, NaN where unknown. None for images alone, without validation.
        batch_size: Galaxies per step.
        seed: Decides the order, together with the number of the epoch.
        in_memory: As for `keep_on_device`.
        state: Folder of what a run needs to resume.
        remainder: Whether galaxies left over at the end form a smaller batch. Possible on one device only: several
            share whole batches.
        tested: Batch size of the validation; by default `batch_size`.

    Returns:
        A function from the number of an epoch to its training batches, and one that returns the validation batches.
    """
    options: dict[str, Any] = {"shuffle": True, "drop_remainder": not remainder}
    splits = ["train", "val"] if columns else ["train"]
    tested = tested or batch_size
    if keep_on_device(records, splits, reading, in_memory, state):
        labels = (lambda batch: labels_of(batch, columns)) if columns else None
        kept = {split: Resident(records, split, reading, labels) for split in splits}
        return (
            lambda epoch: lambda: kept["train"].train(model, batch_size, [seed, epoch], remainder=remainder),
            lambda: lambda: kept["val"].test(model, tested),
        )
    read = _from_files if remainder or keras.backend.backend() != "tensorflow" else _dealt
    # the last batch need not have a galaxy for every device, so each device validates all
    validate = _from_files if all_devices()[1] > 1 else read
    return (
        lambda epoch: read(records, "train", columns, batch_size, seed=1000 * seed + epoch, **options, **reading),
        lambda: validate(records, "val", columns, tested, **reading),
    )


def labels_of(rows: Any, columns: Sequence[str]) -> np.ndarray:
    """Labels (N, L) of galaxies, from a table or a batch; NaN where unknown."""
    labels = np.stack([np.asarray(rows[name], float) for name in columns], axis=1)
    return np.where(np.isfinite(labels), labels, np.nan)


def _from_files(records: Records, split: str, columns: Sequence[str], batch_size: int, **options: Any) -> Iterable:
    """Batches of arrays (images, labels)."""
    for batch in read_batches(records, split, batch_size=batch_size, **options):
        yield batch["image"], labels_of(batch, columns) if columns else None


def _dealt(records: Records, split: str, columns: Sequence[str], batch_size: int, **options: Any) -> Iterable:
    """The same as a `tf.data.Dataset`, which Keras deals to all devices."""
    import tensorflow as tf

    from morphtools.data.dataset import load_dataset

    def learned(batch):
        if not columns:
            return batch["image"]
        labels = tf.stack([batch[name] for name in columns], axis=1)
        return batch["image"], tf.where(tf.math.is_finite(labels), labels, np.nan)

    return load_dataset(records, split, batch_size=batch_size, **options).map(learned)
