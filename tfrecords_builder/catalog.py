"""Reads the catalogue of galaxies, whole or in chunks, and checks it once."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tfrecords_builder.astropy_tables import read_ecsv, read_votable
from tfrecords_builder.bounded import PACKED
from tfrecords_builder.copies import here
from tfrecords_builder.csv_tables import read_csv
from tfrecords_builder.listing import is_listing, list_images
from tfrecords_builder.naming import some, unknown
from tfrecords_builder.splits import SPLITS
from tfrecords_builder.table_files import TEXT, check_names, has_long_numbers, plain, read_fits, read_parquet

_READERS = {".csv": read_csv, ".tsv": read_csv, ".parquet": read_parquet, ".fits": read_fits, ".fit": read_fits}
_READERS |= {".ecsv": read_ecsv, ".vot": read_votable, ".xml": read_votable}
_LONGEST = 2**16  # maximum characters of a cell: no name, class or comment is longer
_NAMES = ("id_str", "file_loc", "ra", "dec", "split")  # recognised in any capitalisation


def read_catalog(path: str | Path) -> pd.DataFrame:
    """Reads a catalogue from csv, tsv, parquet, FITS, ECSV or VOTable.

    Ids stay text, with every digit and leading zero, as do columns of integers too long for a floating-point number
    (object ids of surveys). Unknown values (an empty cell, TNULL, a mask) become NaN, or None in text. Columns with
    several numbers per cell are left out, with a warning.

    Args:
        path: File to read; the format follows from its ending, behind which may be `.gz`, `.bz2`, `.xz` or `.lzma`. A
            folder, zip archive or stack of images is its own catalogue (see `list_images`).

    Returns:
        One row per galaxy, with the columns of the file; `ID_STR`, `FILE_LOC`, `RA`, `DEC` and `SPLIT` become lower
        case.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not a readable table of a known format.
    """
    chunks = list(read_chunks(path, 2**20))
    return pd.concat(chunks, ignore_index=True) if len(chunks) > 1 else chunks[0]


def read_chunks(catalog: str | Path | pd.DataFrame, rows: int) -> Iterator[pd.DataFrame]:
    """Reads a catalogue in at least one chunk of at most `rows` rows; only a VOTable is read whole.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not a readable table of a known format.
    """
    if isinstance(catalog, pd.DataFrame):
        catalog = _named(catalog)
        for start in range(0, max(1, len(catalog)), rows):
            yield catalog.iloc[start : start + rows]
        return
    path = here(catalog, folders=False).expanduser()
    own = is_listing(path)
    if not own and not path.is_file():
        raise FileNotFoundError(f"there is no catalogue at {path}")
    packed = path.suffix.lower() in PACKED
    ending = (path.with_suffix("") if packed else path).suffix.lower()
    if not own and (ending not in _READERS or (packed and ending == ".parquet")):
        kind = ending + path.suffix.lower() * packed
        raise ValueError(
            f"{unknown('catalogue format', kind, _READERS)}; all but parquet may be compressed as {some(PACKED, 4)}"
        )
    read = list_images if own else _READERS[ending]
    try:
        long_numbers, chunks = set(), 0
        for chunk in read(path, rows):
            if chunks == 0:
                long_numbers = has_long_numbers(chunk)
                if len(chunk) >= rows:  # there may be more, and a column has one type throughout
                    long_numbers = long_numbers.union(*map(has_long_numbers, read(path, rows)))
            chunks += 1
            yield _named(chunk, long_numbers)
        if not chunks:
            raise ValueError("it ends before its last row")
    except Exception as error:  # every reader has its own exceptions for damaged files
        raise ValueError(f"cannot read the catalogue {path}: {' '.join(str(error).split())}") from error


def _named(table: pd.DataFrame, long_numbers: set[str] | None = None) -> pd.DataFrame:
    """A table with a named index as a column, and ids and long numbers as text."""
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    table = table.set_axis([str(name) for name in table.columns], axis=1)
    check_names(table.columns)
    for name in table.columns:
        _check_lengths(table[name])
    lower = [name.lower() for name in table.columns]
    capitals = {n: n.lower() for n in table.columns if n.lower() in _NAMES and lower.count(n.lower()) == 1}
    table = plain(table.rename(columns=capitals), has_long_numbers(table) if long_numbers is None else long_numbers)
    names = [name for name in TEXT if name in table.columns and not pd.api.types.is_numeric_dtype(table[name])]
    return table.assign(**{name: _stripped(table[name], name) for name in names})


def _stripped(values: pd.Series, name: str) -> pd.Series:
    """Text without the blanks that some programs fill it up with and others take away; a path may begin with one."""
    if isinstance(values.dtype, pd.StringDtype):
        return values.str.strip() if name == "id_str" else values.str.rstrip()
    strip = str.strip if name == "id_str" else str.rstrip
    return values.map(lambda cell: strip(cell) if isinstance(cell, str) else cell)


def _check_lengths(column: pd.Series) -> None:
    """Raises ValueError if a cell is implausibly long: the file is damaged or hostile."""
    if isinstance(column.dtype, pd.StringDtype):
        lengths = column.str.len()
    elif column.dtype == object:
        lengths = column.map(lambda cell: len(cell) if isinstance(cell, str) else 0)
    else:
        return
    if len(column) and lengths.max() > _LONGEST:
        raise ValueError(
            f"a cell of column {column.name!r} has {lengths.max():.0f} characters, more than {_LONGEST} "
            f"(row {column.index[lengths.fillna(0).argmax()]}); perhaps a quote is missing"
        )


def check_catalog(catalog: pd.DataFrame, needs: tuple[str, ...] = ("id_str", "file_loc")) -> pd.DataFrame:
    """Checks what all later steps rely on, and lists all problems at once.

    Args:
        catalog: One row per galaxy with columns `id_str` (unique) and `file_loc`.
        needs: The required columns.

    Returns:
        A copy with `id_str` and `file_loc` as text and a new index; the argument is not changed.

    Raises:
        ValueError: A column is missing, the catalogue is empty, or ids are missing or repeated.
    """
    catalog = _named(catalog)
    missing = [repr(name) for name in needs if name not in catalog.columns]
    columns = f"column{'s' * (len(missing) > 1)} {' and '.join(missing)}"
    problems = [f"it needs the {columns}, and has {some(catalog.columns, 12)}: rename yours"] if missing else []
    if len(catalog) == 0:
        problems.append("no rows")
    elif "id_str" in catalog.columns:
        problems += _id_problems(catalog["id_str"])
    if "split" in catalog.columns and not catalog["split"].isin(SPLITS).all():
        strange = catalog["split"][~catalog["split"].isin(SPLITS)].unique()
        problems.append(f"column 'split' must contain only {', '.join(SPLITS)}, got {some(strange)}")
    if "file_loc" in needs and "file_loc" in catalog.columns and catalog["file_loc"].isna().any():
        missing = catalog.index[catalog["file_loc"].isna()]
        problems.append(f"{len(missing)} rows without file_loc (rows {some(missing)})")
    if problems:
        raise ValueError("the catalogue cannot be used: " + "; ".join(problems))
    text = {name: str for name in ("id_str", "file_loc") if name in catalog.columns}
    return catalog.astype(text).reset_index(drop=True).copy()  # in one block: pandas would warn about fragmentation


def _id_problems(ids: pd.Series) -> list[str]:
    """Problems with the ids of galaxies, in words."""
    if pd.api.types.is_float_dtype(ids):
        return ["id_str holds floating-point numbers, which lose digits; store it as text"]
    missing = ids.isna() | (ids.astype(str) == "")
    problems = [f"{missing.sum()} rows without id_str (rows {some(ids.index[missing])})"] if missing.any() else []
    ids = ids[~missing].astype(str)
    repeated = ids[ids.duplicated()].unique()
    if len(repeated):
        problems.append(f"{len(repeated)} id_str more than once ({some(repeated)})")
    unprintable = ids[ids.str.contains(r"[\x00-\x1f\x7f]")]
    if len(unprintable):
        problems.append(
            f"{len(unprintable)} id_str with a line break or another control character ({some(map(repr, unprintable))})"
        )
    if ids.str.fullmatch(r"\d+\.0").all() and len(ids):
        problems.append(
            f"id_str contains floating-point numbers as text ({some(ids)}); export it as whole numbers or text"
        )
    if ids.str.fullmatch(r"b'.*'|b\".*\"").all() and len(ids):
        problems.append(f"id_str contains bytes as Python prints them ({some(ids)}); decode them before exporting")
    rounded = ids[ids.str.fullmatch(r"\d(\.\d+)?[eE]\+?1\d")]
    if len(rounded):
        problems.append(
            f"id_str was rounded by a spreadsheet or as floating-point numbers ({some(rounded)}); export it as text"
        )
    accented = ids[~ids.str.isascii().astype(bool)]
    accented = accented[~accented.duplicated()]
    twins = accented[accented.str.normalize("NFC").duplicated(keep=False)]
    if len(twins):
        problems.append(
            f"{len(twins)} id_str that look alike but are written in different Unicode forms ({some(twins)})"
        )
    return problems
