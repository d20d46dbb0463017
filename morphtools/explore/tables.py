"""Tables that go with representations: what a catalogue knows of them, lists of galaxies to leave out."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import overload

import numpy as np
import pandas as pd

from morphtools.inference.representations import Representations
from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import unknown
from tfrecords_builder.table_files import for_spreadsheets


@overload
def open_catalog(catalog: str | Path | pd.DataFrame) -> pd.DataFrame: ...
@overload
def open_catalog(catalog: None) -> None: ...
@overload
def open_catalog(catalog: str | Path | pd.DataFrame | None) -> pd.DataFrame | None: ...
def open_catalog(catalog: str | Path | pd.DataFrame | None) -> pd.DataFrame | None:
    """A catalogue from its path (a table, and None, are passed through)."""
    return read_catalog(catalog) if isinstance(catalog, str | Path) else catalog


def known_of(ids: Iterable[str], catalog: str | Path | pd.DataFrame | None) -> pd.DataFrame:
    """What a catalogue knows of galaxies: one row for each of `ids`, in their order, NaN where it knows nothing.

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
        raise ValueError(
            f"the catalogue has none of these {len(index)} galaxies: its id_str are like "
            f"{table.index[0]!r}, those of the representations like {index[0] if len(index) else None!r}"
        )
    return table.reindex(index)


def with_known(table: pd.DataFrame, catalog: str | Path | pd.DataFrame | None) -> pd.DataFrame:
    """A table with `id_str`, and beside it what a catalogue knows; names both have get `catalog_`."""
    known = known_of(table["id_str"], catalog).reset_index(drop=True).drop(columns="file_loc", errors="ignore")
    known = known.rename(columns={name: f"catalog_{name}" for name in known if name in table})
    return pd.concat([table.reset_index(drop=True), known], axis=1)


def column_of(known: pd.DataFrame, name: str) -> pd.Series:
    """A column of a catalogue; ValueError with the nearest name if there is none."""
    if name not in known.columns:
        raise ValueError(unknown("column", name, known.columns))
    return known[name]


def left_out(ids: np.ndarray, exclude: str | Path | pd.DataFrame | None) -> np.ndarray:
    """(N,) bool: which galaxies a list (a table with `id_str`, as `find_artifacts` writes it) leaves out."""
    if exclude is None:
        return np.zeros(len(ids), bool)
    table = check_catalog(open_catalog(exclude), ("id_str",))
    return np.isin(ids.astype(str), table["id_str"].to_numpy(str))


def space_of(store: Representations) -> dict[str, str]:
    """What the provenance says of the space, but for the records: where these are equal, so are the spaces."""
    return {name: value for name, value in sorted(store.provenance.items()) if not name.startswith("records")}


def inputs_of_store(store: Representations) -> dict:
    """What a claim compares of a store: its space and where its galaxies come from; it may have grown."""
    return {"space": space_of(store), "records": store.provenance.get("records")}


def digest_of(ids: np.ndarray) -> str | None:
    """Short name of a set of galaxies; None of the empty one."""
    return hashlib.sha256("\n".join(sorted(map(str, ids))).encode()).hexdigest()[:12] if len(ids) else None


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a table as csv (see `for_spreadsheets`) or parquet, by the ending of `path`."""
    save = for_spreadsheets(table).to_csv if path.suffix == ".csv" else table.to_parquet
    write_whole(path, lambda new: save(new, index=False))
