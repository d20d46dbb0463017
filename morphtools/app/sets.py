"""Named sets of galaxies: selected on the map, saved selections, clusters, labels, results of a search."""

import functools
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from morphtools.app.atlas import Atlas, NotReady
from morphtools.app.columns import rows_of
from tfrecords_builder.catalog import read_catalog
from tfrecords_builder.files import read_arrays, write_arrays
from tfrecords_builder.naming import check_known, unknown
from tfrecords_builder.tables_out import write_csv

_NAME = re.compile(r"[\w][\w .-]{0,59}")
_HANDLE = re.compile(r"~[0-9a-f]{20}")
_HANDLES = 500  # how many files of unnamed sets are kept
MODES = ("replace", "add", "remove", "keep")


class Sets:
    """Turns a text such as `cluster:3` or `selection:rings` into rows of galaxies.

    Unnamed sets have a handle derived from their content and are kept in files as well, so that they survive a
    restart of the server.

    Args:
        atlas: The galaxies.

    Attributes:
        more: Further kinds of sets: by the word before the colon, a function from the rest to rows.
    """

    def __init__(self, atlas: Atlas):
        self.atlas, self.folder, self._kept = atlas, atlas.out / "selections", {}
        self.more: dict[str, Callable[[str], np.ndarray]] = {"cluster": self._cluster}

    def rows(self, text: str) -> np.ndarray | None:
        """The rows of a set in its order; None for all galaxies.

        Raises:
            LookupError: There is no such set.
        """
        kind, _, name = text.partition(":")
        if text == "all":
            return None
        if text.startswith("~"):
            return self._opened(text)
        if kind == "selection":
            return self._selection(name)
        if kind in self.more:
            return self.more[kind](name)
        known = ["all", "selection", *self.more]
        raise LookupError(unknown("kind of set", kind, known))

    def chosen(self, text: str) -> np.ndarray | None:
        """(N,) bool: which galaxies are in a set; None for all galaxies."""
        rows = self.rows(text)
        return None if rows is None else self._as_mask(rows)

    def count(self, text: str) -> int:
        """The number of galaxies in a set."""
        rows = self.rows(text)
        return len(self.atlas) if rows is None else len(rows)

    def keep(self, rows: np.ndarray) -> str:
        """Stores a set in its order and returns its handle; it is on disk when this returns."""
        rows = np.asarray(rows, np.int32)
        digest = hashlib.sha256(self.atlas.fingerprint.encode() + rows.tobytes()).hexdigest()
        handle, path = f"~{digest[:20]}", self._path(f"~{digest[:20]}")
        self._kept = dict(list(self._kept.items())[-31:]) | {handle: rows}
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(path, rows=rows, fingerprint=np.array(self.atlas.fingerprint))
            self._forget()
        return handle

    def combine(self, rows: np.ndarray, mode: str, to: str) -> str:
        """Adds to, removes from or intersects another set; returns the handle of the result."""
        check_known("mode", mode, MODES)
        if mode == "replace":
            return self.keep(rows)
        mask, other = self._as_mask(rows), self.chosen(to)
        other = np.ones(len(self.atlas), bool) if other is None else other
        combined = {"add": other | mask, "remove": other & ~mask, "keep": other & mask}[mode]
        return self.keep(np.flatnonzero(combined))

    def save(self, name: Any, text: str, replace: bool) -> Path:
        """Writes a set to `selections/NAME.csv`, a list of galaxies that all commands accept.

        Raises:
            FileExistsError: Another set has this name.
            ValueError: The name is not valid for a file.
        """
        path = self.path_of(name)
        rows = self.rows(text)
        ids = self.atlas.ids if rows is None else self.atlas.ids.take(pa.array(rows))
        if path.exists() and not replace:
            saved = read_catalog(path)["id_str"]
            if len(saved) != len(ids) or set(saved) != set(ids.to_pylist()):
                raise FileExistsError(f"a selection {name!r} with other galaxies ({len(saved)}) already exists")
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        write_csv(pd.DataFrame({"id_str": ids.to_pandas()}), path)
        return path

    def path_of(self, name: Any) -> Path:
        """The file of a saved selection."""
        return self.folder / f"{checked_name(name)}.csv"

    def saved(self) -> list[dict]:
        """Name, number of galaxies and file of each saved selection."""
        paths = sorted(self.folder.glob("*.csv")) if self.folder.is_dir() else []
        return [{"name": path.stem, "galaxies": _lines(path), "file": str(path)} for path in paths]

    def _path(self, handle: str) -> Path:
        return self.atlas.cache / "sets" / f"{handle[1:]}.npz"

    def _opened(self, handle: str) -> np.ndarray:
        if handle in self._kept:
            return self._kept[handle]
        if not _HANDLE.fullmatch(handle) or not self._path(handle).exists():
            raise LookupError(f"the unnamed set {handle[:40]} no longer exists: choose the galaxies again")
        kept = read_arrays(self._path(handle), "rows", "fingerprint")
        if str(kept["fingerprint"]) != self.atlas.fingerprint:
            raise LookupError("galaxies were added to the store since this set was chosen: choose them again")
        self._kept[handle] = kept["rows"]
        return kept["rows"]

    def _forget(self) -> None:
        """Deletes the oldest files of unnamed sets."""
        files = sorted(self._path("~0").parent.glob("*.npz"), key=lambda path: path.stat().st_mtime)
        for path in files[:-_HANDLES]:
            path.unlink(missing_ok=True)

    def _selection(self, name: str) -> np.ndarray:
        path = self.path_of(name)
        if not path.exists():
            raise LookupError(f"there is no selection {name!r}; there are {[each['name'] for each in self.saved()]}")
        key = f"{path} {path.stat().st_mtime_ns}"
        if key not in self._kept:
            ids = pa.array(read_catalog(path)["id_str"].astype(str), self.atlas.ids.type)
            at = rows_of(self.atlas.ids, ids)
            rows = np.arange(len(ids)) if at is None else at
            self._kept = dict(list(self._kept.items())[-31:]) | {key: rows[rows >= 0]}
        return self._kept[key]

    def _cluster(self, number: str) -> np.ndarray:
        if self.atlas.clusters is None:
            kind = LookupError if self.atlas.columns_ready else NotReady
            raise kind(self.atlas.messages.get("clusters", "there are no clusters"))
        rows = np.flatnonzero(self.atlas.clusters == int(number)) if number.isdigit() else np.array([], int)
        if not len(rows):
            raise LookupError(f"there is no cluster {number!r}")
        return self.atlas.most_typical_first(rows)

    def _as_mask(self, rows: np.ndarray) -> np.ndarray:
        mask = np.zeros(len(self.atlas), bool)
        mask[rows] = True
        return mask


def checked_name(name: Any) -> str:
    """Checks that a name is valid for a file and a column.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.endswith((" ", ".")):
        raise ValueError(
            "a name must have 1 to 60 letters, digits, spaces and . _ - and begin with a letter or digit, "
            f"got {name!r:.80}"
        )
    return name


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return max(0, sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b"")) - 1)


def query(
    atlas: Atlas, rows: np.ndarray | None, where: list[list], sort: str, descending: bool, seed: int = 0
) -> np.ndarray:
    """Returns the rows of a set that pass all conditions, sorted.

    Args:
        atlas: The galaxies.
        rows: Rows of the set in its order; None: all galaxies.
        where: Conditions `[column, operator, value]`.
        sort: A column, `id_str` or `random`; if empty, the order of the set. Unknown values come last.
        descending: Whether the largest comes first.
        seed: Seed of a random order.

    Raises:
        ValueError: There is no such column or operator.
    """
    rows = np.arange(len(atlas), dtype=np.int32) if rows is None else rows
    for condition in where:
        rows = rows[_passes(atlas, rows, condition)]
    if sort == "random":
        return rows[permutation(len(rows), seed)]
    if sort == "id_str":
        order = pc.sort_indices(atlas.ids.take(pa.array(rows))).to_numpy()
        return rows[order[::-1] if descending else order]
    if not sort:
        return rows
    column = atlas.columns[sort]
    values, known = column.values[rows].astype(float), column.known[rows]
    order = np.argsort(-values[known] if descending else values[known], kind="stable")
    return np.concatenate([rows[known][order], rows[~known]])


@functools.lru_cache(2)
def permutation(number: int, seed: int) -> np.ndarray:
    """(N,) a random order, cached because requests page through it."""
    return np.random.default_rng(seed).permutation(number).astype(np.int32)


_COMPARED: dict[str, Callable] = {
    "=": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def _passes(atlas: Atlas, rows: np.ndarray, condition: list) -> np.ndarray:
    name, operator, value = [*condition, None][:3]
    if name == "id_str" and operator == "contains":
        contains = pc.match_substring(atlas.ids.take(pa.array(rows)), str(value))
        return contains.to_numpy(zero_copy_only=False)
    column = atlas.columns[name]
    values, known = column.values[rows], column.known[rows]
    if operator in ("known", "unknown"):
        return known if operator == "known" else ~known
    if operator == "contains":
        names = column.names if column.names is not None else np.array([], object)
        good = np.array([str(value).lower() in str(each).lower() for each in names], bool)
        return known & np.append(good, False)[np.where(known, values, -1).astype(int)]
    if operator not in _COMPARED:
        raise ValueError(unknown("operator", str(operator), [*_COMPARED, "contains", "known", "unknown"]))
    if column.names is None:
        try:
            return known & _COMPARED[operator](values, float(value))
        except (TypeError, ValueError):
            raise ValueError(f"{name} is a column of numbers: compare it with a number, got {value!r}") from None
    good = _COMPARED[operator](column.names.astype(str), str(value))
    return known & np.append(good, False)[values]
