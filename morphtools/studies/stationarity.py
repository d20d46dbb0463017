"""How far galaxies move, in the space of representations and on a map, when their images change."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
from scipy.ndimage import rotate

from morphtools.data.augment_light import RandomBlur
from morphtools.explore.exact_search import exact
from morphtools.explore.maps import umap_of
from morphtools.explore.placing import between
from morphtools.training.probes import principal_components
from tfrecords_builder.plain_figure import COLOURS, GREY, Figure

_PANELS = {"rotated": "rotated by (degrees)", "shifted": "shifted by (pixels)", "noised": "noise added (of the sky's)"}
_SHOWN, _COMPONENTS, _NEAREST = 6, 15, 10
_LARGEST_SHIFT = 7  # pixels, the jitter of Hayat et al. 2021


def changed(
    images: np.ndarray, noise: tuple[float, ...] | None, seed: int = 0
) -> Iterator[tuple[str, float, np.ndarray]]:
    """Yields images changed in one way after another.

    Args:
        images: (N, H, W, C).
        noise: Noise of the sky per band; None for pictures, for which it is 0.03.
        seed: Seed of directions and noise.

    Yields:
        What was done, how much, and the images (N, H, W, C): `rotated` by 45° to 315°, `shifted` by 1 to 7 pixels
        along a side (what comes in is mirrored), `noised` by 0.5 to 3 times the noise, `mirrored`, and `blurred` by a
        point-spread function of 1 pixel.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, figure 9.
    """
    rng = np.random.default_rng(seed)
    for angle in range(45, 360, 45):
        yield "rotated", angle, rotate(images, angle, axes=(1, 2), reshape=False, order=1, mode="mirror")
    side, most = images.shape[1:3], min(_LARGEST_SHIFT, *(n - 1 for n in images.shape[1:3]))
    around = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)), mode="reflect")
    towards = rng.permutation(np.array([(0, 1), (1, 0), (0, -1), (-1, 0)]))[rng.integers(0, 4, len(images))]
    for pixels in range(1, most + 1):
        corners = most + pixels * towards
        moved = [each[y : y + side[0], x : x + side[1]] for each, (y, x) in zip(around, corners, strict=True)]
        yield "shifted", pixels, np.stack(moved)
    sigma = np.asarray(noise or (0.03,) * images.shape[-1], np.float32)
    drawn = rng.normal(size=images.shape).astype(np.float32) * sigma
    for times in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0):
        yield "noised", times, images + np.float32(times) * drawn
    yield "mirrored", 1, images[:, :, ::-1]
    blur = RandomBlur(sigma=(1.0, 1.0), seed=seed)
    yield "blurred", 1, keras.ops.convert_to_numpy(blur(images, training=True))


class Moved(NamedTuple):
    """How far galaxies moved.

    Attributes:
        table: A row per `change` and `amount`: `displacement`, the mean distance moved over the mean distance of two
            galaxies, with its 95% interval over galaxies (`low`, `high`), and `on_map`, the same on the map.
        survey: (M, 2) places of the galaxies of the map.
        home: (N, 2) places of the galaxies that were changed.
        places: For every change, (amounts, N, 2) places after it.
    """

    table: pd.DataFrame
    survey: np.ndarray
    home: np.ndarray
    places: dict[str, np.ndarray]


def stationarity(
    show: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    survey: np.ndarray,
    noise: tuple[float, ...] | None,
    seed: int = 0,
) -> Moved:
    """Measures how far galaxies move in a space of representations, and on a map of it, when their images change.

    The map is a UMAP of a survey. Galaxies are placed among their nearest neighbours on it (see `between`), before and
    after the change, so that a galaxy that does not change does not move.

    Args:
        show: Images (N, H, W, C) to representations, or anything that can be flattened to (N, D).
        images: (N, H, W, C) of the galaxies to change.
        survey: (M, D) representations of the galaxies to draw the map of.
        noise: As for `changed`.
        seed: Seed of the changes, of UMAP and of the pairs of galaxies.
    """
    before, survey = (_flat(values) for values in (show(images), survey))
    components = principal_components(survey, _COMPONENTS, seed)
    fitted = umap_of(components, neighbours=min(15, len(survey) - 1), seed=seed)

    def place(values: np.ndarray) -> np.ndarray:
        return between(fitted[exact(survey, values, min(_NEAREST, len(survey)), "euclidean")[0]])

    home, other = place(before), np.roll(np.random.default_rng(seed).permutation(len(images)), 1)
    apart, apart_on_map = (np.linalg.norm(x - x[other], axis=1).mean() for x in (before, home))
    rows, places = [], dict[str, list[np.ndarray]]()
    for name, amount, each in changed(images, noise, seed):
        after = _flat(show(each))
        moved = np.linalg.norm(after - before, axis=1).astype(float) / max(apart, 1e-12)
        places.setdefault(name, []).append(place(after))
        mean, half = moved.mean(), 1.96 * moved.std(ddof=1) / np.sqrt(len(moved))
        row = {"change": name, "amount": amount, "displacement": mean, "low": mean - half, "high": mean + half}
        on_map = float(np.linalg.norm(places[name][-1] - home, axis=1).mean()) / max(apart_on_map, 1e-12)
        rows.append(row | {"on_map": on_map})
    return Moved(pd.DataFrame(rows), fitted, home, {name: np.array(each) for name, each in places.items()})


def _flat(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.reshape(values, (len(values), -1)), np.float32)


def stationarity_figure(table: pd.DataFrame, first: Moved) -> Figure:
    """Draws tracks of a few galaxies on the map, and below how far galaxies move, for every change that has a strength.

    Args:
        table: Rows of `stationarity`, with a column `representation`.
        first: The first representation, whose map is drawn.
    """
    home, places = first.home, first.places
    figure = Figure(figsize=(11.5, 7.2), layout="constrained")
    grid = figure.subplots(2, len(_PANELS), height_ratios=(1.15, 1))
    shown = np.argsort(home[:, 0], kind="stable")[np.linspace(0, len(home) - 1, _SHOWN + 2).astype(int)[1:-1]]
    for (name, label), (above, below) in zip(_PANELS.items(), grid.T, strict=True):
        above.scatter(*first.survey.T, s=2, color="0.88", linewidths=0, rasterized=True)
        for i, colour in zip(shown, COLOURS, strict=False):
            above.plot(*np.vstack([home[i], places[name][:, i]]).T, "-", marker=".", ms=3, lw=0.8, color=colour)
            above.plot(*home[i], "o", ms=6, color=colour)
        above.set(xticks=[], yticks=[], aspect="equal", title=f"{name}: {_SHOWN} galaxies on the map")
        above.spines[:].set_visible(False)
        rows = table[table["change"] == name]
        for (representation, part), colour in zip(
            rows.groupby("representation", sort=False), COLOURS * 9, strict=False
        ):
            below.fill_between(part["amount"], part["low"], part["high"], color=colour, alpha=0.2, lw=0)
            below.plot(part["amount"], part["displacement"], "o-", ms=3.5, lw=1.4, color=colour, label=representation)
        below.axhline(1, color=GREY, ls=":", lw=1)
        below.set_xticks(rows["amount"].unique())
        below.set(xlabel=label, ylabel="distance moved / distance of two galaxies", ylim=(0, None))
        below.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *grid[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8, frameon=False
    )
    return figure
