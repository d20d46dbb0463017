"""Figures that show how good redshift PDFs are, and of the galaxies behind them."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from scipy.stats import binom

from morphtools.answers import class_figures as figures
from morphtools.answers.redshift_metrics import bias, delta_z, outlier_fraction, pit, sigma_mad
from morphtools.answers.redshifts import Redshifts
from tfrecords_builder.plain_figure import BLUE, GREY, ORANGE, Figure


def draw_redshift_figures(
    folder: Path, redshifts: Redshifts, show: figures.ShowGalaxies | None, history: pd.DataFrame | None
) -> None:
    """Draws `training_curve`, `redshifts`, `pit` and a `gallery` with PDFs as PNG files.

    The gallery shows eight galaxies spread over the spectroscopic redshifts, and the eight whose estimate is farthest
    off.

    Args:
        folder: The folder.
        redshifts: Redshifts of galaxies with a spectrum.
        show: Gives pictures of galaxies; None leaves out the gallery.
        history: History of the training, as `morphtools.training.fitting.fit` returns it; None leaves out its curve.
    """
    order = np.argsort(redshifts.redshift)
    spread = order[np.linspace(0, len(order) - 1, min(8, len(order))).round().astype(int)]
    worst = np.argsort(-np.abs(delta_z(redshifts.z(), redshifts.redshift)))[:8]
    drawn = {
        "redshifts": against_spectra(redshifts.z(), redshifts.redshift),
        "pit": pit_histogram(pit(redshifts.pdf, redshifts.edges, redshifts.redshift)),
    }
    if history is not None:
        drawn["training_curve"] = figures.training_curve(history, "cross-entropy of the redshift bins")
    if show is not None:
        rows = [*spread, *worst]
        drawn["gallery"] = gallery(redshifts, rows, show(redshifts.id_str[rows].tolist()))
    figures.write_figures(folder, drawn)


def against_spectra(z, redshift) -> Figure:
    """`draw_against_spectra` as a figure."""
    figure = Figure(figsize=(4.8, 4.6), layout="constrained")
    axes = figure.subplots()
    image = draw_against_spectra(axes, z, redshift)
    if image is not None:
        figure.colorbar(image, ax=axes, label="galaxies", shrink=0.8)
    axes.set(xlabel="spectroscopic redshift", ylabel="photometric redshift")
    axes.set_title("Predicted redshifts against spectra", fontsize=11)
    return figure


def draw_against_spectra(axes, z, redshift, threshold: float = 0.05, limits=None):
    """Photometric against spectroscopic redshift, with the band outside which an estimate is an outlier.

    A thousand galaxies or more are shown as a density.

    Args:
        axes: The axes to draw on.
        z: (N,) estimates.
        redshift: (N,) spectroscopic.
        threshold: |Δz| of an outlier.
        limits: (low, high) of both axes; by default all is shown.

    Returns:
        The image of the density, for a colour bar; None where there are points.
    """
    dz = delta_z(z, redshift)
    line = np.array(limits or (min(z.min(), redshift.min()), max(z.max(), redshift.max())))
    image = None
    if len(z) < 1000:
        axes.plot(redshift, z, "o", ms=3, mew=0, alpha=0.6, color=BLUE)
    else:
        image = axes.hist2d(redshift, z, bins=80, range=[line, line], norm=LogNorm(), cmap="viridis", cmin=1)[3]
    axes.plot(line, line, color=GREY, lw=1)
    for side in (-1, 1):
        axes.plot(line, line + side * threshold * (1 + line), ":", color=ORANGE, lw=1.2)
    caption = (
        f"bias {bias(dz):+.4f}\nσ_MAD {sigma_mad(dz):.4f}\n|Δz| > {threshold:g}: {outlier_fraction(dz, threshold):.1%}"
    )
    axes.text(0.04, 0.96, caption, transform=axes.transAxes, va="top", fontsize=8)
    axes.set(xlim=line, ylim=line, aspect="equal")
    return image


def pit_histogram(values) -> Figure:
    """`draw_pit` as a figure."""
    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.subplots()
    draw_pit(axes, values)
    axes.set(xlabel="PIT: probability of a redshift below the spectrum's", ylabel="galaxies")
    axes.set_title("PIT: flat if the PDFs are calibrated", fontsize=11)
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    return figure


def draw_pit(axes, values, bins: int = 20) -> None:
    """Where the spectroscopic redshift falls in its PDF, with the range of 95% of bins if PDFs are calibrated.

    PDFs that are too narrow pile up at the ends, those that are too wide in the middle; a bias makes a slope.

    Args:
        axes: The axes to draw on.
        values: (N,) from 0 to 1.
        bins: How many.
    """
    heights = axes.hist(values, np.linspace(0, 1, bins + 1), color=BLUE, alpha=0.8)[0]
    low, high = binom.ppf([0.025, 0.975], len(values), 1 / bins)
    axes.axhspan(low, high, color=GREY, alpha=0.4, label="95% if calibrated")
    axes.set(xlim=(0, 1), ylim=(0, 1.25 * max(high, *heights)))
    axes.spines[["top", "right"]].set_visible(False)


def gallery(redshifts: Redshifts, rows, pictures, columns: int = 4) -> Figure:
    """Galaxies, each beside its PDF with the estimate and the spectroscopic redshift.

    Args:
        redshifts: Redshifts of all galaxies.
        rows: Which of them.
        pictures: (H, W, 3) arrays in 0–1, one for each.
        columns: Galaxies side by side.
    """
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(3.1 * columns, 1.5 * lines + 0.4), layout="constrained")
    figure.suptitle("PDF, estimate (dashed) and spectrum (orange): spread over redshift, then the farthest off")
    grid = figure.subplots(lines, 2 * columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    z, middle = redshifts.z(), (redshifts.edges[:-1] + redshifts.edges[1:]) / 2
    for i, (row, picture) in enumerate(zip(rows, pictures, strict=True)):
        shown, pdf = grid[i // columns, 2 * (i % columns) :][:2]
        shown.imshow(picture, interpolation="nearest")
        shown.set_title(f"{redshifts.id_str[row]}"[:20], fontsize=7, pad=2)
        pdf.set_axis_on()
        pdf.fill_between(middle, redshifts.pdf[row], color=BLUE, alpha=0.5, step="mid", lw=0)
        pdf.axvline(z[row], color=BLUE, ls="--", lw=1)
        pdf.axvline(redshifts.redshift[row], color=ORANGE, lw=1.2)
        pdf.set_title(f"{z[row]:.3f} ({redshifts.redshift[row]:.3f})", fontsize=7, pad=2)
        pdf.set(xlim=redshifts.edges[[0, -1]], ylim=(0, None), yticks=[])
        pdf.tick_params(labelsize=6)
        pdf.spines[["top", "right", "left"]].set_visible(False)
    return figure
