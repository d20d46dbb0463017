"""Representations of splits, computed once while the encoder is frozen.

Training a head needs each galaxy's representation, not its pixels: one pass of the encoder replaces one pass per
epoch.
"""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from morphtools.inference.represent import represent_galaxies
from tfrecords_builder.records import Records


def represent_splits(
    model: keras.Model, records: Records, splits: list[str], folder: Path, reading: dict
) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
    """Represents every galaxy of some splits; an interrupted call resumes where it was.

    Args:
        model: (B, H, W, C) → (B, D).
        records: Where the galaxies are.
        splits: Which of them.
        folder: Where the representations are kept.
        reading: How to read the records for the model (see `prepare`).

    Returns:
        For each split (N, D) float32 in the order of its shards, and the rows of the index that belong to them,
        without galaxies that cannot be decoded.
    """
    store = represent_galaxies(model, records, folder, splits, provenance={}, reading=reading)
    values, rows = store.values(), records.index().set_index("id_str").loc[store.id_str].reset_index()
    mine = {split: (rows["split"] == split).to_numpy() for split in splits}
    return {split: (values[chosen], rows[chosen].reset_index(drop=True)) for split, chosen in mine.items()}


def shuffled(x: np.ndarray, y: np.ndarray, batch_size: int, seed) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of (x, y) in the random order of `seed`."""
    order = np.random.default_rng(seed).permutation(len(y))
    for start in range(0, len(y), batch_size):
        rows = order[start : start + batch_size]
        yield x[rows], y[rows]
