"""Representations of a split, computed once while the encoder is frozen.

Training a head needs each galaxy's representation, not its pixels: one pass of the encoder replaces one pass per
epoch.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from morphtools.data.dataset import load_dataset
from tfrecords_builder.files import write_whole
from tfrecords_builder.records import Records


def galaxies_per_batch(shape: tuple[int, int, int]) -> int:
    """How many galaxies of (H, W, C) to show to the encoder at a time, each in eight orientations.

    About half a million pixels: on two busy cores, EfficientNetB0 at 224 px represented 36 images a second in batches
    of one galaxy and 20 in batches of sixteen, whose activations no longer fit into the caches.
    """
    return max(1, 2**19 // (8 * shape[0] * shape[1]))


def represent_split(
    model: keras.Model, records: Records, split: str, path: Path, *, batch_size: int | None = None
) -> np.ndarray:
    """Represents every galaxy of a split; a killed call goes on where it was.

    Args:
        model: (B, H, W, C) → (B, D).
        records: Where the galaxies are.
        split: Which of them.
        path: `.npy` file for the result, with its progress beside it.
        batch_size: Galaxies at a time; by default `galaxies_per_batch`.

    Returns:
        (N, D) float32, memory-mapped, in the order of the split's shards.
    """
    galaxies, batch_size = records.splits[split], batch_size or galaxies_per_batch(records.shape)
    progress_file = path.with_suffix(".progress.json")
    done = json.loads(progress_file.read_text())["batches"] if progress_file.exists() else 0
    shape = (galaxies, model.output_shape[-1])
    store = np.lib.format.open_memmap(path, mode="r+" if done else "w+", dtype=np.float32, shape=shape)
    dataset = load_dataset(records, split, batch_size=batch_size).skip(done)
    bar = tqdm(initial=done * batch_size, total=galaxies, desc=f"representing {split}", unit="galaxy", disable=None)
    total, noted = -(-galaxies // batch_size), time.monotonic()
    with bar, path.open("r+b") as file:
        file.seek(store.offset + done * batch_size * store.strides[0])
        for batch in dataset.as_numpy_iterator():
            # written as a file, not through the map, where a full disk would be a signal instead of an error
            file.write(np.asarray(model.predict_on_batch(batch["image"]), np.float32).tobytes())
            file.flush()
            done += 1
            bar.update(len(batch["image"]))
            if time.monotonic() - noted > 1 or done == total:
                write_whole(progress_file, json.dumps({"batches": done}))
                noted = time.monotonic()
    return store


def shuffled(x: np.ndarray, y: np.ndarray, batch_size: int, seed) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of (x, y) in the random order of `seed`; of a memory-mapped array it reads a batch at a time."""
    order = np.random.default_rng(seed).permutation(len(y))
    for start in range(0, len(y), batch_size):
        rows = order[start : start + batch_size]
        yield x[rows], y[rows]
