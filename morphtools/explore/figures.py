"""Figures of representations. Each function returns a matplotlib `Figure` and changes no global state."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import hsv_to_rgb

from tfrecords_builder.plain_figure import BLUE, COLOURS, ORANGE, Figure

CLUSTER = "cluster"  # the column of `cluster`: its numbers are names
MOST_DOTS = 100_000
_ROWS = 2**20  # galaxies at a time


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], captions: Sequence[str], title: str) -> Figure:
    """Rows of pictures with a caption before each.

    Args:
        rows: (side, side, 3) uint8 pictures; rows may have different lengths.
        captions: One per row.
        title: Title of the figure.
    """
    side, columns = rows[0][0].shape[0], max(len(row) for row in rows)
    sheet = np.full((len(rows) * side, columns * side, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            sheet[i * side + 1 : (i + 1) * side - 1, j * side + 1 : (j + 1) * side - 1] = picture[1:-1, 1:-1]
    figure = Figure(figsize=(2.2 + 0.7 * columns, 0.5 + 0.7 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet, interpolation="nearest")
    axes.set_yticks(side * (np.arange(len(rows)) + 0.5), captions, fontsize=8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=11)
    return figure


def violins(cluster: np.ndarray, known: pd.DataFrame, clusters: int | None = None) -> Figure:
    """The distribution of every column in every cluster, and of all galaxies, with quartiles.

    Args:
        cluster: (N,) numbers from 0.
        known: (N rows) a numeric column per panel; NaN where unknown.
        clusters: How many there are; by default up to the largest number.
    """
    numbers = np.arange(cluster.max() + 1 if clusters is None else clusters)
    places = np.append(numbers.astype(float), len(numbers) + 0.5)  # all galaxies stand apart
    shape = (max(5.0, 0.45 * len(places) + 2), 1.5 * len(known.columns) + 0.6)
    figure = Figure(figsize=shape, layout="constrained")
    panels = figure.subplots(len(known.columns), sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, known.columns, strict=True):
        values = known[name].to_numpy(float)
        groups = [values[(cluster == number) & np.isfinite(values)] for number in numbers]
        groups.append(values[np.isfinite(values)])
        drawn = [i for i, group in enumerate(groups) if len(group) > 1 and np.ptp(group) > 0]
        if drawn:
            parts = axes.violinplot([groups[i] for i in drawn], places[drawn], widths=0.85, showextrema=False)
            for body in parts["bodies"]:
                body.set(facecolor=BLUE, alpha=0.45)
        occupied = [i for i, group in enumerate(groups) if len(group)]
        if occupied:
            low, middle, high = np.transpose([np.quantile(groups[i], (0.25, 0.5, 0.75)) for i in occupied])
            axes.vlines(places[occupied], low, high, color=ORANGE, lw=1.2)
            axes.plot(places[occupied], middle, "_", color=ORANGE, ms=9, mew=2)
        axes.set_ylabel(_wrapped(name), fontsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_title("Distribution in every cluster, with median and quartiles", fontsize=10)
    panels[-1].set_xlabel("cluster")
    panels[-1].set_xticks(places, [*map(str, numbers), "all"])
    return figure


def map_gallery(x: np.ndarray, y: np.ndarray, cells: int) -> np.ndarray:
    """Which galaxy stands for each cell of a grid over a map: the one nearest to its middle.

    Args:
        x: (N,) positions.
        y: (N,) positions.
        cells: Cells on each side.

    Returns:
        (cells, cells) rows of galaxies, the highest y first; −1 where a cell is empty.
    """
    (x_low, x_high), (y_low, y_high) = ((values.min(), values.max()) for values in (x, y))
    grid, best = np.full(cells * cells, -1), np.full(cells * cells, np.inf)
    for start in range(0, len(x), _ROWS):
        part = slice(start, start + _ROWS)
        place = np.stack([_unit(x[part], x_low, x_high), _unit(y[part], y_low, y_high)], axis=1) * cells
        cell = np.minimum(place.astype(int), cells - 1)
        away = np.hypot(*(place - cell - 0.5).T)
        number = (cells - 1 - cell[:, 1]) * cells + cell[:, 0]
        order = np.argsort(-away, kind="stable")  # the nearest last: it stays
        order = order[away[order] <= best[number[order]]]
        grid[number[order]], best[number[order]] = start + order, away[order]
    return grid.reshape(cells, cells)


def _unit(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return (values - low) / (high - low) if high > low else np.full(len(values), 0.5)


def map_of_pictures(grid: np.ndarray, pictures: dict[int, np.ndarray], title: str) -> Figure:
    """The map as a grid of galaxies (Walmsley et al. 2022, arXiv:2110.12735, figure 1).

    Args:
        grid: As `map_gallery` gives it.
        pictures: (side, side, 3) uint8 of every galaxy in it.
        title: Title of the figure.
    """
    side, cells = len(next(iter(pictures.values()))), len(grid)
    sheet = np.full((cells * side, cells * side, 3), 255, np.uint8)
    for (i, j), row in np.ndenumerate(grid):
        if row >= 0:
            sheet[i * side : (i + 1) * side, j * side : (j + 1) * side] = pictures[row]
    figure = Figure(figsize=(cells * side / 150, cells * side / 150 + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, fontsize=11)
    return figure


def map_panels(x: np.ndarray, y: np.ndarray, known: pd.DataFrame, seed: int = 0) -> Figure:
    """The map once for every column, coloured by it; galaxies of which it is not known are grey.

    Numbers are drawn in viridis between their 1st and 99th percentile; words in a colour each, at most eight, and
    numbers of a column `cluster` too, however many. Of more than 100,000 galaxies a random part is drawn.

    Args:
        x: (N,) positions.
        y: (N,) positions.
        known: (N rows) one column per panel.
        seed: Seed of the draw and of who is drawn on top.
    """
    order = np.random.default_rng(seed).permutation(len(x))[:MOST_DOTS]
    x, y, known = x[order], y[order], known.iloc[order]
    columns = min(3, max(1, len(known.columns)))
    lines = max(1, -(-len(known.columns) // columns))
    figure = Figure(figsize=(4.6 * columns, 3.9 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    dots = {"s": float(np.clip(3e4 / len(x), 0.5, 14)), "linewidths": 0, "rasterized": True}
    for axes in panels:
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_visible(False)
        axes.set_visible(False)
    for axes, name in zip(panels, known.columns, strict=False):
        axes.set_visible(True)
        colour_panel(figure, axes, x, y, known[name], dots)
    if not len(known.columns):
        panels[0].set_visible(True)
        panels[0].scatter(x, y, color=BLUE, **dots)
    return figure


def colour_panel(figure: Figure, axes, x: np.ndarray, y: np.ndarray, values: pd.Series, dots: dict) -> None:
    """Draws galaxies coloured by what is known of them, as `map_panels` does.

    Args:
        figure: Figure of the axes.
        axes: Where to draw.
        x: (N,) positions.
        y: (N,) positions.
        values: (N,) numbers or words; NaN where unknown.
        dots: Keyword arguments of `scatter`.
    """
    known, name = values.notna().to_numpy(), values.name
    axes.scatter(x[~known], y[~known], color="0.88", **dots | {"s": dots["s"] / 2})
    dots = dots | {"s": float(np.clip(3e4 / max(1, known.sum()), dots["s"], 14))}
    values = values[known]
    if name == CLUSTER:
        _words(axes, x[known], y[known], values.astype(int), dots, colours_of(values.nunique()))
    elif pd.api.types.is_numeric_dtype(values) and values.nunique() > 2:
        _numbers(figure, axes, x[known], y[known], values, dots)
    else:
        _words(axes, x[known], y[known], values, dots, COLOURS)
    axes.set_title(f"{name} ({known.sum():,})", fontsize=9)


def _numbers(figure, axes, x, y, values: pd.Series, dots) -> None:
    low, high = np.percentile(values, [1, 99])
    drawn = axes.scatter(x, y, c=values, cmap="viridis", vmin=low, vmax=high, **dots)
    figure.colorbar(drawn, ax=axes, shrink=0.75, pad=0.01).ax.tick_params(labelsize=7)


def colours_of(number: int) -> list:
    """So many colours: those of the palette, or for more than it has, hues all around, one after another far apart."""
    if number <= len(COLOURS):
        return list(COLOURS[:number])
    hues = np.arange(number) * (np.sqrt(5) - 1) / 2 % 1  # the golden ratio: any number of them is spread evenly
    brightness = np.take([0.85, 0.55], np.arange(number) % 2)
    return list(hsv_to_rgb(np.stack([hues, np.full(number, 0.75), brightness], axis=1)))


def _words(axes, x, y, values: pd.Series, dots, colours: Sequence) -> None:
    names = sorted(values.unique()) if values.name == CLUSTER else values.value_counts().index
    for name, colour in zip(names, colours, strict=False):
        at = (values == name).to_numpy()
        axes.scatter(x[at], y[at], color=colour, label=str(name), **dots)
    if len(names) > len(colours):
        axes.scatter([], [], color="0.88", label=f"{len(names) - len(colours)} others, not drawn")
    where = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "ncols": -(-len(axes.collections) // 25)}
    legend = axes.legend(fontsize=6, frameon=False, handletextpad=0.1, **where)
    for handle in legend.legend_handles:
        handle.set_sizes([18])


def stationarity(
    x: np.ndarray, y: np.ndarray, moved: list[tuple[np.ndarray, np.ndarray]], spread: np.ndarray
) -> Figure:
    """How far galaxies move on the map when they are augmented.

    Args:
        x: (N,) positions of all galaxies.
        y: (N,) positions.
        moved: For some galaxies, their own position (2,) and those of their views (V, 2).
        spread: For each of them, the median distance of its views from it over that of two galaxies drawn at random.
    """
    figure = Figure(figsize=(9.4, 4.4), layout="constrained")
    axes, beside = figure.subplots(1, 2, width_ratios=(1.25, 1))
    axes.scatter(x, y, s=1, color="0.88", linewidths=0, rasterized=True)
    for i, (own, views) in enumerate(moved[:40]):
        colour = COLOURS[i % 6]
        for view in views:
            axes.plot([own[0], view[0]], [own[1], view[1]], lw=0.5, color=colour)
        axes.plot(*own, ".", color=colour, ms=5)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(False)
    axes.set_title(f"{min(40, len(moved))} galaxies and their augmented views", fontsize=9)
    beside.hist(spread, np.linspace(0, max(1.0, float(np.max(spread))), 31), color=BLUE)
    beside.axvline(np.median(spread), color=ORANGE, label=f"median {np.median(spread):.2f}")
    beside.set(xlabel="distance moved / distance of two random galaxies", ylabel="galaxies")
    beside.legend(frameon=False, fontsize=8)
    beside.spines[["top", "right"]].set_visible(False)
    return figure


def precision_bars(table: pd.DataFrame, k: int) -> Figure:
    """Precision@k of every class, by representation, with its interval, and what chance would give.

    Args:
        table: Columns `representations`, `column`, `value`, `precision`, `low`, `high`, `chance`.
        k: Number of neighbours.
    """
    classes = list(dict.fromkeys(zip(table["column"], table["value"], strict=True)))
    stores = list(dict.fromkeys(table["representations"]))
    figure = Figure(figsize=(6.6, 0.9 + 0.22 * len(classes) * (len(stores) + 1)), layout="constrained")
    axes = figure.subplots()
    table = table.set_index(["representations", "column", "value"]).sort_index()
    for i, (column, value) in enumerate(classes):
        for j, store in enumerate(stores):
            if (store, column, value) not in table.index:
                continue
            row, at = table.loc[(store, column, value)], i * (len(stores) + 1) + j
            errors = [[row["precision"] - row["low"]], [row["high"] - row["precision"]]]
            label = store if i == 0 else None
            axes.barh(at, row["precision"], 0.9, color=COLOURS[j % len(COLOURS)], label=label, alpha=0.85)
            axes.errorbar(row["precision"], at, xerr=np.maximum(errors, 0), color="0.2", lw=1)
            axes.plot([row["chance"]] * 2, [at - 0.5, at + 0.5], ":", color="0.2", lw=1)
    ticks = [i * (len(stores) + 1) + (len(stores) - 1) / 2 for i in range(len(classes))]
    labels = [value if value == column else f"{value}\n({column})" for column, value in classes]
    axes.set_yticks(ticks, [each.replace("_", " ") for each in labels], fontsize=7)
    axes.set_ylim(len(classes) * (len(stores) + 1) - 1, -1)
    axes.set(xlim=(0, 1), xlabel=f"precision@{k} (dotted: chance)")
    axes.set_title(f"Of the {k} nearest neighbours, how many share the class?", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(fontsize=7, frameon=False, loc="outside upper center", ncols=min(3, len(stores)))
    return figure


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(name.replace("_", " "), 20))
