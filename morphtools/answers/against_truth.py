"""Predicted against true values of several fits: a row for each way, a column for each number of labels."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphtools.answers.estimates import Estimates
from morphtools.answers.fractions import Fractions
from morphtools.answers.kinds import AnyAnswer
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_figures import draw_against_spectra
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.redshifts import Redshifts
from morphtools.answers.shares import Shares, share_metrics
from tfrecords_builder.plain_figure import COLOURS, GREY, Figure

_MOST_DOTS = 2000


def against_truth(answer: AnyAnswer, runs: Mapping[tuple[str, int], Path]) -> Figure | None:
    """Draws the test galaxies of several runs, predicted against true.

    Args:
        answer: Answer of all runs.
        runs: Their folders, by way and number of labels.

    Returns:
        The figure; None of classes, which are no numbers, and of no runs.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, figures 11 and 12 (vote fractions, by method and by number of labels).
    """
    kinds: dict[type, tuple[Callable, Callable]] = {
        Fractions: (Shares.open, _shares),
        Numbers: (Estimates.open, _numbers),
        Photoz: (Redshifts.open, _redshifts),
    }
    if type(answer) not in kinds or not runs:
        return None
    open_results, draw = kinds[type(answer)]
    ways, numbers = list(dict.fromkeys(way for way, _ in runs)), sorted({number for _, number in runs})
    figure = Figure(figsize=(2.7 * len(numbers) + 0.4, 2.8 * len(ways) + 0.4), layout="constrained")
    for way, line in zip(ways, figure.subplots(len(ways), len(numbers), squeeze=False), strict=True):
        for number, axes in zip(numbers, line, strict=True):
            if (way, number) in runs:
                draw(axes, open_results(runs[way, number] / "predictions.parquet"))
            axes.tick_params(labelsize=7)
            axes.set_title(f"{way}, {number:,} labels", fontsize=8)
    legends = (axes.get_legend_handles_labels() for axes in figure.axes)
    handles, names = next((each for each in legends if each[1]), ([], []))
    if names:
        figure.legend(
            handles, names, loc="outside upper center", ncols=len(numbers), fontsize=8, frameon=False, markerscale=3
        )
    figure.supxlabel("true", fontsize=9)
    figure.supylabel("predicted", fontsize=9)
    return figure


def _shares(axes, shares: Shares) -> None:
    """All answers in one panel, with the error, and accuracy and η of answers that volunteers are sure of."""
    for k, (name, colour) in enumerate(zip(shares.answers, COLOURS * 9, strict=False)):
        dots = {"ms": 2, "mew": 0, "alpha": 0.35, "color": colour, "label": name}
        axes.plot(shares.voted[:_MOST_DOTS, k], shares.predicted[:_MOST_DOTS, k], "o", **dots)
    scores = {name: each["value"] for name, each in share_metrics(shares, resamples=1).items()}
    _finish(
        axes, (0.0, 1.0), f"RMSE {scores['rmse']:.3f}, high quality {scores['hq_accuracy']:.3f}, η {scores['eta']:.2%}"
    )


def _numbers(axes, estimates: Estimates) -> None:
    known = np.isfinite(estimates.truth[:, 0])
    truth, value = estimates.truth[known, 0], estimates.value[known, 0]
    axes.plot(truth[:_MOST_DOTS], value[:_MOST_DOTS], "o", ms=2, mew=0, alpha=0.35, color=COLOURS[0])
    line = (min(truth.min(), value.min()), max(truth.max(), value.max()))
    _finish(axes, line, f"{estimates.columns[0]}: RMSE {np.sqrt(np.mean((value - truth) ** 2)):.3g}")


def _redshifts(axes, redshifts: Redshifts) -> None:
    known = np.isfinite(redshifts.redshift)
    draw_against_spectra(axes, redshifts.z()[known], redshifts.redshift[known])


def _finish(axes: Any, line: tuple[float, float], below: str) -> None:
    axes.plot(line, line, ":", color=GREY)
    axes.set(xlim=line, ylim=line, aspect="equal")
    axes.set_xlabel(below, fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
