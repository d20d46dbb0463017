"""Tables that go with representations: what a catalogue knows of them, lists of galaxies to leave out."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import unknown


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
    catalog = read_catalog(catalog) if isinstance(catalog, str | Path) else catalog
    catalog = check_catalog(catalog, ("id_str",)).set_index("id_str")
    if not index.isin(catalog.index).any():
        raise ValueError(
            f"the catalogue knows none of these {len(index)} galaxies: its id_str are like "
            f"{catalog.index[0]!r}, those of the representations like {index[0] if len(index) else None!r}"
        )
    return catalog.reindex(index)


def column_of(known: pd.DataFrame, name: str) -> pd.Series:
    """A column of a catalogue; ValueError with the nearest name if there is none."""
    if name not in known.columns:
        raise ValueError(unknown("column", name, known.columns))
    return known[name]


def left_out(ids: np.ndarray, exclude: str | Path | pd.DataFrame | None) -> np.ndarray:
    """(N,) bool: which galaxies a list (a table with `id_str`, as `find_artifacts` writes it) leaves out."""
    if exclude is None:
        return np.zeros(len(ids), bool)
    table = read_catalog(exclude) if isinstance(exclude, str | Path) else exclude
    return np.isin(ids.astype(str), check_catalog(table, ("id_str",))["id_str"].to_numpy(str))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a table as csv or parquet, by the ending of `path`."""
    save = table.to_csv if path.suffix == ".csv" else table.to_parquet
    write_whole(path, lambda new: save(new, index=False))


def write_figure(path: Path, figure, dpi: int = 150) -> None:
    """Writes a matplotlib figure."""
    write_whole(path, lambda new: figure.savefig(new, dpi=dpi))
