"""Reads positions of galaxies as catalogues write them: degrees or sexagesimal text."""

import warnings

import numpy as np


def sky_positions(rows: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Right ascension and declination of rows of a catalogue.

    Numbers are degrees; right ascension may be given from -180 to 180 or beyond 360. Text such as `10:00:28.6` or
    `10h00m28.6s` in `ra` is hours, `+02:12:21` in `dec` degrees; `150d07m09s` is degrees in either.

    Args:
        rows: With columns `ra` and `dec` (or `RA` and `DEC`), or without.

    Returns:
        (N, 2) degrees, right ascension within 0–360, NaN if a row has no position; and (N,) the reason why a position
        cannot be used, "" if it can.
    """
    sky, reasons = np.full((len(rows), 2), np.nan), np.full(len(rows), "", object)
    for i, row in enumerate(rows):
        try:
            right, up = (row.get(name, row.get(name.upper())) for name in ("ra", "dec"))
            sky[i] = _degrees(right, "ra", 360.0), _degrees(up, "dec", 90.0)
        except ValueError as error:
            reasons[i] = str(error)
    sky[:, 0] %= 360.0
    return sky, reasons


def _degrees(value, name: str, limit: float) -> float:
    degrees = to_number(value)
    if isinstance(value, str) and value.strip() and np.isnan(degrees) and value.strip().lower() not in ("nan", "none"):
        degrees = _sexagesimal(value.strip(), name)
    if np.isfinite(degrees) and not -limit <= degrees <= limit * (2 if name == "ra" else 1):
        raise ValueError(f"{name} is {value}, which is not a position in degrees")
    return degrees


def _sexagesimal(text: str, name: str) -> float:
    from astropy.coordinates import Angle
    from astropy.units import deg, hourangle

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 60 seconds, by rounding
            degrees = float(Angle(text, unit=hourangle if name == "ra" else deg).deg)
    except Exception:  # astropy raises many kinds of exceptions, which all mean the same here
        degrees = float("nan")
    if not (0 <= degrees <= 360 if name == "ra" else -90 <= degrees <= 90):
        example = "150.116 or 10:00:27.8" if name == "ra" else "2.206 or +02:12:21.6"
        raise ValueError(f"{name} is {text!r}, which cannot be read; expected for example {example}")
    return degrees


def to_number(value) -> float:
    """A value of the catalogue as a number; NaN if it is not one."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
