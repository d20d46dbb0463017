"""A map of galaxies that look alike beside their map on the sky, in the same colours."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from morphtools.explore.figures import colour_panel
from morphtools.explore.positions import positions
from tfrecords_builder.plain_figure import Figure

_MOST_DOTS = 100_000


def sky_figure(x: np.ndarray, y: np.ndarray, known: pd.DataFrame, columns: Sequence[str] = (), seed: int = 0) -> Figure:
    """Draws galaxies on the sky (Mollweide, from RA 0° on the right to 360° on the left) in the colours of their map.

    Where galaxies of one colour gather on the sky, their representations know something of the place: a depth, a
    seeing, dust, or a large structure.

    Args:
        x: (N,) places on the map.
        y: (N,) places on the map.
        known: (N rows) with `ra` and `dec` (deg, ICRS).
        columns: Columns of `known`, such as `cluster`: a sky for each, coloured by it.
        seed: Seed of the order of the dots, and of the pairs.

    Raises:
        ValueError: There are no positions.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, figure 6.
    """
    sky, rows = positions(known)
    rows_drawn = np.random.default_rng(seed).permutation(len(rows))[:_MOST_DOTS]
    sky, rows = sky[rows_drawn], rows[rows_drawn]
    places = np.stack([x, y], axis=1)[rows]
    at = np.radians(180 - sky.ra.deg), sky.dec.rad
    figure = Figure(figsize=(10.5, 3.9 * (1 + -(-len(columns) // 2))), layout="constrained")
    grid = figure.add_gridspec(1 + -(-len(columns) // 2), 2)
    dots: dict[str, Any] = {"s": float(np.clip(3e4 / len(rows), 0.5, 14)), "linewidths": 0, "rasterized": True}
    colours = _colours(places)
    above, beside = _sky(figure, grid[0, 0]), figure.add_subplot(grid[0, 1], aspect="equal", xticks=[], yticks=[])
    above.scatter(*at, c=colours, **dots)
    above.set_title(f"{len(rows):,} galaxies on the sky", fontsize=9)
    beside.scatter(places[:, 0], places[:, 1], c=colours, **dots)
    beside.spines[:].set_visible(False)
    near, apart = neighbours_on_sky(places, sky, seed)
    beside.set_title(f"nearest on the map: {near:.1f}° apart on the sky; two at random: {apart:.1f}°", fontsize=9)
    for i, name in enumerate(columns):
        colour_panel(figure, _sky(figure, grid[1 + i // 2, i % 2]), *at, known[name].iloc[rows], dots)
    return figure


def neighbours_on_sky(places: np.ndarray, sky, seed: int = 0) -> tuple[float, float]:
    """Median separation (deg) of galaxies from their nearest on the map, and of two galaxies at random.

    Args:
        places: (N, 2) on the map.
        sky: `SkyCoord` of the N.
        seed: Seed of the pairs.
    """
    nearest = cKDTree(places).query(places, k=2)[1]
    other = np.where(nearest[:, 0] == np.arange(len(places)), nearest[:, 1], nearest[:, 0])
    random = np.roll(np.random.default_rng(seed).permutation(len(places)), 1)
    near, apart = (float(np.median(sky.separation(sky[rows]).deg)) for rows in (other, random))
    return near, apart


def _colours(places: np.ndarray) -> np.ndarray:
    """(N, 3): a hue by the direction from the middle of the map, paler the nearer to it."""
    from matplotlib.colors import hsv_to_rgb

    ranks = places.argsort(axis=0, kind="stable").argsort(axis=0) / max(1, len(places) - 1) - 0.5  # islands count alike
    hue = np.arctan2(*ranks.T) / (2 * np.pi) % 1
    away = np.clip(2 * np.abs(ranks).max(axis=1), 0.15, 1)
    return hsv_to_rgb(np.stack([hue, away, np.full(len(places), 0.85)], axis=1))


def _sky(figure: Figure, place):
    axes = figure.add_subplot(place, projection="mollweide")
    axes.grid(color="0.85", lw=0.5)
    ticks = np.arange(-120, 121, 60)
    axes.set_xticks(np.radians(ticks), [f"{180 - tick}°" for tick in ticks], fontsize=7)
    axes.tick_params(labelsize=7)
    return axes
