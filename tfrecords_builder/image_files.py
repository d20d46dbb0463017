"""One file per galaxy, or one per galaxy and band: in a folder or a zip archive, of any kind we know."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfrecords_builder.band_files import on_one_grid
from tfrecords_builder.fits import read_fits
from tfrecords_builder.naming import some
from tfrecords_builder.pixels import Image, from_pixels, join_bands
from tfrecords_builder.prepare import examine_picture

ENCODED = (".jpg", ".jpeg", ".png")
FITS = (".fits", ".fit", ".fits.gz", ".fit.gz", ".fits.fz", ".fit.fz")


class Files(NamedTuple):
    """Source of one file per galaxy, or one per galaxy and band, in a folder or a zip archive."""

    place: Path
    template: str | None = None
    bands: tuple[str, ...] = ()
    hdu: str | int | tuple | None = None
    mask: str | int | None = None
    mask_bits: str | int | tuple | None = None
    align: bool = False

    def __call__(self, file_loc: str) -> Image:
        """The image at `file_loc`."""
        return self.image({"file_loc": file_loc})

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns a catalogue must have."""
        columns = re.findall(r"\{(\w+)\}", self.template or "{file_loc}")
        return ("id_str", *(c for c in columns if c not in ("id_str", "band")))

    def read(self, rows: Iterable[dict]) -> Iterator[Image | ValueError]:
        """Every row's image."""
        for row in rows:
            try:
                yield self.image(row)
            except ValueError as error:
                yield error

    def names(self, row: dict) -> list[str]:
        """The names of a row's files, one, or one per band."""
        if self.template is None:
            return [row["file_loc"]]
        bands = self.bands if "{band}" in self.template else ("",)
        return [fill_in(self.template, {**row, "band": band}) for band in bands]

    def image(self, row: dict) -> Image:
        """The image of one row of the catalogue."""
        names = self.names(row)
        files = [_bytes(self.place, name) for name in names]
        layers = [(name, file, self.hdu) for name, file in zip(names, files, strict=True)]
        if isinstance(self.hdu, tuple) and len(files) == 1:
            layers = [(names[0], files[0], hdu) for hdu in self.hdu]
        masks = {"mask": self.mask, "mask_bits": self.mask_bits}
        parts = layers if self.align else list(zip(names, files, [self.hdu] * len(files), strict=True))
        parts = [decode(name, file, hdu=hdu, **masks) for name, file, hdu in parts]
        if len(layers) > 1 and names[0].lower().endswith(FITS):
            parts = on_one_grid(parts, layers, self.align)
        return parts[0] if len(parts) == 1 else join_bands(parts)


def fill_in(template: str, row: dict) -> str:
    """A template with the row's values in place of the `{columns}`."""

    def value(found: re.Match) -> str:
        if found[1] not in row:
            raise ValueError(f"the template {template!r} needs a column {found[1]!r}; there are {some(row, 12)}")
        return str(row[found[1]])

    return re.sub(r"\{(\w+)\}", value, template)


def _bytes(place: Path, name: str) -> bytes:
    try:
        return (place / name).read_bytes()  # an absolute file_loc replaces the folder
    except NotADirectoryError:
        pass
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise ValueError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from error
    try:
        return _archive(place, place.stat().st_mtime_ns).read(name)
    except KeyError:
        raise ValueError(f"no {name} in {place.name}") from None
    except Exception as error:  # zipfile raises many kinds, all meaning the same to us
        raise ValueError(f"{name} is damaged in {place.name}: {error}") from error


@lru_cache(8)
def _archive(path: Path, changed: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)  # opened by every worker: an open file does not travel


def decode(file_loc: str, data: bytes, *, hdu=None, mask=None, mask_bits=None) -> Image:
    """Checks that `data` really is an image of the kind its name says, and finds its shape.

    Args:
        file_loc: Name of the file; its ending says how to read it.
        data: The file's bytes.
        hdu: Extension of a FITS file.
        mask: Extension with the bad pixels.
        mask_bits: Its bits that are bad.

    Returns:
        The image: bytes as they came for JPEG and PNG, float32 pixels for FITS and npy.

    Raises:
        ValueError: With the reason why this image cannot be used.
    """
    name = file_loc.lower()
    if name.endswith(ENCODED):
        return _check_encoded(data)
    if name.endswith(FITS):
        return read_fits(data, hdu=hdu, mask=mask, mask_bits=mask_bits)
    if name.endswith(".npy"):
        try:
            return from_pixels(np.load(io.BytesIO(data), allow_pickle=False))
        except Exception as error:  # numpy raises many kinds, all meaning the same to us
            raise ValueError(f"not a readable npy file: {error}") from error
    raise ValueError(f"unknown kind of image; known endings: {', '.join((*ENCODED, *FITS, '.npy'))}")


def _check_encoded(data: bytes) -> Image:
    from PIL import Image as Picture

    bands = {"L": 1, "1": 1, "LA": 1, "P": 3, "RGB": 3, "RGBA": 3}
    try:
        picture = Picture.open(io.BytesIO(data), formats=("JPEG", "PNG"))
        picture.load()  # a truncated file opens, but does not load
    except Exception as error:  # Pillow raises many kinds, all meaning the same to us
        raise ValueError(f"not a readable JPEG or PNG: {error}") from error
    if picture.mode not in bands:
        raise ValueError(f"pixels of mode {picture.mode}; store more than 8 bits per band as FITS")
    return examine_picture(Image(data, (picture.height, picture.width, bands[picture.mode])), picture)
