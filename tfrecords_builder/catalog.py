"""The catalogue of galaxies: reading it, and checking it once at the boundary."""

from pathlib import Path

import pandas as pd

from tfrecords_builder.naming import some, unknown
from tfrecords_builder.splits import SPLITS

_TABLES = (".fits", ".fit", ".ecsv", ".vot", ".xml")


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
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no catalogue at {path}")
    suffix = "".join(s for s in path.suffixes[-2:] if s in (".csv", ".gz")) or path.suffix.lower()
    try:
        if suffix.startswith(".csv"):
            return pd.read_csv(path, dtype={"id_str": str, "file_loc": str}, low_memory=False)
        if suffix == ".parquet":
            return pd.read_parquet(path)
        if suffix in _TABLES:
            from astropy.table import Table

            table = Table.read(path)
            table.convert_bytestring_to_unicode()
            return table.to_pandas()
    except Exception as error:  # every reader has its own exceptions for a broken file
        raise ValueError(f"cannot read the catalogue {path}: {error}") from error
    raise ValueError(unknown("catalogue format", suffix, [".csv", ".parquet", *_TABLES]))


def check_catalog(catalog: pd.DataFrame) -> pd.DataFrame:
    """Checks what every later step relies on; lists all problems at once.

    Args:
        catalog: One row per galaxy with columns `id_str` (unique) and `file_loc`.

    Returns:
        A copy with `id_str` and `file_loc` as text and a fresh index; the argument is not changed.

    Raises:
        ValueError: A column is missing, the catalogue is empty, or ids are missing or repeated.
    """
    problems = [
        f"no column {name!r} (columns: {some(catalog.columns, 12)})"
        for name in ("id_str", "file_loc")
        if name not in catalog.columns
    ]
    if len(catalog) == 0:
        problems.append("no rows")
    if "id_str" in catalog.columns:
        missing = catalog["id_str"].isna()
        if missing.any():
            problems.append(f"{missing.sum()} rows without id_str (rows {some(catalog.index[missing])})")
        ids = catalog["id_str"][~missing].astype(str)
        repeated = ids[ids.duplicated()].unique()
        if len(repeated):
            problems.append(f"{len(repeated)} id_str more than once ({some(repeated)})")
    if "split" in catalog.columns and not catalog["split"].isin(SPLITS).all():
        strange = catalog["split"][~catalog["split"].isin(SPLITS)].unique()
        problems.append(f"column 'split' must hold {', '.join(SPLITS)}, not {some(strange)}")
    if "file_loc" in catalog.columns and catalog["file_loc"].isna().any():
        missing = catalog.index[catalog["file_loc"].isna()]
        problems.append(f"{len(missing)} rows without file_loc (rows {some(missing)})")
    if problems:
        raise ValueError("the catalogue cannot be used: " + "; ".join(problems))
    return catalog.astype({"id_str": str, "file_loc": str}).reset_index(drop=True)
