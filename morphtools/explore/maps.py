"""`make_map`: all galaxies of a survey on one page, where neighbours look alike."""

import logging
import shutil
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from morphtools.explore import figures
from morphtools.explore.pca import fit_pca, some_of
from morphtools.explore.pictures import Pictures, thumbnails
from morphtools.explore.placing import SCHEMA, Map, Placing, rows_of_parts
from morphtools.explore.positions import how_many_placed
from morphtools.explore.sky_map import sky_figure
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
from morphtools.inference.merging import equal_tables
from morphtools.inference.representations import Representations
from tfrecords_builder.claims import claim
from tfrecords_builder.files import write_arrays, write_whole
from tfrecords_builder.json_files import read_json, write_json
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.quiet import quietly
from tfrecords_builder.sharing import results_of, share_of

log = logging.getLogger(__name__)

_XY: dict[str, type] = {"x": np.float32, "y": np.float32}


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
    part: str | None = None,
    executor: Executor | None = None,
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
        part: `"2/5"`: place only the second fifth of the store's parts, for processes side by side. The first one fits,
            if there is no map yet, and the one that finds every galaxy placed writes the table and the pictures.
        executor: Where to place instead, a part of the store at a time, as for `build_records`.

    Returns:
        `id_str`, `x`, `y` and `fitted`: whether the galaxy was in the sample. With `part` an empty table: memory never
        holds all galaxies, but for eight bytes of each while they are drawn.

    Raises:
        ValueError: There is no such column, or the map is of another space.
        FileExistsError: `out` contains a map made with other settings.

    Reference:
        McInnes, Healy & Melville 2018, arXiv:1802.03426. Walmsley et al. 2022, arXiv:2110.12735, section 2.
    """
    store, out, catalog = Representations.open(representations), Path(out), open_catalog(catalog)
    share_of({}, part)
    excluded = left_out(store, exclude)
    keep = all_but(store, excluded)
    known, rows = (pd.DataFrame(), excluded[:0]) if catalog is None else known_in(store, catalog, keep)
    known, rows = known.iloc[np.argsort(rows)], np.sort(rows)
    known = known.set_axis(rows - np.searchsorted(excluded, rows))  # by their rows in the table
    columns = [column_of(known, name).name for name in colour]
    if onto is None:
        settings: dict[str, Any] = {"components": components, "neighbours": neighbours, "min_dist": min_dist}
        settings |= {"sample": sample, "seed": seed, "exclude": digest_of(store.names_of(excluded))}
    else:
        if not (Path(onto) / "map.json").exists():
            raise FileNotFoundError(f"there is no map at {onto} (no map.json)")
        if read_json(Path(onto) / "map.json").get("space") != space_of(store):
            raise ValueError(f"the map in {onto} was made of other weights than {store.folder}")
        settings = {"onto": str(Path(onto).absolute())}
    inputs = inputs_of_store(store) if onto is None else {"space": space_of(store)}
    claimed_as: dict[str, Any] = {"old": "map.json", "others": True}

    def finish() -> None:
        if set(placing.placed()) < set(rows_of_parts(store)):
            return  # another part of the job was quicker
        _write(out / "map.parquet", store, placing)
        pictures = None if records is None and images is None else Pictures(records, catalog, images, store)
        _draw(out, known, columns, pictures, cells, seed)
        if views is not None:
            figure = _stationarity(Map(Path(onto or out)), out / "map.parquet", Representations.open(views), seed)
            write_figure(out / "stationarity.png", figure)
        shutil.rmtree(out / "state")

    with claim(out, "make-map", settings, inputs, **claimed_as, part=part is not None) as claimed:
        if onto is None and not (out / "map.json").exists():
            _fit(store, keep, settings, out)
        claimed.keep()
        placing = Placing.begin(store, Path(onto or out), out, excluded)
        if part is not None:
            claimed.share()
        _place(placing, store, part, executor)
        if part is None:
            finish()
            return pd.read_parquet(out / "map.parquet")
    if set(placing.placed()) >= set(rows_of_parts(store)):
        with claim(out, "make-map", settings, inputs, **claimed_as, wait=True):
            finish()
    return SCHEMA.empty_table().to_pandas()


def _place(placing: Placing, store: Representations, part: str | None, executor: Executor | None) -> None:
    """Places the galaxies of all parts of the store, or of a share of them, that have no places yet."""
    sizes, done = share_of(rows_of_parts(store), part), placing.placed()
    left = [name for name in sizes if name not in done]
    begun = sum(sizes[name] for name in sizes if name in done)
    with progress_bar(total=sum(sizes.values()), initial=begun, desc="placing", unit="galaxy") as bar:
        for name, _ in results_of(placing, left, executor=executor):
            bar.update(sizes[name])


def _write(path: Path, store: Representations, placing: Placing) -> None:
    """Puts the places of all parts together."""
    placed = placing.placed()

    def write(new: Path) -> None:
        with pq.ParquetWriter(new, SCHEMA) as file:
            for table in equal_tables([placed[each.name] for each in store.parts], SCHEMA):
                file.write_table(table)

    write_whole(path, write)


def _draw(out: Path, known: pd.DataFrame, columns: list[str], pictures: Pictures | None, cells: int, seed: int) -> None:
    """Writes `panels.png`, with positions `sky.png`, with pictures `galaxies.png`; `known` is indexed by rows."""
    x, y = columns_in(out / "map.parquet", _XY)
    most, rng = figures.MOST_DOTS, np.random.default_rng(seed)
    some = np.arange(len(x)) if len(x) <= most else rng.choice(len(x), most, replace=False)
    write_figure(out / "panels.png", figures.map_panels(x[some], y[some], known[columns].reindex(some), seed))
    if how_many_placed(known) > 1:
        write_figure(out / "sky.png", sky_figure(x[known.index], y[known.index], known, columns, seed))
    if pictures is not None:
        grid = figures.map_gallery(x, y, cells)
        rows = grid[grid >= 0]
        names = names_in(out / "map.parquet", rows)
        shown = dict(zip(rows.tolist(), thumbnails(pictures, names), strict=True))
        title = f"{len(x):,} galaxies; each cell shows the one nearest to its middle"
        write_figure(out / "galaxies.png", figures.map_of_pictures(grid, shown, title))


def _fit(store: Representations, keep: np.ndarray | None, settings: dict, out: Path) -> None:
    """Fits UMAP to a sample, and keeps names, components and places of its galaxies and, last, the settings."""
    number = len(store) if keep is None else int(keep.sum())
    if number <= settings["neighbours"]:
        raise ValueError(f"a map with {settings['neighbours']} neighbours needs more than {number} galaxies")
    components = min(settings["components"], store.dimension, number - 1)
    projection = fit_pca(store, components=components, keep=keep)
    rng = np.random.default_rng(settings["seed"])
    rows = np.sort(rng.choice(number, min(settings["sample"], number), replace=False))
    drawn = [(names, projection(part)) for names, part in some_of(store, keep, rows)]
    names, values = (np.concatenate(each) for each in zip(*drawn, strict=True))
    log.info("fitting UMAP to %d galaxies in %d dimensions", *values.shape)
    places = umap_of(values, **{name: settings[name] for name in ("neighbours", "min_dist", "seed")})
    projection.save(out)
    write_arrays(out / "sample.npz", id_str=names.astype(str), values=values, places=places)
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


def _stationarity(fitted: Map, path: Path, views: Representations, seed: int):
    """How far the views of galaxies lie from them, in units of the distance of two random galaxies."""
    moved = pa.concat_tables(fitted.place(*batch) for batch in views.batches()).to_pandas()
    moved["of"] = moved["id_str"].str.rpartition("/")[0]
    xy = np.stack(columns_in(path, _XY), axis=1)
    place = pd.read_parquet(path, filters=[("id_str", "in", list(set(moved["of"])))]).set_index("id_str")[["x", "y"]]
    moved = moved[moved["of"].isin(place.index)]
    if moved.empty:
        raise ValueError(f"{views.folder} holds no views of these galaxies: name them id_str/anything")
    pairs = np.random.default_rng(seed).integers(0, len(xy), (2, 2000))
    usual = np.median(np.linalg.norm(xy[pairs[0]] - xy[pairs[1]], axis=1))
    orientations = [(place.loc[name].to_numpy(), group[["x", "y"]].to_numpy()) for name, group in moved.groupby("of")]
    spread = np.array([np.median(np.linalg.norm(each - own, axis=1)) for own, each in orientations]) / usual
    dots = xy[:: -(-len(xy) // figures.MOST_DOTS)]
    return figures.stationarity(dots[:, 0], dots[:, 1], orientations, spread)
