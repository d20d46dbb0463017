"""Images and where they lie.

A *source* has a method `read(rows)`: for every row of the catalogue (a dict) it yields an `Image`, or a
`ValueError` that says in words why there is none, so that the builder lists it and goes on. `open_images` chooses
it; a plain function from `file_loc` to an `Image` will do as well.
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfrecords_builder.naming import some

ENCODED = (".jpg", ".jpeg", ".png")
FITS = (".fits", ".fit", ".fits.gz", ".fit.gz", ".fits.fz", ".fit.fz")
STACKS = (".npy", ".npz", ".h5", ".hdf5")


class Image(NamedTuple):
    """One image: encoded JPEG/PNG bytes kept as they are, or float32 pixels (H, W, C).

    Attributes:
        data: The bytes or pixels.
        shape: (H, W, C).
        mask: (H, W, C) bool, true where a pixel is bad; None: none is known to be.
        bands: Names of the bands where the file tells them.
        flag: What is remarkable about it, in words.
    """

    data: bytes | np.ndarray
    shape: tuple[int, int, int]
    mask: np.ndarray | None = None
    bands: tuple[str, ...] | None = None
    flag: str = ""


Source = Callable[[str], Image]


def open_images(
    images: str | Path | Source,
    *,
    bands: tuple[str, ...] | None = None,
    template: str | None = None,
    hdu: str | int | tuple | None = None,
    mask: str | int | None = None,
    cutout: str | float | None = None,
    image_size: int | None = None,
):
    """The source behind `images`.

    Args:
        images: Folder or zip archive of one file per galaxy; a `.npy`, `.npz` or `.h5` stack in which `file_loc` is
            the row; or a function that is a source already.
        bands: Names of the bands in the order in which they shall be stored.
        template: Where a galaxy's file is, if not at `file_loc`: a path with columns of the catalogue in braces,
            and `{band}` where every band has its own file: `"{field}/{id_str}_{band}.fits"`.
        hdu: Extension of a FITS file, one per band if several; name of the array in an npz or h5 stack.
        mask: Extension that is not zero where a pixel is bad.
        cutout: The files are mosaics: cut this size out around every galaxy (see `tfrecords_builder.mosaics`).
        image_size: Side in pixels to which cutouts of other sizes are resampled.

    Raises:
        FileNotFoundError: There is nothing at `images`.
        ValueError: It is none of these.
    """
    if callable(images):
        return images
    path = Path(images)
    if not path.exists():
        raise FileNotFoundError(f"there is no folder, archive or stack of images at {path}")
    if template is not None and "{band}" in template and not bands:
        raise ValueError(f"the template {template!r} has a {{band}}: give the names of the bands, in order")
    if isinstance(hdu, list):
        hdu = tuple(hdu)
    files = Files(path.absolute(), template, tuple(bands or ()), hdu, mask)
    if cutout is not None:
        from tfrecords_builder.mosaics import Mosaics

        return Mosaics(files, cutout, image_size)
    if path.suffix.lower() in STACKS:
        from tfrecords_builder.stacks import Stack

        return Stack(path.absolute(), hdu, len(bands) if bands else None)
    if not path.is_dir() and not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is neither a folder, a zip archive nor a stack of images ({', '.join(STACKS)})")
    return files


def read_images(source, rows: Iterable[dict]) -> Iterator[Image | ValueError]:
    """What `source` has for every row, in order."""
    if hasattr(source, "read"):
        yield from source.read(rows)
        return
    for row in rows:
        try:
            yield source(row["file_loc"])
        except ValueError as error:
            yield error


class Files(NamedTuple):
    """Source of one file per galaxy, or one per galaxy and band, in a folder or a zip archive."""

    place: Path
    template: str | None = None
    bands: tuple[str, ...] = ()
    hdu: str | int | tuple | None = None
    mask: str | int | None = None

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
        parts = [decode(name, _bytes(self.place, name), hdu=self.hdu, mask=self.mask) for name in self.names(row)]
        return parts[0] if len(parts) == 1 else join_bands(parts)


def fill_in(template: str, row: dict) -> str:
    """A template with the row's values in place of the `{columns}`."""

    def value(found: re.Match) -> str:
        if found[1] not in row:
            raise ValueError(f"the template {template!r} needs a column {found[1]!r}; there are {some(row, 12)}")
        return str(row[found[1]])

    return re.sub(r"\{(\w+)\}", value, template)


def join_bands(parts: list[Image]) -> Image:
    """One image of several with a single band each."""
    for part in parts:
        if isinstance(part.data, bytes) or part.shape != (*parts[0].shape[:2], 1):
            raise ValueError(f"files of one band each and the same size belong together, not {part.shape}")
    mask = None
    if any(part.mask is not None for part in parts):
        empty = np.zeros(parts[0].shape, bool)
        mask = np.concatenate([empty if part.mask is None else part.mask for part in parts], axis=-1)
    pixels = np.concatenate([part.data for part in parts], axis=-1)
    return Image(pixels, pixels.shape, mask)


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


def decode(file_loc: str, data: bytes, *, hdu=None, mask=None) -> Image:
    """Checks that `data` really is an image of the kind its name says, and finds its shape.

    Args:
        file_loc: Name of the file; its ending says how to read it.
        data: The file's bytes.
        hdu: Extension of a FITS file.
        mask: Extension with the bad pixels.

    Returns:
        The image: bytes as they came for JPEG and PNG, float32 pixels for FITS and npy.

    Raises:
        ValueError: With the reason why this image cannot be used.
    """
    name = file_loc.lower()
    if name.endswith(ENCODED):
        return _check_encoded(data)
    if name.endswith(FITS):
        from tfrecords_builder.fits import read_fits

        return read_fits(data, hdu=hdu, mask=mask)
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
    return Image(data, (picture.height, picture.width, bands[picture.mode]))


def from_pixels(pixels: np.ndarray) -> Image:
    """An image from an array (H, W) or (H, W, C); missing pixels are NaN, not all of them."""
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.ndim != 3 or 0 in pixels.shape or pixels.dtype.kind not in "fiub":
        raise ValueError(f"{pixels.dtype} of shape {pixels.shape}; expected numbers (height, width) or with bands")
    data = np.empty(pixels.shape, np.float32)
    with np.errstate(over="ignore"):
        for band in range(pixels.shape[2]):  # one after the other: three times faster than all at once
            data[..., band] = pixels[..., band]
    if not (np.isfinite(data[tuple(n // 2 for n in data.shape)]) or np.isfinite(data).any()):  # the middle will do
        raise ValueError("every pixel is missing")
    return Image(data, data.shape)
