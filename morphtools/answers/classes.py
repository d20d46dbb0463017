"""The answer is one of several classes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from morphtools.answers.digits import significant_columns
from morphtools.answers.drawing import check_classes, draw_classes
from morphtools.answers.predictions import Predictions
from morphtools.answers.recipes import Recipe


@dataclasses.dataclass(frozen=True)
class Classes:
    """Each galaxy belongs to one of K ≥ 2 classes.

    Attributes:
        names: Names of the classes; of two, the negative one first.
        weights: The weight of a training galaxy of each class; empty if all count the same.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...] = dataclasses.field(default=(), compare=False)

    kind: ClassVar[str] = "classes"
    label_cols: ClassVar[tuple[str, ...]] = ("label",)
    recipe: ClassVar[Recipe] = Recipe()
    every_view: ClassVar[bool] = False  # whether each orientation of an image is answered separately
    metric: ClassVar[str] = "accuracy"  # that learning curves show

    @property
    def outputs(self) -> int:
        """How many numbers a head gives per galaxy."""
        return len(self.names)

    def draw(self, galaxies: pd.DataFrame, labels: int, *, test_labels: int, seed: int, balance: bool = False):
        """Which galaxies train, validate and test (see `draw_classes`), and the answer without classes left out."""
        drawn = draw_classes(galaxies, labels, test_labels=test_labels, classes=self.names, seed=seed)
        answer, label = self.among(drawn["label"], drawn["split"], balance)
        return answer, drawn.assign(label=label)

    def among(self, labels: pd.Series, splits: pd.Series, balance: bool) -> "tuple[Classes, pd.Series]":
        """The answer with only those classes that the drawn galaxies have, and their labels renumbered.

        Args:
            labels: (N,) 0 … K-1, NaN where unknown.
            splits: Whether each galaxy is for training, validation or the test.
            balance: Whether all classes count the same, however many galaxies of training and validation they have.
        """
        kept = sorted(labels.dropna().unique())
        labels = labels.map({old: new for new, old in enumerate(kept)})
        shares = labels[splits != "test"].value_counts(normalize=True).sort_index()
        weights = tuple(float(w) for w in 1 / (shares * len(kept))) if balance else ()
        return Classes(tuple(self.names[int(k)] for k in kept), weights), labels

    def check_usable(self, rows: pd.DataFrame) -> None:
        """Raises ValueError if images of too few galaxies could be read."""
        check_classes(rows)

    def view(self, side: int) -> dict:
        """Arguments of `RandomView`: any rotation, flips, a little zoom and shift."""
        return {}

    def first_guess(self, targets: np.ndarray) -> np.ndarray:
        """(K,) logits that make all classes equally likely for any representation.

        Random weights would give confident wrong answers; with few labels, the best epoch could come before these are
        unlearned.
        """
        return np.zeros(self.outputs)

    def linear(self, x: np.ndarray, targets: np.ndarray, seed: int):
        """The `Linear` head of a frozen encoder, from (N, D) representations and (N, 1) labels."""
        from morphtools.answers.linear import fit_softmax

        truth = np.eye(self.outputs)[targets[:, 0].astype(int)]
        return fit_softmax(x, truth * (self.weights or 1.0), seed=seed)

    def results(self, ids, outputs: np.ndarray, truth: np.ndarray, provenance: dict[str, str]) -> Predictions:
        """Predictions for (N,) galaxies from (N, K) outputs of the head; `truth` (N, 1) may be NaN."""
        probability = outputs[:, 1] if self.outputs == 2 else outputs
        return Predictions(np.asarray(ids, object), probability, truth[:, 0], self.names, provenance)

    def draw_figures(
        self, folder: Path, results: Predictions, show: Callable | None, history: pd.DataFrame | None
    ) -> None:
        """Draws the pictures of a test (see `draw_figures`)."""
        from morphtools.answers.class_report import draw_figures

        draw_figures(folder, results, show, history)

    def neighbours(self, targets: np.ndarray, near: np.ndarray) -> np.ndarray:
        """(M, K) outputs from the fractions of classes among neighbours, (M, k) rows of (N, 1) labels."""
        return np.eye(self.outputs)[targets[:, 0].astype(int)][near].mean(axis=1)

    def tables(self, ids, outputs: np.ndarray, level: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        """A readable table, and a full one with the answers of every model, from (S, N, K) outputs of S models."""
        mean = outputs.mean(axis=0)
        table = pd.DataFrame({"id_str": np.array(ids, str), "predicted": np.array(self.names)[mean.argmax(axis=1)]})
        table = table.join(pd.DataFrame(mean, columns=list(self.names)))
        several = enumerate(outputs) if len(outputs) > 1 else ()
        each = [pd.DataFrame(values, columns=[f"{name}_{i}" for name in self.names]) for i, values in several]
        full = pd.concat([table, *each], axis=1)
        return self.to_read(full), full

    def to_read(self, full: pd.DataFrame, questions: tuple[str, ...] = ()) -> pd.DataFrame:
        """The readable part of a full table: the class, and probabilities to three significant digits."""
        return significant_columns(full[["id_str", "predicted", *self.names]])

    def outputs_in(self, full: pd.DataFrame) -> np.ndarray:
        """(N, K) outputs, the means over all models, in a full table."""
        return full[list(self.names)].to_numpy(float)

    def described(self) -> dict:
        """Fields of a model card."""
        return {"kind": self.kind, "classes": self.names, "redshifts": None, "schema": None, "answer": None}
