"""Cutouts from mosaics: only the pixels of a galaxy are read, and few files are open at a time."""

import re
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfrecords_builder.findings import note
from tfrecords_builder.fits import check_header, check_whole
from tfrecords_builder.image_files import Files
from tfrecords_builder.naming import some
from tfrecords_builder.pixels import Image, from_pixels, join_bands

_OPEN_FILES = 32
_SIZE = re.compile(r"\s*(?:([\d.]+)\s*\*\s*)?([A-Za-z_]\w*|[\d.]+)\s*(pixels?|px|arcsec|\")?\s*")


class Mosaics(NamedTuple):
    """Source of cutouts from large FITS images with a WCS.

    A row needs `ra` and `dec` (deg, ICRS) or `x` and `y` (pixels of the array, 0 at the centre of the first). Pixels
    outside a mosaic are NaN and the galaxy is flagged; one that lies outside altogether is a failure.

    Attributes:
        files: Where the mosaics are; `file_loc` or a template names a galaxy's.
        cutout: Size of the cutout: `128`, `"30 arcsec"`, `"4*petro_radius arcsec"` (with a column of the catalogue);
            without a unit it is pixels.
        image_size: Side in pixels of the image; cutouts of another size are resampled to it, keeping surface
            brightness. None: as they are cut.
    """

    files: Files
    cutout: str | float
    image_size: int | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns a catalogue must have, but for the position, which a row may lack."""
        return self.files.needs if self.files.place.is_dir() else ("id_str",)

    def read(self, rows: Iterable[dict]) -> Iterator[Image | ValueError]:
        """Every row's cutout; rows of one mosaic that follow each other are looked up together."""
        for names, group in groupby(rows, key=self.mosaics_of):
            group = list(group)
            if isinstance(names, ValueError):
                yield from [names] * len(group)
                continue
            try:
                mosaics = [_open(self.files.place / name, _layer(self.files, i)) for i, name in enumerate(names)]
                centres = [mosaic.centres(group) for mosaic in mosaics]
            except ValueError as error:
                yield from [error] * len(group)
                continue
            for i, row in enumerate(group):
                try:
                    parts = [self._cut(m, row, c[i]) for m, c in zip(mosaics, centres, strict=True)]
                    yield parts[0] if len(parts) == 1 else _join(parts)
                except ValueError as error:
                    yield error

    def mosaics_of(self, row: dict) -> tuple[str, ...] | ValueError:
        """The mosaics a row is cut from: rows in this order open every file once."""
        try:
            if not self.files.place.is_dir():
                names = (str(self.files.place),)
            else:
                names = tuple(self.files.names(row))
            hdu = self.files.hdu
            return names * len(hdu) if isinstance(hdu, tuple) and len(names) == 1 else names
        except ValueError as error:
            return error

    def _cut(self, mosaic: "_Mosaic", row: dict, centre: np.ndarray) -> Image:
        if not np.isfinite(centre).all():
            raise ValueError("has no position on the mosaic")
        size = cutout_size(self.cutout, row, mosaic.pixel_scale)
        n = max(1, round(size))
        if n > 16384:
            raise ValueError(f"a cutout of {n} pixels; at most 16384 fit")
        resample = self.image_size is not None and n != self.image_size
        if resample:  # with its fractions: the galaxy stays exactly in the middle
            corner = np.floor(centre + 0.5 - size / 2).astype(int)
            n = int(np.ceil(size)) + 1
        else:
            corner = np.ceil(centre - n / 2).astype(int)  # astropy's rule
        pixels, mask = mosaic.section(corner, n)
        if resample:
            box = centre + 0.5 - size / 2 - corner
            pixels, mask = _resample(pixels, mask, (*box, *(box + size)), self.image_size)
        image = from_pixels(pixels)
        outside = mosaic.outside(corner, n)
        image = image._replace(mask=mask if mask is not None and mask.any() else None)
        return note(image, "outside", f"{outside:.1%} of the cutout lie outside the mosaic") if outside else image


def cutout_size(cutout: str | float, row: dict, pixel_scale: float) -> float:
    """Side in pixels of a row's cutout.

    >>> cutout_size("4*radius arcsec", {"radius": 5.0}, 0.25)
    80.0
    """
    found = _SIZE.fullmatch(str(cutout))
    if not found:
        raise ValueError(f"cannot read the cutout {cutout!r}; allowed: 128, '30 arcsec', '4*column arcsec'")
    factor, what, unit = found.groups()
    if what[0].isalpha() or what[0] == "_":
        if what not in row:
            raise ValueError(f"the cutout {cutout!r} needs a column {what!r}; there are {some(row, 12)}")
        what = row[what]
    size = float(factor or 1) * float("nan" if what is None else what)
    if unit in ("arcsec", '"'):
        size /= pixel_scale
    if not np.isfinite(size) or size <= 0:
        raise ValueError(f"a cutout of {size:.4g} pixels")
    return size


def _resample(pixels: np.ndarray, mask: np.ndarray | None, box: tuple, size: int):
    """The part `box` (left, top, right, bottom) on a grid of size × size, antialiased.

    A pixel is the mean of the good ones below it; it is missing, or masked, where less than half is good.
    """
    from PIL import Image as Picture

    def resized(values: np.ndarray) -> np.ndarray:
        picture = Picture.fromarray(np.ascontiguousarray(values, np.float32))
        return np.asarray(picture.resize((size, size), Picture.Resampling.BILINEAR, box=box))

    out = np.empty((size, size, pixels.shape[2]), np.float32)
    masked = None if mask is None else np.empty(out.shape, bool)
    for band in range(pixels.shape[2]):
        there = np.isfinite(pixels[..., band])
        good = there if mask is None else there & ~mask[..., band]
        weight = 1.0 if good.all() else np.maximum(resized(good), 1e-6)
        out[..., band] = resized(np.where(good, pixels[..., band], 0)) / weight
        out[..., band][resized(there) < 0.5] = np.nan
        if mask is not None:
            masked[..., band] = resized(~mask[..., band]) < 0.5
    return out, masked


def _join(parts: list[Image]) -> Image:
    if len({part.shape for part in parts}) > 1:
        raise ValueError("the bands' cutouts differ in size; give image_size to resample them to one grid")
    image = join_bands(parts)
    outside = [part.flag for part in parts if "outside" in part.findings]
    return note(image, "outside", outside[0]) if outside else image


def _layer(files: Files, band: int):
    hdu = files.hdu[band] if isinstance(files.hdu, tuple) else files.hdu
    return hdu, files.mask


class _Mosaic:
    """One open mosaic: its WCS, and its pixels as they are needed."""

    def __init__(self, path: str, hdu, mask) -> None:
        from astropy.io import fits
        from astropy.io.fits.hdu.image import BITPIX2DTYPE
        from astropy.wcs import WCS
        from astropy.wcs.utils import proj_plane_pixel_scales

        name = Path(path).name
        if name.endswith(".gz"):
            raise ValueError(f"{name} cannot be read in parts; unpack it, or compress it with fpack")
        self._hdus = self._pixels = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Path(path).open("rb") as file:
                    check_header(file.read(28800))
                self._hdus = fits.open(path, memmap=False)
                self._hdu = next(h for h in self._hdus if _is_mosaic(h)) if hdu is None else self._hdus[hdu]
                if not _is_mosaic(self._hdu):
                    raise ValueError(f"extension {hdu!r} is no image")
                self._mask = None if mask is None else self._hdus[mask]
                self.shape = self._hdu.shape
                check_whole(self._hdu, Path(path).stat().st_size)
                self._wcs = WCS(self._hdu.header, self._hdus).celestial
                scales = proj_plane_pixel_scales(self._wcs) if self._wcs.naxis == 2 else [np.nan]
        except Exception as error:  # astropy raises many kinds, all meaning the same to us
            self.close()
            text = "no image in it" if isinstance(error, StopIteration) else str(error)
            raise ValueError(f"cannot read the mosaic {name}: {text}") from error
        header = self._hdu.header
        plain = type(self._hdu) in (fits.PrimaryHDU, fits.ImageHDU) and not {
            "BSCALE",
            "BZERO",
            "BLANK",
        } & set(header)
        if plain:
            kind = np.dtype(BITPIX2DTYPE[header["BITPIX"]]).newbyteorder(">")
            self._pixels = np.memmap(path, kind, "r", self._hdu.fileinfo()["datLoc"], self.shape)
        else:  # `data` would convert the whole of it; `section` is slower, but reads only what it needs
            self._pixels = self._hdu.section
        self.name = name
        self.pixel_scale = float(np.mean(scales)) * 3600.0

    def close(self) -> None:
        if self._hdus is not None:
            self._pixels = None
            self._hdus.close()

    __del__ = close  # when the cache has dropped it and nobody reads from it any more

    def centres(self, rows: list[dict]) -> np.ndarray:
        """(N, 2) positions x, y in pixels; NaN where a row has none."""
        sky, flat = (np.array([[_number(row.get(c)) for c in axes] for row in rows]) for axes in (("ra", "dec"), "xy"))
        if np.isnan(sky).all() and np.isnan(flat).all():
            raise ValueError("a cutout needs ra and dec, or x and y; they are not in the catalogue")
        known = np.isfinite(sky).all(axis=1)
        if known.any():
            if self._wcs.naxis != 2:
                raise ValueError(f"{self.name} has no celestial WCS; give x and y")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                flat = flat.copy()
                flat[known] = self._wcs.all_world2pix(sky[known], 0, quiet=True)
        return flat

    def outside(self, corner: np.ndarray, n: int) -> float:
        """Share of the square of `n` pixels at `corner` (x, y) that lies outside."""
        inside = np.clip(corner + n, 0, self.shape[:-3:-1]) - np.clip(corner, 0, self.shape[:-3:-1])
        return float(1 - np.prod(inside / n))

    def section(self, corner: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray | None]:
        """(n, n, C) pixels, NaN outside, and which of them are bad."""
        (x, y), (height, width) = corner, self.shape[-2:]
        rows, columns = slice(max(y, 0), min(y + n, height)), slice(max(x, 0), min(x + n, width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            raise ValueError(f"lies outside of {self.name}")
        there = slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x)
        part = self._pixels[(slice(None),) * (len(self.shape) - 2) + (rows, columns)]
        part = part[..., np.newaxis] if part.ndim == 2 else np.moveaxis(part, 0, -1)
        pixels = np.full((n, n, part.shape[2]), np.nan, np.float32)
        pixels[there] = part
        if self._mask is None:
            return pixels, None
        mask = np.zeros(pixels.shape, bool)
        mask[there] = (self._mask.section[rows, columns] != 0)[..., np.newaxis]
        return pixels, mask


def _is_mosaic(hdu) -> bool:
    return hdu.is_image and hdu.shape is not None and len(hdu.shape) in (2, 3) and 0 not in hdu.shape


def _number(value) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _open(path: Path, layer: tuple) -> _Mosaic:
    try:
        changed = path.stat().st_mtime_ns
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the mosaic {path.name}: {getattr(error, 'strerror', error)}") from error
    return _keep_open(str(path), *layer, changed)


@lru_cache(_OPEN_FILES)
def _keep_open(path: str, hdu, mask, changed: int) -> _Mosaic:
    return _Mosaic(path, hdu, mask)
