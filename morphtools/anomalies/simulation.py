"""Ways to search for anomalies, tested on galaxies whose truth is known."""

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphtools.anomalies.acquisition import ACQUISITIONS, DIVERSITIES
from morphtools.anomalies.first_batches import STARTS
from morphtools.anomalies.gaussian_process import KERNELS, Posterior
from morphtools.anomalies.rating_learner import fit_learner
from morphtools.explore.outliers import isolation_forest, local_outlier_factor, neighbour_score
from morphtools.explore.tables import column_of, known_of
from tfrecords_builder.naming import check_known
from tfrecords_builder.records import Records


@dataclasses.dataclass(frozen=True)
class Search:
    """One way to search: a representation by name, a method, and how a Gaussian process is used."""

    representation: str
    method: str
    acquisition: str = ""
    diversity: str = ""
    start: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in dataclasses.astuple(self) if part not in ("", "none"))

    @property
    def draws(self) -> bool:
        """Whether the result depends on the seed."""
        return self.method != "local_outlier_factor" and self.start != "spacing"


def vote_fractions(
    ids: Sequence[str] | np.ndarray, column: str, catalog: str | Path | pd.DataFrame | None, records: str | Path | None
) -> pd.Series:
    """The truth about galaxies: a column of a catalogue or of records, NaN where unknown.

    Raises:
        ValueError: There is neither, they have no such column, or it is not a fraction from 0 to 1.
    """
    if catalog is not None:
        table = catalog
    elif records is not None:
        table = Records.open(records).index()
    else:
        raise ValueError(f"the column {column!r} needs a catalog or records: give either")
    values = pd.to_numeric(column_of(known_of(ids, table), column), errors="coerce").astype(float)
    if not values.dropna().between(0, 1).all():
        low, high = values.min(), values.max()
        raise ValueError(f"the column {column!r} must be a fraction, from 0 to 1; it goes from {low:g} to {high:g}")
    return values


def searches(
    representations: Sequence[str],
    methods: Sequence[str],
    acquisitions: Sequence[str],
    diversities: Sequence[str],
    starts: Sequence[str],
) -> Iterator[Search]:
    """Every combination; only Gaussian processes have acquisitions, diversities and starts.

    Raises:
        ValueError: One of them is unknown.
    """
    known: dict[str, Collection[str]] = {
        "method": METHODS,
        "acquisition": ACQUISITIONS,
        "diversity": DIVERSITIES,
        "start": STARTS,
    }
    for (kind, names), given in zip(known.items(), (methods, acquisitions, diversities, starts), strict=True):
        for name in given:
            check_known(kind, name, names)
    for representation, method in itertools.product(representations, methods):
        if method in KERNELS:
            for how in itertools.product(acquisitions, diversities, starts):
                yield Search(representation, method, *how)
        else:
            yield Search(representation, method)


Watch = Callable[[int, np.ndarray], None]


def simulate(
    search: Search,
    x: np.ndarray,
    truth: np.ndarray,
    *,
    ratings: int,
    batch_size: int,
    tradeoff: float,
    seed: int,
    watch: Watch = lambda number, score: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Searches with a rater who knows the truth.

    Args:
        search: How.
        x: (N, D) standardised features.
        truth: (N,) rating of every galaxy, 0–5.
        ratings: How many the rater gives.
        batch_size: How many at a time.
        tradeoff: ε of the expected improvement.
        seed: Seed of all draws.
        watch: Called after every batch with the number of ratings and the scores (N,) of all galaxies; not at all where
            a method asks for none.

    Returns:
        Rows (N,) of all galaxies, the highest score first, and rows of those that were rated: where a method asks for
        none, the first of its ranking, as if they had been looked through.
    """
    ratings = min(ratings, len(x))
    if search.method in WITHOUT_RATINGS:
        order = np.argsort(-WITHOUT_RATINGS[search.method](x, seed), kind="stable")
        return order, order[:ratings]
    how: dict[str, Any] = {"ratings": ratings, "batch_size": batch_size, "tradeoff": tradeoff, "seed": seed}
    searched = _gaussian_process if search.method in KERNELS else _neighbours
    score, rated = searched(search, x, truth, watch=watch, **how)
    return np.argsort(-score, kind="stable"), rated


def _gaussian_process(search, x, truth, *, ratings, batch_size, tradeoff, seed, watch: Watch):
    how = {"acquisition": search.acquisition, "tradeoff": tradeoff, "diversity": search.diversity}
    rated = STARTS[search.start](x, np.array([], int), min(batch_size, ratings), seed)
    while True:
        learner = fit_learner(x[rated], truth[rated], search.method)
        score = Posterior(learner.estimator).mean(x)
        watch(len(rated), score)
        if len(rated) == ratings:
            return score, rated
        new, _ = learner.query(x, min(batch_size, ratings - len(rated)), asked=rated, **how)
        rated = np.concatenate([rated, new])


def _neighbours(search, x, truth, *, ratings, batch_size, tradeoff, seed, watch: Watch):
    """The tool of Lochner & Bassett 2021: first the most isolated galaxies of a forest, then the neighbour score."""
    score = anomaly = isolation_forest(x, seed=seed)
    rated = np.array([], int)
    while len(rated) < ratings:
        free = np.flatnonzero(~np.isin(np.arange(len(x)), rated))
        new = free[np.argsort(-score[free], kind="stable")][: min(batch_size, ratings - len(rated))]
        rated = np.concatenate([rated, new])
        score = neighbour_score(x, anomaly, rated, truth[rated], seed=seed)
        watch(len(rated), score)
    return score, rated


WITHOUT_RATINGS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "isolation_forest": lambda x, seed: isolation_forest(x, seed=seed),
    "local_outlier_factor": lambda x, seed: local_outlier_factor(x),
    "random": lambda x, seed: np.random.default_rng(seed).random(len(x)),
}
METHODS = (*KERNELS, "neighbour_score", *WITHOUT_RATINGS)
