"""Finds the points inside a polygon, among millions sorted into the cells of a grid."""

import numpy as np


def inside(x: np.ndarray, y: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Which points lie inside a polygon, by the even-odd rule: (n,) bool.

    Args:
        x: (n,) coordinates.
        y: (n,).
        polygon: (V, 2) corners; the last is joined to the first.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    within = np.zeros(len(x), bool)
    for (ax, ay), (bx, by) in _edges(polygon):
        if ay == by:
            continue
        crossed = (ay > y) != (by > y)
        at = ax + (y - ay) * ((bx - ax) / (by - ay))
        within ^= crossed & (x < at)
    return within


def classify_cells(polygon: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds the cells of a grid that are wholly inside a polygon, and those that its border may cross.

    Args:
        polygon: (V, 2) corners in units of cells, x and y from 0 to `cells`; they may lie outside.
        cells: Number of cells on each side of the grid.

    Returns:
        (cells, cells) bool each, by row (y) and column (x); a cell on the border is in the second only.
    """
    border = np.zeros((cells, cells), bool)
    for a, b in _edges(polygon):
        _mark(border, *sorted((tuple(a), tuple(b)), key=lambda corner: corner[1]))
    full = np.zeros((cells, cells), bool)
    centres = np.arange(cells) + 0.5
    for row in range(cells):
        crossings = np.sort([x for x in _crossings(polygon, row + 0.5)])
        full[row] = np.searchsorted(crossings, centres, side="right") % 2 == 1
    return full & ~border, border


def _edges(polygon: np.ndarray):
    corners = np.asarray(polygon, np.float64)
    return zip(corners, np.roll(corners, -1, axis=0), strict=True)


def _mark(border: np.ndarray, low: tuple, high: tuple) -> None:
    """Marks every cell that an edge touches and its neighbours, so that none is missed by rounding."""
    cells = len(border)
    first, last = (int(np.clip(np.floor(end), -1, cells)) for end in (low[1] - 1e-6, high[1] + 1e-6))
    rows = np.arange(max(first, 0), min(last, cells - 1) + 1)
    if not len(rows):
        return
    rise = high[1] - low[1]
    slope = (high[0] - low[0]) / rise if rise > 0 else 0.0
    ends = [np.clip(edge, low[1], high[1]) for edge in (rows - 1e-6, rows + 1 + 1e-6)]
    xs = [low[0] + (end - low[1]) * slope for end in ends] if rise > 0 else [np.full(len(rows), low[0])] * 2
    if rise < 1e-3:  # a flat edge stays in its rows
        xs = [np.full(len(rows), low[0]), np.full(len(rows), high[0])]
    left, right = np.minimum(*xs) - 1e-3, np.maximum(*xs) + 1e-3
    for row, start, stop in zip(rows, np.floor(left), np.floor(right), strict=True):
        border[row, int(np.clip(start, 0, cells)) : int(np.clip(stop + 1, 0, cells))] = True


def _crossings(polygon: np.ndarray, y: float) -> np.ndarray:
    """The places where the edges of a polygon cross a horizontal line."""
    corners = np.asarray(polygon, np.float64)
    nexts = np.roll(corners, -1, axis=0)
    crossed = (corners[:, 1] > y) != (nexts[:, 1] > y)
    a, b = corners[crossed], nexts[crossed]
    return a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
