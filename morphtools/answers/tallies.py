"""What a vote model predicts for galaxies, and how volunteers voted on them."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.answers.calibration import mean_concentrations, vote_ranks
from morphtools.answers.posteriors import expected_fractions, log_score, per_answer, vote_tables
from morphtools.answers.resampling import with_intervals
from morphtools.survey.schemas import Schema
from tfrecords_builder.files import write_whole


@dataclasses.dataclass(frozen=True)
class Tallies:
    """Concentrations and votes of N galaxies for the A answers of a tree.

    Attributes:
        id_str: (N,) names.
        concentrations: (S, N, A) of S views or models.
        votes: (N, A) counts; 0 for questions without votes, NaN if unknown.
        schema: The questions.
        provenance: Where they come from: hashes of the weights and of the records, version.
    """

    id_str: np.ndarray
    concentrations: np.ndarray
    votes: np.ndarray
    schema: Schema
    provenance: dict[str, str]

    @property
    def counts(self) -> np.ndarray:
        """(N, A) votes, 0 where they are unknown."""
        return np.nan_to_num(self.votes)

    def scores(self, seed: int = 0) -> dict[str, dict[str, float]]:
        """Scores over the galaxies with votes, with 95% intervals.

        `loss`: minus the log probability of a galaxy's votes, over all questions, in nats; `baseline_loss`: that of the
        best model that predicts the same for every galaxy; `gain`, their difference; `rmse` of vote fractions where two
        or more answered; `coverage_50`, `coverage_90`: how often the intervals for an answer's votes contain them.

        Args:
            seed: Seed of the bootstrap, and of the random part of the coverage.

        Returns:
            `{metric: {"value", "low", "high"}}`.
        """
        votes, schema = self.counts, self.schema
        total = per_answer(votes, schema)
        loss = -log_score(votes, self.concentrations, schema).sum(axis=1)
        constant = -log_score(votes, mean_concentrations(votes, schema)[np.newaxis], schema).sum(axis=1)
        off = votes / np.maximum(total, 1) - expected_fractions(self.concentrations, schema)
        ranks = np.abs(vote_ranks(votes, self.concentrations, schema, seed=seed) - 0.5)
        parts = {"rmse": np.where(total > 1, off**2, np.nan)}
        parts |= {f"coverage_{n}": np.where(np.isnan(ranks), np.nan, ranks <= n / 200) for n in (50, 90)}
        added = {name: (np.nansum(each, axis=1), np.isfinite(each).sum(axis=1)) for name, each in parts.items()}
        rows = np.flatnonzero(votes.any(axis=1))

        def scores(chosen):
            which = rows[chosen]
            with np.errstate(invalid="ignore", divide="ignore"):
                means = {name: np.float64(a[which].sum()) / n[which].sum() for name, (a, n) in added.items()}
            losses = {"loss": loss[which], "baseline_loss": constant[which], "gain": (constant - loss)[which]}
            losses = {name: each.mean() if len(which) else np.nan for name, each in losses.items()}
            return losses | means | {"rmse": np.sqrt(means["rmse"])}

        return with_intervals(scores, len(rows), seed=seed)

    def baseline(self) -> str:
        """How much there was to score, in words."""
        answered = (self.counts @ self.schema.membership.T > 0).any(axis=0).sum()
        galaxies = self.counts.any(axis=1).sum()
        return f"{self.counts.sum():.0f} votes for {galaxies} galaxies on {answered} questions; see questions.csv"

    def table(self) -> pd.DataFrame:
        """One row per galaxy: `id_str`, and for every answer `ANSWER_fraction` and the votes, `ANSWER`."""
        table = vote_tables(self.id_str, self.concentrations, self.schema, level=None)[1]
        fractions = table[["id_str", *(f"{name}_fraction" for name in self.schema.label_cols)]]
        return fractions.join(pd.DataFrame(self.votes, columns=list(self.schema.label_cols)))

    def save(self, path: str | Path) -> None:
        """Writes `table` as a parquet file.

        Args:
            path: File to write.
        """
        write_whole(path, self.table().to_parquet)
