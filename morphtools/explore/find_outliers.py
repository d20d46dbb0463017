"""`find_outliers`: the galaxies least like all others, without a single rating."""

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.answers.class_figures import gallery
from morphtools.explore.pca import Projection, batches_of, fit_pca, some_of
from morphtools.explore.pictures import Pictures, thumbnails
from morphtools.explore.sorting import in_order
from morphtools.explore.tables import all_but, known_in, left_out, with_known
from morphtools.inference.representations import Representations
from tfrecords_builder.naming import check_known
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.tables_out import write_chunks, write_csv

log = logging.getLogger(__name__)

_ROWS = 8192


def _isolation_forest(x: np.ndarray, neighbours: int, seed: int):
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(random_state=seed).fit(x)
    return -forest.score_samples(x), lambda values: -forest.score_samples(values)


def _local_outlier_factor(x: np.ndarray, neighbours: int, seed: int):
    from sklearn.neighbors import LocalOutlierFactor

    fitted = LocalOutlierFactor(neighbours, novelty=True).fit(x)
    return -fitted.negative_outlier_factor_, lambda values: -fitted.score_samples(values)


def _density(x: np.ndarray, neighbours: int, seed: int):
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=neighbours).fit(x)
    return near.kneighbors()[0][:, -1], lambda values: near.kneighbors(values)[0][:, -1]


METHODS: dict[str, Callable] = {  # (n, D) of a sample → their scores, and what gives the scores of others
    "isolation_forest": _isolation_forest,
    "local_outlier_factor": _local_outlier_factor,
    "density": _density,
}


def find_outliers(
    representations: str | Path | Representations,
    *,
    method: str = "isolation_forest",
    galaxies: int = 48,
    components: int = 40,
    neighbours: int = 20,
    sample: int = 20_000,
    catalog: str | Path | pd.DataFrame | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    exclude: str | Path | pd.DataFrame | None = None,
    seed: int = 0,
    out: str | Path = "morphtools-runs/outliers",
) -> pd.DataFrame:
    """Ranks galaxies by how unlike all others they are. No ratings are needed; what is rare need not be interesting.

    The method is fitted to the principal components of a sample, and every galaxy gets a score, read batch by batch. Of
    two galaxies that are alike and unlike all others, `density` and `local_outlier_factor` find both, as long as there
    are fewer such galaxies than `neighbours` in the sample.

    Writes `outliers.parquet` with `rank`, `id_str` and `score` of all galaxies, `outliers.csv` with the first of them
    and the columns of the catalogue, and with images `outliers.png`.

    Args:
        representations: The store or its folder.
        method: `isolation_forest` (how few random cuts isolate a galaxy), `local_outlier_factor` (how much sparser
            its surroundings are than those of its neighbours) or `density` (distance to the last of its neighbours).
        galaxies: Number of galaxies to show.
        components: Number of principal components, not whitened; fewer if there are not so many.
        neighbours: Number of neighbours that the last two methods use.
        sample: Maximum number of galaxies to fit to, drawn at random.
        catalog: Table with `id_str` and any other columns.
        images: Folder, zip archive or stack of its images.
        records: Folder of records, instead of images.
        exclude: Table with the `id_str` of galaxies to leave out, such as `artifacts.csv`.
        seed: Seed of the sample and the forest.
        out: Output folder.

    Returns:
        `rank` from 1, `id_str`, `score` (larger is rarer; scores of different methods cannot be compared) and the
        columns of the catalogue, of the first galaxies.

    Raises:
        ValueError: No such method, or there are too few galaxies.

    Reference:
        Liu, Ting & Zhou 2008, doi:10.1109/ICDM.2008.17; Breunig et al. 2000, doi:10.1145/342009.335388; Ramaswamy,
        Rastogi & Shim 2000, doi:10.1145/342009.335437 (distance to the k-th neighbour).
    """
    check_known("method", method, METHODS)
    if min(galaxies, components, neighbours, sample) < 1:
        raise ValueError("galaxies, components, neighbours and sample must be at least 1")
    store, out = Representations.open(representations), Path(out)
    keep = all_but(store, left_out(store, exclude))
    number = len(store) if keep is None else int(keep.sum())
    if number <= neighbours:
        raise ValueError(f"{number} galaxies are too few: outliers need more than {neighbours} of them (`neighbours`)")
    if catalog is not None:  # of other galaxies, it is an error before the work begins
        known_in(store, catalog, keep)
    projection = fit_pca(store, components=min(components, store.dimension, number - 1), keep=keep)
    rows = np.sort(np.random.default_rng(seed).choice(number, min(number, sample), replace=False))
    x = np.concatenate([projection(values) for _, values in some_of(store, keep, rows)])
    own, score = METHODS[method](x, min(neighbours, len(x) - 1), seed)
    out.mkdir(parents=True, exist_ok=True)
    scored = in_order(_scored(store, keep, projection, rows, own, score), "score", like=own, total=number, folder=out)
    top: list[pd.DataFrame] = []
    write_chunks(_ranked(scored, top, galaxies), out / "outliers.parquet")
    first = with_known(pd.concat(top, ignore_index=True), catalog)
    write_csv(first, out / "outliers.csv")
    if records is not None or images is not None:
        pictures = thumbnails(Pictures(records, catalog, images, store), first["id_str"], 128)
        captions = [f"{row.rank}: {row.score:.3g}\n{row.id_str[:22]}" for row in first.itertuples()]
        title = f"The {len(first)} of {number:,} galaxies least like the others ({method.replace('_', ' ')})"
        write_figure(out / "outliers.png", gallery(pictures, captions, title))
    return first


def _scored(
    store: Representations,
    keep: np.ndarray | None,
    projection: Projection,
    rows: np.ndarray,
    own: np.ndarray,
    score: Callable,
) -> Iterator[pd.DataFrame]:
    """Names and scores of the galaxies to keep: those of the sample (`rows`) as the fit has them, others one by one."""
    start = 0
    with progress_bar(total=len(store) if keep is None else int(keep.sum()), desc="scoring", unit="galaxy") as bar:
        for names, values in batches_of(store, keep, _ROWS):
            first, last = np.searchsorted(rows, [start, start + len(names)])
            scores, others = np.empty(len(names)), np.ones(len(names), bool)
            others[rows[first:last] - start] = False
            scores[~others] = own[first:last]
            if others.any():
                scores[others] = score(projection(values[others]))
            start += len(names)
            bar.update(len(names))
            yield pd.DataFrame({"id_str": names, "score": scores})


def _ranked(tables: Iterable[pd.DataFrame], top: list[pd.DataFrame], galaxies: int) -> Iterator[pd.DataFrame]:
    """The tables with their ranks; the first galaxies are kept in `top`."""
    start = 0
    for table in tables:
        table.insert(0, "rank", np.arange(start + 1, start + len(table) + 1))
        top.append(table.head(max(0, galaxies - start)))
        start += len(table)
        yield table
