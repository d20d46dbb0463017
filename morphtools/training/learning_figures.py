"""Figures of training against time and against the number of labels."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import NullLocator

from morphtools.answers.score_names import score_name
from tfrecords_builder.plain_figure import BLUE, COLOURS, GREY, Figure

_STYLES = {"random encoder": ":", "starting weights": "--", "pixels + PCA": "-.", "most common class": (0, (1, 4))}


def learning_curve(history, baselines: dict[str, dict], guess: float, title: str = "") -> Figure:
    """Draws loss, k-NN score of each label, and the number of dimensions used, against epoch.

    Args:
        history: Table with `epoch`, `loss`, `spread`, `effective_rank`, and `knn NAME` for every label.
        baselines: The same scores of the baselines to beat, by name.
        guess: The loss of a guess.
        title: Title of the figure.
    """
    names = [c.removeprefix("knn ") for c in history if c.startswith("knn ") and not c.endswith((" low", " high"))]
    panels = 2 + len(names)
    columns = panels if panels <= 4 else 3
    rows = -(-panels // columns)
    figure = Figure(figsize=(3.7 * columns, 3.1 * rows + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[panels:]:
        axes.set_axis_off()
    epoch = history["epoch"].to_numpy()
    _loss(grid[0], epoch, history["loss"].to_numpy(), guess)
    _rank(grid[1], epoch, history, baselines)
    for axes, name, colour in zip(grid[2:], names, COLOURS * 9, strict=False):
        _label(axes, epoch, history, name, baselines, colour)
    for axes in grid[:panels]:
        _against_epoch(axes)
    return figure


def scores_by_labels(
    results, table, metric: str | Sequence[str], published: dict[str, float], title: str, below: str = ""
) -> Figure:
    """Draws scores against the number of labels for every way of training, with the interval of the mean over seeds.

    Args:
        results: One row per `way`, number of `labels` and seed, with the scores.
        table: One row per `way` and number, with the mean scores, `… low` and `… high`.
        metric: Name of the score, or of several, with a panel each.
        published: Published scores by name, drawn as dotted lines in the first panel.
        title: Title of the figure.
        below: Text under the axes.
    """
    metrics = [metric] if isinstance(metric, str) else list(metric)
    width = 7.6 if len(metrics) == 1 else 4.8 * len(metrics)
    figure = Figure(figsize=(width, 5.2 + 0.25 * (below.count("\n") + 1)), layout="constrained")
    for axes, each in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        _by_labels(axes, results, table, each, published if each == metrics[0] else {})
    figure.suptitle(title, fontsize=11)
    if below:
        wrapped = "\n".join(textwrap.fill(line, round(14.5 * width)) for line in below.split("\n"))
        figure.supxlabel(wrapped, fontsize=7.5, x=0.02, ha="left")
    return figure


def _by_labels(axes, results, table, metric: str, published: dict[str, float]) -> None:
    for i, (way, part) in enumerate(table.groupby("way", sort=False)):
        colour, aside = COLOURS[i % len(COLOURS)], 1.015 ** (i - (table["way"].nunique() - 1) / 2)
        x, y = aside * part["labels"].to_numpy(float), part[metric].to_numpy(float)
        errors = [y - part[f"{metric} low"], part[f"{metric} high"] - y]
        axes.errorbar(x, y, np.nan_to_num(errors), color=colour, marker="o", ms=4.5, lw=1.6, elinewidth=1, label=way)
        each = results[results["way"] == way]
        axes.plot(aside * each["labels"], each[metric], ".", color=colour, ms=3.5, alpha=0.4)
    for i, (name, value) in enumerate(published.items()):
        axes.axhline(value, color=GREY, ls=(":", "--", "-.")[i % 3], lw=1.1, label=f"published: {name}")
    ticks = sorted({round(each) for each in table.groupby("asked")["labels"].mean()})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=8)
    axes.xaxis.set_minor_locator(NullLocator())
    several = " (mean over seeds, 95% interval)" if (table["seeds"] > 1).any() else ""
    axes.set(xlabel="labels, for training and validation", ylabel=score_name(metric) + several)
    axes.grid(axis="y", color="0.93")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def scores_by_epoch(table, pixels: dict[str, float], title: str = "") -> Figure:
    """Draws the k-NN score of each label after every epoch, for every start.

    Args:
        table: One row per `start` and `epoch`, with `knn NAME`, `… low` and `… high` for every label.
        pixels: The same scores of the principal components of pixels.
        title: Title of the figure.
    """
    names = [c.removeprefix("knn ") for c in table if c.startswith("knn ") and not c.endswith((" low", " high"))]
    columns = min(3, max(1, len(names)))
    rows = max(1, -(-len(names) // columns))
    figure = Figure(figsize=(1.2 + 4.2 * columns, 0.5 + 3.6 * rows), layout="constrained")
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(grid, names, strict=False):
        for (start, part), colour in zip(table.groupby("start", sort=False), COLOURS * 9, strict=False):
            _neighbours(axes, part["epoch"], part, name, colour, start)
        _to_beat(axes, name, {"pixels + PCA": pixels})
        axes.set_title(f"{name}, by 5 nearest neighbours", fontsize=9)
        _against_epoch(axes)
    return figure


def _loss(axes, epoch, loss, guess) -> None:
    axes.plot(epoch, loss, color=BLUE, lw=1.6, marker="o", ms=3)
    top = np.nanmax(loss)
    if top > 0.7 * guess:  # otherwise the line would flatten the curve
        axes.axhline(guess, color=GREY, ls=":")
        axes.annotate(f"a guess, {guess:.2f}", (1, guess), xycoords=("axes fraction", "data"), xytext=(0, 2),
                      textcoords="offset points", ha="right", va="bottom", fontsize=7, color=GREY)  # fmt: skip
    axes.set_title("loss", fontsize=9)


def _label(axes, epoch, history, name, baselines, colour) -> None:
    _neighbours(axes, epoch, history, name, colour, "5 neighbours")
    if f"linear {name}" in history:
        axes.plot(epoch, history[f"linear {name}"], color=colour, lw=1, alpha=0.6, label="linear")
    _to_beat(axes, name, baselines)
    axes.set_title(f"{name}, from the representations", fontsize=9)


def _neighbours(axes, epoch, history, name, colour, label) -> None:
    axes.fill_between(epoch, history[f"knn {name} low"], history[f"knn {name} high"], color=colour, alpha=0.15, lw=0)
    axes.plot(epoch, history[f"knn {name}"], color=colour, lw=1.6, marker="o", ms=3, label=label)


def _to_beat(axes, name, baselines) -> None:
    """Draws lines for the baselines, and labels the axes."""
    for baseline, scores in baselines.items():
        if f"knn {name}" in scores:
            axes.axhline(scores[f"knn {name}"], color=GREY, ls=_STYLES.get(baseline, ":"), lw=1, label=baseline)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -0.25), min(high, 1.02))  # an R² far below zero means no more than zero
    axes.set_ylabel("accuracy, or R² of numbers", fontsize=8)
    axes.legend(frameon=False, fontsize=6.5)


def _against_epoch(axes) -> None:
    axes.set_xlabel("epoch", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _rank(axes, epoch, history, baselines) -> None:
    axes.plot(epoch, history["effective_rank"], color=BLUE, lw=1.6, marker="o", ms=3)
    for baseline, scores in baselines.items():
        if baseline not in ("pixels + PCA", "most common class"):
            axes.axhline(scores["effective_rank"], color=GREY, ls=_STYLES.get(baseline, ":"), lw=1, label=baseline)
    axes.set_ylim(bottom=0)
    axes.set_title("dimensions used (effective rank)", fontsize=9)
    axes.legend(frameon=False, fontsize=6.5)
