"""Checks whether images of one galaxy in several bands lie on the same pixel grid on the sky."""

import numpy as np

from tfrecords_builder.naming import some
from tfrecords_builder.wcs import NOWHERE, Grid

TOLERANCE = 0.1  # pixels


def follow(first: Grid, other: Grid, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds boxes of pixels of one image in another.

    Args:
        first: The grid the boxes are given on.
        other: The grid to find them on.
        boxes: (N, 4) left, top, right, bottom; 0 is the outer edge of the first pixel.

    Returns:
        (N, 4) boxes on the other grid; and (N, 5, 2) where their corners (left top, right top, left bottom, right
        bottom) and middles really are, NaN off the sky.
    """
    points = _points(boxes)
    shift = _whole_shift(first, other)
    if shift is None:
        sky = first.to_sky(points.reshape(-1, 2) - 0.5)
        pixels = np.full(sky.shape, np.nan)
        good = np.isfinite(sky).all(axis=1)
        if good.any():
            pixels[good], _ = other.to_pixels(sky[good])
        points = pixels.reshape(points.shape) + 0.5
    else:
        points = points + shift
    return np.concatenate([points[:, 0], points[:, 3]], axis=1), points


def misfit(boxes: np.ndarray, points: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """(N,) how far points of an image are from where they are in a box, in pixels of an image with these sides.

    Args:
        boxes: (N, 4) left, top, right, bottom.
        points: (N, 5, 2), as `follow` gives them.
        sides: (N,) pixels.
    """
    size = boxes[:, 2:] - boxes[:, :2]
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(points - _points(boxes)) * (np.asarray(sides)[:, np.newaxis] / size)[:, np.newaxis]
        apart = apart.max(axis=(1, 2))
        return np.where((size > 0).all(axis=1) & np.isfinite(apart), apart, np.inf)


def difference(first: Grid, other: Grid, box: np.ndarray, expected: np.ndarray) -> str:
    """A sentence on how the grid of another image differs from that of the first.

    Args:
        first: Grid of the first image.
        other: Grid of the other image.
        box: Left, top, right, bottom on the first grid.
        expected: The same box on the other grid, if the grids were the same.
    """
    _, (points,) = follow(first, other, box[np.newaxis])
    text = f"{other.name} and {first.name} are on different grids: "
    if not np.isfinite(points).all():
        return text + f"the cutout lies partly off the map in {other.name}"
    size = box[2:] - box[:2]
    right, down = (points[1] - points[0]) / size[0], (points[2] - points[0]) / size[1]
    scale = np.sqrt(abs(right[0] * down[1] - right[1] * down[0]))
    mirrored = right[0] * down[1] - right[1] * down[0] < 0
    turned = np.degrees(np.arctan2(right[1], right[0]))
    if mirrored and abs(turned) > 90:  # flipped left-right rather than up-down: a smaller rotation remains
        turned = turned % 360 - 180
    away = points[4] - (expected[:2] + expected[2:]) / 2
    parts = ["mirrored"] if mirrored else []
    parts += [f"rotated by {abs(turned):.3g}°"] if abs(np.radians(turned)) * size.max() * scale > TOLERANCE else []
    scaled = abs(scale - 1) * size.max() > TOLERANCE
    if not parts and not scaled:
        shifted = np.abs(away).max() > TOLERANCE / 2
        parts = [f"shifted by {away[0]:.2f} pixels in x and {away[1]:.2f} in y" if shifted else "distorted"]
    words = [f"is {' and '.join(parts)}"] if parts else []
    words += [f"has pixels of {first.pixel_scale / scale:.4g}″ instead of {first.pixel_scale:.4g}″"] if scaled else []
    return f"{text}{other.name} {' and '.join(words)}; to resample it, align the bands (--align)"


def not_compared(grids: list[Grid]) -> str:
    """Which bands have no usable WCS to compare them by, in words; empty if none of them has any WCS."""
    without = [f"{grid.name} {grid.problem}" for grid in grids if grid.wcs is None]
    return "" if all(grid.problem == NOWHERE for grid in grids) else some(without)


def _points(boxes: np.ndarray) -> np.ndarray:
    """(N, 5, 2) corners and centres of boxes (N, 4)."""
    left, top, right, bottom = boxes.T
    middle = (left + right) / 2, (top + bottom) / 2
    corners = (left, top), (right, top), (left, bottom), (right, bottom), middle
    return np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)


def _whole_shift(first: Grid, other: Grid) -> np.ndarray | None:
    """The shift x, y in pixels between grids that are otherwise the same; None if they differ in more."""
    from astropy.wcs import WCSCOMPARE_ANCILLARY, WCSCOMPARE_TILING

    if first.wcs is None or other.wcs is None:
        return np.zeros(2)
    one, two = first.wcs, other.wcs
    same = first.frame.is_equivalent_frame(other.frame) and _same_sip(one.sip, two.sip)
    tables = ("cpdis1", "cpdis2", "det2im1", "det2im2")
    if not same or any(getattr(wcs, table) is not None for wcs in (one, two) for table in tables):
        return None
    if not one.wcs.compare(two.wcs, WCSCOMPARE_ANCILLARY | WCSCOMPARE_TILING):
        return None
    return np.round(two.wcs.crpix - one.wcs.crpix)


def _same_sip(one, two) -> bool:
    if one is None or two is None:
        return one is two
    pairs = [(getattr(one, name), getattr(two, name)) for name in ("a", "b", "ap", "bp")]
    return all((a is None and b is None) or np.array_equal(a, b) for a, b in pairs)
