"""Named rules for how much sky an image of a galaxy shows."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfrecords_builder.naming import some

_HALF = ("petroth50", "petro_th50", "petroR50_r")  # NASA-Sloan Atlas v1.0.0 and v1.0.1, SDSS
_MOST = ("petroth90", "petro_th90", "petroR90_r")
_PIXELS = 424  # side of the images shown by Galaxy Zoo DECaLS


def gz_decals(row: Mapping[str, object]) -> float:
    """The field of Galaxy Zoo DECaLS: 424 pixels of max(min(0.04·p50, 0.02·p90), 0.1) arcsec.

    Args:
        row: A galaxy with its Petrosian radii of 50% and 90% of the light in arcsec: `petroth50` and `petroth90`
            (NASA-Sloan Atlas; also `petro_th50`, `petro_th90`), or `petroR50_r` and `petroR90_r` (SDSS).

    Returns:
        Side in arcsec.

    Raises:
        ValueError: A radius is missing or not positive.

    Reference:
        Walmsley et al. 2022, arXiv:2102.08414, equation 1.
    """
    half, most = (_radius(row, names) for names in (_HALF, _MOST))
    return _PIXELS * max(min(0.04 * half, 0.02 * most), 0.1)


FIELDS: dict[str, Callable[[Mapping[str, object]], float]] = {"gz_decals": gz_decals}


def _radius(row: Mapping[str, Any], names: tuple[str, ...]) -> float:
    capitals = {str(name).lower(): name for name in row}
    name = next((capitals[name.lower()] for name in names if name.lower() in capitals), None)
    if name is None:
        raise ValueError(f"the field gz_decals needs a column {' or '.join(names)}; the columns are {some(row, 12)}")
    try:
        radius = float("nan" if row[name] is None else row[name])
    except (TypeError, ValueError):
        radius = np.nan
    if not 0 < radius < np.inf:
        raise ValueError(f"the radius {name} must be above 0 arcsec, got {row[name]}")
    return radius
