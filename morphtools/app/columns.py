"""Columns about the galaxies of a store, from several tables; read when needed, in the order of the store."""

import collections
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from morphtools.archives.kept_tables import keep_table, read_positions
from tfrecords_builder.catalog import check_catalog
from tfrecords_builder.naming import some, unknown

_KEPT = 24  # columns kept in memory
_DISTINCT = 1000  # a text column with more distinct values in its first rows is not a category
_HIDDEN = ("id_str", "file_loc")


class Column(NamedTuple):
    """A column of N galaxies.

    Attributes:
        values: (N,) float64, NaN where unknown; for a category its number, -1 where unknown.
        names: For a category, the values that the numbers stand for; otherwise None.
    """

    values: np.ndarray
    names: np.ndarray | None

    @property
    def known(self) -> np.ndarray:
        """(N,) bool: which galaxies have a value."""
        return np.isfinite(self.values) if self.names is None else self.values >= 0

    def cells(self, rows: np.ndarray) -> list:
        """The values of some galaxies, ready for JSON."""
        values = self.values[rows]
        known = Column(values, self.names).known
        if self.names is not None:
            return [str(self.names[value]) if is_known else None for value, is_known in zip(values, known, strict=True)]
        whole = [value.is_integer() and abs(value) < 2**53 for value in values.tolist()]
        return [
            None if not is_known else int(value) if even else value
            for value, is_known, even in zip(values.tolist(), known, whole, strict=True)
        ]


class _Source(NamedTuple):
    table: pa.Table
    order: np.ndarray | None  # (N,) rows of the table, -1 if missing there; None: in the order of the store
    origin: str
    kinds: dict[str, str]  # of the columns shown


class Columns:
    """Columns of several tables about the galaxies of a store.

    Args:
        ids: (N,) ids, in the order of the store.
    """

    def __init__(self, ids: pa.Array):
        self.ids = ids
        self._sources: dict[str, tuple[str, _Source]] = {}  # by displayed name: the name in the table, and the table
        self._made: dict[str, tuple[str, Column]] = {}
        self._kept: collections.OrderedDict[str, Column] = collections.OrderedDict()
        self._lock = threading.Lock()
        self._sky: np.ndarray | None = None
        self._located: _Source | None = None

    def add_table(self, table: str | Path | pd.DataFrame, origin: str, folder: Path) -> None:
        """Adds the columns of a table, which is read once and kept in a folder as a memory map.

        Args:
            table: Table with `id_str`, or its path in any format that `read_catalog` reads.
            origin: Where the columns come from, in a word; prefixed to names that are already taken.
            folder: Where to keep the table; must not exist yet.

        Raises:
            ValueError: The table has no `id_str`, lists a galaxy twice, or contains none of the galaxies.
        """
        kept = keep_table(table, folder, places=False)
        if "id_str" not in kept.table.column_names:
            raise ValueError(f"the {origin} table has no column id_str (columns: {some(kept.table.column_names, 12)})")
        theirs = kept.table["id_str"].cast(pa.large_string())
        if theirs.null_count or len(pc.unique(theirs)) < len(theirs):
            check_catalog(pd.DataFrame({"id_str": theirs.to_pandas()}), ("id_str",))
        order = rows_of(theirs, self.ids)
        if order is not None and not (order >= 0).any():
            raise ValueError(
                f"the {origin} table contains none of the {len(self.ids)} galaxies: its id_str look like "
                f"{theirs[0].as_py()!r}, those of the store like {self.ids[0].as_py()!r}"
            )
        shown = [field.name for field in kept.table.schema if not pa.types.is_nested(field.type)]
        kinds = {name: _kind(kept.table[name]) for name in shown if name not in _HIDDEN}
        source = _Source(kept.table, order, origin, kinds)
        with self._lock:
            if self._located is None and "file_loc" in kept.table.column_names:
                self._located = source
            if self._sky is None and {"ra", "dec"} <= set(kept.table.column_names):
                sky, _ = read_positions(kept.table.select(["ra", "dec"]).to_pandas(), None)
                self._sky = sky if order is None else _taken(sky, order)
            for name in kinds:
                self._sources[name if name not in self._sources else f"{origin}_{name}"] = (name, source)

    def add(self, name: str, origin: str, values: np.ndarray, names: np.ndarray | None = None) -> None:
        """Adds or replaces a column that was computed here.

        Args:
            name: Name of the column.
            origin: Where it comes from, in a word.
            values: (N,) numbers, NaN where unknown; for a category its number, -1 where unknown.
            names: For a category, the values that the numbers stand for.
        """
        with self._lock:
            self._made[name] = origin, Column(values, names)

    @property
    def sky(self) -> np.ndarray | None:
        """(N, 2) right ascension and declination (deg), NaN where unknown; None if no table has them."""
        return self._sky

    def file_locs(self, rows: np.ndarray) -> list[str | None]:
        """Where the images of some galaxies are, if a table lists them."""
        if self._located is None:
            return [None] * len(rows)
        at = rows if self._located.order is None else self._located.order[rows]
        return self._located.table["file_loc"].take(pa.array(at, mask=at < 0)).to_pylist()

    def about(self) -> list[dict]:
        """Name, kind (`number`, `category` or `text`) and origin of every column."""
        listed = [
            {"name": name, "kind": source.kinds[own], "from": source.origin}
            for name, (own, source) in list(self._sources.items())
            if name not in self._made
        ]
        made = [
            {"name": name, "kind": "number" if column.names is None else "category", "from": origin}
            for name, (origin, column) in list(self._made.items())
        ]
        return listed + made

    def __getitem__(self, name: str) -> Column:
        """Reads a column in the order of the store.

        Raises:
            ValueError: There is no such column.
        """
        with self._lock:
            if name in self._made:
                return self._made[name][1]
            if name not in self._sources:
                raise ValueError(unknown("column", name, [*self._sources, *self._made]))
            if name not in self._kept:
                own, source = self._sources[name]
                self._kept[name] = _column(source.table[own], source.order)
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(name)
            return self._kept[name]

    def cells(self, names: list[str], rows: np.ndarray) -> list[dict]:
        """Values of some galaxies, without reading whole columns: a dict for each galaxy, None where unknown."""
        rows = np.asarray(rows, np.int64)
        columns = {}
        for name in names:
            with self._lock:
                made, source = self._made.get(name), self._sources.get(name)
            if made is not None:
                columns[name] = made[1].cells(rows)
            elif source is not None:
                own, table = source[0], source[1]
                at = rows if table.order is None else table.order[rows]
                part = _column(table.table[own].take(pa.array(at, mask=at < 0)), None)
                columns[name] = part.cells(np.arange(len(rows)))
            else:
                raise ValueError(unknown("column", name, [each["name"] for each in self.about()]))
        return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)] or [
            {} for _ in rows
        ]


def rows_of(theirs: pa.ChunkedArray | pa.Array, ids: pa.Array) -> np.ndarray | None:
    """(N,) the row in `theirs` of each of `ids`, -1 where there is none; None if both are identical."""
    theirs = _flat(theirs)
    if len(theirs) == len(ids) and theirs.equals(ids):
        return None
    rows = pc.index_in(ids, value_set=theirs)
    return rows.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)


def _flat(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    values = values.cast(pa.large_string())
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _taken(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    out = values[order]
    out[order < 0] = np.nan
    return out


def _kind(values: pa.ChunkedArray) -> str:
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_boolean(kind):
        return "category"
    return "text" if len(pc.unique(values.slice(0, 65536))) > _DISTINCT else "category"


def _column(values: pa.ChunkedArray, order: np.ndarray | None) -> Column:
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = values.cast(pa.float64(), safe=False).to_numpy()
        return Column(np.array(numbers) if order is None else _taken(numbers, order), None)
    coded = values.cast(pa.large_string()).combine_chunks().dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    names = coded.dictionary.to_numpy(zero_copy_only=False)
    if order is not None:
        codes = np.where(order >= 0, codes[order], -1)
    ranks = np.argsort(names.astype(str), kind="stable")  # in alphabetical order, for sorting
    places = np.empty(len(names) + 1, np.int32)
    places[ranks], places[-1] = np.arange(len(names)), -1
    return Column(places[codes], names[ranks])
