"""What a classifier predicts for galaxies, by name."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.answers.class_metrics import classification_metrics
from tfrecords_builder.checksums import check_file, reading
from tfrecords_builder.copies import here
from tfrecords_builder.files import write_whole
from tfrecords_builder.json_files import read_json


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Probabilities of the classes of N galaxies.

    Attributes:
        id_str: (N,) names.
        probability: (N,) of the second of two classes (the positive one), or (N, K) of K classes.
        label: (N,) the true class, 0 … K-1; NaN where unknown.
        classes: Names of the classes; of two, the negative one first.
        provenance: Where they come from: hashes of the weights and of the records, version.

    Raises:
        ValueError: The shapes do not fit.
    """

    id_str: np.ndarray
    probability: np.ndarray
    label: np.ndarray
    classes: tuple[str, ...]
    provenance: dict[str, str]

    def __post_init__(self):
        n, classes = len(self.id_str), len(self.classes)
        expected = (n,) if classes == 2 else (n, classes)
        if self.probability.shape != expected or self.label.shape != (n,):
            raise ValueError(
                f"{n} galaxies and {classes} classes need probabilities of shape {expected} and {n} labels, got "
                f"{self.probability.shape} and {self.label.shape}"
            )

    @property
    def by_class(self) -> np.ndarray:
        """(N, K) probabilities, of two classes too."""
        p = self.probability
        return np.stack([1 - p, p], axis=1) if p.ndim == 1 else p

    @property
    def predicted(self) -> np.ndarray:
        """(N,) the most probable class, 0 … K-1; of two, the positive one from 0.5 on."""
        p = self.probability
        return (p >= 0.5).astype(int) if p.ndim == 1 else p.argmax(axis=1)

    def scores(self, seed: int = 0) -> dict[str, dict[str, float]]:
        """Scores where the truth is known, with 95% intervals (see `classification_metrics`).

        Args:
            seed: Seed of the bootstrap.

        Returns:
            `{metric: {"value", "low", "high"}}`.
        """
        known = np.isfinite(self.label.astype(float))
        return classification_metrics(self.label[known], self.probability[known], seed=seed)

    def baseline(self) -> str:
        """What always guessing the most common class would score, in words."""
        label = self.label[np.isfinite(self.label.astype(float))].astype(int)
        shares = np.bincount(label, minlength=len(self.classes)) / max(len(label), 1)
        order = np.argsort(-shares, kind="stable")
        listed = ", ".join(f"{self.classes[k]} {shares[k]:.1%}" for k in order[:10])
        listed += f" and {len(order) - 10} more" if len(order) > 10 else ""
        return f"base rates: {listed}; always guessing {self.classes[order[0]]}: accuracy {shares[order[0]]:.3f}"

    def table(self) -> pd.DataFrame:
        """One row per galaxy: `id_str`, `predicted` in words, `label`, and the probabilities.

        Of two classes that is `probability`, of the positive one; of more there is a column `P(class)` for each.
        """
        columns = {"id_str": self.id_str}
        if self.probability.ndim == 1:
            columns["probability"] = self.probability
        columns |= {"label": self.label, "predicted": np.array(self.classes)[self.predicted]}
        if self.probability.ndim == 2:
            columns |= {f"P({name})": self.probability[:, k] for k, name in enumerate(self.classes)}
        return pd.DataFrame(columns)

    def save(self, path: str | Path) -> None:
        """Writes a parquet file; classes and provenance go into its metadata.

        Args:
            path: File to write.
        """
        table = self.table()
        table.attrs = {"classes": list(self.classes), "provenance": self.provenance}
        write_whole(path, table.to_parquet)

    @classmethod
    def open(cls, path: str | Path) -> "Predictions":
        """Reads what `save` wrote.

        Args:
            path: `predictions.parquet`.
        """
        path = check_table(path)
        with reading(path):
            table = pd.read_parquet(path)
            classes = tuple(table.attrs["classes"])
            names = "probability" if len(classes) == 2 else [f"P({name})" for name in classes]
            ids, probability, label = (table[columns].to_numpy() for columns in ("id_str", names, "label"))
            return cls(
                ids,
                probability,
                label,
                classes=classes,
                provenance=table.attrs["provenance"],
            )


def check_table(path: str | Path) -> Path:
    """The path on this machine of a table of `predict` or of a run, compared with its checksum where one was kept.

    Raises:
        ValueError: It is not what was written; names it.
    """
    path = here(path)
    about = next((each for name in ("predict.json", "metrics.json") if (each := path.with_name(name)).exists()), None)
    checksums = read_json(about).get("checksums") if about else None
    return check_file(path, checksums.get(path.name) if isinstance(checksums, dict) else None)
