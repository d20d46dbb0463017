"""`make_map`: all galaxies of a survey on one page, where neighbours look alike."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphtools.explore import figures
from morphtools.explore.neighbours import exact
from morphtools.explore.pca import Projection, batches_of, fit_pca
from morphtools.explore.pictures import Pictures, thumbnails
from morphtools.explore.positions import how_many_placed
from morphtools.explore.sky_map import sky_figure
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
from tfrecords_builder.files import read_arrays, write_arrays
from tfrecords_builder.json_files import read_json, write_json
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.quiet import quietly

log = logging.getLogger(__name__)

_NEAREST, _TOGETHER = 10, 5  # neighbours among which to look for a place, and those of them whose mean it is
_BATCH = 8192


def make_map(
    representations: str | Path | Representations,
    *,
    onto: str | Path | None = None,
    components: int = 15,
    neighbours: int = 15,
    min_dist: float = 0.01,
    sample: int = 50_000,
    catalog: str | Path | pd.DataFrame | None = None,
    colour: Sequence[str] = (),
    images: str | Path | None = None,
    records: str | Path | None = None,
    views: str | Path | Representations | None = None,
    exclude: str | Path | pd.DataFrame | None = None,
    cells: int = 24,
    seed: int = 0,
    out: str | Path = "morphtools-runs/map",
) -> pd.DataFrame:
    """Draws a map on which galaxies that look alike are close together.

    Principal components, then UMAP of a sample; it is kept as arrays. Every other galaxy is placed among
    its nearest in the sample (see `between`): its place depends only on itself and the sample, while UMAP's own
    `transform` gives other places in another batch, and no better ones. Writes `map.parquet`,
    `panels.png` (coloured by columns of the catalogue), where it has `ra` and `dec` `sky.png`, the same galaxies on the
    sky, and, where there are images, `galaxies.png`, the map as a grid of galaxies. The same call again uses what is
    there.

    Args:
        representations: The store or its folder; that of `represent_pixels` for a map of bare pixels.
        onto: Folder of a map made before, on which to place these galaxies.
        components: Principal components given to UMAP.
        neighbours: UMAP's `n_neighbors`.
        min_dist: UMAP's `min_dist`.
        sample: Maximum number of galaxies to fit to, drawn at random; 50,000 take UMAP several minutes.
        catalog: Table with `id_str` and any other columns.
        colour: Its columns to colour map and sky by: labels, fractions of votes, redshift, `cluster`.
        images: Folder, zip archive or stack of the catalogue's images.
        records: Folder of records, instead of images.
        views: Representations of augmented images, named `id_str/anything`: adds `stationarity.png`, how far
            galaxies move when their images are augmented.
        exclude: Table with the `id_str` of galaxies to leave out, such as `artifacts.csv`.
        cells: Cells on each side of the grid of galaxies.
        seed: Seed of the sample and of UMAP.
        out: Output folder.

    Returns:
        `id_str`, `x`, `y` and `fitted`: whether the galaxy was in the sample.

    Raises:
        ValueError: There is no such column, or the map is of another space.
        FileExistsError: `out` contains a map made with other settings.

    Reference:
        McInnes, Healy & Melville 2018, arXiv:1802.03426. Walmsley et al. 2022, arXiv:2110.12735, section 2.
    """
    store, out, catalog = Representations.open(representations), Path(out), open_catalog(catalog)
    ids = store.id_str
    keep = ~left_out(ids, exclude)
    known = known_of(ids[keep], catalog)
    panels = known[[column_of(known, name).name for name in colour]]
    if onto is None:
        settings: dict[str, Any] = {"components": components, "neighbours": neighbours, "min_dist": min_dist}
        settings |= {"sample": sample, "seed": seed, "exclude": digest_of(ids[~keep])}
    else:
        if not (Path(onto) / "map.json").exists():
            raise FileNotFoundError(f"there is no map at {onto} (no map.json)")
        if read_json(Path(onto) / "map.json").get("space") != space_of(store):
            raise ValueError(f"the map in {onto} was made of other weights than {store.folder}")
        settings = {"onto": str(Path(onto).absolute())}
    inputs = inputs_of_store(store) if onto is None else {"space": space_of(store)}
    with claim(out, "make-map", settings, inputs, old="map.json", others=True) as claimed:
        if onto is None and not (out / "map.json").exists():
            _fit(store, keep, settings, out)
        claimed.keep()
        fitted = _Map(Path(onto or out))
        table = fitted.place(store, keep)
        write_table(out / "map.parquet", table)
        x, y = table["x"].to_numpy(), table["y"].to_numpy()
        write_figure(out / "panels.png", figures.map_panels(x, y, panels, seed))
        if how_many_placed(known) > 1:
            write_figure(out / "sky.png", sky_figure(x, y, known, panels.columns, seed))
        if records is not None or images is not None:
            grid = figures.map_gallery(x, y, cells)
            rows = grid[grid >= 0]
            shown = thumbnails(Pictures(records, catalog, images, store), table["id_str"][rows])
            shown = dict(zip(rows, shown, strict=True))
            title = f"{len(table):,} galaxies; each cell shows the one nearest to its middle"
            write_figure(out / "galaxies.png", figures.map_of_pictures(grid, shown, title))
        if views is not None:
            write_figure(out / "stationarity.png", _stationarity(fitted, table, Representations.open(views), seed))
    return table


def _fit(store: Representations, keep: np.ndarray, settings: dict, out: Path) -> None:
    """Fits UMAP to a sample, and keeps names, components and places of its galaxies and, last, the settings."""
    (rows,) = np.nonzero(keep)
    if len(rows) <= settings["neighbours"]:
        raise ValueError(f"a map with {settings['neighbours']} neighbours needs more than {len(rows)} galaxies")
    components = min(settings["components"], store.dimension, len(rows) - 1)
    projection = fit_pca(store, components=components, keep=keep)
    drawn = np.zeros(len(keep), bool)
    rng = np.random.default_rng(settings["seed"])
    drawn[rng.choice(rows, min(settings["sample"], len(rows)), replace=False)] = True
    values = np.concatenate([projection(part) for _, part in batches_of(store, drawn)])
    log.info("fitting UMAP to %d galaxies in %d dimensions", *values.shape)
    places = umap_of(values, **{name: settings[name] for name in ("neighbours", "min_dist", "seed")})
    projection.save(out)
    write_arrays(out / "sample.npz", id_str=store.id_str[drawn].astype(str), values=values, places=places)
    write_json(out / "map.json", settings | {"space": space_of(store)})


def umap_of(values: np.ndarray, *, neighbours: int = 15, min_dist: float = 0.01, seed: int = 0) -> np.ndarray:
    """(N, 2) places by UMAP of (N, D) values.

    Args:
        values: Representations, or their components.
        neighbours: UMAP's `n_neighbors`.
        min_dist: UMAP's `min_dist`.
        seed: UMAP's `random_state`.
    """
    with quietly():
        from umap import UMAP  # slow to import: it brings a compiler, and TensorFlow where that is installed

    # the same seed gives the same map on one thread only
    mapper = UMAP(n_neighbors=neighbours, min_dist=min_dist, random_state=seed, n_jobs=1)
    return mapper.fit_transform(values).astype(np.float32)


class _Map:
    """A fitted map: its projection, and the values and places of its sample."""

    def __init__(self, folder: Path):
        self.projection = Projection.open(folder)
        sample = read_arrays(folder / "sample.npz", "id_str", "values", "places")
        self.id_str, self.values, self.places = sample["id_str"], sample["values"], sample["places"]
        self._row = pd.Index(self.id_str)

    def place(self, store: Representations, keep: np.ndarray | None = None) -> pd.DataFrame:
        """`id_str`, `x`, `y`, `fitted` of every galaxy of a store."""
        parts = []
        bar = progress_bar(total=len(store) if keep is None else int(keep.sum()), desc="placing", unit="galaxy")
        with bar:
            for names, representations in batches_of(store, keep, _BATCH):
                if not len(names):
                    continue
                values = self.projection(representations)
                row = self._row.get_indexer(names)
                same = np.isclose(values, self.values[row], rtol=1e-4, atol=1e-6).all(axis=1)
                fitted = (row >= 0) & same  # not another galaxy of that name
                places = np.empty((len(names), 2), np.float32)
                places[fitted] = self.places[row[fitted]]
                if not fitted.all():
                    places[~fitted] = self._between(values[~fitted])
                parts.append(pd.DataFrame({"id_str": names, "x": places[:, 0], "y": places[:, 1], "fitted": fitted}))
                bar.update(len(names))
        return pd.concat(parts, ignore_index=True)

    def _between(self, values: np.ndarray) -> np.ndarray:
        rows, _ = exact(self.values, values, min(_NEAREST, len(self.values)), "euclidean")
        return between(self.places[rows])


def between(places: np.ndarray) -> np.ndarray:
    """The position (n, 2) of galaxies from those of their neighbours (n, k, 2): the mean of the five most central ones.

    If the neighbours lie on two islands of the map, the mean of all lies in the sea between. On real galaxies (a map
    of 6000, and 2500 others), 43.4% of the neighbours on the map were of the same class after UMAP's own
    `transform`, 41.5% with the mean of all, and 43 to 44% with central ones.
    """
    away = np.linalg.norm(places[:, :, np.newaxis] - places[:, np.newaxis], axis=-1)
    midst = away.sum(axis=2).argmin(axis=1)
    near = np.argsort(away[np.arange(len(places)), midst], axis=1, kind="stable")[:, :_TOGETHER]
    return np.take_along_axis(places, near[..., np.newaxis], axis=1).mean(axis=1)


def _stationarity(fitted: _Map, table: pd.DataFrame, views: Representations, seed: int):
    """How far the views of galaxies lie from them, in units of the distance of two random galaxies."""
    moved = fitted.place(views)
    moved["of"] = moved["id_str"].str.rpartition("/")[0]
    place = table.set_index("id_str")[["x", "y"]]
    moved = moved[moved["of"].isin(place.index)]
    if moved.empty:
        raise ValueError(f"{views.folder} holds no views of these galaxies: name them id_str/anything")
    xy = place.to_numpy()
    pairs = np.random.default_rng(seed).integers(0, len(xy), (2, 2000))
    usual = np.median(np.linalg.norm(xy[pairs[0]] - xy[pairs[1]], axis=1))
    orientations = [(place.loc[name].to_numpy(), group[["x", "y"]].to_numpy()) for name, group in moved.groupby("of")]
    spread = np.array([np.median(np.linalg.norm(each - own, axis=1)) for own, each in orientations]) / usual
    return figures.stationarity(xy[:, 0], xy[:, 1], orientations, spread)
