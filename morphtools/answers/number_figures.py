"""Figures that show how good predicted numbers and their uncertainties are, and of the galaxies behind them."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from morphtools.answers import class_figures as figures
from morphtools.answers.estimates import Estimates
from tfrecords_builder.plain_figure import BLUE, GREY, Figure


def draw_number_figures(
    folder: Path, estimates: Estimates, show: figures.ShowGalaxies | None, history: pd.DataFrame | None
) -> None:
    """Draws the training curve, predicted against true numbers, the coverage, and two galleries of the first number.

    The galleries show galaxies spread over the true values, and those whose prediction is farthest off.

    Args:
        folder: The folder.
        estimates: Estimates of galaxies whose numbers are known.
        show: Gives pictures of galaxies; None leaves out the galleries.
        history: History of the training (see `class_figures.training_curve`); None leaves out its curve.
    """
    truth, value, name = estimates.truth[:, 0], estimates.value[:, 0], estimates.columns[0]
    known = np.flatnonzero(np.isfinite(truth))
    order = known[np.argsort(truth[known])]
    spread = order[np.linspace(0, len(order) - 1, min(16, len(order))).round().astype(int)]

    def gallery(rows, title):
        captions = [f"{value[i]:.3g} ({truth[i]:.3g})\n{estimates.id_str[i]}"[:40] for i in rows]
        return figures.gallery(
            show(estimates.id_str[rows]), captions, f"{title}: {name} predicted, and the truth in brackets"
        )

    drawn = {"numbers": against_truth(estimates), "coverage": coverage(estimates)}
    if history is not None:
        drawn["training_curve"] = figures.training_curve(history, "loss")
    if show is not None:
        drawn["examples"] = gallery(spread, "Spread over the truth")
        drawn["mistakes"] = gallery(known[np.argsort(-np.abs(value - truth)[known])][:16], "Farthest off")
    figures.write_figures(folder, drawn)


def against_truth(estimates: Estimates) -> Figure:
    """Predicted against true values with standard deviations, a panel for each number."""
    columns = len(estimates.columns)
    figure = Figure(figsize=(4.4 * columns, 4.3), layout="constrained")
    for i, axes in enumerate(figure.subplots(1, columns, squeeze=False).ravel()):
        known = np.isfinite(estimates.truth[:, i])
        truth, value, sigma = (each[known, i] for each in (estimates.truth, estimates.value, estimates.sigma))
        line = [min(truth.min(), value.min()), max(truth.max(), value.max())]
        axes.plot(line, line, color=GREY, lw=1)
        style = {"fmt": "o", "ms": 3, "mew": 0, "color": BLUE, "ecolor": "0.85", "elinewidth": 0.6, "alpha": 0.7}
        axes.errorbar(truth, value, sigma, **style, zorder=1)
        error = np.sqrt(np.mean((value - truth) ** 2))
        axes.set_title(f"RMSE {error:.3g}, spread of the truth {truth.std():.3g}", fontsize=9)
        axes.set(xlabel=estimates.columns[i], ylabel=f"{estimates.columns[i]}, predicted")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def coverage(estimates: Estimates) -> Figure:
    """How often intervals contain the truth against how often they should.

    On the line they are right, below it too narrow.
    """
    level = np.linspace(0.02, 0.99, 60)
    figure = Figure(figsize=(4.4, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ":", color=GREY)
    for i, name in enumerate(estimates.columns):
        pull = np.abs(estimates.value[:, i] - estimates.truth[:, i]) / estimates.sigma[:, i]
        pull = pull[np.isfinite(pull)]
        axes.plot(level, [np.mean(pull < norm.ppf((1 + each) / 2)) for each in level], label=name)
    axes.set(xlabel="probability of an interval", ylabel="fraction of galaxies inside", xlim=(0, 1), ylim=(0, 1))
    axes.set_title("How many galaxies lie inside their intervals", fontsize=11)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
