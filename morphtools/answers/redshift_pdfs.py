"""The answer is a redshift: a whole PDF, a probability for each bin of a range."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from morphtools.answers.digits import significant_columns
from morphtools.answers.drawing import check_splits, draw_redshifts
from morphtools.answers.recipes import REDSHIFTS, Recipe
from morphtools.answers.redshift_neighbours import kernel_pdf, training_pdf
from morphtools.answers.redshifts import ESTIMATES, Redshifts
from tfrecords_builder.naming import check_known

log = logging.getLogger(__name__)

PDFS = ("softmax", "mixture")
_ENOUGH = 5  # training galaxies per bin: with 2.4, a softmax was no better than the mean of all redshifts


@dataclasses.dataclass(frozen=True)
class Photoz:
    """A redshift PDF for each galaxy.

    Attributes:
        bins: Number of equal bins.
        redshift_range: Where they lie, (low, high).
        pdf: `softmax`, independent bins; or `mixture`, Gaussians evaluated on the bins.
        estimate: The single redshift that represents a PDF: its `mean` or `mode`.

    Raises:
        ValueError: One of these does not make sense.
    """

    bins: int = 180
    redshift_range: tuple[float, float] = (0.0, 0.4)
    pdf: str = "softmax"
    estimate: str = "mean"

    kind: ClassVar[str] = "redshifts"
    label_cols: ClassVar[tuple[str, ...]] = ("label",)
    recipe: ClassVar[Recipe] = REDSHIFTS
    every_view: ClassVar[bool] = False
    metric: ClassVar[str] = "sigma_mad"

    def __post_init__(self):
        try:
            low, high = (float(end) for end in self.redshift_range)
        except (TypeError, ValueError):
            raise ValueError(f"redshift_range is two numbers, got {self.redshift_range!r}") from None
        object.__setattr__(self, "redshift_range", (low, high))
        if type(self.bins) is not int or not 1 <= self.bins <= 10_000:
            raise ValueError(f"bins must be a whole number from 1 to 10000, got {self.bins!r}")
        if not -0.01 <= low < high:
            raise ValueError(f"redshift_range must rise from 0 or more, got {low:g} to {high:g}")
        for name, choices in (("pdf", PDFS), ("estimate", ESTIMATES)):
            check_known(name, getattr(self, name), choices)

    @property
    def outputs(self) -> int:
        """How many numbers a head gives per galaxy."""
        return self.bins

    @property
    def edges(self) -> np.ndarray:
        """(bins + 1,) of the bins."""
        return np.linspace(*self.redshift_range, self.bins + 1)

    def draw(self, galaxies: pd.DataFrame, labels: int, *, test_labels: int, seed: int, balance: bool = False):
        """Which galaxies train, validate and test (see `draw_redshifts`), and the answer.

        A warning advises against a softmax, whose bins learn nothing from each other, if there are few spectra.
        """
        if balance:
            raise ValueError("balance is about classes: redshifts have none")
        options = {"test_labels": test_labels, "seed": seed}
        drawn = draw_redshifts(galaxies, labels, redshift_range=self.redshift_range, **options)
        each = (drawn["split"] == "train").sum() / self.bins
        if self.pdf == "softmax" and each < _ENOUGH:
            log.warning(
                "%.2g spectra a bin are few for a softmax, which needs %d: its PDFs will be combs; pdf mixture suits "
                "few",
                each, _ENOUGH,
            )  # fmt: skip
        return self, drawn

    def check_usable(self, rows: pd.DataFrame) -> None:
        """Raises ValueError if images of too few galaxies could be read."""
        check_splits(rows)

    def view(self, side: int) -> dict:
        """Arguments of `RandomView`: any rotation, shifts of up to 7 of 107 pixels.

        No zoom, because the apparent size of a galaxy tells its distance.
        """
        return {"flip": False, "zoom": 0.0, "shift": 0.0, "jitter": round(7 / 107 * side)}

    def first_guess(self, targets: np.ndarray) -> np.ndarray | None:
        """(bins,) logits of the distribution of (N, 1) training redshifts; None for a mixture, which stays as it is.

        It is smoothed by a Gaussian (Scott's rule), with 2% for redshifts never seen. Otherwise, a few hundred galaxies
        would be spent on learning that most redshifts are rare.
        """
        if self.pdf != "softmax":
            return None
        counts, edges = np.histogram(targets, self.bins, self.redshift_range)
        middle = (edges[:-1] + edges[1:]) / 2
        width = max(np.std(targets) * len(targets) ** -0.2, edges[1] - edges[0])
        density = np.exp(-(((middle[:, np.newaxis] - middle) / width) ** 2) / 2) @ counts
        return np.log(0.98 * density / density.sum() + 0.02 / len(density))

    def linear(self, x: np.ndarray, targets: np.ndarray, seed: int) -> None:
        """None: the head of a frozen encoder is trained by gradients too."""
        return None

    def results(self, ids, outputs: np.ndarray, truth: np.ndarray, provenance: dict[str, str]) -> Redshifts:
        """PDFs of (N,) galaxies from (N, bins) outputs of the head; `truth` (N, 1) may be NaN."""
        return Redshifts(np.asarray(ids), outputs, self.edges, self.estimate, truth[:, 0].astype(float), provenance)

    def draw_figures(
        self, folder: Path, results: Redshifts, show: Callable | None, history: pd.DataFrame | None
    ) -> None:
        """Draws the pictures of a test (see `draw_redshift_figures`)."""
        from morphtools.answers.redshift_figures import draw_redshift_figures

        draw_redshift_figures(folder, results, show, history)

    def neighbours(self, targets: np.ndarray, near: np.ndarray) -> np.ndarray:
        """(M, bins) outputs by `kernel_pdf` of the neighbours, (M, k) rows of (N, 1) redshifts."""
        z = targets[:, 0].astype(float)
        return kernel_pdf(z[near], self.edges, training_pdf(z, self.edges), 1 / (len(z) + 1))

    def tables(self, ids, outputs: np.ndarray, level: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        """A readable table, and a full one with the PDFs (the mean of S models), from (S, N, bins) outputs."""
        mean = outputs.mean(axis=0)
        pdf = mean / mean.sum(axis=1, keepdims=True)
        whole = self.results(np.array(ids, str), pdf, np.full((len(pdf), 1), np.nan), {})
        full = whole.table().drop(columns="redshift")
        return self.to_read(full), full

    def to_read(self, full: pd.DataFrame, questions: tuple[str, ...] = ()) -> pd.DataFrame:
        """The readable part of a full table: redshift and quantiles to three significant digits."""
        names = [name for name in full if name == "z" or name.startswith("z_")]
        return significant_columns(full[["id_str", *names]])

    def outputs_in(self, full: pd.DataFrame) -> np.ndarray:
        """(N, bins) probabilities, the means over all models, in a full table."""
        pdf = np.stack(full["pdf"].to_numpy()).astype(float)
        return pdf / pdf.sum(axis=1, keepdims=True)

    def described(self) -> dict:
        """Fields of a model card."""
        about = {"bins": self.bins, "range": list(self.redshift_range), "pdf": self.pdf, "estimate": self.estimate}
        return {"kind": self.kind, "redshifts": about, "classes": None, "schema": None, "answer": None}
