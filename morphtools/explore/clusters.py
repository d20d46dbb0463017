"""`cluster`: takes an inventory of a survey before anything is labelled."""

import dataclasses
import functools
import json
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.explore import figures
from morphtools.explore.pca import Projection, batches_of, fit_pca, some_of
from morphtools.explore.pictures import Pictures, thumbnails
from morphtools.explore.tables import (
    all_but,
    column_of,
    columns_in,
    digest_of,
    inputs_of_store,
    known_in,
    left_out,
    names_in,
    open_catalog,
    space_of,
)
from morphtools.inference.representations import Representations
from morphtools.survey.label_columns import check_classes
from tfrecords_builder.claims import claim
from tfrecords_builder.files import read_arrays, write_arrays, write_whole
from tfrecords_builder.json_files import write_json
from tfrecords_builder.naming import check_known, some
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.tables_out import write_chunks, write_csv

log = logging.getLogger(__name__)

_SHOWN = 12  # galaxies of each cluster


@dataclasses.dataclass(frozen=True)
class Clusters:
    """The result of `cluster`.

    Attributes:
        out: Folder with the results.
        summary: One row per cluster: `galaxies`, `share`, and with labels `labelled`, `majority`, `purity`.
        metrics: With labels `purity` (as if every cluster had the name of its majority), `labelled`; with names too
            `accuracy` and `named`, the fraction of labelled galaxies that got a name.
    """

    out: Path
    summary: pd.DataFrame
    metrics: dict

    @functools.cached_property
    def galaxies(self) -> pd.DataFrame:
        """`id_str`, `cluster` (0 is the largest), `probability` of belonging to it (of mixtures), `distance` from its
        centre, `name` where clusters have names: `galaxies.parquet`, which is read when it is first asked for.
        """
        return pd.read_parquet(self.out / "galaxies.parquet")

    def __iter__(self) -> Iterator:
        return iter((self.galaxies, self.summary, self.metrics))


def _bayesian_gaussian_mixture(clusters: int, seed: int):
    """As in Mohale & Lochner 2023, arXiv:2311.14157, section 6."""
    from sklearn.mixture import BayesianGaussianMixture

    return BayesianGaussianMixture(
        n_components=clusters, weight_concentration_prior=0.5, n_init=10, max_iter=1000, random_state=seed
    )


def _gaussian_mixture(clusters: int, seed: int):
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(n_components=clusters, n_init=10, max_iter=1000, random_state=seed)


def _kmeans(clusters: int, seed: int):
    from sklearn.cluster import KMeans

    return KMeans(n_clusters=clusters, n_init=10, random_state=seed)


ESTIMATORS: dict[str, Callable] = {
    "bayesian_gaussian_mixture": _bayesian_gaussian_mixture,
    "gaussian_mixture": _gaussian_mixture,
    "kmeans": _kmeans,
}


def cluster(
    representations: str | Path | Representations,
    *,
    estimator: str = "bayesian_gaussian_mixture",
    clusters: int = 20,
    variance: float = 0.95,
    sample: int = 20_000,
    catalog: str | Path | pd.DataFrame | None = None,
    labels: str | None = None,
    fractions: Sequence[str] = (),
    names: str | Path | pd.DataFrame | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    exclude: str | Path | pd.DataFrame | None = None,
    seed: int = 0,
    out: str | Path = "morphtools-runs/clusters",
) -> Clusters:
    """Finds clusters of galaxies that look alike.

    Principal components that explain `variance`, then a mixture fitted to a sample; every galaxy gets a cluster, read
    batch by batch. Writes `galaxies.parquet`, `clusters.csv`, `metrics.json`, `clusters.png` (twelve galaxies of each,
    from the most typical to the least) and `violins.png`. The fit is kept as arrays: the same call again, with names
    for the clusters or on a store that has grown, uses it.

    Args:
        representations: The store or its folder.
        estimator: `bayesian_gaussian_mixture`, `gaussian_mixture` or `kmeans`.
        clusters: Number of clusters; the Bayesian mixture may leave some of them empty.
        variance: Fraction of the variance that the principal components explain.
        sample: Maximum number of galaxies to fit to, drawn at random.
        catalog: Table with `id_str` and any other columns.
        labels: Its column with the true classes, to measure purity and accuracy.
        fractions: Its columns to draw as violins, such as fractions of votes.
        names: Table with `cluster` and `name`, made after looking at `clusters.png`; several clusters may share a
            name.
        images: Folder, zip archive or stack of the catalogue's images.
        records: Folder of records, instead of images.
        exclude: Table with the `id_str` of galaxies to leave out, such as `artifacts.csv`.
        seed: Seed of the sample and the fit.
        out: Output folder.

    Returns:
        The galaxies, a summary and the metrics.

    Raises:
        ValueError: No such estimator or column, or a table of names that does not fit.
        FileExistsError: `out` contains clusters made with other settings.

    Reference:
        Mohale & Lochner 2023, arXiv:2311.14157, section 6.
    """
    check_known("estimator", estimator, ESTIMATORS)
    store, out, catalog = Representations.open(representations), Path(out), open_catalog(catalog)
    excluded = left_out(store, exclude)
    keep = all_but(store, excluded)
    known, rows = (pd.DataFrame(), excluded[:0]) if catalog is None else known_in(store, catalog, keep)
    truth = None if labels is None else check_classes(column_of(known, labels)).to_numpy()
    shown = known[[column_of(known, name).name for name in fractions]]
    settings = {"estimator": estimator, "clusters": clusters, "variance": variance, "sample": sample, "seed": seed}
    settings |= {"exclude": digest_of(store.names_of(excluded))}
    with claim(out, "cluster", settings, inputs_of_store(store), old="fit.json", others=True) as claimed:
        if not (out / "fit.json").exists():
            _fit(store, keep, settings, out)
        claimed.keep()
        called = None if names is None else pd.Series(_names(names, clusters))
        watched = _Watched(clusters, rows - np.searchsorted(excluded, rows))
        write_chunks(watched(_assigned(store, keep, called, *_fitted(out, settings))), out / "galaxies.parquet")
        summary = _summary(watched.sizes, watched.number, truth)
        metrics = {} if truth is None else _purity(summary)
        if called is not None and truth is not None:
            metrics |= _accuracy(called.reindex(watched.number), truth)
        write_csv(summary, out / "clusters.csv")
        write_whole(out / "metrics.json", json.dumps(metrics, indent=1))
        if len(shown.columns):
            numeric, last = shown.apply(pd.to_numeric, errors="coerce"), int(summary["cluster"].max())
            write_figure(out / "violins.png", figures.violins(watched.number, numeric, last + 1))
        if records is not None or images is not None:
            sheet = _sheet(out / "galaxies.parquet", summary, Pictures(records, catalog, images, store))
            write_figure(out / "clusters.png", sheet)
    return Clusters(out, summary, metrics)


def _fit(store: Representations, keep: np.ndarray | None, settings: dict, out: Path) -> None:
    """Fits to a sample, and keeps the projection, the estimator's arrays and, last, the settings."""
    from sklearn.exceptions import ConvergenceWarning

    projection = fit_pca(store, variance=settings["variance"], keep=keep)
    number = len(store) if keep is None else int(keep.sum())
    rng = np.random.default_rng(settings["seed"])
    drawn = np.sort(rng.choice(number, min(settings["sample"], number), replace=False))
    values = np.concatenate([projection(part) for _, part in some_of(store, keep, drawn)])
    if len(values) < settings["clusters"]:
        raise ValueError(f"{settings['clusters']} clusters are too many for {len(values)} galaxies")
    log.info("fitting %s to %d galaxies in %d dimensions", settings["estimator"], *values.shape)
    fitted = ESTIMATORS[settings["estimator"]](settings["clusters"], settings["seed"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        numbers = fitted.fit_predict(values)
    if any(issubclass(each.category, ConvergenceWarning) for each in caught):
        log.warning("the fit has not converged; more galaxies or fewer clusters may help")
    sizes = np.bincount(numbers, minlength=settings["clusters"])
    arrays = {name: value for name, value in vars(fitted).items() if name.endswith("_") and not name.startswith("_")}
    arrays = {name: np.asarray(value) for name, value in arrays.items() if isinstance(value, tuple | np.ndarray)}
    projection.save(out)
    write_arrays(out / "estimator.npz", order=np.argsort(-sizes, kind="stable"), **arrays)
    write_json(out / "fit.json", settings | {"space": space_of(store)})


def _fitted(out: Path, settings: dict):
    """The projection, the estimator and the order of its clusters by size, as they were kept."""
    fitted = ESTIMATORS[settings["estimator"]](settings["clusters"], settings["seed"])
    arrays = read_arrays(out / "estimator.npz", "order")
    order = arrays.pop("order")
    for name, values in arrays.items():
        setattr(fitted, name, values)
    if hasattr(fitted, "cluster_centers_"):
        fitted._n_threads = 1
    return Projection.open(out), fitted, order


def _assigned(
    store: Representations, keep: np.ndarray | None, called: pd.Series | None, projection: Projection, fitted, order
) -> Iterator[pd.DataFrame]:
    """The galaxies with their clusters, and the names of these by number where they are `called`."""
    number_of = np.argsort(order)
    centres = fitted.means_ if hasattr(fitted, "means_") else fitted.cluster_centers_
    total = len(store) if keep is None else int(keep.sum())
    with progress_bar(total=total, desc="assigning to clusters", unit="galaxy") as bar:
        for names, values in batches_of(store, keep, 8192):
            if not len(names):
                continue
            values = projection(values)
            numbers = fitted.predict(values)
            part = pd.DataFrame({"id_str": names, "cluster": number_of[numbers]})
            if hasattr(fitted, "predict_proba"):
                part["probability"] = fitted.predict_proba(values).max(axis=1)
            part["distance"] = np.linalg.norm(values - centres[numbers], axis=1)
            if called is not None:
                part["name"] = pd.array(called.reindex(part["cluster"]), dtype="string")
            yield part
            bar.update(len(names))


class _Watched:
    """Passes tables of galaxies on, and notes the sizes of clusters and the clusters of some galaxies.

    Args:
        clusters: Their number.
        places: (n,) of these galaxies among all.
    """

    def __init__(self, clusters: int, places: np.ndarray):
        self.sizes, self.number = np.zeros(clusters, int), np.zeros(len(places), int)
        self._order = np.argsort(places)
        self._places = places[self._order]

    def __call__(self, tables: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        start = 0
        for table in tables:
            number = table["cluster"].to_numpy()
            self.sizes += np.bincount(number, minlength=len(self.sizes))
            first, last = np.searchsorted(self._places, [start, start + len(table)])
            self.number[self._order[first:last]] = number[self._places[first:last] - start]
            start += len(table)
            yield table


def _summary(sizes: np.ndarray, number: np.ndarray, truth: np.ndarray | None) -> pd.DataFrame:
    """One row per cluster that is not empty, from the sizes of all and the clusters of galaxies with a truth."""
    there = np.flatnonzero(sizes)
    table = pd.DataFrame({"cluster": there, "galaxies": sizes[there], "share": sizes[there] / sizes.sum()})
    if truth is None:
        return table
    counts = pd.crosstab(number, truth).reindex(there, fill_value=0)
    labelled = counts.sum(axis=1).to_numpy()
    if not labelled.sum():
        raise ValueError("no galaxy has a label")
    table["labelled"] = labelled
    table["majority"] = np.where(labelled > 0, counts.idxmax(axis=1), None)
    table["purity"] = np.where(labelled > 0, counts.max(axis=1) / np.maximum(labelled, 1), np.nan)
    return pd.concat([table, counts.add_prefix("is ").reset_index(drop=True)], axis=1)


def _purity(summary: pd.DataFrame) -> dict:
    labelled = int(summary["labelled"].sum())
    return {"labelled": labelled, "purity": float((summary["purity"] * summary["labelled"]).sum() / labelled)}


def _names(names: str | Path | pd.DataFrame, clusters: int) -> dict[int, str]:
    table = open_catalog(names)
    missing = [column for column in ("cluster", "name") if column not in table.columns]
    if missing:
        raise ValueError(f"a table of names has the columns cluster and name; there is no {' and no '.join(missing)}")
    table = table[table["name"].notna()]
    strange = table["cluster"][~table["cluster"].isin(range(clusters))]
    if len(strange) or table["cluster"].duplicated().any():
        raise ValueError(f"clusters are numbered from 0 to {clusters - 1} and have one name each; not {some(strange)}")
    return dict(zip(table["cluster"].astype(int), table["name"].astype(str), strict=True))


def _accuracy(name: pd.Series, truth: np.ndarray) -> dict:
    labelled = pd.notna(truth)
    named = labelled & name.notna().to_numpy()
    if not named.any():
        return {"named": 0.0}
    right = name.to_numpy(object)[named] == truth[named].astype(str)
    return {"accuracy": float(right.mean()), "named": float(named.sum() / labelled.sum())}


def _sheet(path: Path, summary: pd.DataFrame, pictures: Pictures):
    """Twelve galaxies of each cluster. Memory holds ten bytes of every galaxy."""
    number, distance = columns_in(path, {"cluster": np.int16, "distance": np.float64})
    rows, captions = [], []
    for row in summary.to_dict("records"):
        members = np.flatnonzero(number == row["cluster"])
        members = members[np.argsort(distance[members], kind="stable")]
        rows.append(members[np.linspace(0, len(members) - 1, min(_SHOWN, len(members))).astype(int)])
        caption = f"{row['cluster']}: {row['galaxies']:,} ({row['share']:.1%})"
        if row.get("labelled"):
            caption += f"\n{row['purity']:.0%} {row['majority']} of {row['labelled']:,}"
        captions.append(caption)
    shown = [thumbnails(pictures, names_in(path, each)) for each in rows]
    return figures.contact_sheet(shown, captions, "Clusters: from the most typical member to the least")
