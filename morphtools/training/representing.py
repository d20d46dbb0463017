"""Representations of splits, computed once while the encoder is frozen.

A head is trained on representations, not pixels, so one pass of the encoder replaces a pass per epoch.
"""

from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from morphtools.inference.represent import represent_galaxies
from tfrecords_builder.records import Records


def represent_splits(
    model: keras.Model,
    records: Records,
    splits: list[str],
    folder: Path,
    reading: dict,
    executor: Executor | None = None,
) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
    """Represents every galaxy of some splits; an interrupted call resumes.

    Args:
        model: (B, H, W, C) → (B, D).
        records: Records with the galaxies.
        splits: The splits to represent.
        folder: Where the representations are kept.
        reading: How to read the records for the model (see `prepare`).
        executor: Where to compute instead, a shard at a time.

    Returns:
        For each split, representations (N, D) float32 in the order of its shards and the matching rows of the index,
        without galaxies that cannot be decoded.
    """
    options: dict[str, Any] = {"reading": reading, "executor": executor}
    store = represent_galaxies(model, records, folder, splits, provenance={}, **options)
    values, rows = store.values(), records.index().set_index("id_str").loc[store.id_str].reset_index()
    mine = {split: (rows["split"] == split).to_numpy() for split in splits}
    return {split: (values[chosen], rows[chosen].reset_index(drop=True)) for split, chosen in mine.items()}


def shuffled(x: np.ndarray, y: np.ndarray, batch_size: int, seed) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of (x, y) in the random order of `seed`."""
    order = np.random.default_rng(seed).permutation(len(y))
    for start in range(0, len(y), batch_size):
        rows = order[start : start + batch_size]
        yield x[rows], y[rows]
