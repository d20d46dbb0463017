"""Draws the map: millions of galaxies, sorted into a grid, as density or dots, coloured by a column."""

import io
from typing import NamedTuple

import numpy as np

from morphtools.app.lasso import classify_cells, inside

_CELLS = 512  # on each side of the grid
_DOTS = ((5_000, None), (50_000, 3), (200_000, 2))  # up to this many galaxies in view: diameter of each dot, in pixels
_LEVELS = 8  # of opacity
_GREY, _BLUE, _ORANGE = (150, 150, 150), "#4080c8", "#e66e00"
# matplotlib's viridis in nine steps, and the palette of Okabe & Ito (2008): both safe for colour-blind readers
VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#7a5195")


class View(NamedTuple):
    """A part of the map, and the size of its picture.

    Attributes:
        x0: Left edge, in map coordinates.
        x1: Right edge.
        y0: Bottom edge.
        y1: Top edge.
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.
    """

    x0: float
    x1: float
    y0: float
    y1: float
    width: int = 1
    height: int = 1


class Colouring(NamedTuple):
    """Colours of galaxies.

    Attributes:
        table: (K, 3) uint8 colours.
        value: (N,) float32 from 0 to K − 1 along a colour scale, NaN where unknown; or integers, -1 where unknown.
    """

    table: np.ndarray
    value: np.ndarray


class Grid:
    """Galaxies on a map, sorted into the cells of a grid, so that a view reads only those near it (20 N bytes).

    Args:
        x: (N,) map coordinates; NaN for a galaxy that is not on the map.
        y: (N,) map coordinates.

    Attributes:
        bounds: x0, x1, y0, y1 that enclose all galaxies.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray):
        total, rows = len(x), np.flatnonzero(np.isfinite(x) & np.isfinite(y)).astype(np.int32)
        x, y = np.asarray(x, np.float32)[rows], np.asarray(y, np.float32)[rows]
        x0, x1, y0, y1 = (float(end) for end in (x.min(), x.max(), y.min(), y.max())) if len(x) else (0.0, 1.0) * 2
        if x0 == x1 and y0 == y1:  # a single position is shown in the middle
            x0, x1, y0, y1 = x0 - 0.5, x1 + 0.5, y0 - 0.5, y1 + 0.5
        self.bounds = x0, x1, y0, y1
        self._corner = np.array([x0, y0])
        self._scale = _CELLS / np.maximum([x1 - x0, y1 - y0], 1e-6)
        column, row = self._cell(x, 0), self._cell(y, 1)
        order = np.argsort(column.astype(np.uint16), kind="stable")  # 16 bits: a radix sort
        order = order[np.argsort(row[order].astype(np.uint16), kind="stable")]
        counts = np.bincount(row * np.int32(_CELLS) + column, minlength=_CELLS**2)
        self.rows, self._x, self._y, self.total = rows[order], x[order], y[order], total
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return len(self.rows)

    def within(self, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The galaxies in a view: their x, y and rows."""
        x0, x1, y0, y1 = view[:4]
        x, y, rows = self._near(view)
        if x0 <= self.bounds[0] and self.bounds[1] <= x1 and y0 <= self.bounds[2] and self.bounds[3] <= y1:
            return x, y, rows
        keep = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
        return (x, y, rows) if keep.all() else (x[keep], y[keep], rows[keep])

    def nearest(self, x: float, y: float, radius: float) -> int | None:
        """The row of the galaxy nearest to a point on the map, or None if none lies within a radius."""
        xs, ys, rows = self._near(View(x - radius, x + radius, y - radius, y + radius))
        if not len(rows):
            return None
        away = (xs - x) ** 2 + (ys - y) ** 2
        best = int(away.argmin())
        return int(rows[best]) if away[best] <= radius**2 else None

    def lasso(self, polygon: np.ndarray) -> np.ndarray:
        """The rows of the galaxies inside a polygon (V, 2), in order."""
        corners = (np.asarray(polygon, np.float64) - self._corner) * self._scale
        full, border = classify_cells(corners, _CELLS)
        x, y, rows = self._cells(border)
        kept = rows[inside(x, y, polygon)]
        return np.sort(np.concatenate([self._cells(full)[2], kept]))

    def middles(
        self, view: View, columns: int, rows: int, chosen: np.ndarray | None = None
    ) -> list[tuple[int, int, int, int]]:
        """Column, row (0 at the top), number of galaxies, and most central galaxy of each occupied cell of a view.

        Args:
            view: The part of the map.
            columns: Number of cells across.
            rows: Number of cells down.
            chosen: (N,) bool: consider only these galaxies.
        """
        x, y, numbers = self.within(view)
        if chosen is not None:
            x, y, numbers = (values[chosen[numbers]] for values in (x, y, numbers))
        if not len(numbers):
            return []
        u = (x - np.float32(view.x0)) * np.float32(columns / (view.x1 - view.x0))
        v = (np.float32(view.y1) - y) * np.float32(rows / (view.y1 - view.y0))
        column, row = (np.clip(part.astype(int), 0, n - 1) for part, n in ((u, columns), (v, rows)))
        cell = row * columns + column
        away = ((u - column - 0.5) ** 2 + (v - row - 0.5) ** 2).astype(np.float32)
        least = np.full(columns * rows, np.inf, np.float32)
        np.minimum.at(least, cell, away)
        middle = np.flatnonzero(away == least[cell])
        filled, first = np.unique(cell[middle], return_index=True)
        counts = np.bincount(cell, minlength=columns * rows)
        return [
            (int(c % columns), int(c // columns), int(counts[c]), int(numbers[i]))
            for c, i in zip(filled, middle[first], strict=True)
        ]

    def picture(
        self, view: View, colouring: Colouring | None = None, chosen: np.ndarray | None = None, dot: int = 4
    ) -> tuple[bytes, int]:
        """Draws a view as a PNG with a transparent background, and counts the galaxies in it.

        Opacity shows density. A pixel shows the mean value, or the most common category, of its galaxies.

        Args:
            view: What to draw.
            colouring: The colours, at most 30; None: one colour for all.
            chosen: (N,) bool: the other galaxies are grey and drawn below these.
            dot: Diameter of a galaxy in pixels, if few are in view.
        """
        x, y, rows = self.within(view)
        across = ((x - np.float32(view.x0)) * np.float32(view.width / (view.x1 - view.x0))).astype(np.int32)
        down = ((np.float32(view.y1) - y) * np.float32(view.height / (view.y1 - view.y0))).astype(np.int32)
        np.clip(across, 0, view.width - 1, out=across)
        np.clip(down, 0, view.height - 1, out=down)
        size = next((d or dot for most, d in _DOTS if len(rows) <= most), 1)
        image = np.zeros(view.height * view.width, np.uint8)  # 0 is transparent, then `_LEVELS` of each colour
        if colouring is None:
            table = colours((_BLUE if chosen is None else _ORANGE,))
            colouring = Colouring(table, np.broadcast_to(np.int8(0), self.total))
        if chosen is not None:
            shown = chosen[rows]
            _paint(image, view, across[~shown], down[~shown], None, len(colouring.table), size)
            across, down, rows = across[shown], down[shown], rows[shown]
        _paint(image, view, across, down, colouring.value[rows], len(colouring.table), size)
        return _png(image.reshape(view.height, view.width), colouring.table), len(x)

    def _cell(self, values: np.ndarray, axis: int) -> np.ndarray:
        cell = (values - values.dtype.type(self._corner[axis])) * values.dtype.type(self._scale[axis])
        return np.clip(cell, 0, _CELLS - 1, out=cell).astype(np.int32)

    def _near(self, view: View):
        """Galaxies in the cells that a view overlaps."""
        (c0, c1), (r0, r1) = (
            self._cell(np.array(ends, np.float64), axis) for axis, ends in enumerate((view[:2], view[2:4]))
        )
        if (c0, r0, c1, r1) == (0, 0, _CELLS - 1, _CELLS - 1):
            return self._x, self._y, self.rows
        starts = self._starts[np.arange(r0, r1 + 1) * _CELLS + c0]
        stops = self._starts[np.arange(r0, r1 + 1) * _CELLS + c1 + 1]
        return self._ranges(starts, stops)

    def _cells(self, which: np.ndarray):
        (numbers,) = np.nonzero(which.ravel())
        if not len(numbers):
            return self._ranges(np.zeros(1, int), np.zeros(1, int))
        ends = np.flatnonzero(np.diff(numbers, append=-1) != 1)  # adjacent cells form one range
        begins = np.concatenate([[0], ends[:-1] + 1])
        return self._ranges(self._starts[numbers[begins]], self._starts[numbers[ends] + 1])

    def _ranges(self, starts: np.ndarray, stops: np.ndarray):
        slices = [slice(a, b) for a, b in zip(starts, stops, strict=True)]
        return tuple(np.concatenate([values[part] for part in slices]) for values in (self._x, self._y, self.rows))


def colours(names: tuple[str, ...]) -> np.ndarray:
    """(K, 3) uint8 values of colours such as `#0072b2`."""
    return np.array([[int(name[i : i + 2], 16) for i in (1, 3, 5)] for name in names], np.uint8)


def scale() -> np.ndarray:
    """(30, 3) uint8 along viridis."""
    at = np.linspace(0, 1, len(VIRIDIS))
    steps = np.linspace(0, 1, 30)
    return np.stack([np.interp(steps, at, band) for band in colours(VIRIDIS).T], axis=1).round().astype(np.uint8)


def _paint(image: np.ndarray, view: View, across, down, value, number: int, size: int) -> None:
    """Draws galaxies over an image (P,) of palette numbers; in grey if they have no values."""
    if not len(across):
        return
    flat, repeats = _dots(across, down, view, size)
    count = np.bincount(flat, minlength=len(image))
    (touched,) = np.nonzero(count)
    galaxies = count[touched]
    full = np.log1p(np.partition(galaxies, len(galaxies) * 199 // 200)[len(galaxies) * 199 // 200])
    levels = np.log1p(np.arange(int(galaxies.max()) + 1)) / full * _LEVELS if galaxies.max() < 2**20 else None
    level = np.log1p(galaxies) / full * _LEVELS if levels is None else levels[galaxies]
    colour = np.full(len(touched), number)  # the last one is grey
    if value is not None:
        value = np.tile(value, repeats) if repeats > 1 else value
        mix = _means if value.dtype.kind == "f" else _modes
        colour = mix(flat, value, number, count)[touched]
    image[touched] = 1 + colour * _LEVELS + np.clip(level, 0, _LEVELS - 1).astype(int)


def _dots(across, down, view: View, size: int) -> tuple[np.ndarray, int]:
    """Pixels of a disc around each galaxy, one disc pixel of all galaxies after the other, and pixels per disc."""
    if size <= 1:
        return down * np.int32(view.width) + across, 1
    at = np.arange(size) - (size - 1) / 2
    dy, dx = np.nonzero(at[:, np.newaxis] ** 2 + at**2 <= (size / 2) ** 2)
    parts = []
    for j, i in zip(dy - size // 2, dx - size // 2, strict=True):
        columns, rows = np.clip(across + i, 0, view.width - 1), np.clip(down + j, 0, view.height - 1)
        parts.append(rows * np.int32(view.width) + columns)
    return np.concatenate(parts), len(parts)


def _means(flat: np.ndarray, value: np.ndarray, number: int, count: np.ndarray) -> np.ndarray:
    """(P,) the colour of the mean value; `number` where it is unknown."""
    good = np.isfinite(value)
    if not good.all():
        flat, value = flat[good], value[good]
        count = np.bincount(flat, minlength=len(count))
    total = np.bincount(flat, weights=value, minlength=len(count))
    step = np.clip(total / np.maximum(count, 1), 0, number - 1).astype(np.int64)
    return np.where(count > 0, step, number)


def _modes(flat: np.ndarray, value: np.ndarray, number: int, count: np.ndarray) -> np.ndarray:
    """(P,) the colour of the most common category; `number` where it is unknown."""
    best, most = np.full(len(count), number), np.zeros(len(count), count.dtype)
    if number == 1:
        return np.where(count > 0, 0, number)
    for code in range(number):
        here = np.bincount(flat[value == code], minlength=len(count))
        wins = here > most
        best[wins] = code
        most[wins] = here[wins]
    return best


def _png(image: np.ndarray, table: np.ndarray) -> bytes:
    """Encodes an image of palette numbers as PNG, in a quarter of the size and time of RGBA."""
    from PIL import Image

    rgb = np.concatenate([np.zeros((1, 3), np.uint8), np.repeat([*table, _GREY], _LEVELS, axis=0)]).astype(np.uint8)
    alpha = np.linspace(70, 255, _LEVELS).round().astype(np.uint8)
    alpha = np.concatenate([[0], np.tile(alpha, len(table)), np.round(alpha * 0.6)]).astype(np.uint8)
    picture = Image.fromarray(image, "P")
    picture.putpalette(rgb.tobytes())
    file = io.BytesIO()
    picture.save(file, "png", compress_level=1, transparency=alpha.tobytes())
    return file.getvalue()
