"""Tables that go with representations: what a catalogue knows of them, lists of galaxies to leave out."""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import overload

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from morphtools.inference.representations import Representations
from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.naming import check_known


@overload
def open_catalog(catalog: str | Path | pd.DataFrame) -> pd.DataFrame: ...
@overload
def open_catalog(catalog: None) -> None: ...
@overload
def open_catalog(catalog: str | Path | pd.DataFrame | None) -> pd.DataFrame | None: ...
def open_catalog(catalog: str | Path | pd.DataFrame | None) -> pd.DataFrame | None:
    """A catalogue from its path (a table, and None, are passed through)."""
    return read_catalog(catalog) if isinstance(catalog, str | Path) else catalog


def in_all(names: Iterable[np.ndarray]) -> pd.Index:
    """The names that are in every one of several lists, in the order of the first."""
    return functools.reduce(lambda common, others: common[common.isin(others)], map(pd.Index, names))


def known_of(ids: Iterable[str], catalog: str | Path | pd.DataFrame | None) -> pd.DataFrame:
    """The rows of a catalogue for each of `ids`, in their order, NaN where it has none.

    Args:
        ids: (N,) names.
        catalog: Table with `id_str`, or its path; None: nothing is known.

    Returns:
        The catalogue's columns but for `id_str`, indexed by `ids`.
    """
    index = pd.Index(np.asarray(ids, object), name="id_str")
    if catalog is None:
        return pd.DataFrame(index=index)
    table = check_catalog(open_catalog(catalog), ("id_str",)).set_index("id_str")
    if not index.isin(table.index).any():
        raise _strangers(table.index, len(index), index[0] if len(index) else None)
    return table.reindex(index)


def known_in(
    store: Representations, catalog: str | Path | pd.DataFrame, keep: np.ndarray | None = None
) -> tuple[pd.DataFrame, np.ndarray]:
    """What a catalogue knows of the galaxies of a store, of which there may be many more.

    Args:
        store: The store; its names are read a few at a time.
        catalog: Table with `id_str`, or its path.
        keep: (N,) bool: only of these.

    Returns:
        Those rows of the catalogue (n) that are about galaxies of the store, indexed by `id_str`, and where these are
        in the store (n,).

    Raises:
        ValueError: There are none.
    """
    table = check_catalog(open_catalog(catalog), ("id_str",)).set_index("id_str")
    rows = store.rows_of(table.index)
    there = (rows >= 0) if keep is None else (rows >= 0) & keep[rows]
    if not there.any():
        raise _strangers(table.index, len(store), next(store.name_batches(), np.array([None]))[0])
    return table[there], rows[there]


def _strangers(names: pd.Index, number: int, like: str | None) -> ValueError:
    if like is None:
        return ValueError("there are no galaxies in the representations: if represent was interrupted, run it again")
    return ValueError(
        f"the catalogue has none of these {number} galaxies: its id_str are like "
        f"{names[0]!r}, those of the representations like {like!r}"
    )


def with_known(table: pd.DataFrame, catalog: str | Path | pd.DataFrame | None) -> pd.DataFrame:
    """A table with `id_str`, and beside it what a catalogue knows; names both have get `catalog_`."""
    known = known_of(table["id_str"], catalog).reset_index(drop=True).drop(columns="file_loc", errors="ignore")
    known = known.rename(columns={name: f"catalog_{name}" for name in known if name in table})
    return pd.concat([table.reset_index(drop=True), known], axis=1)


def column_of(known: pd.DataFrame, name: str) -> pd.Series:
    """A column of a catalogue; ValueError with the nearest name if there is none."""
    check_known("column", name, known.columns)
    return known[name]


def left_out(store: Representations, exclude: str | Path | pd.DataFrame | None) -> np.ndarray:
    """Which galaxies a list (a table with `id_str`, as `find_artifacts` writes it) leaves out: their rows, in order."""
    if exclude is None:
        return np.array([], np.int64)
    names = set(check_catalog(open_catalog(exclude), ("id_str",))["id_str"])
    start, rows = 0, [np.array([], np.int64)]
    for batch in store.name_batches():
        rows.append(start + np.flatnonzero([name in names for name in batch]))
        start += len(batch)
    return np.concatenate(rows)


def all_but(store: Representations, rows: np.ndarray) -> np.ndarray | None:
    """(N,) bool, False for some rows; None if there are none."""
    if not len(rows):
        return None
    keep = np.ones(len(store), bool)
    keep[rows] = False
    return keep


def space_of(store: Representations) -> dict[str, str]:
    """What the provenance says of the space, but for the records: where these are equal, so are the spaces."""
    return {name: value for name, value in sorted(store.provenance.items()) if not name.startswith("records")}


def inputs_of_store(store: Representations) -> dict:
    """What a claim compares of a store: its space and where its galaxies come from; it may have grown."""
    return {"space": space_of(store), "records": store.provenance.get("records")}


def digest_of(ids: np.ndarray) -> str | None:
    """Short name of a set of galaxies; None of the empty one."""
    return hashlib.sha256("\n".join(sorted(map(str, ids))).encode()).hexdigest()[:12] if len(ids) else None


def columns_in(path: Path, kinds: dict[str, type]) -> list[np.ndarray]:
    """Columns of a parquet file as arrays (N,) of some kinds, by their names; memory holds nothing else."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        arrays, start = [np.empty(file.metadata.num_rows, kind) for kind in kinds.values()], 0
        for batch in file.iter_batches(columns=list(kinds)):
            for array, name in zip(arrays, kinds, strict=True):
                array[start : start + len(batch)] = batch[name]
            start += len(batch)
    return arrays


def names_in(path: Path, rows: np.ndarray) -> list[str]:
    """The `id_str` in some rows (n,) of a parquet file, which is read a few rows at a time."""
    names, start = {}, 0
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(columns=["id_str"]):
            here = rows[(rows >= start) & (rows < start + len(batch))]
            names.update(zip(here.tolist(), batch["id_str"].take(pa.array(here - start)).to_pylist(), strict=True))
            start += len(batch)
    return [names[row] for row in rows.tolist()]
