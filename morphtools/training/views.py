"""Representations of augmented views, computed once while the encoder is frozen.

Training a head on frozen representations needs each view's representation, not its pixels: one pass of the encoder
replaces one pass per epoch.
"""

import json
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from morphtools.data.augment import RandomView
from morphtools.data.dataset import load_dataset
from tfrecords_builder.files import write_whole
from tfrecords_builder.records import Records


def represent_views(
    encoder: keras.Model, records: Records, split: str, *, views: int, path: Path, seed: int, batch_size: int = 32
) -> np.ndarray:
    """Represents `views` random views of every galaxy of a split; a killed call goes on where it was.

    Args:
        encoder: (B, H, W, C) → (B, D).
        records: Where the galaxies are.
        split: Which of them.
        views: Views per galaxy, each a `RandomView`; 0 for the one unchanged image.
        path: `.npy` file for the result, with its progress beside it.
        seed: Seed of the views.
        batch_size: Galaxies at a time.

    Returns:
        (views or 1, N, D) float32, memory-mapped, galaxies in the order of the split's shards.
    """
    galaxies, width = records.splits[split], encoder.output_shape[-1]
    progress_file = path.with_suffix(".progress.json")
    done = json.loads(progress_file.read_text())["batches"] if progress_file.exists() else 0
    shape = (max(1, views), galaxies, width)
    store = np.lib.format.open_memmap(path, mode="r+" if done else "w+", dtype=np.float32, shape=shape)
    view = RandomView(seed=seed)
    height, columns, _ = encoder.input_shape[1:]
    dataset = load_dataset(records, split, batch_size=batch_size, image_size=(height, columns)).skip(done)
    total = -(-galaxies // batch_size)
    for batch in tqdm(dataset, initial=done, total=total, desc=f"representing {split}", unit="batch", disable=None):
        rows = slice(done * batch_size, done * batch_size + len(batch["id_str"]))
        view.seed_generator.state.assign(np.array([seed, done * max(1, views)], "uint32"))
        images = keras.ops.convert_to_tensor(batch["image"].numpy())
        for k in range(shape[0]):
            store[k, rows] = encoder.predict_on_batch(view(images) if views else images)
        store.flush()
        done += 1
        write_whole(progress_file, json.dumps({"batches": done}))
    return store


class ViewBatches(keras.utils.PyDataset):
    """One epoch over cached views: every galaxy once, in random order, in a random one of its views.

    Args:
        representations: (views, N, D).
        labels: (N,) integer classes.
        batch_size: Galaxies per batch.
        seed: Seed of the epoch.
    """

    def __init__(self, representations, labels, batch_size: int, seed):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.representations, self.labels, self.batch_size = representations, labels, batch_size
        self.order = rng.permutation(len(labels))
        self.view = rng.integers(len(representations), size=len(labels))

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, i: int):
        rows = self.order[i * self.batch_size : (i + 1) * self.batch_size]
        return self.representations[self.view[rows], rows], self.labels[rows]
