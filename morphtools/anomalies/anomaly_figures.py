"""Figures that show how well rankings find anomalies."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from morphtools.anomalies.ranking import recall_curve
from tfrecords_builder.plain_figure import COLOURS, Figure

_STYLES = ("-", "--", "-.")
_TITLES = {f"top_{n}": f"anomalies among the first {n}" for n in (50, 100, 200)}
_TITLES["rank_weighted"] = "rank-weighted score of the first 200"


def ranking_curves(rankings: Mapping[str, Sequence[np.ndarray]]) -> Figure:
    """Recall and precision down to every rank, the mean over repeats and, of few rankings, the range of all of them.

    Dotted lines are the best that is possible and what chance would reach.

    Args:
        rankings: For every method one (N,) array of true or false per repeat, the galaxy ranked first in front; all
            about the same galaxies.

    Reference:
        Mohale & Lochner 2023, arXiv:2311.14157, figure 8 (recall against rank).
    """
    figure = Figure(figsize=(10, 4.3 + 0.1 * len(rankings)), layout="constrained")
    left, right = figure.subplots(1, 2)
    first = next(iter(rankings.values()))[0]
    total, anomalies = len(first), int(np.sum(first))
    rank = np.arange(1, total + 1)
    for i, (name, repeats) in enumerate(rankings.items()):
        colour, style = COLOURS[i % len(COLOURS)], _STYLES[i // len(COLOURS) % len(_STYLES)]
        recall = np.array([recall_curve(each) for each in repeats])
        for axes, curves in ((left, recall), (right, recall * anomalies / rank)):
            axes.plot(rank, curves.mean(axis=0), color=colour, ls=style, lw=1.6, label=name)
            if len(curves) > 1 and len(rankings) <= len(COLOURS):  # more would hide each other
                axes.fill_between(rank, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, lw=0)
    known = {"ls": ":", "color": "0.4", "lw": 1}
    left.plot(rank, np.minimum(rank / max(anomalies, 1), 1), **known, label="best possible; chance")
    left.plot(rank, rank / total, **known)
    right.plot(rank, np.minimum(anomalies / rank, 1), **known)
    right.axhline(anomalies / total, **known)
    left.set(ylabel=f"share of the {anomalies} anomalies", xlabel="galaxies looked at, in the order of the ranking")
    right.set(ylabel="fraction of anomalies among them", xlabel="galaxies looked at, in the order of the ranking")
    for axes in (left, right):
        axes.set(xlim=(1, min(total, max(10 * anomalies, 100))), ylim=(0, 1.03), xscale="log")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{anomalies} anomalies among {total:,} galaxies", fontsize=11)
    if len(rankings) > 1:  # many curves fill the axes: the legend stands outside
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    else:
        left.legend(loc="upper left", frameon=False, fontsize=8)
    return figure


def progress_curves(progress: pd.DataFrame) -> Figure:
    """How good the top of the ranking is after every batch of ratings: means over repeats, and every repeat thin.

    Args:
        progress: A row per way of searching (its parts are the columns before `repeat`), `repeat` and number of
            `ratings`, with scores in the columns after it.

    Reference:
        Walmsley et al. 2022, arXiv:2110.12735, figure 3 (rank-weighted score).
    """
    place = list(progress.columns).index("repeat")
    parts, scores = list(progress.columns[:place]), list(progress.columns[place + 2 :])
    ways = list(progress.groupby(parts, sort=False))
    figure = Figure(figsize=(4.2 * len(scores), 3.6 + 0.1 * len(ways)), layout="constrained")
    panels = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for i, (way, rows) in enumerate(ways):
        label = " ".join(part for part in way if part not in ("", "none"))
        look = {"color": COLOURS[i % len(COLOURS)], "ls": _STYLES[i // len(COLOURS) % len(_STYLES)]}
        for axes, score in zip(panels, scores, strict=True):
            table = rows.pivot_table(index="ratings", columns="repeat", values=score)
            axes.plot(table.index, table.mean(axis=1), lw=1.8, label=label, **look)
            if table.shape[1] > 1 and len(ways) <= len(COLOURS):
                axes.plot(table.index, table, lw=0.4, alpha=0.45, **look)
    for axes, score in zip(panels, scores, strict=True):
        axes.set_title(_TITLES.get(score, score), fontsize=9)
        axes.set(xlabel="ratings", ylim=(0, 1.02))
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=8
    )
    return figure
