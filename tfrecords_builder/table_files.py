"""Tables as files: csv, parquet, FITS, ECSV and VOTable in chunks, with nothing unknown passed off as a number.

Every reader yields tables in which an unknown value is missing, whatever its format writes instead: TNULL, the null of
a logical column, a mask, an empty cell. Columns with several numbers in a cell are left out, and named in the log.
"""

import logging
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tfrecords_builder.bounded import open_table
from tfrecords_builder.fits import check_header
from tfrecords_builder.naming import some

log = logging.getLogger(__name__)

_TEXT = ("id_str", "file_loc")  # read as they stand: 007 is not 7, and a galaxy may be called NA
_UNKNOWN = ["", "#N/A", "#NA", "-nan", "-NaN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
_EXACT = 2**53  # a floating-point number is exact up to here


def read_csv(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """A csv or tsv file, compressed or not, with commas, semicolons or tabs between its cells."""
    options = _dialect(path)
    try:
        with open_table(path) as file:
            names = [str(name).strip() for name in pd.read_csv(file, nrows=0, **options).columns]
        text = [name for name in names if name.lower() in _TEXT]
        options |= {"header": 0, "names": names, "dtype": dict.fromkeys(text, str), "dtype_backend": "numpy_nullable"}
        options |= {"keep_default_na": False, "na_values": {n: [""] if n in text else _UNKNOWN for n in names}}
        options |= {"index_col": False, "chunksize": rows, "low_memory": False}
        with open_table(path) as file, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            with pd.read_csv(file, **options) as chunks:
                for chunk in chunks:
                    yield chunk.assign(**{name: chunk[name].str.strip() for name in text})
    except pd.errors.ParserWarning:  # pandas would take the first cells for an index, or drop the last ones
        raise ValueError(f"its rows have more cells than its first line has names ({some(names, 8)})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def _dialect(path: Path) -> dict:
    """Separator, decimal sign and encoding, from the beginning of the file."""
    with open_table(path) as file:
        start = file.read(2**16)
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = start.decode(encoding, errors="replace")
    header = re.sub(r'"[^"]*"', "", text.partition("\n")[0])
    separator = max(",;\t", key=header.count)
    commas = separator == ";" and re.search(r"(^|;)\s*[-+]?\d+,\d+\s*(;|\r?$)", text, re.MULTILINE)
    options = {"sep": separator, "decimal": "," if commas else ".", "encoding": encoding}
    return options | {"skipinitialspace": separator != "\t"}


def read_parquet(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """A parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def nullable(kind):
        if pa.types.is_boolean(kind):
            return pd.BooleanDtype()
        if not pa.types.is_integer(kind):
            return None
        return pd.api.types.pandas_dtype(str(kind).replace("u", "U").replace("int", "Int"))

    with pq.ParquetFile(path) as file:
        nested = [field.name for field in file.schema_arrow if pa.types.is_nested(field.type)]
        _leave_out(nested)
        kept = [name for name in file.schema_arrow.names if name not in nested]
        if not file.metadata.num_rows:
            yield file.read(kept).to_pandas(types_mapper=nullable)
        for batch in file.iter_batches(rows, columns=kept):
            batch.validate(full=True)  # bytes that are no text are an error here, not a crash later
            yield pa.Table.from_batches([batch]).to_pandas(types_mapper=nullable)


def read_fits(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """The first table of a FITS file."""
    from astropy.io import fits

    with open_table(path) as file:
        check_header(file.read(2**18))
        for _ in iter(lambda: file.read(2**24) if path.suffix.lower() == ".gz" else b"", b""):
            pass  # astropy unpacks all of it
    with fits.open(path, memmap=True) as hdus:
        table = next((hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)), None)
        if table is None:
            raise ValueError("no table in it")
        cells = {name: kind.shape for name, (kind, _) in table.data.dtype.fields.items()}
        vectors = [c.name for c in table.columns if cells[c.name] or set(str(c.format)) & set("XPQ")]
        _leave_out(vectors)
        columns = [column for column in table.columns if column.name not in vectors]
        for start in range(0, max(1, len(table.data)), rows):
            part = table.data[start : start + rows]
            yield pd.DataFrame(
                {c.name: _degrees(_fits_column(part, c, type(table).__name__), c.name, c.unit) for c in columns}
            )


def _fits_column(part, column, kind: str) -> pd.Series:
    """A column of a FITS table, missing where it is undefined (FITS standard 4.0, sections 7.2 and 7.3)."""
    stored = part.view(np.ndarray)[column.name]
    if str(column.format).endswith("L"):  # the third value is neither true nor false
        return _series(stored == ord("T"), ~np.isin(stored, [ord("T"), ord("F")]))
    values, unknown = part[column.name], np.zeros(len(part), bool)
    if kind == "TableHDU":  # astropy reads what is blank there as 0
        unknown = np.isin(np.char.strip(stored), [b"", str(column.null or "").strip().encode()])
    elif column.null is not None:
        # TNULL is the value as stored; astropy writes the one that is meant, which differs in unsigned columns
        unknown = (stored == column.null) | ((values == column.null) & (values.dtype.kind == "u"))
    return _series(values, unknown)


def read_ecsv(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """An ECSV file, as many lines at a time."""
    from astropy.table import Table

    with path.open(encoding="utf-8") as file:
        head = []
        for line in file:
            head.append(line)
            if line.strip() and not line.startswith("#"):
                break
        separator = "," if any("delimiter: ','" in line for line in head) else " "
        told, lines, open_quote = False, [], False
        for line in file:
            if line.startswith("#") and not open_quote:  # astropy would take the row for a comment
                cell, rest = re.split(f"(?=[{separator}\n])", line, maxsplit=1)
                line = f'"{cell}"{rest}'
            lines.append(line)
            open_quote ^= line.count('"') % 2 == 1  # a cell may go on in the next line
            if len(lines) >= rows and not open_quote:
                yield _from_astropy(Table.read("".join([*head, *lines]), format="ascii.ecsv"), tell=not told)
                told, lines = True, []
        if lines or not told:
            yield _from_astropy(Table.read("".join([*head, *lines]), format="ascii.ecsv"), tell=not told)


def read_votable(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """A VOTable, as a whole; its data must be in the file itself.

    Raises:
        ValueError: The data is somewhere else: nothing is opened that the user did not name.
    """
    from astropy.table import Table

    _refuse_links(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy warns of every small departure from the standard
        table = _from_astropy(Table.read(path, format="votable", use_names_over_ids=True), tell=True)
    for start in range(0, max(1, len(table)), rows):
        yield table.iloc[start : start + rows]


def _refuse_links(path: Path) -> None:
    from xml.parsers import expat

    def check(name, attributes):
        linked = next((value for key, value in attributes.items() if key.split(":")[-1].lower() == "href"), None)
        if name.split(":")[-1].upper() == "STREAM" and linked is not None:
            raise ValueError(f"its data is not in the file but at {linked!r}; save the table with its data inside")

    parser = expat.ParserCreate()
    parser.StartElementHandler = check
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except expat.ExpatError as error:
        raise ValueError(f"it is not XML: {error}") from None


def _from_astropy(table, tell: bool) -> pd.DataFrame:
    from astropy.table.serialize import represent_mixins_as_columns

    table = represent_mixins_as_columns(table)
    vectors = [c.name for c in table.columns.values() if c.ndim != 1 or _holds_arrays(c)]
    if tell:
        _leave_out(vectors)
    columns = [column for column in table.columns.values() if column.name not in vectors]
    series = {c.name: _series(np.ma.getdata(c), np.ma.getmaskarray(c)) for c in columns}
    return pd.DataFrame({c.name: _degrees(series[c.name], c.name, c.unit) for c in columns})


def _degrees(values: pd.Series, name: str, unit) -> pd.Series:
    """A column; of ra and dec in another unit, which the table declares, degrees."""
    if name.lower() not in ("ra", "dec") or not unit or not pd.api.types.is_float_dtype(values):
        return values
    from astropy import units as u

    declared = u.Unit(unit, parse_strict="silent")
    declared = u.hourangle if declared == u.hour else declared
    if not declared.is_equivalent(u.deg):
        log.warning("column %r is declared to be in %s, and taken for degrees", name, unit)
        return values
    return values if declared == u.deg else values * declared.to(u.deg)


def _holds_arrays(column) -> bool:
    return column.dtype.kind in "OV" and any(isinstance(value, np.ndarray | np.void | list) for value in column)


def _series(values: np.ndarray, unknown: np.ndarray) -> pd.Series:
    """A column of a table as pandas has it, missing where it is unknown."""
    values = np.asarray(values)
    if values.dtype.kind in "SUO":
        text = [value.decode() if isinstance(value, bytes) else value for value in values.tolist()]
        text = [value.strip() if isinstance(value, str) else value for value in text]
        return pd.Series(
            [None if bad or value == "" else value for value, bad in zip(text, unknown, strict=True)], dtype=object
        )
    values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype.kind == "b":
        return pd.Series(pd.arrays.BooleanArray(values, unknown))
    if values.dtype.kind in "iu":
        return pd.Series(pd.arrays.IntegerArray(values, unknown))
    return pd.Series(values).mask(unknown)


def _leave_out(names: Iterable[str]) -> None:
    names = list(names)
    if names:
        log.warning("columns with several numbers in a cell are left out: %s", some(names, 8))


def has_long_numbers(table: pd.DataFrame) -> set[str]:
    """The columns of whole numbers of more digits than a floating-point number keeps: these are names, not numbers."""
    names = set()
    for name in table.columns:
        if pd.api.types.is_integer_dtype(table[name]):
            known = table[name].dropna()
            if len(known) and (known.max() > _EXACT or known.min() < -_EXACT):
                names.add(name)
    return names


def plain(table: pd.DataFrame, as_text: Iterable[str]) -> pd.DataFrame:
    """The columns as NumPy has them, unknowns as NaN (text and booleans: None); long numbers and ids as text.

    Args:
        table: As a reader yields it.
        as_text: Names of columns of whole numbers that are to be text.
    """
    changed = {}
    for name in table.columns:
        values = table[name]
        if pd.api.types.is_integer_dtype(values) and (name in as_text or str(name).lower() in _TEXT):
            changed[name] = values.astype(object).map(str, na_action="ignore").where(values.notna(), None)
        elif not isinstance(values.dtype, pd.api.extensions.ExtensionDtype):
            continue
        elif pd.api.types.is_bool_dtype(values):
            changed[name] = values.astype(object).where(values.notna(), None) if values.hasnans else values.astype(bool)
        elif pd.api.types.is_integer_dtype(values):
            changed[name] = values.astype(float) if values.hasnans else values.astype(values.dtype.numpy_dtype)
        elif pd.api.types.is_float_dtype(values):
            changed[name] = values.astype(float)
        elif isinstance(values.dtype, pd.StringDtype):
            changed[name] = values.astype("str")
    return table.assign(**changed) if changed else table


def for_spreadsheets(table):
    """The table as it is written to csv: where `MORPHTOOLS_ESCAPE_FORMULAS=1` is set, with no formulas in it.

    Spreadsheets run a cell that begins with =, +, - or @, and catalogues come from strangers. Such text gets an
    apostrophe in front, which spreadsheets hide; numbers stay. Without the variable nothing is changed: ids are read
    again by other programs.

    Args:
        table: A `pandas.DataFrame` or a `pyarrow.Table`; the answer is of the same kind.
    """
    if os.environ.get("MORPHTOOLS_ESCAPE_FORMULAS", "0") in ("", "0"):
        return table
    if not isinstance(table, pd.DataFrame):
        return type(table).from_pandas(for_spreadsheets(table.to_pandas(integer_object_nulls=True)), table.schema)
    escaped = {}
    for name in table.columns:
        if not pd.api.types.is_numeric_dtype(table[name]):
            text = table[name].map(
                lambda cell: isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            )
            escaped[name] = table[name].where(~text.astype(bool), "'" + table[name].astype(str))
    return table.assign(**escaped)
