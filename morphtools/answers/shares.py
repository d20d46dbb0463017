"""What a model predicts for the answers of volunteers: a fraction for every answer."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from morphtools.answers.predictions import check_table
from morphtools.answers.resampling import with_intervals
from tfrecords_builder.checksums import reading
from tfrecords_builder.files import write_whole

_OF_EVERY = ("hq_precision", "hq_recall", "hq_auc")
CERTAIN = 0.8  # answers are of high quality from this fraction on (Hayat et al. 2021, section 3.2)


@dataclasses.dataclass(frozen=True)
class Shares:
    """Fractions of K answers for N galaxies, predicted and voted.

    Attributes:
        id_str: (N,) names.
        predicted: (N, K) of sum 1.
        voted: (N, K) of sum 1; NaN where unknown.
        votes: (N,) number of votes, NaN where unknown.
        answers: Names of the K answers.
        provenance: Where they come from: hashes of the weights and of the records, version.
    """

    id_str: np.ndarray
    predicted: np.ndarray
    voted: np.ndarray
    votes: np.ndarray
    answers: tuple[str, ...]
    provenance: dict[str, str]

    def scores(self, seed: int = 0) -> dict[str, dict[str, float]]:
        """Scores where the truth is known, with 95% intervals (see `share_metrics`).

        Args:
            seed: Seed of the bootstrap.

        Returns:
            `{metric: {"value", "low", "high"}}`.
        """
        return share_metrics(self, seed=seed)

    def baseline(self) -> str:
        """What always predicting the mean fractions would score, in words."""
        voted = self.voted[np.isfinite(self.voted).all(axis=1)]
        mean = voted.mean(axis=0)
        listed = ", ".join(f"{name} {share:.1%}" for name, share in zip(self.answers, mean, strict=True))
        return f"mean fractions: {listed}; always predicting these: RMSE {np.sqrt(((voted - mean) ** 2).mean()):.3f}"

    def table(self) -> pd.DataFrame:
        """One row per galaxy: `id_str`, `ANSWER_predicted` and `ANSWER_voted` for every answer, `votes`."""
        table = {"id_str": self.id_str}
        for k, name in enumerate(self.answers):
            table |= {f"{name}_predicted": self.predicted[:, k], f"{name}_voted": self.voted[:, k]}
        return pd.DataFrame(table | {"votes": self.votes})

    def save(self, path: str | Path) -> None:
        """Writes a parquet file; answers and provenance go into its metadata.

        Args:
            path: File to write.
        """
        table = self.table()
        table.attrs = {"answers": list(self.answers), "provenance": self.provenance}
        write_whole(path, table.to_parquet)

    @classmethod
    def open(cls, path: str | Path) -> "Shares":
        """Reads what `save` wrote.

        Args:
            path: `predictions.parquet` of a run that predicts fractions.
        """
        path = check_table(path)
        with reading(path):
            table = pd.read_parquet(path)
            answers = tuple(table.attrs["answers"])
            columns = ([f"{name}{ending}" for name in answers] for ending in ("_predicted", "_voted"))
            predicted, voted = (table[names].to_numpy() for names in columns)
            return cls(
                table["id_str"].to_numpy(),
                predicted,
                voted,
                table["votes"].to_numpy(float),
                answers=answers,
                provenance=table.attrs["provenance"],
            )


def share_metrics(shares: Shares, *, resamples: int = 1000, seed: int = 0) -> dict[str, dict[str, float]]:
    """Scores of predicted fractions with bootstrap intervals over the galaxies with votes.

    - `cross_entropy`: mean of −Σ_k voted ln predicted.
    - `rmse`: of a fraction, over all answers.
    - `accuracy`: how often the answer with most votes is predicted.
    - `hq_accuracy`: the same for galaxies with an answer of high quality (at least 0.8 of the votes); `hq_share`: the
      fraction of galaxies that have one.
    - `hq_precision`, `hq_recall`, `hq_auc`: means over answers, each compared with all others for the galaxies with a
      fraction of at most 0.2 or at least 0.8 of it; an answer is predicted if it has more than half.
    - `eta`: fraction of catastrophic outliers: of all answers with a voted fraction of at most 0.2 or at least 0.8,
      those predicted at the opposite end.

    Args:
        shares: Shares of N galaxies.
        resamples: Number of bootstrap samples.
        seed: Seed of the samples.

    Returns:
        `{metric: {"value", "low", "high"}}`.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, section 3.2 and appendix C.
    """
    known = np.isfinite(shares.voted).all(axis=1)
    voted, predicted = shares.voted[known], shares.predicted[known]
    surprise = -(voted * np.log(np.clip(predicted, 1e-15, 1))).sum(axis=1)
    squared = ((voted - predicted) ** 2).mean(axis=1)
    right = voted.argmax(axis=1) == predicted.argmax(axis=1)
    certain = voted.max(axis=1, initial=0) >= CERTAIN
    low, high = voted <= 1 - CERTAIN + 1e-9, voted >= CERTAIN - 1e-9
    opposite = (low & (predicted >= CERTAIN)) | (high & (predicted <= 1 - CERTAIN))

    def scores(rows):
        sure = certain[rows]
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "cross_entropy": surprise[rows].mean() if len(rows) else np.nan,
                "rmse": np.sqrt(squared[rows].mean()) if len(rows) else np.nan,
                "accuracy": right[rows].mean() if len(rows) else np.nan,
                "hq_accuracy": right[rows][sure].mean() if sure.any() else np.nan,
                "hq_share": sure.mean() if len(rows) else np.nan,
                **dict(zip(_OF_EVERY, _of_every_answer(high[rows], low[rows], predicted[rows]), strict=True)),
                "eta": np.float64(opposite[rows].sum()) / (low | high)[rows].sum(),
            }

    return with_intervals(scores, int(known.sum()), resamples=resamples, seed=seed)


def _of_every_answer(high: np.ndarray, low: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Precision, recall and AUC, means over the answers for which they are defined, of (N, K) each."""
    scores = np.full((predicted.shape[1], 3), np.nan)
    for k in range(len(scores)):
        sure = high[:, k] | low[:, k]
        truth, share = high[sure, k], predicted[sure, k]
        positive, yes, n = share > 0.5, int(truth.sum()), len(truth)
        right = float((truth & positive).sum())
        scores[k, 0] = right / positive.sum() if positive.any() else np.nan
        if yes:
            scores[k, 1] = right / yes
        if 0 < yes < n:
            scores[k, 2] = (rankdata(share)[truth].sum() - yes * (yes + 1) / 2) / (yes * (n - yes))  # Mann & Whitney
    defined = np.isfinite(scores)
    return np.where(defined.any(axis=0), np.nansum(scores, axis=0) / np.maximum(defined.sum(axis=0), 1), np.nan)
