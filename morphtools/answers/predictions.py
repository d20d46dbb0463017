"""What a classifier says about galaxies, by name."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd

from tfrecords_builder.checksums import check_file, reading
from tfrecords_builder.files import write_whole
from tfrecords_builder.json_files import read_json


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Probabilities of a yes-or-no question for N galaxies.

    Attributes:
        id_str: (N,) names.
        probability: (N,) probability of the positive class.
        label: (N,) 1 or 0, NaN where unknown.
        classes: Names of the negative and the positive class.
        provenance: Where they came from: hashes of the weights and of the records, version.
    """

    id_str: np.ndarray
    probability: np.ndarray
    label: np.ndarray
    classes: tuple[str, str]
    provenance: dict[str, str]

    def table(self) -> pd.DataFrame:
        """One row per galaxy: `id_str`, `probability`, `label`, and `predicted` in words."""
        predicted = np.where(self.probability >= 0.5, self.classes[1], self.classes[0])
        columns = {
            "id_str": self.id_str,
            "probability": self.probability,
            "label": self.label,
            "predicted": predicted,
        }
        return pd.DataFrame(columns)

    def save(self, path: str | Path) -> None:
        """Writes a parquet file; classes and provenance go into its metadata.

        Args:
            path: Where to.
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
        with reading(check_table(path)):
            table = pd.read_parquet(path)
            return cls(
                *(table[name].to_numpy() for name in ("id_str", "probability", "label")),
                classes=tuple(table.attrs["classes"]),
                provenance=json.loads(json.dumps(table.attrs["provenance"])),
            )


def check_table(path: str | Path) -> Path:
    """The path of a table of predictions, compared with its checksum where `predict` has kept one.

    Raises:
        ValueError: It is not what was written; names it.
    """
    path = Path(path)
    about = path.with_name("predict.json")
    checksums = read_json(about).get("checksums") if about.exists() else None
    return check_file(path, checksums.get(path.name) if isinstance(checksums, dict) else None)
