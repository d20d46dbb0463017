"""Galaxies by their position on the sky."""

import numpy as np
import pandas as pd


def positions(known: pd.DataFrame):
    """The positions in a catalogue, and which rows have one.

    Args:
        known: Table with `ra` and `dec` (deg, ICRS).

    Returns:
        `SkyCoord` of the M rows that have a position, and their numbers (M,).

    Raises:
        ValueError: There are no such columns, or no positions in them.
    """
    from astropy.coordinates import SkyCoord

    missing = [name for name in ("ra", "dec") if name not in known.columns]
    if missing:
        raise ValueError(f"a position needs a catalogue with ra and dec; it has no {' and no '.join(missing)}")
    ra, dec, rows = _placed(known)
    if not len(rows):
        raise ValueError("no galaxy of the catalogue has both ra and dec")
    return SkyCoord(ra[rows], dec[rows], unit="deg"), rows


def how_many_placed(known: pd.DataFrame) -> int:
    """How many rows of a table have a position."""
    return len(_placed(known)[2]) if {"ra", "dec"} <= {*known} else 0


def _placed(known: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right ascension and declination of all rows, and the numbers of those that have both."""
    ra, dec = (pd.to_numeric(known[name], errors="coerce").to_numpy(float) for name in ("ra", "dec"))
    return ra, dec, np.flatnonzero(np.isfinite(ra) & (np.abs(dec) <= 90))


def nearest_on_sky(known: pd.DataFrame, ra: float, dec: float, max_separation: float) -> tuple[int, float]:
    """The galaxy nearest to a place.

    Args:
        known: Table with `ra` and `dec` (deg, ICRS).
        ra: Right ascension (deg).
        dec: Declination (deg).
        max_separation: Maximum distance of the galaxy (arcsec).

    Returns:
        Its row and its separation (arcsec).

    Raises:
        ValueError: The nearest one is farther than that.
    """
    places, rows = positions(known)
    separation = separations(places, ra, dec)
    i = int(np.argmin(separation))
    if separation[i] * 3600 > max_separation:
        raise ValueError(
            f"no galaxy within {max_separation:g} arcsec of ra {ra:g}, dec {dec:g}: the nearest, "
            f"{known.index[rows[i]]}, is {_angle(separation[i])} away"
        )
    return int(rows[i]), float(separation[i] * 3600)


def within_cone(known: pd.DataFrame, ra: float, dec: float, radius: float) -> np.ndarray:
    """(N,) bool: which galaxies lie within `radius` (deg) of a place; those without a position do not."""
    places, rows = positions(known)
    inside = np.zeros(len(known), bool)
    inside[rows] = separations(places, ra, dec) <= radius
    if not inside.any():
        raise ValueError(f"no galaxy lies within {radius:g} degrees of ra {ra:g}, dec {dec:g}")
    return inside


def separations(places, ra: float, dec: float) -> np.ndarray:
    """(M,) separations from one place, in degrees."""
    from astropy.coordinates import SkyCoord

    return places.separation(SkyCoord(ra, dec, unit="deg")).deg


def _angle(degrees: float) -> str:
    return f"{degrees * 3600:.1f} arcsec" if degrees < 0.1 else f"{degrees:.1f} degrees"


def nearest_place(sky: np.ndarray, ra: float, dec: float) -> tuple[int, float]:
    """The row of the place nearest to another and their separation (arcsec), quickly among millions.

    Args:
        sky: (N, 2) right ascension and declination (deg), NaN where there is none.
        ra: Right ascension (deg).
        dec: Declination (deg).

    Raises:
        ValueError: There are no places.
    """
    strips = np.abs(sky[:, 1] - dec)
    if not np.isfinite(strips).any():
        raise ValueError("no galaxy has both ra and dec")
    for width in (0.1, 3.0, 180.0):  # degrees in declination: most of the sky is not looked at
        rows = np.flatnonzero(strips <= width)
        if not len(rows):
            continue
        a, d = np.radians(sky[rows]).T
        r, e = np.radians([ra, dec])
        half = np.sin((d - e) / 2) ** 2 + np.cos(d) * np.cos(e) * np.sin((a - r) / 2) ** 2  # haversine
        separation = 2 * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
        best = int(np.nanargmin(separation))
        if np.degrees(separation[best]) <= width or width == 180.0:
            return int(rows[best]), float(3600 * np.degrees(separation[best]))
    raise ValueError("no galaxy has both ra and dec")
