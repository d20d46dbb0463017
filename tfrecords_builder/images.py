"""Reading one galaxy's image from where it lies: one small function per kind of place.

A *source* is a function from `file_loc` to an `Image`; `open_images` chooses it. Whatever is wrong with one
image is raised as `ValueError` with a reason in words, so that the builder can list it and go on.
"""

import gzip
import io
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

ENCODED = (".jpg", ".jpeg", ".png")
FITS = (".fits", ".fit", ".fits.gz", ".fit.gz", ".fits.fz")


class Image(NamedTuple):
    """One image: encoded JPEG/PNG bytes kept as they are, or float32 pixels (H, W, C)."""

    data: bytes | np.ndarray
    shape: tuple[int, int, int]


Source = Callable[[str], Image]


def open_images(images: str | Path | Source) -> Source:
    """The source behind `images`: a folder, a zip archive, or a function that is one already."""
    if callable(images):
        return images
    path = Path(images)
    if path.is_dir():
        return lambda file_loc: decode(file_loc, _read_file(path, file_loc))
    if not path.exists():
        raise FileNotFoundError(f"there is no folder or zip of images at {path}")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is neither a folder nor a zip archive of images")
    archive = zipfile.ZipFile(path)
    return lambda file_loc: decode(file_loc, _read_member(archive, file_loc))


def _read_file(folder: Path, file_loc: str) -> bytes:
    try:
        return (folder / file_loc).read_bytes()  # an absolute file_loc replaces the folder
    except OSError as error:
        raise ValueError(f"cannot read the file: {error.strerror}") from error


def _read_member(archive: zipfile.ZipFile, file_loc: str) -> bytes:
    try:
        return archive.read(file_loc)
    except KeyError:
        raise ValueError(f"no such file in {Path(archive.filename).name}") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"damaged in {Path(archive.filename).name}: {error}") from error


def decode(file_loc: str, data: bytes) -> Image:
    """Checks that `data` really is an image of the kind its name says, and finds its shape.

    Args:
        file_loc: Name of the file; its ending says how to read it.
        data: The file's bytes.

    Returns:
        The image: bytes as they came for JPEG and PNG, float32 pixels for FITS.

    Raises:
        ValueError: With the reason why this image cannot be used.
    """
    name = file_loc.lower()
    if name.endswith(ENCODED):
        return _check_encoded(data)
    if name.endswith(FITS):
        return _read_fits(data)
    raise ValueError(f"unknown kind of image; known endings: {', '.join(ENCODED + FITS)}")


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


def _read_fits(data: bytes) -> Image:
    from astropy.io import fits

    try:
        if data[:2] == b"\x1f\x8b":  # astropy unpacks gzip from a path, not from memory
            data = gzip.decompress(data)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*truncated")  # astropy only warns, and fills up
            with fits.open(io.BytesIO(data), memmap=False) as hdus:
                pixels = next((hdu.data for hdu in hdus if hdu.is_image and hdu.data is not None), None)
    except Exception as error:  # astropy raises many kinds, all meaning the same to us
        raise ValueError(f"not a readable FITS file: {error}") from error
    if pixels is None:
        raise ValueError("no image in this FITS file")
    if pixels.ndim == 3 and pixels.shape[0] <= pixels.shape[-1]:
        pixels = np.moveaxis(pixels, 0, -1)  # a cube: the short axis holds the bands
    return from_pixels(pixels)


def from_pixels(pixels: np.ndarray) -> Image:
    """An image from an array (H, W) or (H, W, C); missing pixels are NaN, not all of them."""
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise ValueError(f"an image of shape {pixels.shape}; expected (height, width) or with bands")
    pixels = np.ascontiguousarray(pixels, dtype=np.float32)
    if not np.isfinite(pixels).any():
        raise ValueError("every pixel is missing")
    return Image(pixels, pixels.shape)
