"""How a training without labels goes, as a picture."""

import numpy as np
from matplotlib.figure import Figure

_BLUE, _GREY = "#2b6cb0", "0.55"
_COLOURS = ("#2b6cb0", "#dd6b20", "#2f855a", "#b83280", "#6b46c1", "#b7791f")
_STYLES = {"random encoder": ":", "starting weights": "--", "pixels + PCA": "-."}


def learning_curve(history, baselines: dict[str, dict], guess: float, title: str = "") -> Figure:
    """Loss, what neighbours know of each label, and how many dimensions are used, against epoch.

    Args:
        history: Table with `epoch`, `loss`, `spread`, `effective_rank`, and `knn NAME` for every label.
        baselines: The same scores, by name, of what has to be beaten.
        guess: The loss of a guess.
        title: Above all.
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
    for axes, name, colour in zip(grid[2:], names, _COLOURS * 9, strict=False):
        _label(axes, epoch, history, name, baselines, colour)
    for axes in grid[:panels]:
        axes.set_xlabel("epoch", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def _loss(axes, epoch, loss, guess) -> None:
    axes.plot(epoch, loss, color=_BLUE, lw=1.6, marker="o", ms=3)
    top = np.nanmax(loss)
    if top > 0.7 * guess:  # else the line would press the curve flat
        axes.axhline(guess, color=_GREY, ls=":")
        axes.annotate(f"a guess, {guess:.2f}", (1, guess), xycoords=("axes fraction", "data"), xytext=(0, 2),
                      textcoords="offset points", ha="right", va="bottom", fontsize=7, color=_GREY)  # fmt: skip
    axes.set_title("loss", fontsize=9)


def _label(axes, epoch, history, name, baselines, colour) -> None:
    axes.fill_between(epoch, history[f"knn {name} low"], history[f"knn {name} high"], color=colour, alpha=0.15, lw=0)
    axes.plot(epoch, history[f"knn {name}"], color=colour, lw=1.6, marker="o", ms=3, label="5 neighbours")
    if f"linear {name}" in history:
        axes.plot(epoch, history[f"linear {name}"], color=colour, lw=1, alpha=0.6, label="linear")
    for baseline, found in baselines.items():
        if f"knn {name}" in found:
            axes.axhline(found[f"knn {name}"], color=_GREY, ls=_STYLES.get(baseline, ":"), lw=1, label=baseline)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -0.25), min(high, 1.02))  # a determination far below zero says no more than zero does
    axes.set_title(f"what is known of {name}", fontsize=9)
    axes.set_ylabel("accuracy" if low > 0 else "accuracy, or R² of numbers", fontsize=8)
    axes.legend(frameon=False, fontsize=6.5)


def _rank(axes, epoch, history, baselines) -> None:
    axes.plot(epoch, history["effective_rank"], color=_BLUE, lw=1.6, marker="o", ms=3)
    for baseline, found in baselines.items():
        if baseline != "pixels + PCA":
            axes.axhline(found["effective_rank"], color=_GREY, ls=_STYLES.get(baseline, ":"), lw=1, label=baseline)
    axes.set_ylim(bottom=0)
    axes.set_title("dimensions used (effective rank)", fontsize=9)
    axes.legend(frameon=False, fontsize=6.5)
