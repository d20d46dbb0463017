"""What a model predicts for several questions about the same galaxies."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.answers.predictions import Predictions, check_table
from tfrecords_builder.checksums import reading
from tfrecords_builder.files import write_whole


@dataclasses.dataclass(frozen=True)
class SeveralPredictions:
    """Probabilities of the classes of several questions for the same N galaxies.

    Attributes:
        questions: Their names.
        predictions: Predictions of each, with the same `id_str` and `provenance`; labels are NaN where unknown.
    """

    questions: tuple[str, ...]
    predictions: tuple[Predictions, ...]

    @property
    def id_str(self) -> np.ndarray:
        """(N,) names."""
        return self.predictions[0].id_str

    @property
    def provenance(self) -> dict[str, str]:
        """Where they come from."""
        return self.predictions[0].provenance

    def answered(self) -> dict[str, Predictions]:
        """The predictions of each question for galaxies whose answer is known, if there are any."""
        known = {}
        for question, each in zip(self.questions, self.predictions, strict=True):
            rows = np.isfinite(each.label.astype(float))
            if rows.any():
                chosen = {name: getattr(each, name)[rows] for name in ("id_str", "probability", "label")}
                known[question] = dataclasses.replace(each, **chosen)
        return known

    def scores(self, seed: int = 0) -> dict[str, dict[str, float]]:
        """Scores where the truth is known, with 95% intervals (see `Predictions.scores`).

        Args:
            seed: Seed of the bootstrap.

        Returns:
            `{"METRIC of QUESTION": {"value", "low", "high"}}`.
        """
        return {
            f"{metric} of {question}": score
            for question, each in self.answered().items()
            for metric, score in each.scores(seed).items()
        }

    def baseline(self) -> str:
        """What always guessing the most common class of each question would score, in words."""
        return "; ".join(f"{question}: {each.baseline()}" for question, each in self.answered().items())

    def table(self) -> pd.DataFrame:
        """One row per galaxy: `id_str`, and the columns of each question's `Predictions.table` as `QUESTION_COLUMN`."""
        parts = [
            each.table().drop(columns="id_str").add_prefix(f"{question}_")
            for question, each in zip(self.questions, self.predictions, strict=True)
        ]
        return pd.concat([pd.DataFrame({"id_str": self.id_str}), *parts], axis=1)

    def save(self, path: str | Path) -> None:
        """Writes a parquet file; questions, classes and provenance go into its metadata.

        Args:
            path: File to write.
        """
        table = self.table()
        classes = {name: list(each.classes) for name, each in zip(self.questions, self.predictions, strict=True)}
        table.attrs = {"questions": classes, "provenance": self.provenance}
        write_whole(path, table.to_parquet)

    @classmethod
    def open(cls, path: str | Path) -> "SeveralPredictions":
        """Reads what `save` wrote.

        Args:
            path: `predictions.parquet` of a run with several questions.
        """
        path = check_table(path)
        with reading(path):
            table = pd.read_parquet(path)
            ids, predictions = table["id_str"].to_numpy(), {}
            for question, classes in table.attrs["questions"].items():
                names = [f"{question}_P({name})" for name in classes]
                probability = table[f"{question}_probability" if len(classes) == 2 else names].to_numpy()
                label = table[f"{question}_label"].to_numpy()
                provenance = table.attrs["provenance"]
                predictions[question] = Predictions(ids, probability, label, tuple(classes), provenance)
            return cls(tuple(predictions), tuple(predictions.values()))
