"""One file per galaxy, or one per galaxy and band, in a folder or a zip archive, in any known format."""

import io
import itertools
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfrecords_builder.band_files import on_one_grid
from tfrecords_builder.bounded import LIMITS, PACKED, Limits, locate, read_file, read_member, unpacked
from tfrecords_builder.encoded import ENDINGS, from_array, read_picture
from tfrecords_builder.fits import read_fits
from tfrecords_builder.naming import some
from tfrecords_builder.object_storage import in_threads, is_remote
from tfrecords_builder.pixels import Image, bands_last, join_bands

FITS = tuple(kind + packed for kind in (".fits", ".fit", ".fts") for packed in ("", *PACKED, ".fz"))
KNOWN = (*ENDINGS, *FITS, ".npy")


class Files(NamedTuple):
    """Source of one file per galaxy, or one per galaxy and band, in a folder or a zip archive."""

    place: Path
    template: str | None = None
    bands: tuple[str, ...] = ()
    hdu: str | int | tuple | None = None
    mask: str | int | None = None
    mask_bits: str | int | tuple | None = None
    align: bool = False
    limits: Limits = LIMITS

    def __call__(self, file_loc: str) -> Image:
        """Reads the image at `file_loc`."""
        return self.image({"file_loc": file_loc})

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns a catalogue must have."""
        columns = re.findall(r"\{(\w+)\}", self.template or "{file_loc}")
        return ("id_str", *(c for c in columns if c not in ("id_str", "band")))

    def read(self, rows: Iterable[dict]) -> Iterator[Image | ValueError]:
        """Reads the image of every row."""
        yield from in_threads(self._image, rows) if is_remote(self.place) else map(self._image, rows)

    def _image(self, row: dict) -> Image | ValueError:
        try:
            return self.image(row)
        except ValueError as error:
            return error

    @property
    def in_folder(self) -> bool:
        """Whether each file is separate, not in an archive."""
        return is_remote(self.place) or self.place.is_dir()

    def names(self, row: dict) -> list[str]:
        """The names of a row's files: one, or one per band."""
        if self.template is None:
            return [row["file_loc"]]
        bands = self.bands if "{band}" in self.template else ("",)
        return [fill_in(self.template, {**row, "band": band}) for band in bands]

    def path(self, name: str) -> Path:
        """The path of a row's file in the folder, or the only file itself.

        Raises:
            ValueError: The file does not exist, or may not be read (see `locate`).
        """
        return self.place if name == str(self.place) else locate(self.place, name, self.limits)

    def elsewhere(self, row: dict) -> str:
        """Where the missing file of a row seems to be, or what else there is; empty if it is not missing."""
        if self.template is not None or is_remote(self.place):
            return ""
        root: Any = self.place if self.in_folder else zipfile.Path(self.place)
        name, inside = row["file_loc"], list(itertools.islice(root.iterdir(), 1000))
        if (root / name).exists():
            return ""
        paths = [name + ending for ending in KNOWN] + [f"{each.name}/{name}" for each in inside if each.is_dir()]
        path = next((path for path in paths if (root / path).exists()), None)
        if path is None:
            return f"; {self.place} contains {some(sorted(each.name for each in inside))}"
        return f"; there is {path}: file_loc must have the whole path inside {self.place}, with folders and ending"

    def image(self, row: dict) -> Image:
        """Reads the image of one row of the catalogue."""
        names = self.names(row)
        read = read_file if self.in_folder else read_member
        files = [read(self.place, name, self.limits) for name in names]
        layers = [(name, file, self.hdu) for name, file in zip(names, files, strict=True)]
        if isinstance(self.hdu, tuple) and len(files) == 1:
            layers = [(names[0], files[0], hdu) for hdu in self.hdu]
        kind: dict[str, Any] = {"mask": self.mask, "mask_bits": self.mask_bits, "limits": self.limits}
        parts = layers if self.align else list(zip(names, files, [self.hdu] * len(files), strict=True))
        parts = [decode(name, file, hdu=hdu, **kind) for name, file, hdu in parts]
        if len(layers) > 1 and names[0].lower().endswith(FITS):
            layers = [(name, unpacked(file, self.limits), hdu) for name, file, hdu in layers]
            parts = on_one_grid(parts, layers, self.align)
        return parts[0] if len(parts) == 1 else join_bands(parts)


def fill_in(template: str, row: dict) -> str:
    """Replaces the `{columns}` of a template by the row's values."""

    def value(found: re.Match) -> str:
        if found[1] not in row:
            raise ValueError(f"the template {template!r} needs a column {found[1]!r}; there are {some(row, 12)}")
        cell = row[found[1]]
        if cell is None or cell != cell:
            raise ValueError(f"has no {found[1]}, which the template {template!r} needs")
        # whole numbers are floating-point ones where another row has none
        return f"{cell:.0f}" if isinstance(cell, float) and cell.is_integer() else str(cell)

    return re.sub(r"\{(\w+)\}", value, template)


def decode(file_loc: str, data: bytes, *, hdu=None, mask=None, mask_bits=None, limits: Limits = LIMITS) -> Image:
    """Checks that `data` is an image of the kind its name says, and finds its shape.

    Args:
        file_loc: Name of the file; its ending decides how to read it.
        data: The file's bytes.
        hdu: Extension of a FITS file.
        mask: Extension that marks bad pixels.
        mask_bits: Bits of the mask that mark bad pixels.
        limits: Limits for the file.

    Returns:
        The image: JPEG or PNG bytes for pictures (see `read_picture`), float32 pixels for FITS; an npy file is a
        picture if it is uint8, otherwise pixels.

    Raises:
        ValueError: The image cannot be used; the message gives its name and the reason.
    """
    name = file_loc.lower()
    try:
        if name.endswith(ENDINGS):
            return read_picture(data, limits)
        if name.endswith(FITS):
            return read_fits(data, hdu=hdu, mask=mask, mask_bits=mask_bits, limits=limits)
        if name.endswith(".npy"):
            return from_array(bands_last(_load(data, limits)))
        raise ValueError(f"unknown kind of image; known endings: {', '.join(KNOWN)}")
    except ValueError as error:
        raise ValueError(f"{file_loc}: {error}") from error


def _load(data: bytes, limits: Limits) -> np.ndarray:
    try:
        pixels = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # NumPy raises many kinds of exceptions, which all mean the same here
        raise ValueError(f"not a readable npy file: {error or type(error).__name__}") from error
    if pixels.size > limits.pixels:
        raise ValueError(f"{pixels.size} values; max_pixels allows {limits.pixels}")
    return pixels
