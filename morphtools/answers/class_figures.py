"""Figures that show how well a classifier works. Each function returns a `Figure` and changes no global state."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfrecords_builder.plain_figure import BLUE, GREY, ORANGE, Figure, write_figure
from tfrecords_builder.records import Records, read_pixels

ShowGalaxies = Callable[[Sequence[str]], Sequence[np.ndarray]]  # from names to colour pictures (H, W, 3)


def _axes(title, width=5.0, height=4.2, **labels):
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set(**labels)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def training_curve(history, loss: str = "cross-entropy") -> Figure:
    """Training and validation loss against epoch, stage after stage, with the epoch that was kept.

    For a head that was solved exactly, the losses are shown against its penalty.

    Args:
        history: Table with `stage`, `epoch` or `strength`, `loss`, `val_loss`, `kept`; and `question`, where a head
            was solved for each of several.
        loss: What was minimised, for the axis.
    """
    exact = "strength" in history
    figure, axes = _axes(
        "Choice of the penalty" if exact else "Training",
        xlabel="penalty on the head" if exact else "epoch",
        ylabel=loss,
    )
    for question, part in history.groupby("question", sort=False) if "question" in history else [("", history)]:
        at, kept = part["strength"].to_numpy() if exact else np.arange(1, len(part) + 1), part["kept"].to_numpy()
        axes.plot(at, part["loss"], color=BLUE, lw=1, label="training")
        axes.plot(at, part["val_loss"], color=ORANGE, lw=1.5, label="left-out galaxies" if exact else "validation")
        axes.plot(at[kept], part["val_loss"][kept], "o", color=ORANGE, label="chosen")
        if question:
            axes.annotate(question, (at[kept][0], part["val_loss"][kept].iloc[0]), fontsize=8, va="bottom")
    if exact:
        axes.set(xscale="log", ylim=(0, 1.3 * min(history["val_loss"].max(), 3 * history["val_loss"].min())))
    for i in np.flatnonzero(history["stage"].to_numpy()[1:] != history["stage"].to_numpy()[:-1]):
        axes.axvline(i + 1.5, color=GREY, ls=":", label="encoder unfrozen")
    axes.legend(handles=axes.get_lines()[:3] if exact else None, frameon=False, fontsize=8)
    return figure


def roc(label, probability) -> Figure:
    """True against false positive rate for every threshold."""
    from sklearn.metrics import roc_auc_score, roc_curve

    false, true, _ = roc_curve(label, probability)
    figure, axes = _axes("ROC curve", 4.4, xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    axes.plot([0, 1], [0, 1], ":", color=GREY)
    axes.plot(false, true, color=BLUE, label=f"AUC {roc_auc_score(label, probability):.3f}")
    axes.legend(frameon=False, loc="lower right")
    return figure


def confusion(label, predicted, classes) -> Figure:
    """Counts of galaxies by true and predicted class, with the fraction of the true class.

    Args:
        label: (N,) true classes, 0 … K-1.
        predicted: (N,) predicted classes.
        classes: Names of the K classes.
    """
    from sklearn.metrics import confusion_matrix

    n = len(classes)
    counts = confusion_matrix(label, predicted, labels=range(n))
    side = max(4.2, 1.6 + 0.62 * n)
    figure, axes = _axes("True and predicted classes", side + 0.2, side, xlabel="predicted", ylabel="true")
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1.2)
    axes.set_xticks(range(n), classes, **({} if n < 4 else {"rotation": 45, "ha": "right"}))
    axes.set_yticks(range(n), classes, **({"rotation": 90, "va": "center"} if n < 4 else {}))
    for (i, j), count in np.ndenumerate(counts):
        share = count / max(counts[i].sum(), 1)
        text = f"{count}\n{share:.0%}" if n < 4 or count else ""
        axes.text(
            j, i, text, ha="center", va="center", color="white" if share > 0.7 else "black", size=10 if n < 4 else 7
        )
    return figure


def confusion_examples(pictures: dict, classes) -> Figure:
    """One galaxy for every pair of true and predicted class: what is mistaken for what.

    Args:
        pictures: By (true, predicted), a picture (H, W, 3) in 0–1; pairs without a galaxy are left out.
        classes: Names of the K classes.
    """
    n, classes = len(classes), [in_short(name, 22) for name in classes]
    longest = max(map(len, classes))
    level = n < 4 and longest <= 12  # names fit below the pictures without a slant
    left, bottom = 0.4 + 0.065 * longest, 0.5 if level else 0.5 + 0.05 * longest  # inches
    side = max(0.85, (3.4 - left) / n)  # room for the title
    width, height = left + side * n + 0.2, bottom + side * n + 0.5
    figure = Figure(figsize=(width, height))
    figure.suptitle("True class (rows) and predicted class (columns)", fontsize=10)
    edges = {"left": left / width, "right": 1 - 0.2 / width, "bottom": bottom / height, "top": 1 - 0.5 / height}
    grid = figure.subplots(n, n, squeeze=False, gridspec_kw=edges | {"wspace": 0.08, "hspace": 0.08})
    for (i, j), axes in np.ndenumerate(grid):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=i == j or (i, j) in pictures, color=BLUE if i == j else GREY, lw=2 if i == j else 1)
        if (i, j) in pictures:
            axes.imshow(pictures[i, j], interpolation="nearest")
        if j == 0:
            axes.set_ylabel(classes[i], rotation=0, ha="right", va="center", fontsize=8)
        if i == n - 1:
            axes.set_xlabel(classes[j], fontsize=8, **({} if level else {"rotation": 45, "ha": "right"}))
    return figure


def in_short(name: str, most: int) -> str:
    """A name cut to at most `most` letters, without underscores; keeps its beginning and its end."""
    name = name.replace("_", " ")
    return name if len(name) <= most else f"{name[: most // 2].rstrip()}…{name[most // 2 + 1 - most :].lstrip()}"


def calibration(label, probability, bins: int = 10) -> Figure:
    """Observed against predicted fraction with 68% binomial intervals, and how often each was predicted.

    Intervals are Jeffreys' (Brown, Cai & DasGupta 2001).
    """
    from scipy.stats import beta

    label, probability = np.asarray(label), np.asarray(probability)
    figure = Figure(figsize=(4.4, 5.0), layout="constrained")
    axes, below = figure.subplots(2, sharex=True, height_ratios=(4, 1))
    axes.set_title("Calibration", fontsize=10)
    which = np.minimum((probability * bins).astype(int), bins - 1)
    n = np.bincount(which, minlength=bins)
    yes = np.bincount(which, label, minlength=bins)
    predicted = np.bincount(which, probability, minlength=bins) / np.maximum(n, 1)
    seen = n > 0
    observed = yes[seen] / n[seen]
    edges = beta.ppf([[0.16], [0.84]], yes[seen] + 0.5, n[seen] - yes[seen] + 0.5)
    errors = np.clip([observed - edges[0], edges[1] - observed], 0, None)
    axes.plot([0, 1], [0, 1], ":", color=GREY)
    axes.errorbar(predicted[seen], observed, errors, fmt="o", color=BLUE, capsize=2)
    axes.set(ylabel="observed fraction", xlim=(0, 1), ylim=(-0.02, 1.02))
    below.hist(probability, np.linspace(0, 1, 2 * bins + 1), color=GREY)
    below.set(xlabel="predicted probability", ylabel="galaxies")
    for each in (axes, below):
        each.spines[["top", "right"]].set_visible(False)
    return figure


def gallery(pictures, captions, title: str, columns: int = 8) -> Figure:
    """Galaxies side by side, each with a caption.

    Args:
        pictures: (H, W, 3) arrays in 0–1, as made by `as_picture`.
        captions: One per picture.
        title: Title of the figure.
        columns: Galaxies per row.
    """
    rows = max(1, -(-len(pictures) // columns))
    figure = Figure(figsize=(1.35 * columns, 1.55 * rows + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=11)
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, picture, caption in zip(figure.axes, pictures, captions, strict=False):
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(caption, fontsize=7 if caption.count("\n") < 2 else 6, pad=2)
    return figure


def as_picture(pixels, noise=None) -> np.ndarray:
    """A colour picture of an image with any number of bands.

    Args:
        pixels: (H, W, C): 0–1 if `noise` is None, else flux with NaN where missing, bands from blue to red.
        noise: Noise per band.

    Returns:
        (H, W, 3) in 0–1; flux by asinh, the reddest band as red and the bluest as blue. The outermost of
        five or more bands, which are the noisiest, are left out.
    """
    if noise is not None:
        pixels = np.arcsinh(pixels / np.asarray(noise)) / np.arcsinh(300.0)
        end = 1 if pixels.shape[-1] >= 5 else 0
        pixels = pixels[..., [-1 - end, pixels.shape[-1] // 2, end]]
    elif pixels.shape[-1] == 1:
        pixels = pixels.repeat(3, axis=-1)
    return np.clip(np.nan_to_num(pixels[..., :3]), 0, 1)


def pictures_of(records: Records) -> ShowGalaxies:
    """The colour pictures of galaxies in records, by name."""
    return lambda ids: [as_picture(each, records.noise) for each in read_pixels(records, ids, fill=True)]


def write_figures(folder: Path, figures: dict[str, Figure]) -> None:
    """Writes figures as PNG files, by name."""
    for name, figure in figures.items():
        write_figure(folder / f"{name}.png", figure)
