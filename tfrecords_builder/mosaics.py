"""Cutouts from mosaics: only the pixels of a galaxy are read, and only a few files are open at a time."""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import NamedTuple

import numpy as np

from tfrecords_builder.alignment import TOLERANCE, difference, follow, misfit, not_compared
from tfrecords_builder.fields import FIELDS
from tfrecords_builder.findings import note
from tfrecords_builder.image_files import Files
from tfrecords_builder.mosaic_files import Mosaic, open_mosaic
from tfrecords_builder.naming import some
from tfrecords_builder.pixels import Image, from_pixels, join_bands, with_mask
from tfrecords_builder.resample import MARGIN, reprojected, resample
from tfrecords_builder.wcs import Grid

_LARGEST = 16384  # pixels
_SIZE = re.compile(r"\s*(?:([\d.]+)\s*\*\s*)?([A-Za-z_]\w*|[\d.]+)\s*(pixels?|px|arcsec|\")?\s*")


class Mosaics(NamedTuple):
    """Source of cutouts from large FITS images with a WCS.

    A row needs `ra` and `dec` (ICRS: degrees or sexagesimal text) or `x` and `y` (pixels of the array, 0 at the centre
    of the first), whatever frame, axis order and distortion the mosaic's header uses. Pixels outside a mosaic are NaN
    and the galaxy is flagged; a galaxy entirely outside is a failure.

    The mosaic of the first band defines the pixels of the cutout, and `x` and `y`. The others must agree with it on
    the sky to a tenth of a pixel of the cutout, except for shifts by whole pixels and, with `image_size`, other pixel
    scales. Otherwise, unless the bands are aligned, the galaxy fails with a message that names both files and the
    difference.

    Attributes:
        files: The mosaic files (named by `file_loc` or a template), their extensions, and whether to align them
            (`tfrecords_builder.resample`).
        cutout: Size of the cutout: `128`, `"30 arcsec"`, `"4*petro_radius arcsec"` (with a column of the catalogue);
            in pixels if no unit is given. `gz_decals` is a rule of `tfrecords_builder.fields`.
        image_size: Side in pixels of the image; cutouts of another size are resampled to it, conserving surface
            brightness. None: as cut.
    """

    files: Files
    cutout: str | float
    image_size: int | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns a catalogue must have, except the position, which a row may lack."""
        return self.files.needs if self.files.in_folder else ("id_str",)

    def read(self, rows: Iterable[dict]) -> Iterator[Image | ValueError]:
        """Reads the cutout of every row; consecutive rows of one mosaic are looked up together."""
        for names, group in groupby(rows, key=self.kept_together):
            group = list(group)
            if isinstance(names, ValueError):
                yield from [names] * len(group)
                continue
            try:
                mosaics = [open_mosaic(self.files.path(name), _layer(self.files, i)) for i, name in enumerate(names)]
                cuts = self._plan(mosaics, group)
            except ValueError as error:
                yield from [error] * len(group)
                continue
            for i in range(len(group)):
                try:
                    yield self._cutout(mosaics, cuts, i)
                except ValueError as error:
                    yield error

    def kept_together(self, row: dict) -> tuple[str, ...] | ValueError:
        """The mosaics a row is cut from; rows sorted by them open every file once."""
        try:
            if not self.files.in_folder:
                names = (str(self.files.place),)
            else:
                names = tuple(self.files.names(row))
            hdu = self.files.hdu
            return names * len(hdu) if isinstance(hdu, tuple) and len(names) == 1 else names
        except ValueError as error:
            return error

    def _plan(self, mosaics: list[Mosaic], rows: list[dict]) -> "_Cuts":
        """Locates the cutouts of all rows in every band."""
        centres, reasons = mosaics[0].centres(rows)
        sizes = np.ones(len(rows))
        for i, row in enumerate(rows):
            try:
                sizes[i] = cutout_size(self.cutout, row, mosaics[0].grid.pixel_scale)
            except ValueError as error:
                reasons[i] = str(error)
        n = np.maximum(1, np.round(sizes))
        sides = n if self.image_size is None else np.full(len(rows), self.image_size)
        half = sizes[:, np.newaxis] / 2
        boxes = np.concatenate([centres + 0.5 - half, centres + 0.5 + half], axis=1)  # the galaxy exactly at the centre
        resampled = np.zeros(len(rows), bool)
        if self.image_size is not None:
            for mosaic in mosaics:
                followed, _ = follow(mosaics[0].grid, mosaic.grid, boxes)
                resampled |= (np.round(followed[:, 2:] - followed[:, :2]) != self.image_size).any(axis=1)
        corners = np.ceil(centres - n[:, np.newaxis] / 2)  # as in astropy
        whole = np.concatenate([corners, corners + n[:, np.newaxis]], axis=1)
        boxes = np.where(resampled[:, np.newaxis], boxes, whole)
        places, misfits = [boxes], [np.zeros(len(rows))]
        for mosaic in mosaics[1:]:
            followed, points = follow(mosaics[0].grid, mosaic.grid, boxes)
            corners = np.round(followed[:, :2])
            whole = np.concatenate([corners, corners + sides[:, np.newaxis]], axis=1)
            places.append(np.where(resampled[:, np.newaxis], followed, whole))
            misfits.append(misfit(places[-1], points, sides))
        return _Cuts(reasons, sides, resampled, places, misfits)

    def _cutout(self, mosaics: list[Mosaic], cuts: "_Cuts", i: int) -> Image:
        if cuts.reasons[i]:
            raise ValueError(cuts.reasons[i])
        first, parts = mosaics[0], []
        for mosaic, boxes, apart in zip(mosaics, cuts.boxes, cuts.misfits, strict=True):
            section, box = mosaic.section, boxes[i]
            if apart[i] > TOLERANCE:
                box = cuts.boxes[0][i]
                if not self.files.align:
                    raise ValueError(difference(first.grid, mosaic.grid, box, boxes[i]))
                section = partial(aligned_section, mosaic, first.grid)
            parts.append(_cut(section, box, int(cuts.sides[i]), cuts.resampled[i])._replace(hdu=mosaic.hdu))
        left, _, right, _ = cuts.boxes[0][i]
        scale = first.grid.pixel_scale * (right - left) / cuts.sides[i]  # NaN without a WCS
        parts[0] = parts[0]._replace(pixel_scale=scale if scale > 0 else None, telescope=first.telescope)
        if words := not_compared([mosaic.grid for mosaic in mosaics]):
            parts[0] = note(parts[0], "not_compared", words)
        return parts[0] if len(parts) == 1 else _join(parts)


class _Cuts(NamedTuple):
    """The positions of N cutouts.

    Attributes:
        reasons: (N,) the reason why there is no cutout; "" if there is one.
        sides: (N,) side of the image in pixels.
        resampled: (N,) bool, whether it is resampled.
        boxes: For each band (N, 4) left, top, right, bottom in pixels, 0 at the outer edge of the first.
        misfits: For each band (N,) offset from the grid of the first band, in pixels of the image.
    """

    reasons: np.ndarray
    sides: np.ndarray
    resampled: np.ndarray
    boxes: list[np.ndarray]
    misfits: list[np.ndarray]


def _cut(section, box: np.ndarray, side: int, resampled: bool) -> Image:
    """Cuts a box out of `section`, as an image of `side` pixels."""
    corner = np.floor(box[:2]).astype(int)
    n = int(np.ceil((box[2:] - box[:2]).max())) + 1 if resampled else side
    if max(n, side) > _LARGEST:
        raise ValueError(f"the cutout has {max(n, side)} pixels on a side; at most {_LARGEST} are allowed")
    pixels, mask, outside = section(corner, n)
    if resampled:
        pixels, mask = resample(pixels, mask, box - np.tile(corner, 2), side)
    image = with_mask(from_pixels(pixels), mask)
    return note(image, "outside", f"{outside:.1%} of the cutout lies outside the mosaic") if outside else image


def aligned_section(mosaic: Mosaic, target: Grid, corner: np.ndarray, n: int):
    """Like `mosaic.section`, but on the grid of another mosaic."""
    lattice = np.linspace(-0.5, n - 0.5, 9)
    sky = target.to_sky(np.stack(np.meshgrid(lattice, lattice), axis=-1).reshape(-1, 2) + corner)
    places = mosaic.grid.to_pixels(sky[np.isfinite(sky).all(axis=1)])[0]
    places = places[np.isfinite(places).all(axis=1)]
    if not len(places):
        raise ValueError(f"lies outside {mosaic.grid.name}")
    margin = int(np.ceil(MARGIN * max(1.0, target.pixel_scale / mosaic.grid.pixel_scale)))
    start = np.floor(places.min(axis=0)).astype(int) - margin
    side = int(np.ceil((places.max(axis=0) - start).max())) + margin
    if side > _LARGEST:
        raise ValueError(f"aligning it needs {side} pixels of {mosaic.grid.name}; at most {_LARGEST} are allowed")
    pixels, mask, _ = mosaic.section(start, side)
    pixels, mask = reprojected(pixels, mask, mosaic.grid.starting_at(start), target.starting_at(corner), (n, n))
    return pixels, mask, float(np.isnan(pixels).mean())


def cutout_size(cutout: str | float, row: dict, pixel_scale: float) -> float:
    """Side in pixels of a row's cutout.

    >>> cutout_size("4*radius arcsec", {"radius": 5.0}, 0.25)
    80.0
    """
    match = _SIZE.fullmatch(str(cutout))
    if not match:
        raise ValueError(
            f"cannot read the cutout {cutout!r}; allowed: 128, '30 arcsec', '4*column arcsec', {some(FIELDS)}"
        )
    factor, what, unit = match.groups()
    if str(cutout) in FIELDS and what not in row:
        factor, what, unit = None, str(FIELDS[what](row)), "arcsec"
    if what[0].isalpha() or what[0] == "_":
        if what not in row:
            raise ValueError(f"the cutout {cutout!r} needs a column {what!r}; the columns are {some(row, 12)}")
        what = row[what]
    size = float(factor or 1) * float("nan" if what is None else what)
    if unit in ("arcsec", '"'):
        if not np.isfinite(pixel_scale):
            raise ValueError(f"the cutout {cutout!r} needs a celestial WCS, which gives the size of a pixel")
        size /= pixel_scale
    if not np.isfinite(size) or size <= 0:
        raise ValueError(f"the cutout would have {size:.4g} pixels on a side")
    return size


def _join(parts: list[Image]) -> Image:
    image = join_bands(parts)
    outside = [part.flag for part in parts[1:] if "outside" in part.findings]
    return note(image, "outside", outside[0]) if outside and "outside" not in image.findings else image


def _layer(files: Files, band: int):
    hdu = files.hdu[band] if isinstance(files.hdu, tuple) else files.hdu
    return hdu, files.mask, files.mask_bits
