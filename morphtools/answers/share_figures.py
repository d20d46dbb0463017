"""Figures that show how good predicted fractions are, and of the galaxies behind them."""

from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.answers import class_figures as figures
from morphtools.answers.shares import Shares
from tfrecords_builder.plain_figure import BLUE, GREY, Figure


def draw_share_figures(
    folder: Path, shares: Shares, show: figures.ShowGalaxies | None, history: pd.DataFrame | None
) -> None:
    """Draws the training curve, predicted against voted fractions, their calibration, and two galleries.

    The galleries show galaxies spread over the fraction of the last answer, and those whose prediction is farthest off.

    Args:
        folder: The folder.
        shares: Shares of galaxies with votes.
        show: Gives pictures of galaxies; None leaves out the galleries.
        history: History of the training (see `class_figures.training_curve`); None leaves out its curve.
    """
    order = np.argsort(-shares.predicted[:, -1], kind="stable")
    spread = order[np.linspace(0, len(order) - 1, min(16, len(order))).round().astype(int)]
    off = np.abs(shares.predicted - shares.voted).max(axis=1)

    def gallery(rows, title):
        which = [shares.answers[k] for k in np.abs(shares.predicted - shares.voted)[rows].argmax(axis=1)]
        which = [shares.answers[-1]] * len(rows) if title.startswith("Spread") else which
        places = [shares.answers.index(name) for name in which]
        captions = [
            f"{name[:14]}\n{shares.predicted[i, k]:.2f} ({shares.voted[i, k]:.2f})"
            for name, i, k in zip(which, rows, places, strict=True)
        ]
        return figures.gallery(show(shares.id_str[rows]), captions, f"{title}: predicted, and voted in brackets")

    drawn = {"fractions": against_votes(shares), "calibration": calibration(shares)}
    if history is not None:
        drawn["training_curve"] = figures.training_curve(history)
    if show is not None:
        drawn["examples"] = gallery(spread, f"Spread over {shares.answers[-1]}")
        drawn["mistakes"] = gallery(np.argsort(-off)[:16], "Farthest off")
    figures.write_figures(folder, drawn)


def against_votes(shares: Shares) -> Figure:
    """Predicted against voted fraction, a panel for each answer."""
    figure, grid = _panels(shares)
    for k, axes in enumerate(grid):
        axes.plot([0, 1], [0, 1], ":", color=GREY)
        axes.plot(shares.voted[:, k], shares.predicted[:, k], "o", ms=3, mew=0, alpha=0.4, color=BLUE)
        error = np.sqrt(np.nanmean((shares.voted[:, k] - shares.predicted[:, k]) ** 2))
        axes.set_title(f"{shares.answers[k]}: RMSE {error:.3f}", fontsize=9)
        axes.set(xlabel="voted fraction", ylabel="predicted fraction")
    figure.suptitle("Predicted fractions against votes", fontsize=11)
    return figure


def calibration(shares: Shares, bins: int = 10) -> Figure:
    """Mean voted fraction in bins of the predicted one, with its standard error, a panel for each answer."""
    figure, grid = _panels(shares)
    for k, axes in enumerate(grid):
        predicted, voted = shares.predicted[:, k], shares.voted[:, k]
        which = np.minimum((predicted * bins).astype(int), bins - 1)
        axes.plot([0, 1], [0, 1], ":", color=GREY)
        for each in np.unique(which):
            inside = voted[which == each]
            error = inside.std() / np.sqrt(len(inside))
            axes.errorbar(predicted[which == each].mean(), inside.mean(), error, fmt="o", color=BLUE, capsize=2)
        axes.set_title(shares.answers[k], fontsize=9)
        axes.set(xlabel="predicted fraction", ylabel="mean voted fraction")
    figure.suptitle("Calibration: mean of the votes in bins of the prediction", fontsize=11)
    return figure


def _panels(shares: Shares) -> tuple[Figure, np.ndarray]:
    columns = min(4, len(shares.answers))
    rows = -(-len(shares.answers) // columns)
    figure = Figure(figsize=(3.0 * columns, 3.1 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(shares.answers) :]:
        axes.set_axis_off()
    grid = grid[: len(shares.answers)]
    for axes in grid:
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.spines[["top", "right"]].set_visible(False)
    return figure, grid
