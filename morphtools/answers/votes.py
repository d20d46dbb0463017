"""The answer is how volunteers vote on every question of a tree."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from morphtools.answers.digits import significant_columns
from morphtools.answers.posteriors import ASKED, read_concentrations, vote_tables
from morphtools.answers.tallies import Tallies
from morphtools.survey.schemas import Schema


@dataclasses.dataclass(frozen=True)
class Votes:
    """Concentrations for every answer of a question tree, with what `predict` needs (`train` does the rest).

    Attributes:
        schema: The questions.
    """

    schema: Schema

    kind: ClassVar[str] = "votes"
    every_view: ClassVar[bool] = True  # the posterior is the mixture over orientations

    @property
    def label_cols(self) -> tuple[str, ...]:
        """Columns of votes."""
        return self.schema.label_cols

    @property
    def outputs(self) -> int:
        """How many numbers a head gives per galaxy."""
        return len(self.schema.label_cols)

    def tables(self, ids, outputs: np.ndarray, level: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        """A readable table, and a full one with everything (see `vote_tables`), from (S, N, A) concentrations."""
        full = vote_tables(ids, outputs, self.schema, level)[1]
        return self.to_read(full), full

    def to_read(self, full: pd.DataFrame, questions: tuple[str, ...] = ()) -> pd.DataFrame:
        """The readable part of a full table: fractions to three significant digits.

        They are missing where fewer than half of the volunteers would be asked the question.

        Args:
            full: The table.
            questions: Names of the questions to show; all by default.
        """
        table = {"id_str": full["id_str"]}
        for question in self.schema.questions:
            if not questions or question.text in questions:
                asked = full[f"{question.text}_asked"] >= ASKED
                names = [f"{name}_fraction" for name in question.label_cols]
                table |= {name: full[name].where(asked) for name in names}
        return significant_columns(pd.DataFrame(table))

    def outputs_in(self, full: pd.DataFrame) -> np.ndarray:
        """(S, N, A) concentrations in a full table."""
        return read_concentrations(full, self.schema)

    def results(self, ids, outputs: np.ndarray, truth: np.ndarray, provenance: dict[str, str]) -> Tallies:
        """Tallies of (N,) galaxies from (S, N, A) concentrations; `truth` (N, A) votes, which may be NaN."""
        return Tallies(np.asarray(ids, object), outputs, truth, self.schema, provenance)

    def draw_figures(self, folder: Path, results: Tallies, show: Callable | None, history: pd.DataFrame | None) -> None:
        """Draws the pictures of a test (see `evaluate_votes`), with `questions.csv` beside their folder."""
        from morphtools.answers.calibration import evaluate_votes

        evaluate_votes(results.counts, results.concentrations, self.schema, out=folder.parent)

    def described(self) -> dict:
        """Fields of a model card."""
        return {"kind": self.kind, "schema": self.schema.to_dict(), "classes": None, "redshifts": None, "answer": None}
