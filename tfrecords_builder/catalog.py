"""The catalogue of galaxies: reading it, whole or in chunks, and checking it once at the boundary."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tfrecords_builder.naming import some, unknown
from tfrecords_builder.splits import SPLITS

_FITS = (".fits", ".fit")
_ECSV = (".ecsv",)
_VOTABLE = (".vot", ".xml")
_TEXT = {"id_str": str, "file_loc": str}


def read_catalog(path: str | Path) -> pd.DataFrame:
    """Reads a catalogue from csv, parquet, or any table astropy knows (FITS, ECSV, VOTable).

    `id_str` is read as text, so that survey identifiers keep all their digits.

    Args:
        path: File to read; the format follows from its ending.

    Returns:
        One row per galaxy, columns as in the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a readable table of a known format.
    """
    chunks = list(read_chunks(path, 2**20))
    return pd.concat(chunks, ignore_index=True) if len(chunks) > 1 else chunks[0]


def read_chunks(catalog: str | Path | pd.DataFrame, rows: int) -> Iterator[pd.DataFrame]:
    """A catalogue in pieces of at most `rows` rows, at least one; only a VOTable is read as a whole.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a readable table of a known format.
    """
    if isinstance(catalog, pd.DataFrame):
        for start in range(0, max(1, len(catalog)), rows):
            yield catalog.iloc[start : start + rows]
        return
    path = Path(catalog)
    if not path.is_file():
        raise FileNotFoundError(f"there is no catalogue at {path}")
    suffix = "".join(s for s in path.suffixes[-2:] if s in (".csv", ".gz")) or path.suffix.lower()
    if suffix == ".gz":
        suffix = "".join(path.suffixes[-2:]).lower()
    readers = {".csv": _csv, ".csv.gz": _csv, ".parquet": _parquet}
    readers |= dict.fromkeys((*_FITS, *(f"{s}.gz" for s in _FITS)), _fits)
    readers |= dict.fromkeys(_ECSV, _ecsv) | dict.fromkeys(_VOTABLE, _votable)
    if suffix not in readers:
        raise ValueError(unknown("catalogue format", suffix, readers))
    try:
        yield from readers[suffix](path, rows)
    except Exception as error:  # every reader has its own exceptions for a broken file
        raise ValueError(f"cannot read the catalogue {path}: {error}") from error


def _csv(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    with pd.read_csv(path, dtype=_TEXT, low_memory=False, chunksize=rows) as chunks:
        yield from chunks


def _parquet(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        if not file.metadata.num_rows:
            yield file.read().to_pandas()
        for batch in file.iter_batches(rows):
            yield batch.to_pandas()


def _fits(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    from astropy.io import fits

    with fits.open(path, memmap=True) as hdus:
        table = next((hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)), None)
        if table is None:
            raise ValueError("no table in it")
        for start in range(0, max(1, len(table.data)), rows):
            part = table.data[start : start + rows]
            yield pd.DataFrame({name: _column(part[name]) for name in table.columns.names if part[name].ndim == 1})


def _column(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "SU":
        return np.array([str(value).strip() for value in values], dtype=object)
    return values.astype(values.dtype.newbyteorder("="))


def _ecsv(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    from astropy.table import Table

    head = []
    with path.open() as file:
        for line in file:
            head.append(line)
            if not line.startswith("#"):
                break
    table = Table.read("".join(head), format="ascii.ecsv")
    separator = "," if any("delimiter: ','" in line for line in head) else " "
    text = {name: str for name in table.colnames if table[name].dtype.kind in "USO"}
    options = {"comment": "#", "sep": separator, "dtype": text | _TEXT, "low_memory": False}
    with pd.read_csv(path, chunksize=rows, **options) as chunks:
        yield from chunks


def _votable(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    from astropy.table import Table

    yield from read_chunks(Table.read(path, format="votable").to_pandas(), rows)


def check_catalog(catalog: pd.DataFrame, needs: tuple[str, ...] = ("id_str", "file_loc")) -> pd.DataFrame:
    """Checks what every later step relies on; lists all problems at once.

    Args:
        catalog: One row per galaxy with columns `id_str` (unique) and `file_loc`.
        needs: The columns that have to be there.

    Returns:
        A copy with `id_str` and `file_loc` as text and a fresh index; the argument is not changed.

    Raises:
        ValueError: A column is missing, the catalogue is empty, or ids are missing or repeated.
    """
    problems = [
        f"no column {name!r} (columns: {some(catalog.columns, 12)})" for name in needs if name not in catalog.columns
    ]
    if len(catalog) == 0:
        problems.append("no rows")
    if "id_str" in catalog.columns:
        missing = catalog["id_str"].isna()
        if missing.any():
            problems.append(f"{missing.sum()} rows without id_str (rows {some(catalog.index[missing])})")
        if pd.api.types.is_float_dtype(catalog["id_str"]):
            problems.append("id_str holds floating-point numbers, which lose digits; store it as text")
        ids = catalog["id_str"][~missing].astype(str)
        repeated = ids[ids.duplicated()].unique()
        if len(repeated):
            problems.append(f"{len(repeated)} id_str more than once ({some(repeated)})")
    if "split" in catalog.columns and not catalog["split"].isin(SPLITS).all():
        strange = catalog["split"][~catalog["split"].isin(SPLITS)].unique()
        problems.append(f"column 'split' must hold {', '.join(SPLITS)}, not {some(strange)}")
    if "file_loc" in needs and "file_loc" in catalog.columns and catalog["file_loc"].isna().any():
        missing = catalog.index[catalog["file_loc"].isna()]
        problems.append(f"{len(missing)} rows without file_loc (rows {some(missing)})")
    if problems:
        raise ValueError("the catalogue cannot be used: " + "; ".join(problems))
    text = {name: str for name in ("id_str", "file_loc") if name in catalog.columns}
    return catalog.astype(text).reset_index(drop=True).copy()  # in one piece: pandas warns of many when one is added
