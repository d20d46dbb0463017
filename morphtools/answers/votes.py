"""The answer is how volunteers vote on every question of a tree."""

import dataclasses
from typing import ClassVar

import numpy as np
import pandas as pd

from morphtools.answers.posteriors import vote_tables
from morphtools.survey.schemas import Schema


@dataclasses.dataclass(frozen=True)
class Votes:
    """Concentrations for every answer of a question tree; what `predict` needs of them (`train` does the rest).

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
        """Numbers that a head gives for a galaxy."""
        return len(self.schema.label_cols)

    def tables(self, ids, outputs: np.ndarray, level: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        """A table to read, and one with everything (see `vote_tables`), from (S, N, A) concentrations."""
        return vote_tables(ids, outputs, self.schema, level)

    def metadata(self, provenance: dict[str, str]) -> dict[str, str] | None:
        """Metadata of the table with everything."""
        return None

    def described(self) -> dict:
        """Fields of a model card."""
        return {"kind": self.kind, "schema": self.schema.to_dict(), "classes": None, "redshifts": None, "answer": None}
