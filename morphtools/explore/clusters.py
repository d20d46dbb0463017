"""`cluster`: takes an inventory of a survey before anything is labelled."""

import json
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from morphtools.explore import figures
from morphtools.explore.pca import Projection, batches_of, fit_pca
from morphtools.explore.pictures import Pictures, thumbnails
from morphtools.explore.tables import (
    column_of,
    digest_of,
    inputs_of_store,
    known_of,
    left_out,
    open_catalog,
    space_of,
    write_table,
)
from morphtools.inference.representations import Representations
from tfrecords_builder.claims import claim
from tfrecords_builder.files import read_arrays, write_arrays, write_whole
from tfrecords_builder.json_files import write_json
from tfrecords_builder.naming import some, unknown
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.progress import progress_bar

log = logging.getLogger(__name__)

_SHOWN = 12  # galaxies of each cluster


class Clusters(NamedTuple):
    """The result of `cluster`.

    Attributes:
        galaxies: `id_str`, `cluster` (0 is the largest), `probability` of belonging to it (of mixtures), `distance`
            from its centre, `name` where clusters have names.
        summary: One row per cluster: `galaxies`, `share`, and with labels `labelled`, `majority`, `purity`.
        metrics: With labels `purity` (as if every cluster had the name of its majority), `labelled`; with names too
            `accuracy` and `named`, the fraction of labelled galaxies that got a name.
    """

    galaxies: pd.DataFrame
    summary: pd.DataFrame
    metrics: dict


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
    if estimator not in ESTIMATORS:
        raise ValueError(unknown("estimator", estimator, ESTIMATORS))
    store, out, catalog = Representations.open(representations), Path(out), open_catalog(catalog)
    ids = store.id_str
    excluded = left_out(ids, exclude)
    known = known_of(ids[~excluded], catalog)
    truth = None if labels is None else column_of(known, labels).to_numpy()
    shown = known[[column_of(known, name).name for name in fractions]]
    settings = {"estimator": estimator, "clusters": clusters, "variance": variance, "sample": sample, "seed": seed}
    settings |= {"exclude": digest_of(ids[excluded])}
    with claim(out, "cluster", settings, inputs_of_store(store), old="fit.json", others=True) as claimed:
        if not (out / "fit.json").exists():
            _fit(store, ~excluded, settings, out)
        claimed.keep()
        galaxies = _assign(store, ~excluded, *_fitted(out, settings))
        number = galaxies["cluster"].to_numpy()
        summary = _summary(number, truth)
        metrics = {} if truth is None else _purity(summary)
        if names is not None:
            galaxies["name"] = pd.Series(_names(names, clusters)).reindex(number).to_numpy()
            metrics |= {} if truth is None else _accuracy(galaxies["name"], truth)
        write_table(out / "galaxies.parquet", galaxies)
        write_table(out / "clusters.csv", summary)
        write_whole(out / "metrics.json", json.dumps(metrics, indent=1))
        if len(shown.columns):
            write_figure(out / "violins.png", figures.violins(number, shown.apply(pd.to_numeric, errors="coerce")))
        if records is not None or images is not None:
            write_figure(out / "clusters.png", _sheet(galaxies, summary, Pictures(records, catalog, images, store)))
    return Clusters(galaxies, summary, metrics)


def _fit(store: Representations, keep: np.ndarray, settings: dict, out: Path) -> None:
    """Fits to a sample, and keeps the projection, the estimator's arrays and, last, the settings."""
    from sklearn.exceptions import ConvergenceWarning

    projection = fit_pca(store, variance=settings["variance"], keep=keep)
    rng = np.random.default_rng(settings["seed"])
    (rows,) = np.nonzero(keep)
    drawn = np.zeros(len(keep), bool)
    drawn[rng.choice(rows, min(settings["sample"], len(rows)), replace=False)] = True
    values = np.concatenate([projection(part) for _, part in batches_of(store, drawn)])
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


def _assign(store: Representations, keep: np.ndarray, projection: Projection, fitted, order) -> pd.DataFrame:
    number_of = np.argsort(order)
    centres = fitted.means_ if hasattr(fitted, "means_") else fitted.cluster_centers_
    parts = []
    bar = progress_bar(total=int(keep.sum()), desc="assigning to clusters", unit="galaxy")
    with bar:
        for names, values in batches_of(store, keep, 8192):
            if not len(names):
                continue
            values = projection(values)
            numbers = fitted.predict(values)
            part = {"id_str": names, "cluster": number_of[numbers]}
            if hasattr(fitted, "predict_proba"):
                part["probability"] = fitted.predict_proba(values).max(axis=1)
            part["distance"] = np.linalg.norm(values - centres[numbers], axis=1)
            parts.append(pd.DataFrame(part))
            bar.update(len(names))
    return pd.concat(parts, ignore_index=True)


def _summary(number: np.ndarray, truth: np.ndarray | None) -> pd.DataFrame:
    """One row per cluster that is not empty."""
    sizes = pd.Series(number).value_counts().sort_index()
    table = pd.DataFrame(
        {"cluster": sizes.index, "galaxies": sizes.to_numpy(), "share": sizes.to_numpy() / len(number)}
    )
    if truth is None:
        return table
    counts = pd.crosstab(number, truth).reindex(sizes.index, fill_value=0)
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


def _sheet(galaxies: pd.DataFrame, summary: pd.DataFrame, pictures: Pictures):
    rows, captions = [], []
    for row in summary.to_dict("records"):
        members = galaxies[galaxies["cluster"] == row["cluster"]].sort_values("distance", kind="stable")
        members = members.iloc[np.linspace(0, len(members) - 1, min(_SHOWN, len(members))).astype(int)]
        rows.append(thumbnails(pictures, members["id_str"]))
        caption = f"{row['cluster']}: {row['galaxies']:,} ({row['share']:.1%})"
        if row.get("labelled"):
            caption += f"\n{row['purity']:.0%} {row['majority']} of {row['labelled']:,}"
        captions.append(caption)
    return figures.contact_sheet(rows, captions, "Clusters: from the most typical member to the least")
