"""The answer is how volunteers vote: a fraction for each of several answers."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from morphtools.answers.digits import significant_columns
from morphtools.answers.drawing import check_splits, draw_any
from morphtools.answers.recipes import Recipe
from morphtools.answers.shares import Shares


@dataclasses.dataclass(frozen=True)
class Fractions:
    """Vote fractions, or probabilities, of K ≥ 2 answers, which add up to 1: soft labels.

    A galaxy's weight is its number of votes, relative to the mean.

    Attributes:
        answers: Names of the answers.
        votes: Mean number of votes of a training galaxy; 1 where the numbers are not known.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, appendix C: soft cross-entropy, galaxies with at least 5 votes.
    """

    answers: tuple[str, ...]
    votes: float = dataclasses.field(default=1.0, compare=False)

    kind: ClassVar[str] = "fractions"
    recipe: ClassVar[Recipe] = Recipe()
    every_view: ClassVar[bool] = False
    metric: ClassVar[str] = "rmse"

    @property
    def outputs(self) -> int:
        """How many numbers a head gives per galaxy."""
        return len(self.answers)

    @property
    def label_cols(self) -> tuple[str, ...]:
        """Columns of votes, `votes_0` … `votes_K-1`: fractions times the number of votes."""
        return tuple(f"votes_{k}" for k in range(self.outputs))

    def draw(self, galaxies: pd.DataFrame, labels: int, *, test_labels: int, seed: int, balance: bool = False):
        """Which galaxies train, validate and test (see `draw_any`), and the answer with their mean number of votes."""
        if balance:
            raise ValueError("balance is about classes: fractions have none")
        drawn = draw_any(galaxies, labels, columns=self.label_cols, test_labels=test_labels, seed=seed)
        votes = drawn.loc[drawn["split"] != "test", list(self.label_cols)].sum(axis=1).mean()
        return Fractions(self.answers, float(votes)), drawn

    def check_usable(self, rows: pd.DataFrame) -> None:
        """Raises ValueError if images of too few galaxies could be read."""
        check_splits(rows)

    def view(self, side: int) -> dict:
        """Arguments of `RandomView`: any rotation, flips, a little zoom and shift."""
        return {}

    def first_guess(self, targets: np.ndarray) -> np.ndarray:
        """(K,) logits of the mean fractions of (N, K) votes."""
        share = targets.sum(axis=0) + 0.5
        return np.log(share / share.sum())

    def linear(self, x: np.ndarray, targets: np.ndarray, seed: int):
        """The `Linear` head of a frozen encoder, from (N, D) representations and (N, K) votes."""
        from morphtools.answers.linear import fit_softmax

        return fit_softmax(x, targets, seed=seed)

    def results(self, ids, outputs: np.ndarray, truth: np.ndarray, provenance: dict[str, str]) -> Shares:
        """Fractions of (N,) galaxies from (N, K) outputs of the head; `truth` (N, K) votes, which may be NaN."""
        votes = truth.sum(axis=1)
        with np.errstate(invalid="ignore"):
            voted = truth / votes[:, np.newaxis]
        return Shares(np.asarray(ids, object), outputs, voted, votes, self.answers, provenance)

    def draw_figures(self, folder: Path, results: Shares, show: Callable | None, history: pd.DataFrame | None) -> None:
        """Draws the pictures of a test (see `draw_share_figures`)."""
        from morphtools.answers.share_figures import draw_share_figures

        draw_share_figures(folder, results, show, history)

    def neighbours(self, targets: np.ndarray, near: np.ndarray) -> np.ndarray:
        """(M, K) outputs from the votes of all neighbours, (M, k) rows of (N, K) votes."""
        votes = targets[near].sum(axis=1)
        return votes / votes.sum(axis=1, keepdims=True)

    def tables(self, ids, outputs: np.ndarray, level: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        """A readable table, and a full one with the answers of every model, from (S, N, K) outputs of S models."""
        table = pd.DataFrame({"id_str": np.array(ids, str)})
        table = table.join(pd.DataFrame(outputs.mean(axis=0), columns=list(self.answers)))
        several = enumerate(outputs) if len(outputs) > 1 else ()
        each = [pd.DataFrame(values, columns=[f"{name}_{i}" for name in self.answers]) for i, values in several]
        full = pd.concat([table, *each], axis=1)
        return self.to_read(full), full

    def to_read(self, full: pd.DataFrame, questions: tuple[str, ...] = ()) -> pd.DataFrame:
        """The readable part of a full table: fractions to three significant digits."""
        return significant_columns(full[["id_str", *self.answers]])

    def outputs_in(self, full: pd.DataFrame) -> np.ndarray:
        """(N, K) outputs, the means over all models, in a full table."""
        return full[list(self.answers)].to_numpy(float)

    def described(self) -> dict:
        """Fields of a model card."""
        about = {"answers": list(self.answers)}
        return {"kind": self.kind, "answer": about, "classes": None, "redshifts": None, "schema": None}
