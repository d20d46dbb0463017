"""Records to batches of NumPy arrays, without TensorFlow: the counterpart of `dataset.py` for other backends.

What is read is the same, pixel by pixel, unless images are resized: Pillow's filter and TensorFlow's agree to 1e-5.
"""

import contextlib
import io
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image as Picture

from morphtools.data.from_flux import dimming, stretch_of
from tfrecords_builder.copies import origin_of
from tfrecords_builder.gaps import sky_of
from tfrecords_builder.object_storage import in_threads
from tfrecords_builder.pixels import good_pixels
from tfrecords_builder.records import Records, to_image
from tfrecords_builder.tfrecord import decode, read_record, scan
from tfrecords_builder.verify import check_shards

_AHEAD = 2  # batches read ahead while the model computes


class Galaxies:
    """Galaxies of records that can be read in any order.

    Args:
        records: The records or their folder.
        split: `train`, `val` or `test`.
        image_size: As for `load_dataset`, like the next three.
        crop: (H, W) of the middle that is cut out.
        dereddened: Survey of the bands.
        stretch: Of flux into pictures.
    """

    def __init__(self, records, split, *, image_size=None, crop=None, dereddened=None, stretch=None):
        self.records = records = Records.open(records)
        records.shards(split)  # raises where there is no such split
        index = records.index(["id_str", "split", "shard", "offset"])
        self.table = index[index["split"] == split].reset_index(drop=True)
        if not len(self.table):
            raise ValueError(f"the split {split!r} of {records.folder} is empty")
        self.size = (image_size, image_size) if isinstance(image_size, int) else image_size or records.shape[:2]
        self.crop = crop
        self.dimmed = None if dereddened is None else dimming(records, dereddened)
        self.stretch = None if stretch is None else stretch_of(records, stretch)

    def __len__(self) -> int:
        return len(self.table)

    def record(self, row: int) -> bytes:
        """The stored record of a row of `table`; ValueError if it is damaged."""
        place = self.table.iloc[row]
        return read_record(self.records.folder / place["shard"], place["offset"])

    def batches(self, batch_size: int, records: Sequence[bytes | int], *, skip: bool = False) -> Iterator[dict]:
        """Yields batches of galaxies, read ahead: `image`, `id_str`, label columns, and `place` (B,).

        Args:
            batch_size: Galaxies at a time.
            records: What is stored of them, or rows of `table`.
            skip: Whether to leave out galaxies that cannot be decoded, instead of raising ValueError.
        """
        with ThreadPoolExecutor() as pool, ThreadPoolExecutor(1) as ahead:
            waiting = deque()
            for start in range(0, len(records), batch_size):
                waiting.append(ahead.submit(self._read, records[start : start + batch_size], start, pool, skip))
                if len(waiting) > _AHEAD:
                    yield from _not_empty(waiting.popleft().result())
            while waiting:
                yield from _not_empty(waiting.popleft().result())

    def _read(self, records: Sequence[bytes | int], start: int, pool: ThreadPoolExecutor, skip: bool) -> dict:
        def one(record):
            record = record if isinstance(record, bytes) else self.record(record)
            try:
                return self._decoded(record)
            except (
                Exception
            ):  # readers raise many kinds, all meaning the same; who asks lists the galaxy with its reason
                if not skip:
                    raise
                return None

        galaxies = list(pool.map(one, records))
        kept = [i for i, galaxy in enumerate(galaxies) if galaxy is not None]
        if not kept:
            return {}
        names = ("image", "id_str", *self.records.label_cols)
        batch = {name: np.stack([galaxies[i][name] for i in kept]) for name in names} | {
            "place": start + np.array(kept)
        }
        if self.stretch is not None:
            batch["image"] = np.asarray(self.stretch(batch["image"]), np.float32)
        return batch

    def _decoded(self, record: bytes) -> dict:
        """A galaxy: its image (bad pixels filled with sky, resized, dereddened and cropped) and its labels."""
        records, features = self.records, decode(record)
        labels = {name: np.float32(features[name]) for name in records.label_cols}
        image, good = _pixels(features, records)
        image = _resized(image, good, self.size, np.nan_to_num(records.sky or (0.0,) * records.shape[2]))
        if self.dimmed is not None and np.isfinite(labels["ebv"]):
            image = image * self.dimmed ** -labels["ebv"]
        if self.crop is not None:
            y, x = ((extent - side) // 2 for extent, side in zip(image.shape[:2], self.crop, strict=True))
            image = image[y : y + self.crop[0], x : x + self.crop[1]]
        return {"image": image, "id_str": features["id_str"].decode(), **labels}


def _not_empty(batch: dict) -> list[dict]:
    return [batch] if batch else []


def _pixels(features: dict, records: Records) -> tuple[np.ndarray, np.ndarray | None]:
    """The image (H, W, C) float32, and which of its pixels are neither missing nor bad; None where all are good."""
    image = to_image(features, records.encoding)
    if isinstance(image.data, bytes):
        picture = Picture.open(io.BytesIO(image.data)).convert("L" if records.shape[2] == 1 else "RGB")
        return np.asarray(picture, np.float32).reshape(picture.height, picture.width, -1) / np.float32(255), None
    good = good_pixels(image)
    return image.data, None if good.all() else good


def _resized(image: np.ndarray, good: np.ndarray | None, size: tuple[int, int], fallback: np.ndarray) -> np.ndarray:
    """The image at `size` (H, W), antialiased: means of good pixels, and the sky where less than half are good."""
    same = image.shape[:2] == tuple(size)
    if good is None:
        return image if same else _scaled(image, size)
    sky = sky_of(image, good, fallback).astype(np.float32)
    if same:
        return np.where(good, image, sky)
    alike = (good == good[..., :1]).all()  # where all bands lack the same pixels, one is enough
    share = _scaled((good[..., :1] if alike else good).astype(np.float32), size)
    mean = _scaled(np.where(good, image, np.float32(0)), size) / np.maximum(share, np.float32(1e-6))
    return np.where(share >= 0.5, mean, sky)


def _scaled(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    bands = [Picture.fromarray(np.ascontiguousarray(image[..., i])) for i in range(image.shape[2])]
    height, width = size
    return np.stack([np.asarray(band.resize((width, height), Picture.Resampling.BILINEAR)) for band in bands], axis=-1)


def read_batches(
    records: Records | str | Path,
    split: str,
    *,
    batch_size: int,
    shuffle: bool = False,
    drop_remainder: bool = False,
    seed: int = 0,
    **reading,
) -> Iterator[dict[str, np.ndarray]]:
    """Reads a split in batches of NumPy arrays, by `tf.data` on TensorFlow and without it elsewhere.

    Args:
        records: The records or their folder.
        split: `train`, `val` or `test`.
        batch_size: Galaxies per batch.
        shuffle: Whether to draw a new order from `seed`.
        drop_remainder: Whether to leave out a last batch that is not full.
        seed: Seed of the order.
        **reading: `image_size`, `crop`, `dereddened` and `stretch` of `load_dataset`.

    Yields:
        `{"image": (B, H, W, C) float32, "id_str": (B,) text, label column: (B,) float32, …}`.
    """
    if keras.backend.backend() == "tensorflow":
        from morphtools.data.dataset import load_dataset

        options: dict[str, Any] = {"shuffle": shuffle, "drop_remainder": drop_remainder, "seed": seed}
        for batch in load_dataset(records, split, batch_size=batch_size, **options, **reading).as_numpy_iterator():
            yield batch | {"id_str": np.char.decode(batch["id_str"].astype(bytes))}
        return
    galaxies = Galaxies(records, split, **reading)
    check_shards(galaxies.records, [path.name for path in galaxies.records.shards(split)])
    rows = np.random.default_rng(seed).permutation(len(galaxies)) if shuffle else np.arange(len(galaxies))
    whole = len(rows) // batch_size * batch_size if drop_remainder else len(rows)
    yield from galaxies.batches(batch_size, rows[:whole].tolist())


def read_shards(
    records: Records, places: dict[str, int], *, batch_size: int, **reading
) -> Iterator[dict[str, np.ndarray]]:
    """Reads shards one after another, each from its own position on, and leaves out what cannot be decoded.

    Args:
        records: The records.
        places: By name of the shard, how many of its galaxies to skip.
        batch_size: Galaxies per batch; the last of a shard may be smaller.
        **reading: As for `read_batches`.

    Yields:
        `{"image", "id_str", "shard": number in `places`, "place": (B,) place in the shard}`.
    """
    if origin_of(records.folder):  # in object storage: one shard is read into memory while the one before is shown
        runs = in_threads(lambda name: _run_of(records.folder / name, places[name]), places, threads=1)
        for shard, (galaxies, start) in enumerate(zip(runs, places.values(), strict=True)):
            for batch in read_run(records, galaxies, start, batch_size=batch_size, **reading) if galaxies else ():
                yield batch | {"shard": shard}
        return
    if keras.backend.backend() == "tensorflow":
        from morphtools.data.dataset import load_shards

        for batch in load_shards(records, places, batch_size=batch_size, **reading).as_numpy_iterator():
            yield batch | {"id_str": np.char.decode(batch["id_str"].astype(bytes))}
        return
    for shard, (name, start) in enumerate(places.items()):
        galaxies = Galaxies(records, name.split("-")[0], **reading)
        rows = np.flatnonzero(galaxies.table["shard"] == name)[start:]
        with contextlib.suppress(ValueError):  # a damaged record: who asks looks for what is missing
            for batch in galaxies.batches(batch_size, rows.tolist(), skip=True):
                yield batch | {"shard": shard, "place": batch["place"] + start}


def _run_of(shard: Path, start: int) -> list[bytes]:
    """What is stored in a shard from a place on, as far as it is not damaged."""
    run = []
    with contextlib.suppress(ValueError):
        for _, galaxy in scan(shard):
            run.append(galaxy)
    return run[start:]


def read_run(records: Records, galaxies: list[bytes], start: int, *, batch_size: int, **reading) -> Iterator[dict]:
    """Like `read_shards`, for records in memory, such as the intact ones of a damaged shard.

    Args:
        records: The records they come from.
        galaxies: Their serialized records.
        start: Place of the first in its shard.
        batch_size: Galaxies per batch.
        **reading: As for `read_batches`.
    """
    if keras.backend.backend() == "tensorflow":
        from morphtools.data.dataset import load_galaxies

        for batch in load_galaxies(records, galaxies, start, batch_size=batch_size, **reading).as_numpy_iterator():
            yield batch | {"id_str": np.char.decode(batch["id_str"].astype(bytes))}
        return
    reader = Galaxies(records, next(split for split, number in records.splits.items() if number), **reading)
    for batch in reader.batches(batch_size, galaxies, skip=True):
        yield batch | {"shard": 0, "place": batch["place"] + start}
