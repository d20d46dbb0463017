"""The answers to several questions about classes, learned at once."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.special import softmax

from morphtools.answers.class_figures import training_curve, write_figures
from morphtools.answers.class_report import draw_figures
from morphtools.answers.classes import Classes
from morphtools.answers.digits import significant_columns
from morphtools.answers.drawing import check_classes, draw_several
from morphtools.answers.recipes import Recipe
from morphtools.answers.several_predictions import SeveralPredictions
from tfrecords_builder.naming import some


@dataclasses.dataclass(frozen=True)
class Several:
    """Q ≥ 2 questions about classes. A galaxy without an answer to one of them still teaches the others.

    Outputs are those of the questions, one after the other.

    Attributes:
        questions: Their names.
        answers: The classes of each.

    Raises:
        ValueError: There are fewer than two, or columns of tables would have the same name.
    """

    questions: tuple[str, ...]
    answers: tuple[Classes, ...]

    kind: ClassVar[str] = "several"
    recipe: ClassVar[Recipe] = Classes.recipe
    every_view: ClassVar[bool] = Classes.every_view

    def __post_init__(self):
        if len(self.questions) < 2 or len(self.questions) != len(self.answers):
            raise ValueError(f"two questions or more are needed, each with its classes, got {some(self.questions)}")
        names = [name for question, answer, _ in self for name in _columns(question, answer)]
        if double := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"the questions {some(self.questions)} would both have a column {some(double)}")

    def __iter__(self) -> Iterator[tuple[str, Classes, slice]]:
        """Each question with its answer, and where its outputs are."""
        ends = np.cumsum([answer.outputs for answer in self.answers]).tolist()
        places = [slice(end - answer.outputs, end) for end, answer in zip(ends, self.answers, strict=True)]
        return iter(zip(self.questions, self.answers, places, strict=True))

    @property
    def outputs(self) -> int:
        """How many numbers a head gives per galaxy."""
        return sum(answer.outputs for answer in self.answers)

    @property
    def label_cols(self) -> tuple[str, ...]:
        """Columns of numbers of classes: `label_0` … `label_Q-1`."""
        return tuple(f"label_{q}" for q in range(len(self.questions)))

    @property
    def metric(self) -> str:
        """The score that learning curves show: that of the first question."""
        return f"{Classes.metric} of {self.questions[0]}"

    def draw(self, galaxies: pd.DataFrame, labels: int, *, test_labels: int, seed: int, balance: bool = False):
        """Which galaxies train, validate and test (see `draw_several`), and the answer without classes left out."""
        questions = {question: answer.names for question, answer, _ in self}
        drawn = draw_several(galaxies, labels, questions=questions, test_labels=test_labels, seed=seed)
        answers = []
        for answer, name in zip(self.answers, self.label_cols, strict=True):
            answer, drawn[name] = answer.among(drawn[name], drawn["split"], balance)
            answers.append(answer)
        return Several(self.questions, tuple(answers)), drawn

    def check_usable(self, rows: pd.DataFrame) -> None:
        """Raises ValueError if images of too few galaxies could be read."""
        for question, name in zip(self.questions, self.label_cols, strict=True):
            check_classes(rows[["split"]].assign(label=rows[name])[rows[name].notna()], f" of {question}")

    def view(self, side: int) -> dict:
        """Arguments of `RandomView`: any rotation, flips, a little zoom and shift."""
        return {}

    def first_guess(self, targets: np.ndarray) -> np.ndarray:
        """Logits that make all classes of a question equally likely for any representation."""
        return np.zeros(self.outputs)

    def linear(self, x: np.ndarray, targets: np.ndarray, seed: int):
        """The `Linear` head of a frozen encoder, from (N, D) representations and (N, Q) labels, NaN where unknown.

        Its outputs are those of separate heads, each fitted to the galaxies whose answer to that question is known.
        """
        from morphtools.answers.linear import side_by_side

        heads = []
        for label, (question, answer, _) in zip(targets.T, self, strict=True):
            known = np.isfinite(label)
            head = answer.linear(x[known], label[known, np.newaxis], seed)
            left_out = softmax(head(x), axis=1)  # galaxies without an answer have been left out anyway
            left_out[known] = head.left_out
            heads.append(dataclasses.replace(head, left_out=left_out, history=head.history.assign(question=question)))
        return side_by_side(x, heads)

    def results(self, ids, outputs: np.ndarray, truth: np.ndarray, provenance: dict[str, str]) -> SeveralPredictions:
        """Predictions for (N,) galaxies from (N, `outputs`) of the head; `truth` (N, Q) may be NaN."""
        each = [
            answer.results(ids, outputs[:, place], truth[:, [q]], provenance)
            for q, (_, answer, place) in enumerate(self)
        ]
        return SeveralPredictions(self.questions, tuple(each))

    def draw_figures(
        self, folder: Path, results: SeveralPredictions, show: Callable | None, history: pd.DataFrame | None
    ) -> None:
        """Draws the pictures of a test (see `draw_figures`), with a folder for each question."""
        shared = history is not None and "question" not in history  # trained together
        for question, predictions in results.answered().items():
            (own := folder / re.sub(r"[^\w.-]+", "-", question)).mkdir(exist_ok=True)
            names, what = predictions.classes, question.replace("_", " ")
            if names == ("no", "yes"):
                predictions = dataclasses.replace(predictions, classes=(f"no {what}", what))
            curve = None if history is None or shared else history[history["question"] == question]
            draw_figures(own, predictions, show, curve)
        if shared:
            write_figures(folder, {"training_curve": training_curve(history)})

    def neighbours(self, targets: np.ndarray, near: np.ndarray) -> np.ndarray:
        """(M, `outputs`) from fractions among neighbours, (M, k) rows of (N, Q) labels; of all if none is known."""
        each = []
        for label, answer in zip(targets.T, self.answers, strict=True):
            truth = (label[:, np.newaxis] == np.arange(answer.outputs)).astype(float)  # all 0 where unknown
            shares = truth[near].sum(axis=1)
            shares = np.where(shares.any(axis=1, keepdims=True), shares, truth.sum(axis=0))
            each.append(shares / shares.sum(axis=1, keepdims=True))
        return np.concatenate(each, axis=1)

    def tables(self, ids, outputs: np.ndarray, level: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        """A readable table, and a full one with the answers of every model, from (S, N, `outputs`) of S models."""
        parts = [pd.DataFrame({"id_str": np.array(ids, str)})]
        for question, answer, place in self:
            full = answer.tables(ids, outputs[:, :, place], level)[1]
            parts.append(full.drop(columns="id_str").add_prefix(f"{question}_"))
        full = pd.concat(parts, axis=1)
        return self.to_read(full), full

    def to_read(self, full: pd.DataFrame, questions: tuple[str, ...] = ()) -> pd.DataFrame:
        """The readable part of a full table: `QUESTION_predicted`, and `QUESTION_CLASS`, to three digits.

        Args:
            full: The table.
            questions: Names of the questions to show; all by default.
        """
        names = [
            name
            for question, answer, _ in self
            if not questions or question in questions
            for name in _columns(question, answer)
        ]
        return significant_columns(full[["id_str", *names]])

    def outputs_in(self, full: pd.DataFrame) -> np.ndarray:
        """(N, `outputs`), the means over all models, in a full table."""
        return full[[name for question, answer, _ in self for name in _columns(question, answer)[1:]]].to_numpy(float)

    def described(self) -> dict:
        """Fields of a model card."""
        about = {"questions": {question: list(answer.names) for question, answer, _ in self}}
        return {"kind": self.kind, "answer": about, "classes": None, "redshifts": None, "schema": None}


def _columns(question: str, answer: Classes) -> list[str]:
    """Columns of a table to read: the class that is predicted, and the probability of each."""
    return [f"{question}_{name}" for name in ("predicted", *answer.names)]
