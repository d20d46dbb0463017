"""What the page shows of a store: the positions of its galaxies on a map, columns, clusters, images and neighbours."""

import hashlib
import json
import logging
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from morphtools.app.columns import Columns, rows_of
from morphtools.app.density import PALETTE, VIRIDIS, Colouring, Grid, colours, scale
from morphtools.app.thumbnails import Thumbnails
from morphtools.explore.neighbours import Neighbours
from morphtools.explore.pca import batches_of, fit_pca
from morphtools.explore.similarity import nearest_to
from morphtools.inference.representations import Representations
from tfrecords_builder.checksums import reading
from tfrecords_builder.files import read_arrays, write_arrays
from tfrecords_builder.listing import catalog_of
from tfrecords_builder.naming import some
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)

_SHOWN = 2**16  # recently shown galaxies whose rows are remembered
_PCA = "This shows the first two principal components; make-map makes a better map."


class NotReady(Exception):
    """Something is still being read or computed; the message explains what."""


class Atlas:
    """The galaxies of a store and everything known about them.

    Slow parts are read by `load`, usually in a background thread of the server. Until then, whatever needs them
    raises `NotReady`.

    Args:
        store: The store or its folder; all rows here are in its order.
        out: Folder of the application, for what it keeps between starts.
        records: Records of the galaxies, for images and columns.
        catalog: Table with `id_str` and columns to show.
        images: Folder, zip archive or stack of the catalogue's images, instead of records.
        map: Folder that `make_map` wrote.
        clusters: Folder that `cluster` wrote.
        predictions: Table with `id_str` and predictions.

    Raises:
        FileNotFoundError: One of these does not exist.
        ValueError: The store is empty or its files are damaged.
    """

    def __init__(
        self, store, out, *, records=None, catalog=None, images=None, map=None, clusters=None, predictions=None
    ):
        self.store, self.out = Representations.open(store), Path(out)
        self.ids = _ids(self.store)
        self.fingerprint = _fingerprint(self.store)
        self.records = None if records is None else Records.open(records)
        self.catalog, self.images = catalog_of(catalog, images), images
        self.columns, self.columns_ready = Columns(self.ids), False
        self.thumbnails = Thumbnails(self.records, self.catalog, images, self.store)
        self._shown: dict[str, int] = {}  # rows by id
        self.messages: dict[str, str] = {}  # why a part is unavailable, by the name of the part
        self.grid, self.map_kind, self.x, self.y = None, "none", None, None
        self.clusters_folder: Path | None = None
        self.clusters: np.ndarray | None = None  # (N,) cluster of each galaxy, -1 if it has none
        self.typical: np.ndarray | None = None  # (N,) distance from the centre of the galaxy's cluster
        self._near, self._predictions, self._colourings = None, predictions, {}
        self._map, self._clusters = map, clusters
        self._lock = threading.Lock()
        if map is not None:
            self.use_map(map)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def cache(self) -> Path:
        """Folder of files that can be made again."""
        return self.out / "cache"

    def load(self) -> None:
        """Reads columns and clusters, opens the images, computes positions if there is no map, and prepares the search.

        A part that fails leaves its reason in `messages`; the others continue.
        """
        for name, part in {
            "clusters": self._load_clusters,
            "map": self._load_map,
            "columns": self._load_columns,
            "images": self.thumbnails.open,
            "similar": self._load_neighbours,
        }.items():
            try:
                part()
            except (ValueError, OSError, MemoryError) as error:
                self.messages[name] = str(error) or type(error).__name__
                log.warning("%s: %s", name, self.messages[name])
        self.columns_ready = True

    def row(self, id_str: str) -> int:
        """The row of a galaxy.

        Raises:
            LookupError: No galaxy has this id.
        """
        try:
            return int(self.rows([id_str])[0])
        except LookupError:
            raise LookupError(f"there is no galaxy {id_str!r} in {self.store.folder}") from None

    def most_typical_first(self, rows: np.ndarray) -> np.ndarray:
        """Sorts rows by distance from the centre of their cluster; leaves the order as it is without clusters."""
        return rows if self.typical is None else rows[np.argsort(self.typical[rows], kind="stable")]

    def rows(self, ids: list[str]) -> np.ndarray:
        """The rows of galaxies, in the given order.

        Raises:
            LookupError: Some galaxies are not in the store.
        """
        shown, of = self._shown, {}
        new = [name for name in ids if name not in shown]
        if new:
            wanted = pa.array(new, self.ids.type)
            at = pc.index_in(self.ids, value_set=wanted, skip_nulls=True)  # searches the ids of all galaxies
            (rows,) = np.nonzero(at.is_valid().to_numpy(zero_copy_only=False))
            of = dict(zip(self.names(rows), rows.tolist(), strict=True))
        missing = [name for name in new if name not in of]
        if missing:
            raise LookupError(f"there is no galaxy {some(missing)} in {self.store.folder}")
        return np.array([of[name] if name in of else shown[name] for name in ids], np.int64)

    def names(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """The ids of galaxies. The most recently shown are remembered, because they are the next to be judged."""
        rows = np.asarray(rows, np.int64)
        names = self.ids.take(pa.array(rows)).to_pylist()
        if len(self._shown) + len(names) > _SHOWN:
            self._shown = {}
        if len(names) <= _SHOWN:
            self._shown.update(zip(names, rows.tolist(), strict=True))
        return names

    def use_map(self, folder: str | Path) -> None:
        """Uses the positions of a map that `make_map` wrote.

        Raises:
            FileNotFoundError: There is no map in the folder.
            ValueError: The map is damaged or shows other galaxies.
        """
        path = Path(folder) / "map.parquet"
        if not path.is_file():
            raise FileNotFoundError(f"there is no map at {folder} (no map.parquet)")
        with reading(path):
            table = pq.read_table(path, columns=["id_str", "x", "y"])
        x, y = (table[name].to_numpy().astype(np.float32) for name in ("x", "y"))
        order = rows_of(table["id_str"], self.ids)
        if order is not None:
            if not (order >= 0).any():
                raise ValueError(f"the map in {folder} contains none of the galaxies of {self.store.folder}")
            x, y = (np.where(order >= 0, values[order], np.nan).astype(np.float32) for values in (x, y))
        self._place(x, y, "map")

    @property
    def map(self) -> Grid:
        """The galaxies on the map.

        Raises:
            NotReady: The positions are still being computed.
        """
        if self.grid is None:
            self._missing("map", "the positions of the galaxies are being computed")
        return self.grid

    @property
    def near(self) -> Neighbours:
        """The nearest-neighbour search.

        Raises:
            NotReady: The representations are still being read.
        """
        if self._near is None:
            self._missing("similar", "the representations are being read for the search")
        return self._near

    def _missing(self, part: str, waiting: str):
        if part in self.messages:  # it will not come
            raise ValueError(self.messages[part])
        raise NotReady(waiting)

    def nearest(self, row: int, galaxies: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest neighbours of a galaxy, and their distances."""
        return nearest_to(self.near, np.array([row]), galaxies=galaxies)

    def find(self, text: str, most: int) -> list[str]:
        """Ids that begin with a text, then others that contain it."""
        names = self.ids.filter(pc.starts_with(self.ids, text)).slice(0, most).to_pylist()
        if len(names) < most:
            others = (
                self.ids.filter(pc.match_substring(self.ids, text, ignore_case=True)).slice(0, 2 * most).to_pylist()
            )
            names += [name for name in others if name not in names]
        return names[:most]

    def colouring(self, name: str) -> tuple[Colouring, dict]:
        """Colours of the galaxies by a column, and the legend."""
        column = self.columns[name]
        key = (name, id(column.values))
        if key not in self._colourings:
            made = _number_colours(column.values) if column.names is None else _category_colours(column)
            self._colourings = dict(list(self._colourings.items())[-5:]) | {key: (*made, column.values)}
        return self._colourings[key][:2]

    def _place(self, x: np.ndarray, y: np.ndarray, kind: str) -> None:
        grid = Grid(x, y)
        self.messages.pop("map", None)
        self.x, self.y, self.grid, self.map_kind = x, y, grid, kind

    def _load_map(self) -> None:
        if self.grid is not None:
            return
        if (self.out / "map" / "map.parquet").is_file():
            self.use_map(self.out / "map")
            return
        path = self.cache / "pca.npz"
        if path.exists():
            kept = read_arrays(path, "places", "fingerprint")
            if str(kept["fingerprint"]) == self.fingerprint:
                x, y = kept["places"].T
                self._place(x, y, "pca")
        if self.grid is None:
            places = np.zeros((len(self), 2), np.float32)
            try:
                projection = fit_pca(self.store, components=min(2, self.store.dimension, len(self) - 1))
            except ValueError:  # a single galaxy, or all alike: they share one position
                self._place(places[:, 0], places[:, 1], "none")
                raise
            places[:, : len(projection.components)] = np.concatenate([projection(v) for _, v in batches_of(self.store)])
            path.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(path, places=places, fingerprint=np.array(self.fingerprint))
            self._place(places[:, 0], places[:, 1], "pca")
        self.messages["map"] = _PCA

    def _load_clusters(self) -> None:
        made = sorted(self.out.glob("clusters-*/galaxies.parquet"), key=lambda path: path.stat().st_mtime)
        if self._clusters is not None:
            self.use_clusters(self._clusters)
        elif made:
            self.use_clusters(made[-1].parent)

    def use_clusters(self, folder: str | Path) -> None:
        """Uses the clusters that `cluster` wrote.

        Raises:
            FileNotFoundError: There are no clusters in the folder.
            ValueError: The files are damaged.
        """
        path = Path(folder) / "galaxies.parquet"
        if not path.is_file():
            raise FileNotFoundError(f"there are no clusters at {folder} (no galaxies.parquet)")
        with reading(path):
            table = pq.read_table(path, columns=["id_str", "cluster", "distance"])
        number, away = table["cluster"].to_numpy().astype(np.int32), table["distance"].to_numpy()
        order = rows_of(table["id_str"], self.ids)
        if order is not None:
            number, away = np.where(order >= 0, number[order], -1), np.where(order >= 0, away[order], np.nan)
        self.typical, self.clusters, self.clusters_folder = np.asarray(away, np.float32), number, Path(folder)
        names = np.array([str(k) for k in range(int(number.max(initial=-1)) + 1)], object)
        self.columns.add("cluster", "clusters", number, names)

    def _load_columns(self) -> None:
        folder = self.cache / "tables"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        tables = [("predictions", self._predictions)] if self._predictions is not None else []
        if self.catalog is not None:
            tables.insert(0, ("catalogue", self.catalog))
        elif self.records is not None:
            tables.insert(0, ("records", self.records.index_path))
        for origin, table in tables:
            self.columns.add_table(table, origin, folder / origin)

    def _load_neighbours(self) -> None:
        self._near = Neighbours(self.store, cache=self.cache)


def _ids(store: Representations) -> pa.Array:
    """(N,) ids, without checking the parts: that happens when the representations are read."""
    tables = []
    for path in store.parts:
        with reading(path):
            tables.append(pq.read_table(path, columns=["id_str"])["id_str"].cast(pa.large_string()))
    ids = pa.concat_arrays([chunk for table in tables for chunk in table.chunks]) if tables else pa.array([])
    if not len(ids):
        raise ValueError(f"there are no galaxies in {store.folder}")
    return ids


def _fingerprint(store: Representations) -> str:
    """Short digest of the parts of a store, which never change."""
    parts = [(path.name, path.stat().st_size) for path in store.parts]
    return hashlib.sha256(json.dumps([store.dimension, parts]).encode()).hexdigest()[:16]


def _number_colours(values: np.ndarray) -> tuple[Colouring, dict]:
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [2, 98]) if len(finite) else (0.0, 1.0)
    if low == high:
        low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    table = scale()
    step = (values - low) * (len(table) / (high - low if high > low else 1.0))
    step = np.clip(step, 0, len(table) - 0.001).astype(np.float32)
    legend = {"kind": "number", "low": float(low), "high": float(high), "colours": list(VIRIDIS)}
    legend["unknown"] = len(values) - len(finite)
    return Colouring(table, step), legend


def _category_colours(column) -> tuple[Colouring, dict]:
    counts = np.bincount(column.values[column.values >= 0], minlength=len(column.names))
    top = np.argsort(-counts, kind="stable")[: len(PALETTE)]
    code = np.full(len(counts) + 1, -1, np.int8)
    code[top] = np.arange(len(top))
    items = [
        {"value": str(column.names[k]), "colour": PALETTE[i], "galaxies": int(counts[k])} for i, k in enumerate(top)
    ]
    legend = {"kind": "category", "items": items, "others": int(counts.sum() - counts[top].sum())}
    legend["unknown"] = int((column.values < 0).sum())
    return Colouring(colours(PALETTE), code[column.values]), legend
