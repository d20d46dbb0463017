"""Figures that show how good redshift PDFs are. Each function returns a `Figure` and changes no global state."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from morphtools.answers.redshift_figures import draw_against_spectra, draw_pit
from morphtools.answers.redshifts import Redshifts
from morphtools.answers.score_names import score_name
from tfrecords_builder.plain_figure import BLUE, COLOURS, GREY, Figure

_WORDS = {
    "bias": "bias  ⟨Δz⟩",
    "sigma_mad": "σ_MAD(Δz)",
    "log_likelihood": "ln p(z), mean",
}
_AGAIN = ", recalibrated"  # drawn in the colour of the original
# Published numbers, for other galaxies: σ_MAD, η(0.05), by Hayat et al. 2021, arXiv:2101.04293
_SURVEY = "SDSS main sample, z < 0.4"
PUBLISHED = {
    "self-supervised, Hayat et al. 2021": (0.00825, 0.00209),
    "supervised, Hayat et al. 2021": (0.00890, 0.00304),
    "Pasquet et al. 2019": (0.00912, 0.0031),
}
_THEIR_RANGE, _THEIR_THRESHOLD = (0.0, 0.4), 0.05


def in_words(score: str, threshold: float) -> str:
    """The label of an axis."""
    return f"η(|Δz| > {threshold:g})" if score == "outlier_fraction" else _WORDS.get(score) or score_name(score)


def score_table(table: pd.DataFrame, threshold: float, edges: np.ndarray) -> Figure:
    """Draws every score of every method with its interval; dotted, published numbers for other galaxies.

    Published numbers are drawn only where the PDFs cover the same redshifts, 0 to 0.4, and η only for their threshold.

    Args:
        table: One row per `method`, with scores, `… low` and `… high`.
        threshold: |Δz| of an outlier.
        edges: Edges of the redshift bins.
    """
    scores = ["sigma_mad", "outlier_fraction", "bias", "crps", "log_likelihood"]
    published = np.allclose(edges[[0, -1]], _THEIR_RANGE)
    figure = Figure(figsize=(15, 1.3 + 0.32 * len(table) + 0.5 * published), layout="constrained")
    panels = figure.subplots(1, len(scores), sharey=True)
    y = np.arange(len(table))
    for axes, score in zip(panels, scores, strict=True):
        value, low, high = (table[f"{score}{end}"].to_numpy(float) for end in ("", " low", " high"))
        axes.errorbar(value, y, xerr=np.maximum([value - low, high - value], 0), fmt="o", ms=4, color=BLUE)
        axes.set_xlabel(in_words(score, threshold), fontsize=9)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.93")
        axes.set_axisbelow(True)
        if score == "bias":
            axes.axvline(0, color=GREY, lw=0.8)
        if published and (score == "sigma_mad" or (score == "outlier_fraction" and threshold == _THEIR_THRESHOLD)):
            for i, (name, numbers) in enumerate(PUBLISHED.items()):
                line = axes.axvline(numbers[score != "sigma_mad"], color=COLOURS[i + 2], ls=":", lw=1.2)
                line.set_label(f"{name} ({_SURVEY})" if score == "sigma_mad" else None)
    panels[0].set_yticks(y, table["method"], fontsize=8)
    panels[0].set_ylim(len(table) - 0.5, -0.5)
    if published:
        figure.legend(fontsize=7, frameon=False, loc="outside lower center", ncols=3, title="Published, dotted: other "
                      "galaxies than ours, and hundreds of thousands of spectra", title_fontsize=7)  # fmt: skip
    return figure


def density(methods: Mapping[str, Redshifts], threshold: float) -> Figure:
    """Draws `draw_against_spectra` of every method, side by side.

    Args:
        methods: Redshifts of the same galaxies.
        threshold: |Δz| of an outlier.
    """
    figure, panels = _panels(methods, 3.1, 3.3)
    shown = [each for redshifts in methods.values() for each in (redshifts.redshift, redshifts.z())]
    limits = min(each.min() for each in shown), max(np.quantile(each, 0.999) for each in shown)
    for axes, redshifts in zip(panels, methods.values(), strict=False):
        draw_against_spectra(axes, redshifts.z(), redshifts.redshift, threshold, limits)
        axes.set_xlabel("spectroscopic redshift", fontsize=8)
        axes.set_ylabel("from the image", fontsize=8)
    figure.suptitle(f"{len(shown[0])} galaxies; outliers are outside of |Δz| = {threshold:g}", fontsize=10)
    return figure


def pit_histograms(methods: Mapping[str, Redshifts], table: pd.DataFrame) -> Figure:
    """Draws `draw_pit` of every method, side by side, with the tests of uniformity.

    Args:
        methods: Redshifts of the same galaxies.
        table: Their scores, in the same order.
    """
    figure, panels = _panels(methods, 3.1, 2.5)
    for axes, redshifts, (_, row) in zip(panels, methods.values(), table.iterrows(), strict=False):
        draw_pit(axes, redshifts.cdf_at(redshifts.redshift))
        axes.text(0.5, 0.97, f"KS {row['ks']:.3f} (p = {row['ks_p']:.2g}); χ² p = {row['chi2_p']:.2g}", fontsize=7.5,
                  transform=axes.transAxes, va="top", ha="center")  # fmt: skip
        axes.set_xlabel("CDF at the true redshift (PIT)", fontsize=8)
    figure.suptitle("Calibrated PDFs are flat; the band holds 95% of the bins by chance", fontsize=10)
    return figure


def scores_against(by: pd.DataFrame, threshold: float) -> Figure:
    """Bias, σ_MAD, outliers and CRPS in bins of redshift, estimate and magnitude.

    Args:
        by: A row per `method`, `variable` and bin, with `middle`, scores, `… low` and `… high`.
        threshold: |Δz| of an outlier.
    """
    scores, variables = ("bias", "sigma_mad", "outlier_fraction", "crps"), list(dict.fromkeys(by["variable"]))
    methods = [name for name in dict.fromkeys(by["method"]) if not name.endswith(_AGAIN)]
    names = {"redshift": "spectroscopic redshift", "estimate": "redshift from the image"}
    figure = Figure(figsize=(4.2 * len(variables) + 0.5, 8.6), layout="constrained")
    grid = figure.subplots(len(scores), len(variables), sharex="col", sharey="row", squeeze=False)
    for column, variable in enumerate(variables):
        for method, part in by[by["variable"] == variable].groupby("method", sort=False):
            colour = COLOURS[methods.index(method.removesuffix(_AGAIN)) % len(COLOURS)]
            x = part["middle"].to_numpy(float)
            for axes, score in zip(grid[:, column], scores, strict=True):
                value, low, high = (part[f"{score}{end}"].to_numpy(float) for end in ("", " low", " high"))
                axes.fill_between(x, low, high, color=colour, alpha=0.13, lw=0)
                style = "--" if method.endswith(_AGAIN) else "-"
                axes.plot(x, value, style, marker="o", ms=3, lw=1.3, color=colour,
                          label=method if column == 0 and score == "bias" else None)  # fmt: skip
        grid[-1, column].set_xlabel(names.get(variable, variable), fontsize=9)
    shown = by[by["method"] != "mean"] if by["method"].nunique() > 1 else by  # its scores would dwarf all others
    for axes, score in zip(grid[:, 0], scores, strict=True):
        axes.set_ylabel(in_words(score, threshold), fontsize=9)
        low, high = shown[f"{score} low"].min(), shown[f"{score} high"].max()
        if high > low:
            axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    for axes in grid.flat:
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[0]:
        axes.axhline(0, color=GREY, lw=0.8)
    figure.legend(fontsize=8, frameon=False, loc="outside upper center", ncols=3)
    return figure


def _panels(methods: Mapping[str, Redshifts], width: float, height: float) -> tuple[Figure, np.ndarray]:
    """A panel with its title for every method."""
    columns = min(4, len(methods))
    lines = -(-len(methods) // columns)
    figure = Figure(figsize=(width * columns, height * lines + 0.3), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, name in zip(panels, methods, strict=False):
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(methods) :]:
        axes.set_axis_off()
    return figure, panels
