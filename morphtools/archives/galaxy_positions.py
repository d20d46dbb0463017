"""Reads a table of positions: the galaxies, and the names of their files."""

import hashlib
import json
import logging
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd

from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.coordinates import sky_positions
from tfrecords_builder.fields import FIELDS

log = logging.getLogger(__name__)


def read_positions(positions: pd.DataFrame | str | Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Reads a table of positions, with `id_str`, and `ra` and `dec` in degrees.

    Args:
        positions: Table, or the path of one.

    Returns:
        The table, and (N,) why a position cannot be used, "" if it can.

    Raises:
        ValueError: It is not a table of positions, or ids are missing or repeated.
    """
    table = read_catalog(positions) if not isinstance(positions, pd.DataFrame) else positions
    table = check_catalog(table, ("ra", "dec"))
    sky, reasons = sky_positions(table[["ra", "dec"]].to_dict("records"))
    lost = ~np.isfinite(sky).all(1)
    reasons[lost & (reasons == "")] = "no position"
    table = table.assign(ra=np.where(lost, np.nan, sky[:, 0]), dec=np.where(lost, np.nan, sky[:, 1]))
    if "id_str" not in table:
        log.info("no column id_str: naming galaxies by their positions")
        names = [f"row{i}" for i in range(len(table))]  # of those that have none
        for i, name in zip(np.flatnonzero(~lost), _names(sky[~lost]), strict=True):
            names[i] = name
        table.insert(0, "id_str", names)
        table = check_catalog(table, ("id_str", "ra", "dec"))
    return table, reasons


def _names(sky: np.ndarray) -> list[str]:
    """Names by position as the IAU recommends: digits are cut off, not rounded."""
    names = []
    # a millionth of a unit is added, so that 10:00:27.80 does not become 27.79 by the rounding of floats
    for ra, dec in zip((sky[:, 0] * 24000 + 1e-6).astype(int), sky[:, 1], strict=True):  # hundredths of a second
        tenths = int(abs(dec) * 36000 + 1e-6)  # of an arcsecond
        h, m, s = ra // 360000, ra // 6000 % 60, ra % 6000 / 100
        d, arcmin, arcsec = tenths // 36000, tenths // 600 % 60, tenths % 600 / 10
        names.append(f"J{h:02d}{m:02d}{s:05.2f}{'-' if dec < 0 else '+'}{d:02d}{arcmin:02d}{arcsec:04.1f}")
    return names


def pixel_scales(galaxies: pd.DataFrame, field: str, size: int, reasons: np.ndarray) -> np.ndarray:
    """Computes the pixel scale at which the image of each galaxy shows a field.

    Args:
        galaxies: With the columns that the rule needs.
        field: A rule of `tfrecords_builder.fields`.
        size: Side of the images in pixels.
        reasons: (N,) why a galaxy cannot be used; galaxies without a field are added.

    Returns:
        (N,) arcsec per pixel, NaN without a field.
    """
    scales = np.full(len(galaxies), np.nan)
    for place, row in enumerate(galaxies.to_dict("records")):
        try:
            scales[place] = FIELDS[field](row) / size
        except ValueError as error:
            reasons[place] = reasons[place] or str(error)
    return scales


def digest_of(galaxies: pd.DataFrame) -> str:
    """The identity of a table: a hash of its columns and their content."""
    digest = hashlib.sha256(json.dumps([str(name) for name in galaxies.columns]).encode())
    digest.update(pd.util.hash_pandas_object(galaxies, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def file_names(ids: pd.Series, format: str) -> list[str]:
    """The path of every galaxy's file: names that any file system can store and distinguish."""
    names = [quote(name, safe=" +,=()").replace(".", "%2E", name.startswith(".")) for name in ids]
    same = Counter(name.casefold() for name in names)
    names = [
        f"{name[:100]}-{hashlib.sha256(id.encode()).hexdigest()[:16]}"
        if same[name.casefold()] > 1 or len(name) > 200
        else name
        for id, name in zip(ids, names, strict=True)
    ]
    return [f"images/{name}.{'fits' if format == 'fits' else 'jpg'}" for name in names]
