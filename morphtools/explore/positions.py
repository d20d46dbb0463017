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
    ra, dec = (pd.to_numeric(known[name], errors="coerce").to_numpy(float) for name in ("ra", "dec"))
    rows = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if not len(rows):
        raise ValueError("no galaxy of the catalogue has both ra and dec")
    return SkyCoord(ra[rows], dec[rows], unit="deg"), rows


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
