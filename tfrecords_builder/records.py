"""The record format: writer and parser side by side, and `records.json`, which says how to read the shards.

A record is a `tf.train.Example` with the features `id_str` (bytes), `image` (bytes: the encoded JPEG or PNG as
it came, or float32 pixels in C order), `shape` (int64 H, W, C) and one float32 per label column, NaN where
unknown. `index.parquet` lists every galaxy with its labels, its shard and its place in it.
"""

import dataclasses
import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tfrecords_builder.files import write_whole
from tfrecords_builder.images import Image
from tfrecords_builder.naming import unknown

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Records:
    """A folder of TFRecord shards and how to read them; `Records.open(folder)` reads `records.json`.

    Attributes:
        folder: Where the shards lie.
        shape: (H, W, C) of the images as they are read; stored images of other sizes are resized to it.
        bands: Names of the C bands, in order.
        encoding: `encoded` for JPEG/PNG bytes, read as 0–1; `float32` for pixels, read as they are.
        label_cols: Numeric columns of the catalogue kept with each image.
        splits: Number of galaxies per split.
        noise: Per band, 1.4826 × the median over galaxies of the MAD of the pixels; None if encoded.
        pixel_scale: Arcsec per pixel, if known.
        seed: Seed of splits and shards.
        checksums: SHA-256 of every shard by file name.
        digest: Hash of the catalogue and the settings of the build.
        format: Version of the format.
    """

    folder: Path
    shape: tuple[int, int, int]
    bands: tuple[str, ...]
    encoding: str
    label_cols: tuple[str, ...]
    splits: dict[str, int]
    noise: tuple[float, ...] | None
    pixel_scale: float | None
    seed: int
    checksums: dict[str, str]
    digest: str
    format: int = FORMAT

    @classmethod
    def open(cls, folder: "str | Path | Records") -> "Records":
        """Opens the records in `folder` (Records are passed through)."""
        if isinstance(folder, Records):
            return folder
        folder = Path(folder)
        try:
            fields = json.loads((folder / "records.json").read_text())
        except FileNotFoundError:
            raise FileNotFoundError(f"there are no records at {folder} (no records.json)") from None
        except ValueError as error:
            raise ValueError(f"{folder / 'records.json'} is damaged: {error}") from None
        if fields.get("format") != FORMAT:
            raise ValueError(f"{folder} has records of format {fields.get('format')}; this version reads {FORMAT}")
        for name in ("shape", "bands", "label_cols", "noise"):
            fields[name] = tuple(fields[name]) if fields[name] is not None else None
        return cls(folder=folder, **fields)

    def save(self) -> None:
        """Writes `records.json`, the last file of a build."""
        fields = dataclasses.asdict(self)
        del fields["folder"]
        write_whole(self.folder / "records.json", json.dumps(fields, indent=1))

    def shards(self, split: str) -> list[Path]:
        """The shard files of a split, in order."""
        if split not in self.splits:
            raise ValueError(unknown("split", split, self.splits))
        return [self.folder / name for name in sorted(self.checksums) if name.startswith(f"{split}-")]

    def index(self) -> pd.DataFrame:
        """One row per galaxy: `id_str`, `split`, `shard`, `offset` and the catalogue's columns."""
        return pd.read_parquet(self.folder / "index.parquet")

    def source(self):
        """A source of images (see `tfrecords_builder.images`) that reads single galaxies by `id_str`."""
        places = self.index().set_index("id_str")[["shard", "offset"]]

        def read(id_str: str) -> Image:
            if id_str not in places.index:
                raise ValueError(f"no such galaxy in the records at {self.folder}")
            shard, offset = places.loc[id_str]
            return _read_at(self.folder / shard, int(offset), self.encoding)

        return read


class Galaxy(NamedTuple):
    """What is written for one galaxy."""

    id_str: str
    image: Image
    labels: dict[str, float]


def write_shard(path: Path, galaxies: Iterable[Galaxy]) -> tuple[dict[str, int], str]:
    """Writes one shard, whole or not at all.

    Args:
        path: Where to; an existing file is replaced.
        galaxies: What to write, in this order.

    Returns:
        The byte offset of every galaxy by `id_str`, and the SHA-256 of the file.
    """
    import tensorflow as tf

    partial = path.with_name(f".{path.name}.partial")
    offsets, offset = {}, 0
    with tf.io.TFRecordWriter(str(partial)) as writer:
        for galaxy in galaxies:
            example = _serialize(galaxy)
            writer.write(example)
            offsets[galaxy.id_str] = offset
            offset += len(example) + 16  # TFRecord: length 8, its CRC 4, the data, its CRC 4
    with partial.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    partial.replace(path)
    return offsets, checksum


def _serialize(galaxy: Galaxy) -> bytes:
    import tensorflow as tf

    data = galaxy.image.data
    if isinstance(data, np.ndarray):
        data = data.astype("<f4", copy=False).tobytes()
    feature = {
        "id_str": tf.train.Feature(bytes_list=tf.train.BytesList(value=[galaxy.id_str.encode()])),
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])),
        "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=galaxy.image.shape)),
    }
    for name, value in galaxy.labels.items():
        feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def parse(serialized, records: Records, image_size: int | tuple[int, int] | None = None) -> dict:
    """Parses one serialized record inside a `tf.data` pipeline.

    Args:
        serialized: Scalar string tensor.
        records: The records it comes from.
        image_size: Side, or (H, W), to resize to; by default that of `records`.

    Returns:
        `image` (H, W, C) float32: 0–1 if encoded, else the stored pixels with NaN where missing; `id_str`;
        and every label column as a float32 scalar.
    """
    import tensorflow as tf

    height, width, bands = records.shape
    if image_size is not None:
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    features = {name: tf.io.FixedLenFeature([], tf.float32) for name in records.label_cols}
    features |= {name: tf.io.FixedLenFeature([], tf.string) for name in ("id_str", "image")}
    features["shape"] = tf.io.FixedLenFeature([3], tf.int64)
    galaxy = tf.io.parse_single_example(serialized, features)
    shape = galaxy.pop("shape")
    if records.encoding == "encoded":
        # decodes PNG too; the default method is faster and up to 10 levels wrong
        image = tf.io.decode_jpeg(galaxy["image"], channels=bands, dct_method="INTEGER_ACCURATE")
        image = tf.ensure_shape(tf.cast(image, tf.float32) / 255.0, (None, None, bands))
    else:
        image = tf.reshape(tf.io.decode_raw(galaxy["image"], tf.float32, little_endian=True), shape)

    def resized():  # antialiased, so that a smaller image is the same galaxy seen with fewer pixels
        return tf.image.resize(image, (height, width), antialias=True)

    same = tf.reduce_all(tf.equal(shape[:2], tf.constant([height, width], tf.int64)))
    galaxy["image"] = tf.ensure_shape(tf.cond(same, lambda: image, resized), (height, width, bands))
    return galaxy


def _read_at(shard: Path, offset: int, encoding: str) -> Image:
    import tensorflow as tf

    with shard.open("rb") as file:
        file.seek(offset)
        (length,) = struct.unpack("<Q4x", file.read(12))
        example = tf.train.Example.FromString(file.read(length))
    feature = example.features.feature
    shape = tuple(feature["shape"].int64_list.value)
    data = feature["image"].bytes_list.value[0]
    return Image(data if encoding == "encoded" else np.frombuffer(data, "<f4").reshape(shape), shape)


def read_pixels(records: Records, ids: Iterable[str]) -> Iterator[np.ndarray]:
    """The images of single galaxies as they are stored, for looking at.

    Args:
        records: Where they are.
        ids: Names of the galaxies.

    Yields:
        (H, W, C) float32 in its stored size: 0–1 if encoded, else the stored pixels.
    """
    from io import BytesIO

    from PIL import Image as Picture

    read = records.source()
    for id_str in ids:
        image = read(id_str)
        if isinstance(image.data, np.ndarray):
            yield image.data
            continue
        picture = Picture.open(BytesIO(image.data)).convert("L" if records.shape[2] == 1 else "RGB")
        yield np.asarray(picture, np.float32).reshape(picture.height, picture.width, -1) / 255.0


def check_same_bands(image: Image, shape: tuple[int, int, int]) -> None:
    """Raises ValueError where `image` does not fit into records of `shape`."""
    height, width, bands = image.shape
    if bands != shape[2] and (isinstance(image.data, np.ndarray) or bands > shape[2]):
        raise ValueError(f"has {bands} bands where the records have {shape[2]}")
    if abs(height / width - shape[0] / shape[1]) > 0.02:
        raise ValueError(f"is {height}×{width} pixels where the records are {shape[0]}×{shape[1]}")
