"""Reads pixel scale and telescope from a FITS header."""

from collections.abc import Callable

import numpy as np

_DEGREES = dict.fromkeys(("deg", "degree", "degrees"), 1.0) | {"arcmin": 1 / 60, "arcsec": 1 / 3600}
_DEGREES |= {"mas": 1 / 3.6e6, "rad": 180 / np.pi}
_NARROW = 8  # pixels
_CELESTIAL = ("RA", "DEC", "GLON", "GLAT", "ELON", "ELAT")


def camera(header: Callable[[str], object]) -> tuple[float | None, str]:
    """Arcsec per pixel (the square root of a pixel's area) and the telescope; None and "" if they are not given.

    Args:
        header: Function from a key to its value, or None.
    """
    telescope = str(header("TELESCOP") or "").strip(" '")
    units = [str(header(f"CUNIT{axis}") or "deg").strip(" '").lower() for axis in (1, 2)]
    if not str(header("CTYPE1") or "").strip(" '").startswith(_CELESTIAL) or not set(units) <= _DEGREES.keys():
        return None, telescope
    area = _area(header, "CD", 0.0)
    if area is None:  # increments, rotated by a matrix
        x, y, turn = _number(header("CDELT1")), _number(header("CDELT2")), _area(header, "PC", 1.0)
        area = None if x is None or y is None else x * y * (1.0 if turn is None else turn)
    scale = abs(area * _DEGREES[units[0]] * _DEGREES[units[1]]) ** 0.5 * 3600 if area else None
    return scale if scale and 1e-4 < scale < 3600 else None, telescope


def band_axis(header: Callable[[str], object], shape: tuple[int, ...]) -> int | None:
    """The axis of an array (three of them) that is neither of the two on the sky; None where it is not told.

    Nor where the last one is too short for the sky: headers of flat images are copied to arrays (H, W, 3).
    """
    if len(shape) != 3 or shape[2] < _NARROW:
        return None
    sky = [axis for axis in (1, 2, 3) if str(header(f"CTYPE{axis}") or "").strip(" '").startswith(_CELESTIAL)]
    return 0 if sky == [1, 2] else 2 if sky == [2, 3] else None


def _area(header: Callable[[str], object], name: str, diagonal: float) -> float | None:
    """The determinant of the matrix `CDi_j` or `PCi_j`; None if there is none."""
    keys = [f"{name}{i}_{j}" for i in (1, 2) for j in (1, 2)]
    entries = [_number(header(key)) for key in keys]
    if all(entry is None for entry in entries):
        return None
    a, b, c, d = (default if x is None else x for x, default in zip(entries, (diagonal, 0, 0, diagonal), strict=True))
    return a * d - b * c


def _number(value) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
