"""Reads tables from parquet and FITS in chunks, and contains what all table readers share.

Every reader turns unknown values (TNULL, the null of a logical column, a mask, an empty cell) into missing ones.
Columns with several numbers per cell are left out and named in the log.
"""

import io
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from tfrecords_builder.bounded import not_an_image, open_table
from tfrecords_builder.fits import check_header
from tfrecords_builder.naming import some

log = logging.getLogger(__name__)

TEXT = ("id_str", "file_loc")  # read literally: 007 is not 7, and a galaxy may be called NA
_EXACT = 2**53  # floating-point numbers are exact up to here


def read_parquet(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """Reads a parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def nullable(kind):
        if pa.types.is_boolean(kind):
            return pd.BooleanDtype()
        if not pa.types.is_integer(kind):
            return None
        return pd.api.types.pandas_dtype(str(kind).replace("u", "U").replace("int", "Int"))

    def frame(table):
        """Converts decimal numbers to floating point, and dictionaries to their values."""
        for i, field in enumerate(table.schema):
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            kind = pa.float64() if pa.types.is_decimal(kind) else kind
            kind = pa.string() if pa.types.is_binary(kind) and field.name.lower() in TEXT else kind
            if kind != field.type:
                table = table.set_column(i, field.name, table[i].cast(kind))
        return table.to_pandas(types_mapper=nullable)

    with pq.ParquetFile(path, pre_buffer=False) as file:
        check_names(file.schema_arrow.names)
        pictures = [field.name for field in file.schema_arrow if holds_pictures(field)]
        nested = [field.name for field in file.schema_arrow if pa.types.is_nested(field.type)]
        leave_out(path, [name for name in nested if name not in pictures])
        if pictures:
            report(
                path, f"columns of pictures ({some(pictures, 8)}) are ignored; to read them, give the file as images"
            )
        kept = [name for name in file.schema_arrow.names if name not in {*nested, *pictures}]
        if not file.metadata.num_rows:
            yield frame(file.read(kept))
        for batch in file.iter_batches(rows, columns=kept):
            batch.validate(full=True)  # invalid text is an error here, not a crash later
            yield frame(pa.Table.from_batches([batch]))


def holds_pictures(field) -> bool:
    """Whether a column of a parquet file contains files, as on the Hugging Face Hub, or other bytes."""
    import pyarrow as pa

    def binary(kind) -> bool:
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)

    if pa.types.is_struct(field.type):
        return any(part.name == "bytes" and binary(part.type) for part in field.type)
    return binary(field.type) and field.name.lower() not in TEXT


def read_fits(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """Reads the first table of a FITS file."""
    from astropy.io import fits

    with open_table(path) as file:
        start = file.read(2**18)
        check_header(start)
        if not start.startswith(b"SIMPLE"):  # astropy would unpack a zip
            raise ValueError(f"not a FITS file: {not_an_image(start)}")
        packed = not isinstance(file.raw, io.FileIO)
        source = io.BytesIO(start + file.read()) if packed else path
    with fits.open(source, memmap=not packed) as hdus:
        tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
        if not tables:
            raise ValueError("it contains no table")
        table = first_of_several(path, tables, [hdu.name or f"number {hdus.index(hdu)}" for hdu in tables])
        check_names(table.columns.names)
        cells = {name: kind.shape for name, (kind, _) in table.data.dtype.fields.items()}
        vectors = [c.name for c in table.columns if cells[c.name] or set(str(c.format)) & set("XPQ")]
        leave_out(path, vectors)
        columns = [column for column in table.columns if column.name not in vectors]
        for start in range(0, max(1, len(table.data)), rows):
            part = table.data[start : start + rows]
            yield pd.DataFrame(
                {c.name: in_degrees(path, _fits_column(part, c, type(table).__name__), c) for c in columns}
            )


def _fits_column(part, column, kind: str) -> pd.Series:
    """A column of a FITS table, missing where undefined (FITS standard 4.0, sections 7.2 and 7.3)."""
    stored = part.view(np.ndarray)[column.name]
    if str(column.format).endswith("L"):  # the third value is neither true nor false
        return series(stored == ord("T"), ~np.isin(stored, [ord("T"), ord("F")]))
    values, unknown = part[column.name], np.zeros(len(part), bool)
    if kind == "TableHDU":  # astropy reads blanks as 0
        unknown = np.isin(np.char.strip(stored), [b"", str(column.null or "").strip().encode()])
    elif column.null is not None:
        # TNULL is the stored value; astropy returns the scaled one, which differs in unsigned columns
        unknown = (stored == column.null) | ((values == column.null) & (values.dtype.kind == "u"))
    return series(values, unknown)


def in_degrees(path: Path, values: pd.Series, column) -> pd.Series:
    """The values of a column; ra and dec with another declared unit are converted to degrees."""
    if column.name.lower() not in ("ra", "dec") or not column.unit or not pd.api.types.is_numeric_dtype(values):
        return values
    from astropy import units as u

    declared = u.Unit(column.unit, parse_strict="silent")
    declared = u.hourangle if declared == u.hour else declared
    if not declared.is_equivalent(u.deg):
        report(path, f"column {column.name!r} is declared to be in {column.unit}, but is read as degrees")
        return values
    return values if declared == u.deg else values * declared.to(u.deg)


def series(values: np.ndarray, unknown: np.ndarray) -> pd.Series:
    """A column of a table for pandas, missing where it is unknown."""
    values = np.asarray(values)
    if values.dtype.kind in "SUO":
        try:
            text = [value.decode() if isinstance(value, bytes) else value for value in values.tolist()]
        except UnicodeDecodeError as error:
            raise ValueError(f"its text is not UTF-8: {error.object!r}") from None
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


def report(path: Path, remark: str) -> None:
    """Logs what is odd about a table once, even if the table is read several times."""
    _report(str(path), path.stat().st_mtime_ns, remark)


@lru_cache(256)
def _report(path: str, changed: int, remark: str) -> None:
    log.warning("%s: %s", Path(path).name, remark)


def leave_out(path: Path, names: Iterable[str]) -> None:
    """Reports columns that a reader leaves out."""
    names = list(names)
    if names:
        report(path, f"columns with several numbers per cell are left out: {some(names, 8)}")


def first_of_several(path: Path, tables: list, names: list[str]):
    """The first table in a file; any others are named in the log."""
    if len(tables) > 1:
        report(path, f"only the first of its {len(tables)} tables ({some(names, 8)}) is read; save another separately")
    return tables[0]


def check_names(names: Iterable[str]) -> None:
    """Raises ValueError if several columns share a name, because it is unclear which one is meant."""
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise ValueError(f"several columns of the catalogue are called {some(map(repr, twice))}")


def has_long_numbers(table: pd.DataFrame) -> set[str]:
    """Columns of integers with more digits than a floating-point number keeps: these are ids, not numbers."""
    names = set()
    for name in table.columns:
        if pd.api.types.is_integer_dtype(table[name]):
            known = table[name].dropna()
            if len(known) and (known.max() > _EXACT or known.min() < -_EXACT):
                names.add(name)
    return names


def plain(table: pd.DataFrame, as_text: Iterable[str]) -> pd.DataFrame:
    """Converts columns to NumPy types, unknowns to NaN (text and booleans: None), long numbers and ids to text.

    Args:
        table: As yielded by a reader.
        as_text: Names of columns of integers to convert to text.
    """
    changed = {}
    for name in table.columns:
        values = table[name]
        if pd.api.types.is_integer_dtype(values) and (name in as_text or str(name).lower() in TEXT):
            changed[name] = values.astype(object).map(str, na_action="ignore").where(values.notna(), None)
        elif isinstance(values.dtype, pd.SparseDtype):
            changed[name] = values.sparse.to_dense()
        elif isinstance(values.dtype, pd.CategoricalDtype):
            changed[name] = values.astype(values.dtype.categories.dtype)
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
    """Prepares a table for csv: if `MORPHTOOLS_ESCAPE_FORMULAS=1` is set, formulas are neutralised.

    Spreadsheets execute cells that begin with =, +, - or @, and catalogues may come from strangers. Such text is
    prefixed with an apostrophe, which spreadsheets hide; numbers are unchanged. Without the variable nothing is
    changed, because other programs read the ids again.

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
