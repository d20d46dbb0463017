"""Galaxies placed on a map that was fitted to a sample: part by part of their store, by any number of processes."""

import dataclasses
import hashlib
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from morphtools.explore.exact_search import exact
from morphtools.explore.pca import Projection
from morphtools.inference.parts import count_rows, name_of, write_part
from morphtools.inference.representations import Representations
from tfrecords_builder.checksums import file_checksum
from tfrecords_builder.files import read_arrays

SCHEMA = pa.schema([("id_str", pa.string()), ("x", pa.float32()), ("y", pa.float32()), ("fitted", pa.bool_())])
_NEAREST, _TOGETHER = 10, 5  # neighbours among which to look for a place, and those of them whose mean it is
_BATCH = 8192


class Map:
    """A fitted map: its projection, and the values and places of its sample.

    Args:
        folder: Of `make_map`.
    """

    def __init__(self, folder: Path):
        self.projection = Projection.open(folder)
        sample = read_arrays(folder / "sample.npz", "id_str", "values", "places")
        self.id_str, self.values, self.places = sample["id_str"], sample["values"], sample["places"]
        self._row = pd.Index(self.id_str)

    def place(self, names: np.ndarray, representations: np.ndarray) -> pa.Table:
        """`id_str`, `x`, `y`, `fitted` of galaxies (n,) with representations (n, D)."""
        values = self.projection(representations)
        row = self._row.get_indexer(names)
        same = np.isclose(values, self.values[row], rtol=1e-4, atol=1e-6).all(axis=1)
        fitted = (row >= 0) & same  # not another galaxy of that name
        places = np.empty((len(names), 2), np.float32)
        places[fitted] = self.places[row[fitted]]
        if not fitted.all():
            rows, _ = exact(self.values, values[~fitted], min(_NEAREST, len(self.values)), "euclidean")
            places[~fitted] = between(self.places[rows])
        return pa.table([names, places[:, 0], places[:, 1], fitted], SCHEMA)


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


@dataclasses.dataclass(frozen=True)
class Placing:
    """The placing of a store on a map, small enough to travel with the name of each part of the store.

    Attributes:
        store: Folder of the store; absolute, like all paths.
        map: Folder of the map.
        folder: Where the places are kept, a file for each part of the store, until the table is written.
        left_out: Rows that are not placed, in the parts of the store that have some.
        digest: Of all that decides the places.
    """

    store: Path
    map: Path
    folder: Path
    left_out: dict[str, np.ndarray]
    digest: str

    @classmethod
    def begin(cls, store: Representations, map: Path, out: Path, excluded: np.ndarray) -> "Placing":
        """The placing of all galaxies of a store but for those in some rows, in rising order; kept in `out/state`."""
        sizes = rows_of_parts(store)
        starts = np.cumsum([0, *sizes.values()])
        cuts = np.searchsorted(excluded, starts)
        ranges = zip(sizes, starts, cuts, cuts[1:], strict=False)
        left_out = {name: excluded[first:last] - start for name, start, first, last in ranges if last > first}
        about = [file_checksum(map / "sample.npz"), excluded.tolist(), list(sizes)]
        digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
        folder = out.absolute() / "state" / f"places-{digest}"
        folder.mkdir(parents=True, exist_ok=True)
        return cls(store.folder.absolute(), map.absolute(), folder, left_out, digest)

    def __call__(self, part: str) -> None:
        """Places the galaxies of a part of the store, by its name."""
        store, map = Representations.open(self.store), _opened(self.map, self.digest)
        tables, start, left_out = [SCHEMA.empty_table()], 0, self.left_out.get(part, np.array([], int))
        for names, values in store.batches(_BATCH, [self.store / part]):
            there = ~np.isin(np.arange(start, start + len(names)), left_out)
            tables.append(map.place(names[there], values[there]))
            start += len(names)
        write_part(self.folder, part.removesuffix(".parquet"), pa.concat_tables(tables).combine_chunks())

    def placed(self) -> dict[str, Path]:
        """The files with places by the names of the parts of the store."""
        return {f"{name_of(path)}.parquet": path for path in self.folder.glob("part-*.parquet")}


def rows_of_parts(store: Representations) -> dict[str, int]:
    """The number of galaxies of each part of a store by its name, in order."""
    return {path.name: count_rows(path) for path in store.parts}


@lru_cache(maxsize=1)
def _opened(map: Path, digest: str) -> Map:
    return Map(map)
