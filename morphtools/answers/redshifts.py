"""Redshifts of galaxies from their images: a whole PDF for each."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from morphtools.answers.predictions import check_table
from morphtools.answers.redshift_metrics import delta_z, photoz_metrics, pit, sigma_mad
from tfrecords_builder.checksums import reading
from tfrecords_builder.copies import here
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import check_known

QUANTILES = (0.05, 0.16, 0.5, 0.84, 0.95)


def _mean(pdf, edges):
    return pdf @ ((edges[:-1] + edges[1:]) / 2)


def _mode(pdf, edges):
    return ((edges[:-1] + edges[1:]) / 2)[(pdf / np.diff(edges)).argmax(axis=1)]


ESTIMATES = {"mean": _mean, "mode": _mode}  # from (N, B) probabilities and (B+1,) edges to (N,) redshifts


@dataclasses.dataclass(frozen=True)
class Redshifts:
    """Redshift PDFs of N galaxies, by any method, over the same B bins; constant inside a bin.

    Attributes:
        id_str: (N,) names.
        pdf: (N, B) probabilities of the bins, of sum 1.
        edges: (B+1,) of the bins, ascending.
        estimate: The single redshift that represents a PDF: its `mean` or `mode`.
        redshift: (N,) spectroscopic, NaN where unknown.
        provenance: Where they come from: hashes of the weights and of the records, version.

    Raises:
        ValueError: The shapes do not fit, the PDFs do not sum to 1, or the estimate is unknown.
    """

    id_str: np.ndarray
    pdf: np.ndarray
    edges: np.ndarray
    estimate: str
    redshift: np.ndarray
    provenance: dict[str, str]

    def __post_init__(self):
        check_known("estimate", self.estimate, ESTIMATES)
        n, bins = len(self.id_str), len(self.edges) - 1
        if self.pdf.shape != (n, bins) or self.redshift.shape != (n,):
            raise ValueError(
                f"{n} galaxies and {bins} bins need a pdf of shape {(n, bins)} and {n} redshifts, not "
                f"{self.pdf.shape} and {self.redshift.shape}"
            )
        if not np.all(np.diff(self.edges) > 0):
            raise ValueError("the edges of redshift bins must ascend")
        if n and not np.abs(self.pdf.sum(axis=1, dtype=float) - 1).max() < 1e-3:
            raise ValueError("the probabilities of a galaxy's redshift bins must sum to 1")

    def z(self) -> np.ndarray:
        """(N,) single redshifts: the mean of the PDF, or the middle of its densest bin."""
        return ESTIMATES[self.estimate](self.pdf, self.edges)

    def cdf_at(self, z) -> np.ndarray:
        """The probability of a lower redshift.

        Args:
            z: (N,) redshifts, or one for all.

        Returns:
            (N,) from 0 to 1.
        """
        return pit(self.pdf, self.edges, z)

    def quantile(self, q) -> np.ndarray:
        """Redshifts below which the probability is `q`.

        Args:
            q: A probability, or (K,) of them.

        Returns:
            (N,) for one, (N, K) for (K,).
        """
        if np.ndim(q):
            return np.stack([self.quantile(each) for each in q], axis=1)
        rows, right = np.arange(len(self.pdf)), np.cumsum(self.pdf, axis=1, dtype=float)
        right /= right[:, -1:]
        bins = np.minimum((right < q).sum(axis=1), self.pdf.shape[1] - 1)
        inside = right[rows, bins] - np.where(bins > 0, right[rows, bins - 1], 0.0)
        missing = np.divide(right[rows, bins] - q, inside, out=np.zeros(len(rows)), where=inside > 0)
        return self.edges[bins + 1] - missing * np.diff(self.edges)[bins]

    def scores(self, seed: int = 0) -> dict[str, dict[str, float]]:
        """Scores where the truth is known, with 95% intervals (see `photoz_metrics`).

        Args:
            seed: Seed of the bootstrap.

        Returns:
            `{metric: {"value", "low", "high"}}`.
        """
        return photoz_metrics(self, seed=seed)

    def baseline(self) -> str:
        """What always predicting the median redshift would score, in words."""
        z = self.redshift[np.isfinite(self.redshift)]
        spread = sigma_mad(delta_z(np.full(len(z), np.median(z)), z)) if len(z) else np.nan
        return f"always predicting the median redshift: σ_MAD {spread:.4f}"

    def table(self) -> pd.DataFrame:
        """One row per galaxy: `id_str`, `redshift`, `z`, the quantiles `z_05` … `z_95`, and `pdf` in half precision."""
        quantiles = {f"z_{100 * q:02.0f}": self.quantile(q) for q in QUANTILES}
        columns = {"id_str": self.id_str, "redshift": self.redshift, "z": self.z(), **quantiles}
        half = pa.array(self.pdf.astype(np.float16).ravel())
        lists = pa.FixedSizeListArray.from_arrays(half, self.pdf.shape[1])
        return pd.DataFrame(columns | {"pdf": pd.arrays.ArrowExtensionArray(lists)})

    def save(self, path: str | Path) -> None:
        """Writes a parquet file; edges, estimate and provenance go into its metadata.

        Args:
            path: File to write.
        """
        about = metadata(self.edges, self.estimate, self.provenance)
        table = pa.Table.from_pandas(self.table(), preserve_index=False).replace_schema_metadata(about)
        write_whole(path, lambda file: pq.write_table(table, file))

    @classmethod
    def open(cls, path: str | Path) -> "Redshifts":
        """Reads what `save` or `predict` wrote; probabilities have their three leading digits.

        Args:
            path: Such as `predictions.parquet` of a run.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: It holds no redshifts.
        """
        path = here(path)
        if not path.is_file():
            raise FileNotFoundError(f"there are no redshifts at {path}")
        check_table(path)
        with reading(path):
            arrow = pq.read_table(path)
        if b"redshifts" not in (arrow.schema.metadata or {}):
            raise ValueError(f"{path} has no redshift PDFs: give a run of finetune --task photoz, or its predictions")
        about, table = json.loads(arrow.schema.metadata[b"redshifts"]), arrow.drop_columns("pdf").to_pandas()
        pdf = arrow["pdf"].combine_chunks().flatten().to_numpy().astype(float).reshape(len(table), -1)
        return cls(
            id_str=table["id_str"].to_numpy(object),
            pdf=pdf / pdf.sum(axis=1, keepdims=True),
            edges=np.array(about["edges"]),
            estimate=about["estimate"],
            redshift=table["redshift"].to_numpy(float) if "redshift" in table else np.full(len(table), np.nan),
            provenance=about["provenance"],
        )


def metadata(edges, estimate: str, provenance: dict[str, str]) -> dict[str, str]:
    """The metadata of a parquet file with the columns of `Redshifts.table`: what all galaxies have in common."""
    about = {"edges": [float(edge) for edge in edges], "estimate": estimate, "provenance": provenance}
    return {"redshifts": json.dumps(about)}
