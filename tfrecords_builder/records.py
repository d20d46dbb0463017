"""The record format: how shards are read, as described by `records.json`.

A record is a `tf.train.Example` with the features `id_str` (bytes), `image` (bytes: the encoded JPEG or PNG as
it came, or little-endian float32 or float16 pixels in C order), `shape` (int64 H, W, C), one float32 per label
column, NaN where unknown, and, where pixels are bad, `mask` (bytes: a bit per pixel, the lowest first). The writer is
`tfrecords_builder.shards`. `index.parquet` lists every galaxy with its labels, its shard and its place in it.
"""

import dataclasses
import json
import logging
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from tfrecords_builder.checksums import check_file, reading
from tfrecords_builder.copies import path_of
from tfrecords_builder.files import write_whole
from tfrecords_builder.findings import count_findings, sentences
from tfrecords_builder.gaps import filled
from tfrecords_builder.json_files import check_fields, read_json, write_json
from tfrecords_builder.naming import check_known
from tfrecords_builder.object_storage import is_remote, read_object, url_of
from tfrecords_builder.pixels import Image, good_pixels
from tfrecords_builder.splits import SPLITS
from tfrecords_builder.tfrecord import decode, read_record

log = logging.getLogger(__name__)

FORMAT = 2
_MOST = 2**31  # values per image: with more, the file is damaged or hostile
_SHARD = re.compile(r"(train|val|test)-[\w-]+\.tfrecord")


@dataclasses.dataclass(frozen=True)
class Records:
    """A folder of TFRecord shards and how to read them; `Records.open(folder)` reads `records.json`.

    Attributes:
        folder: Folder of the shards; for records in object storage, that of their copies (`copies.py`).
        shape: (H, W, C) of the images as they are read; stored images of other sizes are resized to it.
        bands: Names of the C bands, in order.
        encoding: `encoded` for JPEG/PNG bytes, read as 0–1; `float32` or `float16` for pixels, read as they are.
        label_cols: Numeric columns of the catalogue kept with each image.
        splits: Number of galaxies per split.
        noise: Per band, the median over training galaxies of 1.4826 × the MAD of the pixels (see `measure` of
            `tfrecords_builder.prepare` for images that are mostly zero); None if encoded. Of a
            large survey a random 4096 of them are measured, in the first build.
        pixel_scale: Arcsec per pixel, if known.
        seed: Seed of splits and shards.
        checksums: CRC-32C of every shard by file name (SHA-256 would take a quarter of the time of a build).
        digest: Hash of the catalogue and the settings of the build.
        sky: For each band, the median over the same galaxies of the median of the pixels; None if encoded.
        totals: Sum of every label column, such as votes.
        uniform: Whether all images are stored in `shape`.
        incomplete: Number of galaxies with missing pixels (NaN).
        masked: Number of galaxies with bad pixels.
        failed: Number of galaxies that could not be used.
        index_checksum: CRC-32C of `index.parquet`; None in records of earlier versions.
        hdu: Name or number of the FITS extension of the images; empty if there was no choice.
        telescope: Name of the telescope in the header of a typical file.
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
    sky: tuple[float, ...] | None = None
    totals: dict[str, float] = dataclasses.field(default_factory=dict)
    uniform: bool = True
    incomplete: int = 0
    masked: int = 0
    failed: int = 0
    index_checksum: str | None = None
    hdu: str = ""
    telescope: str = ""
    format: int = FORMAT

    @classmethod
    def open(cls, folder: "str | Path | Records") -> "Records":
        """Opens records (Records are passed through).

        Args:
            folder: Their folder.

        Raises:
            FileNotFoundError: They do not exist.
            ValueError: `records.json` is damaged, or in a format that this version cannot read.
        """
        if isinstance(folder, Records):
            return folder
        folder = _copies_of(url_of(folder)) if is_remote(folder) else Path(folder)
        try:
            fields = read_json(folder / "records.json")
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(f"there are no records at {folder} (no records.json)") from None
        if fields.get("format") != FORMAT:
            raise ValueError(f"{folder} has records of format {fields.get('format')}; this version reads {FORMAT}")
        return cls.from_fields(folder, fields)

    @classmethod
    def from_fields(cls, folder: Path, fields: dict, path: Path | None = None) -> "Records":
        """Makes records from `fields`.

        Args:
            folder: Their folder.
            fields: As returned by `fields`.
            path: The file they were read from; by default `records.json`.

        Raises:
            ValueError: A field is missing or impossible.
        """
        path = path or folder / "records.json"
        records = cls(**check_fields(cls, fields | {"folder": folder}, path))
        for name, sound in {
            "shape": min(records.shape) > 0 and math.prod(records.shape) <= _MOST,
            "bands": len(records.bands) == records.shape[2],
            "encoding": records.encoding in ("encoded", "float32", "float16"),
            "splits": records.splits.keys() <= set(SPLITS) and min(records.splits.values(), default=0) >= 0,
            "noise": records.noise is None or len(records.noise) == records.shape[2],
            "checksums": all(_SHARD.fullmatch(shard) for shard in records.checksums),
        }.items():
            if not sound:
                raise ValueError(f"{path} is damaged: {name!r} cannot be {str(fields[name])[:60]}")
        return records

    def fields(self) -> dict:
        """Everything except the folder, as in `records.json`."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "folder"}

    def save(self) -> None:
        """Writes `records.json`, the last file of a build."""
        write_json(self.folder / "records.json", self.fields())

    def shards(self, split: str) -> list[Path]:
        """The shard files of a split, in order.

        Args:
            split: `train`, `val` or `test`.

        Raises:
            ValueError: No such split.
        """
        check_known("split", split, self.splits)
        return [self.folder / name for name in sorted(self.checksums) if name.startswith(f"{split}-")]

    @property
    def index_path(self) -> Path:
        """The path of `index.parquet`, after verifying its checksum.

        Raises:
            FileNotFoundError: It does not exist.
            ValueError: It is damaged.
        """
        path = self.folder / "index.parquet"
        try:
            return check_file(path, self.index_checksum)
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} is missing: the records cannot be read without it") from None
        except ValueError:
            if (self.folder / ".build" / "plan.json").exists():
                raise ValueError(f"{self.folder}: adding galaxies was interrupted; run build-records again") from None
            raise

    def index(self, columns: list[str] | None = None) -> pd.DataFrame:
        """One row per galaxy, in the order of the shards.

        Args:
            columns: Read only these columns.

        Returns:
            `id_str`, `split`, `shard`, `offset`, `missing_pixels` (share), `pixel_flag` (words), `findings` (kinds of
            `tfrecords_builder.findings`, separated by blanks) and the catalogue's columns.
        """
        path = self.index_path
        with reading(path):
            return pd.read_parquet(path, columns=columns)

    def findings(self) -> list[str]:
        """What is odd about the images, one sentence for each kind (see `tfrecords_builder.findings`).

        The galaxies concerned have the kind in the column `findings` of the index. Older records without this column
        have no findings.
        """
        path = self.index_path
        with reading(path):
            if "findings" not in pq.read_schema(path).names:
                return []
        kinds = self.index(["findings"])["findings"]
        return sentences(count_findings(kinds), len(kinds))

    def log_findings(self) -> None:
        """Logs a warning for every finding; called by the build and by whatever shows records to a model."""
        for finding in self.findings():
            log.warning("odd: %s", finding)

    def source(self):
        """A source of images (see `tfrecords_builder.images`) that reads single galaxies by `id_str`."""
        places = self.index(["id_str", "shard", "offset"]).set_index("id_str")

        def read(id_str: str) -> Image:
            if id_str not in places.index:
                raise ValueError(f"no such galaxy in the records at {self.folder}")
            shard, offset = places.loc[id_str]
            return to_image(decode(read_record(self.folder / shard, offset)), self.encoding)

        read.records = self
        return read


def _copies_of(url: str) -> Path:
    """The folder for copies of records in object storage; copies of what has been replaced there are removed."""
    about = path_of(f"{url}/records.json")
    before = about.read_bytes() if about.exists() else b""
    now = read_object(f"{url}/records.json")
    if before != now:
        kept = dict(_checksums(before).items() & _checksums(now).items())
        for path in about.parent.glob("*.*"):
            if path.name not in kept:
                path.unlink()
        about.parent.mkdir(parents=True, exist_ok=True)
        write_whole(about, now)
    return about.parent


def _checksums(about: bytes) -> dict[str, str]:
    try:
        return json.loads(about)["checksums"]
    except (ValueError, TypeError, KeyError):  # damaged: `open` reports it
        return {}


def scale_as_read(image: Image, height: int) -> float | None:
    """Arcsec per pixel of an image read with `height` rows, if its file gives the scale."""
    return image.pixel_scale and image.pixel_scale * image.shape[0] / height


def common_scale(scale: float | None, scales: list[float | None]) -> float | None:
    """The pixel scale of a typical image, or None if most of the others have another scale."""
    given = [each for each in scales if each]
    if scale and 2 * sum(abs(each / scale - 1) <= 0.05 for each in given) < len(given):
        log.info("pixel scales of the images range from %.3g to %.3g arcsec: records have none", min(given), max(given))
        return None
    return scale


def scale_behind(source, image_size: int | None) -> float | None:
    """Arcsec per pixel of the images of a source, read at `image_size`, if they come from records that know it."""
    records = getattr(source, "records", None)
    if records is None or records.pixel_scale is None:
        return None
    return records.pixel_scale * records.shape[0] / (image_size or records.shape[0])


def to_image(features: dict, encoding: str) -> Image:
    """Extracts the image from the features of one record."""
    shape = features["shape"]
    if encoding == "encoded":
        return Image(features["image"], shape)
    pixels = np.frombuffer(features["image"], "<f4" if encoding == "float32" else "<f2").astype(np.float32)
    mask = None
    if features.get("mask"):
        bits = np.unpackbits(np.frombuffer(features["mask"], np.uint8), count=pixels.size, bitorder="little")
        mask = bits.astype(bool).reshape(shape)
    return Image(pixels.reshape(shape), shape, mask)


def read_pixels(records: Records, ids: Iterable[str], *, fill: bool = False) -> Iterator[np.ndarray]:
    """Reads the stored images of single galaxies, for display.

    Args:
        records: The records.
        ids: The galaxies.
        fill: Whether missing and bad pixels get the sky of the image, as a network sees them.

    Yields:
        (H, W, C) float32 in its stored size: 0–1 if encoded, else the stored pixels.
    """
    from io import BytesIO

    from PIL import Image as Picture

    read = records.source()
    for id_str in ids:
        image = read(id_str)
        if isinstance(image.data, np.ndarray):
            fallback = np.nan_to_num(records.sky) if records.sky else 0.0
            yield filled(image.data, good_pixels(image), fallback) if fill else image.data
            continue
        picture = Picture.open(BytesIO(image.data)).convert("L" if records.shape[2] == 1 else "RGB")
        yield np.asarray(picture, np.float32).reshape(picture.height, picture.width, -1) / 255.0
