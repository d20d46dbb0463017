"""Open mosaics: their position on the sky, and pixels read as needed. Only a few are open at a time."""

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_builder.bounded import in_words, not_an_image, packing
from tfrecords_builder.coordinates import sky_positions, to_number
from tfrecords_builder.copies import in_use
from tfrecords_builder.fits import check_header, check_whole
from tfrecords_builder.hdus import extension_name, holds_image, image_hdu, pixel_values
from tfrecords_builder.headers import camera
from tfrecords_builder.masks import bad_pixels
from tfrecords_builder.pixels import check_range
from tfrecords_builder.wcs import read_grid

_OPEN_FILES = 32


class Mosaic:
    """One open mosaic: its position on the sky, and pixels read as needed."""

    def __init__(self, path: str, hdu, mask, mask_bits) -> None:
        from astropy.io import fits

        name = Path(path).name
        self._hdus: Any = None
        self._mask: Planes | None = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Path(path).open("rb") as file:
                    start = file.read(28800)
                if not start.startswith(b"SIMPLE"):  # astropy would unpack it, also where its name tells nothing
                    hint = "unpack it, or compress it with fpack" if packing(start) else not_an_image(start)
                    raise ValueError(f"it is not a FITS file that can be read in parts: {hint}")
                check_header(start)
                self._hdus = fits.open(path, memmap=False, do_not_scale_image_data=True)
                chosen = image_hdu(self._hdus) if hdu is None else hdu
                self.hdu = extension_name(self._hdus, chosen) if hdu is None else ""
                image = self._hdus[chosen]
                if not holds_image(image):
                    raise ValueError(f"extension {hdu!r} is not an image")
                self.grid = read_grid(image.header, self._hdus, name if hdu is None else f"{name}[{hdu}]")
                self.telescope = camera(image.header.get)[1] or camera(self._hdus[0].header.get)[1]
                self._image = Planes(path, image, self.grid.axes)
                if mask is not None:
                    self._mask = Planes(path, self._hdus[mask], self.grid.axes)
        except Exception as error:  # astropy raises many kinds of exceptions, which all mean the same here
            self.close()
            raise ValueError(f"cannot read the mosaic {name}: {error}") from error
        self._mask_name, self._mask_bits = str(mask), mask_bits
        if self._mask is not None and self._mask.shape != self._image.shape:
            shapes = f"{self._mask.shape}, but the image has {self._image.shape}"
            raise ValueError(f"the mask {mask} of {name} has the shape {shapes}")

    def close(self) -> None:
        """Closes the file."""
        if self._hdus is not None:
            self._hdus.close()

    __del__ = close  # once it has left the cache and nobody reads from it

    def centres(self, rows: list[dict]) -> tuple[np.ndarray, np.ndarray]:
        """(N, 2) positions x, y in pixels, NaN if a row has none; and (N,) the reason, "" if it has one."""
        sky, reasons = sky_positions(rows)
        flat = np.array([[to_number(row.get(axis)) for axis in "xy"] for row in rows])
        known, usable = np.isfinite(sky).all(axis=1), np.isfinite(flat).all(axis=1)
        if not (known.any() or usable.any() or reasons.any()):
            raise ValueError("a cutout needs columns ra and dec, or x and y, in the catalogue")
        reasons[~known & ~usable & (reasons == "")] = "has no position on the mosaic"
        if known.any():
            flat[known], reasons[known] = self.grid.to_pixels(sky[known], self._image.shape)
        return flat, reasons

    def section(self, corner: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray | None, float]:
        """(n, n, C) pixels, NaN outside; which of them are bad; and the share that lies outside."""
        (x, y), (height, width) = corner, self._image.shape
        rows, columns = slice(max(y, 0), min(y + n, height)), slice(max(x, 0), min(x + n, width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            raise ValueError(f"lies outside {self.grid.name}")
        inside = slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x)
        part = pixel_values(self._image.stored(rows, columns), self._image.header)
        check_range(part)
        pixels = np.full((n, n, part.shape[2]), np.nan, np.float32)
        with np.errstate(over="ignore"):
            pixels[inside] = part
        outside = 1 - part.shape[0] * part.shape[1] / n**2
        if self._mask is None:
            return pixels, None, outside
        mask = np.zeros(pixels.shape, bool)
        bad = self._mask.stored(rows, columns)
        mask[inside] = bad_pixels(bad, self._mask.header, self._mask_bits, self._mask_name)
        return pixels, mask, outside


class Planes:
    """The stored pixels of one HDU, read in parts."""

    def __init__(self, path: str, hdu, axes: tuple[int, int]) -> None:
        from astropy.io import fits
        from astropy.io.fits.hdu.image import BITPIX2DTYPE

        check_whole(hdu, Path(path).stat().st_size)
        self.header, shape = hdu.header, hdu.shape
        if len(shape) == 2:
            axes = (0, 1)
        others = [axis for axis in range(len(shape)) if axis not in axes and shape[axis] > 1]
        if len(others) > 1 or max(axes) >= len(shape):
            names = (self.header.get(f"CTYPE{len(shape) - axis}", f"axis {len(shape) - axis}") for axis in others)
            kinds = ", ".join(f"{name} ({shape[axis]})" for name, axis in zip(names, others, strict=True))
            raise ValueError(f"it has more axes than the sky and the bands: {kinds}; extract one plane")
        self._name = Path(path).name
        self._axes, self._bands = axes, others[0] if others else None
        self.shape = tuple(shape[axis] for axis in axes)
        if type(hdu) in (fits.PrimaryHDU, fits.ImageHDU):
            kind = np.dtype(BITPIX2DTYPE[self.header["BITPIX"]]).newbyteorder(">")
            self._pixels = np.memmap(path, kind, "r", hdu.fileinfo()["datLoc"], shape)
        else:  # tile compression: reads only the tiles needed
            self._pixels = hdu.section
        self._ndim = len(shape)

    def stored(self, rows: slice, columns: slice) -> np.ndarray:
        """(h, w, C) values in the file."""
        index = [slice(None) if axis == self._bands else 0 for axis in range(self._ndim)]
        index[self._axes[0]], index[self._axes[1]] = rows, columns
        try:
            part = np.asarray(self._pixels[tuple(index)])
        except Exception as error:  # for damaged tiles, astropy raises many kinds of exceptions
            raise ValueError(f"cannot read the mosaic {self._name}: {error}") from error
        if self._bands is None:
            return part[..., np.newaxis]
        return np.moveaxis(part, sum(axis < self._bands for axis in self._axes), -1)


def open_mosaic(path: Path, layer: tuple) -> Mosaic:
    """Opens the mosaic at `path`; it stays open until many others are, and is reopened if the file changed.

    Args:
        path: The file.
        layer: Its extension, the extension of the mask, and the bits that mark bad pixels.
    """
    with in_words(path.name), in_use(path):
        try:
            changed = path.stat().st_mtime_ns
        except (OSError, ValueError) as error:
            raise ValueError(f"cannot read the mosaic {path.name}: {getattr(error, 'strerror', error)}") from error
        return _keep_open(str(path), *layer, changed)


@lru_cache(_OPEN_FILES)
def _keep_open(path: str, hdu, mask, mask_bits, changed: int) -> Mosaic:
    return Mosaic(path, hdu, mask, mask_bits)
