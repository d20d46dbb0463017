"""Records to batches."""

import os
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from morphtools.data.from_flux import dimming, stretch_of
from tfrecords_builder.parsing import parse
from tfrecords_builder.records import Records
from tfrecords_builder.verify import check_shards

_PARALLEL = os.cpu_count() or 1  # batches or images decoded in parallel


def load_dataset(
    records: Records | str | Path,
    split: str,
    *,
    batch_size: int = 128,
    image_size: int | tuple[int, int] | None = None,
    crop: tuple[int, int] | None = None,
    dereddened: str | None = None,
    stretch: str | None = None,
    shuffle: bool = False,
    augment: Callable | None = None,
    drop_remainder: bool = False,
    seed: int = 0,
):
    """Reads a split of records as a `tf.data.Dataset` of batches.

    Missing (NaN) and bad pixels get the sky of their image, the median of its good pixels in that band. Without
    `shuffle` the order is that of the shards, always the same.

    Args:
        records: The records or their folder.
        split: `train`, `val` or `test`.
        batch_size: Galaxies per batch.
        image_size: Side, or (H, W), in pixels; by default that of the records.
        crop: (H, W) of the middle that is cut out of them; by default all.
        dereddened: Survey (of `morphtools.survey.extinction`) by whose bands the extinction by Galactic dust is
            undone, with the column `ebv`; a galaxy without stays as it is.
        stretch: Name of a stretch of `morphtools.survey.stretch` that turns pixels in nanomaggies into colour pictures
            (B, H, W, 3) in 0–1; by default pixels stay what they are.
        shuffle: Whether to draw a new order, for every epoch, from `seed`.
        augment: A Keras layer, or any function of (B, H, W, C) images, applied to every batch.
        drop_remainder: Whether to leave out a last batch that is not full.
        seed: Seed of the order.

    Returns:
        Batches `{"image": (B, H, W, C) float32, "id_str": (B,) string, label column: (B,) float32, …}`. Encoded
        images are 0–1, pixel images in the units of the survey.

    Raises:
        FileNotFoundError: A shard is missing.
        ValueError: The split is empty, or a shard is damaged: each is compared with its checksum once, which takes as
            long as reading the file.
    """
    records = Records.open(records)
    shards = [str(path) for path in records.shards(split)]
    if not shards:
        raise ValueError(f"the split {split!r} of {records.folder} is empty")
    check_shards(records, [path.name for path in records.shards(split)])
    dataset = tf.data.Dataset.from_tensor_slices(shards)
    if shuffle:
        dataset = dataset.shuffle(len(shards), seed=seed)
    dataset = dataset.interleave(tf.data.TFRecordDataset, cycle_length=4 if shuffle else 1)
    if shuffle:  # of serialized records: a buffer of encoded galaxies is small
        dataset = dataset.shuffle(min(4096, max(1, records.splits[split])), seed=seed)
    read = _reader(records, image_size, crop, dereddened)
    if records.uniform and records.encoding != "encoded":  # a batch at a time is several times faster
        dataset = dataset.batch(batch_size, drop_remainder).map(read, num_parallel_calls=_PARALLEL)
    else:
        dataset = dataset.map(read, num_parallel_calls=_PARALLEL).batch(batch_size, drop_remainder)
    if stretch is not None:
        dataset = dataset.map(_stretched(records, stretch), num_parallel_calls=_PARALLEL)
    if augment is not None:
        dataset = dataset.map(lambda batch: {**batch, "image": augment(batch["image"])})
    cardinality = records.splits[split] // batch_size if drop_remainder else -(-records.splits[split] // batch_size)
    return steady(dataset.apply(tf.data.experimental.assert_cardinality(cardinality)).prefetch(2))


def load_shards(
    records: Records,
    places: dict[str, int],
    *,
    batch_size: int,
    **reading,
):
    """Reads shards one after another, each from its own position on, and leaves out what cannot be decoded.

    Args:
        records: The records.
        places: By name of the shard, how many of its galaxies to skip.
        batch_size: Galaxies per batch; the last of a shard may be smaller.
        **reading: `image_size`, `crop`, `dereddened` and `stretch` of `load_dataset`.

    Returns:
        Batches `{"image", "id_str", "shard": number in `places`, "place": (B,) place in the shard}`.
    """
    paths = tf.constant([str(records.folder / name) for name in places])
    starts = tf.constant(list(places.values()), tf.int64)
    batches = _batches(records, batch_size, **reading)

    def one(shard):
        return batches(tf.data.TFRecordDataset(paths[shard]).enumerate().skip(starts[shard]), shard)

    return steady(tf.data.Dataset.range(len(places)).flat_map(one).prefetch(2))


def load_galaxies(
    records: Records,
    galaxies: list[bytes],
    start: int,
    *,
    batch_size: int,
    **reading,
):
    """Like `load_shards`, for records in memory, such as the intact ones of a damaged shard.

    Args:
        records: Where they are from.
        galaxies: Their content.
        start: Place of the first in its shard.
        batch_size: Galaxies per batch.
        **reading: As for `load_shards`.
    """
    batches = _batches(records, batch_size, **reading)
    return steady(batches(tf.data.Dataset.from_tensor_slices(galaxies).enumerate(start), 0).prefetch(2))


def _batches(records: Records, batch_size: int, image_size=None, crop=None, dereddened=None, stretch=None) -> Callable:
    """A function from a dataset of places and serialized records to batches, without what cannot be decoded."""
    read = _reader(records, image_size, crop, dereddened)
    finish = _stretched(records, stretch) if stretch else lambda batch: batch
    together = records.uniform and records.encoding != "encoded"

    def batches(found, shard):
        found = found.batch(batch_size) if together else found
        galaxies = found.map(
            lambda place, serialized: {**read(serialized), "place": place}, num_parallel_calls=_PARALLEL
        ).ignore_errors()
        galaxies = galaxies if together else galaxies.batch(batch_size)
        return galaxies.map(lambda batch: finish({**batch, "shard": shard}), num_parallel_calls=_PARALLEL)

    return batches


def steady(dataset):
    """The dataset without autotuning.

    The tuning thread (TensorFlow 2.21) sleeps for 10 ms, 20 ms, 40 ms, …, and releasing an iterator waits until it
    wakes up: epochs lasted until the next of 5.1, 10.2, 20.5, … seconds.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _reader(records: Records, image_size, crop, dereddened: str | None) -> Callable:
    """A function that parses serialized records, with the sky where pixels are missing or bad, dereddened and cut."""
    dimmed = None if dereddened is None else dimming(records, dereddened)

    def read(serialized):
        galaxies = parse(serialized, records, image_size, fill=True)
        image = galaxies["image"]
        if dimmed is not None:
            ebv = tf.where(tf.math.is_finite(galaxies["ebv"]), galaxies["ebv"], 0.0)
            image *= dimmed ** -ebv[..., tf.newaxis, tf.newaxis, tf.newaxis]
        if crop is not None:
            y, x = ((image.shape[axis] - side) // 2 for axis, side in zip((-3, -2), crop, strict=True))
            image = image[..., y : y + crop[0], x : x + crop[1], :]
        return {**galaxies, "image": image}

    return read


def _stretched(records: Records, name: str) -> Callable[[dict], dict]:
    """A function that stretches the images of a batch."""
    stretched = stretch_of(records, name)

    def stretch(batch: dict) -> dict:
        picture = tf.numpy_function(stretched, [batch["image"]], tf.float32)
        return {**batch, "image": tf.ensure_shape(picture, (*batch["image"].shape[:-1], 3))}

    return stretch
