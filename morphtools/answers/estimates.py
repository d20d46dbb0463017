"""What a model predicts for numbers such as sizes or colours: a value and its uncertainty for each galaxy."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from morphtools.answers.predictions import check_table
from morphtools.answers.resampling import with_intervals
from tfrecords_builder.checksums import reading
from tfrecords_builder.files import write_whole


@dataclasses.dataclass(frozen=True)
class Estimates:
    """Normal distributions of M numbers for each of N galaxies.

    Attributes:
        id_str: (N,) names.
        value: (N, M) means.
        sigma: (N, M) standard deviations, positive.
        truth: (N, M) measured values; NaN where unknown.
        columns: Names of the M numbers.
        provenance: Where they come from: hashes of the weights and of the records, version.

    Raises:
        ValueError: The shapes do not fit, or a standard deviation is not positive.
    """

    id_str: np.ndarray
    value: np.ndarray
    sigma: np.ndarray
    truth: np.ndarray
    columns: tuple[str, ...]
    provenance: dict[str, str]

    def __post_init__(self):
        expected = (len(self.id_str), len(self.columns))
        for name in ("value", "sigma", "truth"):
            if getattr(self, name).shape != expected:
                raise ValueError(f"{name} must have the shape {expected}, got {getattr(self, name).shape}")
        if not (self.sigma > 0).all():
            raise ValueError("standard deviations must be positive")

    def scores(self, seed: int = 0) -> dict[str, dict[str, float]]:
        """Scores where the truth is known, with 95% intervals (see `number_metrics`).

        Args:
            seed: Seed of the bootstrap.

        Returns:
            `{metric: {"value", "low", "high"}}`.
        """
        return number_metrics(self, seed=seed)

    def baseline(self) -> str:
        """What always predicting the mean would score, in words."""
        spreads = zip(self.columns, np.nanstd(self.truth, axis=0), strict=True)
        return "always predicting the mean: " + ", ".join(f"RMSE {spread:.3g} of {name}" for name, spread in spreads)

    def table(self) -> pd.DataFrame:
        """One row per galaxy: `id_str`, and for each number `NAME_predicted`, `NAME_sigma` and `NAME`, the truth."""
        table = {"id_str": self.id_str}
        for i, name in enumerate(self.columns):
            table |= {f"{name}_predicted": self.value[:, i], f"{name}_sigma": self.sigma[:, i], name: self.truth[:, i]}
        return pd.DataFrame(table)

    def save(self, path: str | Path) -> None:
        """Writes a parquet file; names and provenance go into its metadata.

        Args:
            path: File to write.
        """
        table = self.table()
        table.attrs = {"columns": list(self.columns), "provenance": self.provenance}
        write_whole(path, table.to_parquet)

    @classmethod
    def open(cls, path: str | Path) -> "Estimates":
        """Reads what `save` wrote.

        Args:
            path: `predictions.parquet` of a run that predicts numbers.
        """
        path = check_table(path)
        with reading(path):
            table = pd.read_parquet(path)
            columns = tuple(table.attrs["columns"])
            value, sigma, truth = (
                table[[f"{name}{ending}" for name in columns]].to_numpy() for ending in ("_predicted", "_sigma", "")
            )
            return cls(
                table["id_str"].to_numpy(),
                value,
                sigma,
                truth,
                columns=columns,
                provenance=table.attrs["provenance"],
            )


def crps_of_normal(value, sigma, truth):
    """Continuous ranked probability score of normal distributions, in the units of the number; 0 is best.

    Reference:
        Gneiting & Raftery 2007, JASA 102, 359, equation 21.
    """
    z = (truth - value) / sigma
    return sigma * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))


def number_metrics(estimates: Estimates, *, resamples: int = 1000, seed: int = 0) -> dict[str, dict[str, float]]:
    """Scores of predicted numbers with bootstrap intervals over the galaxies whose truth is known.

    `rmse`, `bias` (the mean residual), `sigma_mad` (1.4826 × the median absolute deviation of the residuals, which
    outliers do not move), `r2` (the fraction of the variance that is explained), `coverage_68` and `coverage_90` (how
    often the truth lies inside the central interval of that probability), and `crps`.

    Args:
        estimates: Estimates of N galaxies.
        resamples: Number of bootstrap samples.
        seed: Seed of the samples.

    Returns:
        `{metric: {"value", "low", "high"}}`; of several numbers, `metric of NAME`.
    """
    result = {}
    for i, name in enumerate(estimates.columns):
        known = np.isfinite(estimates.truth[:, i])
        value, sigma, truth = (each[known, i] for each in (estimates.value, estimates.sigma, estimates.truth))
        residual, ranked = value - truth, crps_of_normal(value, sigma, truth)

        def scores(rows, residual=residual, sigma=sigma, truth=truth, ranked=ranked):
            if not len(rows):
                return dict.fromkeys(
                    ("rmse", "bias", "sigma_mad", "r2", "coverage_68", "coverage_90", "crps"), float("nan")
                )
            off, pull = residual[rows], np.abs(residual[rows] / sigma[rows])
            variance = np.var(truth[rows])
            return {
                "rmse": np.sqrt(np.mean(off**2)),
                "bias": np.mean(off),
                "sigma_mad": 1.4826 * np.median(np.abs(off - np.median(off))),
                "r2": 1 - np.mean(off**2) / variance if variance > 0 else np.nan,
                "coverage_68": np.mean(pull < norm.ppf(0.84)),
                "coverage_90": np.mean(pull < norm.ppf(0.95)),
                "crps": np.mean(ranked[rows]),
            }

        of = "" if len(estimates.columns) == 1 else f" of {name}"
        intervals = with_intervals(scores, int(known.sum()), resamples=resamples, seed=seed)
        result |= {f"{metric}{of}": score for metric, score in intervals.items()}
    return result
