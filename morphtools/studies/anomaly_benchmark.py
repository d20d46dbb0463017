"""`benchmark_anomalies`: how well anomalies are found, by representation, regressor, acquisition and start."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphtools.anomalies.anomaly_figures import progress_curves, ranking_curves
from morphtools.anomalies.ranking import mean_with_interval, metrics_of_first, ranking_metrics
from morphtools.anomalies.ratings import HIGHEST
from morphtools.anomalies.session import standardized_components
from morphtools.anomalies.simulation import METHODS, Search, searches, simulate, vote_fractions
from morphtools.explore.pictures import Pictures
from morphtools.explore.tables import in_all
from morphtools.inference.representations import Representations
from morphtools.studies.ellipses import ellipse_features, scale_features
from tfrecords_builder.claims import claim
from tfrecords_builder.files import read_arrays, write_arrays, write_whole
from tfrecords_builder.naming import check_known
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.tables_out import write_csv

log = logging.getLogger(__name__)

ELLIPSES = "ellipses"
FEATURES = ("whitened", "plain", "with_ellipses", ELLIPSES)
_SIDE = 128  # pixels of the pictures whose ellipses are measured
_FIRST = 200  # galaxies of a ranking that are kept after every batch
_WAY = [field.name for field in dataclasses.fields(Search)]


def benchmark_anomalies(
    representations: Mapping[str, str | Path] | str | Path | Representations,
    *,
    column: str,
    catalog: str | Path | pd.DataFrame | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    threshold: float = 0.9,
    share: float | None = None,
    methods: Sequence[str] = tuple(METHODS),
    acquisitions: Sequence[str] = ("expected_improvement",),
    diversities: Sequence[str] = ("none",),
    starts: Sequence[str] = ("random",),
    features: Sequence[str] = ("whitened", ELLIPSES),
    tradeoff: float = 0.5,
    ratings: int = 200,
    batch_size: int = 10,
    components: int = 40,
    repeats: int = 15,
    seed: int = 0,
    out: str | Path = "morphtools-runs/benchmark-anomalies",
) -> pd.DataFrame:
    """Simulates raters of galaxies whose truth is known, and measures how well each way of searching finds anomalies.

    A rating is five times the column, rounded. Every way is repeated with other seeds, unless nothing in it is random.
    If there are pictures, `ellipses` is one more representation; with the method `neighbour_score` this is the whole
    method that preceded representations. Writes `results.csv` (a row per repeat), `table.csv` (means and 95%
    intervals), `recall.png`, and, against the number of ratings, `progress.csv` and `progress.png`. An interrupted call
    resumes, and one with another threshold needs no new runs.

    Args:
        representations: Folders by name, or one folder.
        column: Vote fraction or 0/1; only galaxies where it is known take part.
        catalog: Table with `id_str` and the column, and `file_loc` for pictures.
        images: Folder, zip archive or stack in which the catalogue's `file_loc` is found.
        records: Or records with the column and the pictures.
        threshold: A galaxy is an anomaly if the column is above this.
        share: Instead, the fraction of galaxies that are anomalies: those with the highest values.
        methods: Gaussian processes by kernel; `neighbour_score` (Lochner & Bassett 2021); and, without ratings,
            `isolation_forest`, `local_outlier_factor`, `random`.
        acquisitions: For the Gaussian processes, as all that follow.
        diversities: How the galaxies of a batch are made to differ.
        starts: The first batch.
        features: What is computed from each representation: `whitened`, principal components each divided by its
            deviation; `plain`, all divided by one number, as in the papers; `with_ellipses`, whitened and beside them
            the measured ellipses; and `ellipses` alone. Without pictures those with ellipses are left out.
        tradeoff: ε of the expected improvement.
        ratings: How many in all.
        batch_size: How many at a time.
        components: Number of principal components.
        repeats: How often.
        seed: Seed of the first repeat; the others follow.
        out: Folder for the results.

    Returns:
        One row per way of searching: mean and half the 95% interval of every metric, for the ranking of all galaxies
        and (`new_…`) of those that were not rated; `found` is the fraction of anomalies that were rated.

    Reference:
        Walmsley et al. 2022, arXiv:2110.12735, section 3, figure 3 and table 1.
    """
    if not isinstance(representations, Mapping):
        representations = {"representations": representations}
    stores = {name: Representations.open(folder) for name, folder in representations.items()}
    pictures = Pictures(records, catalog, images) if records is not None or images is not None else None
    truth = _truth(stores, catalog, records, column)
    anomalous = (truth > threshold if share is None else truth >= truth.quantile(1 - share)).to_numpy()
    if not 0 < anomalous.sum() < len(truth):
        raise ValueError(f"{anomalous.sum()} of {len(truth)} galaxies are anomalies by {column!r}: nothing to find")
    made = _features(stores, features, pictures is not None)
    ways = list(searches(list(made), methods, acquisitions, diversities, starts))
    out = Path(out)
    how: dict[str, Any] = {"ratings": ratings, "batch_size": batch_size, "tradeoff": tradeoff}
    made_of = {name: store.provenance for name, store in stores.items()}
    settings = {"column": column, "galaxies": len(truth), "components": components, "seed": seed, **how}
    with claim(out, "benchmark-anomalies", settings, made_of, old="benchmark.json") as claimed:
        claimed.keep()
        for folder in ("runs", "features"):
            (out / folder).mkdir(exist_ok=True)
        runs = [(way, repeat) for way in ways for repeat in range(repeats if way.draws else 1)]
        rows, progress, curves = [], [], {}
        for way, repeat in progress_bar(runs, desc="searching", unit="run"):
            path = out / "runs" / f"{str(way).replace(' ', '-')}-{repeat}.npz"
            run = _kept(path)
            if run is None:
                x = _values(*made[way.representation], stores, truth.index, components, out, pictures)
                run = _run(path, way, x, (HIGHEST * truth).round().to_numpy(), seed + repeat, how)
            about = dataclasses.asdict(way) | {"repeat": repeat}
            rows.append(about | _metrics(anomalous, run["order"], run["rated"]))
            after = zip(run["after"], run["first"], strict=True)
            progress += [about | {"ratings": n} | metrics_of_first(anomalous[first]) for n, first in after]
            curves.setdefault(str(way), []).append(anomalous[run["order"]])
        write_csv(pd.DataFrame(rows), out / "results.csv")
        table = _summary(pd.DataFrame(rows), _WAY)
        write_csv(table, out / "table.csv")
        write_figure(out / "recall.png", ranking_curves(curves))
        _write_progress(out, pd.DataFrame(progress))
        log.info("%d galaxies, %d of them anomalies, %d ratings; see %s", len(truth), anomalous.sum(), ratings, out)
    return table


def _kept(path: Path) -> dict[str, np.ndarray] | None:
    """A finished run; None if there is none, or only one of an earlier version, which kept only the final state."""
    run = read_arrays(path, "order", "rated") if path.exists() else {}
    return run if "first" in run else None


def _run(path: Path, way: Search, x: np.ndarray, ratings: np.ndarray, seed: int, how: dict) -> dict[str, np.ndarray]:
    """Searches once and keeps the ranking, the rated galaxies, and the top of the ranking after every batch."""
    after, first = [], []

    def watch(number: int, score: np.ndarray) -> None:
        after.append(number)
        first.append(np.argsort(-score, kind="stable")[:_FIRST])

    order, rated = simulate(way, x, ratings, seed=seed, watch=watch, **how)
    write_arrays(path, order=order, rated=rated, after=np.array(after, int), first=np.array(first, int))
    return read_arrays(path, "order", "rated", "after", "first")


def _truth(stores: Mapping[str, Representations], catalog, records, column: str) -> pd.Series:
    """The values of the column by name, for the galaxies that have one and are in all stores."""
    if ELLIPSES in stores:
        raise ValueError(f"{ELLIPSES!r} is reserved for measured ellipses: give these representations another name")
    common = in_all(store.id_str for store in stores.values())
    return vote_fractions(common, column, catalog, records).dropna()


def _features(stores, features: Sequence[str], pictured: bool) -> dict[str, tuple[str, str]]:
    """Stores and features of every representation that is compared."""
    made = {}
    for kind in features:
        check_known("kind of features", kind, FEATURES)
        if kind == ELLIPSES and pictured:
            made[ELLIPSES] = ("", ELLIPSES)
        elif kind != ELLIPSES and (pictured or kind != "with_ellipses"):
            made |= {name if kind == "whitened" else f"{name} {kind}": (name, kind) for name in stores}
    if not made:
        raise ValueError(f"the features {', '.join(features)} need pictures: give images or records")
    return made


def _values(name: str, kind: str, stores, ids, components: int, out: Path, pictures: Pictures | None) -> np.ndarray:
    """(N, K) scaled features of the galaxies `ids`, made once and kept in `out`."""
    if kind == "with_ellipses":
        both = [("whitened", name), (ELLIPSES, "")]
        return np.hstack([_values(each, kind, stores, ids, components, out, pictures) for kind, each in both])
    path = out / "features" / f"{name if kind == 'whitened' else f'{name} {kind}'.strip()}.npy"
    if kind != ELLIPSES:
        if not path.exists():
            standardized_components(stores[name], components, path, whiten=kind == "whitened")
        return np.load(path, mmap_mode="r")[pd.Index(stores[name].id_str).get_indexer(ids)]
    if not path.exists():
        if pictures is None:
            raise ValueError("ellipses are measured in pictures: give images or records")
        shown = pictures.read(progress_bar(ids, "measuring ellipses", unit="galaxy"), _SIDE)
        blank = np.zeros((_SIDE, _SIDE), np.uint8)
        features = ellipse_features(blank if isinstance(each, ValueError) else each for each in shown)
        write_whole(path, lambda new: np.save(new, scale_features(features)))
    return np.load(path)


def _metrics(anomalous: np.ndarray, order: np.ndarray, rated: np.ndarray) -> dict[str, float]:
    new = anomalous[order[~np.isin(order, rated)]]
    return (
        ranking_metrics(anomalous[order])
        | {f"new_{name}": value for name, value in ranking_metrics(new).items()}
        | {"found": anomalous[rated].sum() / anomalous.sum()}
    )


def _write_progress(out: Path, progress: pd.DataFrame) -> None:
    """Writes how the search progressed after every batch; nothing if no method uses ratings."""
    if len(progress):
        write_csv(_summary(progress, [*_WAY, "ratings"]), out / "progress.csv")
        write_figure(out / "progress.png", progress_curves(progress))


def _summary(results: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Mean of every metric for every way, and half its interval as `… ±`."""
    rows = []
    for way, group in results.groupby(names, sort=False):
        row = dict(zip(names, way, strict=True)) | {"repeats": len(group)}
        for metric in results.columns.drop([*names, "repeat"]):
            row[metric], row[f"{metric} ±"] = mean_with_interval(group[metric])
        rows.append(row)
    return pd.DataFrame(rows)
