"""Figures that show how a vote model does, question by question. Each function returns a matplotlib `Figure`."""

import itertools

import numpy as np

from tfrecords_builder.plain_figure import BLUE, COLOURS, GREY, ORANGE, Figure


def skill(table) -> Figure:
    """Error of the vote fractions of every question, between the noise of the votes and the mean baseline.

    Args:
        table: As `vote_metrics` returns it.
    """
    table = table[table["rmse"].notna()]
    figure, axes, y = _rows(table)
    axes.hlines(y, table["noise"], table["baseline_rmse"], color="0.85", lw=5)
    axes.plot(table["noise"], y, "|", color="black", ms=11, label="floor: noise of the votes")
    axes.plot(table["baseline_rmse"], y, "|", color=ORANGE, ms=11, mew=2, label="baseline: always the mean")
    axes.plot(table["rmse"], y, "o", color=BLUE, label="model")
    axes.set(xlabel="root mean square error of vote fractions", xlim=(0, None))
    figure.suptitle("Error of the predicted vote fractions", fontsize=11)
    axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return figure


def coverage(table) -> Figure:
    """How often 50% and 90% intervals hold the votes, and the true fractions where these are known.

    Args:
        table: As `vote_metrics` returns it.
    """
    table = table[table["coverage_50"].notna()]
    figure, axes, y = _rows(table)
    axes.axvspan(0.88, 0.92, color="0.92", lw=0)
    for level, colour in ((50, ORANGE), (90, BLUE)):
        axes.axvline(level / 100, color=colour, lw=1, ls=":")
        axes.plot(table[f"coverage_{level}"], y, "o", color=colour, label=f"{level}% intervals")
        if f"truth_{level}" in table:
            of_truth = table[f"truth_{level}"]
            axes.plot(of_truth, y, "D", color=colour, mfc="white", label=f"{level}%, of the truth")
    axes.set(xlabel="share of answers inside", xlim=(0, 1.02))
    figure.suptitle("How many answers lie inside the predicted intervals", fontsize=11)
    axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return figure


def ranks(values, schema, bins: int = 20) -> Figure:
    """Histograms of the ranks of votes: flat where calibrated, a hump if too cautious, a bowl if too certain.

    The band is two standard deviations of the noise due to the number of galaxies.

    Args:
        values: (N, A) as `vote_ranks` returns them.
        schema: `Schema` with A answers.
        bins: Number of bars.
    """
    panels = {}
    for row, question in zip(schema.membership, schema.questions, strict=True):
        each = values[:, row > 0]
        if np.isfinite(each).any():
            panels[question.text] = each[np.isfinite(each).any(axis=1)]
    figure, grid = _panels(panels)
    for name, axes in grid.items():
        # Answers to a question share its votes, so only galaxies are independent.
        spread = 2 * np.sqrt(bins / len(panels[name]))
        axes.axhspan(max(1 - spread, 0), 1 + spread, color="0.9", lw=0)
        axes.axhline(1, color=GREY, lw=1, ls=":")
        _, _, bars = axes.hist(
            panels[name].ravel(), bins, range=(0, 1), density=True, histtype="step", color=BLUE, lw=1.5
        )
        axes.set(xlim=(0, 1), ylim=(0, max(1.6, 1.1 * bars[0].xy[:, 1].max())), xticks=[0, 0.5, 1], yticks=[0, 1])
    figure.supxlabel("rank of the votes in their predicted distribution", fontsize=9)
    figure.suptitle("Ranks of the votes: flat if the model is calibrated", fontsize=11)
    return figure


def reliability(table) -> Figure:
    """Observed against predicted vote fractions, a line per answer; bins with fewer than ten galaxies are left out.

    Args:
        table: As `compare_fractions(by="fraction")` returns it.
    """
    figure, grid = _panels(table["question"].unique())
    for name, axes in grid.items():
        axes.plot([0, 1], [0, 1], ":", color=GREY)
        _lines(axes, table[table["question"] == name], "predicted", lambda rows: rows["observed"])
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    figure.supxlabel("predicted fraction of the votes", fontsize=9)
    figure.supylabel("observed fraction of the votes", fontsize=9)
    figure.suptitle("Observed against predicted vote fractions", fontsize=11)
    return figure


def bias(table) -> Figure:
    """Observed minus predicted vote fractions against how many people answered, a line per answer.

    Bins with fewer than ten galaxies are left out.

    Args:
        table: As `compare_fractions(by="votes")` returns it.
    """
    figure, grid = _panels(table["question"].unique())
    for name, axes in grid.items():
        axes.axhline(0, ls=":", color=GREY)
        _lines(axes, table[table["question"] == name], "at", lambda rows: rows["observed"] - rows["predicted"])
        reach = max(0.1, 1.3 * max(np.abs(axes.get_ylim())))
        axes.set(ylim=(-reach, reach), xlim=(0, None))
        axes.locator_params(axis="y", nbins=5)
    figure.supxlabel("number of people who answered", fontsize=9)
    figure.supylabel("observed − predicted fraction", fontsize=9)
    figure.suptitle("Error of vote fractions against the number of votes", fontsize=11)
    return figure


def _lines(axes, table, x, y):
    for colour, (answer, rows) in zip(itertools.cycle(COLOURS), table.groupby("answer", sort=False), strict=False):
        rows = rows[rows["galaxies"] >= 10]
        axes.errorbar(rows[x], y(rows), rows["error"], fmt=".-", ms=4, lw=1, color=colour, label=answer)
    axes.legend(frameon=False, fontsize=6, handlelength=1, labelspacing=0.2, borderaxespad=0.2)


def _rows(table):
    """A figure with a line for every question, the first on top."""
    figure = Figure(figsize=(6.4, 1.2 + 0.3 * len(table)), layout="constrained")
    axes = figure.subplots()
    y = np.arange(len(table))[::-1]
    axes.set_yticks(y, table["question"], fontsize=8)
    axes.set_ylim(-0.7, len(table) - 0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes, y


def _panels(names, columns: int = 4):
    """A figure with a panel for every question."""
    names = list(names)
    rows = max(1, -(-len(names) // columns))
    figure = Figure(figsize=(2.3 * columns, 2.0 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    panels = dict(zip(names, grid.flat, strict=False))
    for name, axes in panels.items():
        axes.set_title(name, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels
