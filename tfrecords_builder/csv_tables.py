"""Catalogues as csv or tsv, with the separator, decimal sign and encoding they happen to have."""

import contextlib
import csv
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from tfrecords_builder.bounded import open_table
from tfrecords_builder.naming import some
from tfrecords_builder.table_files import TEXT, check_names, report

_UNKNOWN = ["", "#N/A", "#NA", "-nan", "-NaN", "<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null", "--", "\\N"]
_NUMBER = r"\s*[-+]?(?:\d[\d_,]*(?:[.,]\d*)?|[.,]\d+)(?:[eEdD][-+]?\d+)?\s*"  # as people and programs write them
_PLAIN = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf(?:inity)?|true|false"
_SAMPLE = 1000  # rows


def read_csv(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """A csv or tsv file, compressed or not, with commas, semicolons, tabs or bars between its cells.

    Columns without a name are left out, as pandas' index, and so are those whose cells are all empty after the last
    separator of a line. Where a column is read as text though most of its cells are numbers, the log says why.
    """
    options = _dialect(path)
    try:
        names, nameless = _names(path, options)
        text = [name for name in names if name.lower() in TEXT]
        options |= {"header": 0, "names": names, "index_col": False, "keep_default_na": False}
        unknown = {name: [""] if name in text else _UNKNOWN for name in names}
        first = options | {"dtype": str, "na_values": unknown, "nrows": _SAMPLE, "chunksize": _SAMPLE}
        sample = next(_parsed(path, first))
        unknown |= {n: [*_UNKNOWN, "None"] for n in names if n not in text and not _has_words(sample[n])}
        options |= {"dtype": dict.fromkeys(text, str), "dtype_backend": "numpy_nullable"}
        options |= {"na_values": unknown, "chunksize": rows, "low_memory": False}
        last = next(name for name in reversed(names) if name not in nameless)
        whole = True
        for i, chunk in enumerate(_parsed(path, options)):
            if i == 0:
                _report_text(path, chunk.drop(columns=text))
            if whole and chunk[last].isna().any():  # empty, or not there
                _check_short_rows(path, options, names.index(last) + 1)
                whole = False
            yield chunk.drop(columns=nameless).assign(**{name: chunk[name].str.strip() for name in text})
    except pd.errors.EmptyDataError:
        raise ValueError("it is empty") from None
    except pd.errors.ParserWarning:  # pandas would take the first cells for an index, or drop the last ones
        raise ValueError(f"its rows have more cells than its first line has names ({some(names, 8)})") from None
    except pd.errors.ParserError as error:
        raise ValueError(f"it is not a table: {str(error).rpartition('C error: ')[2]}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def _parsed(path: Path, options: dict) -> Iterator[pd.DataFrame]:
    with open_table(path) as file, warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        with pd.read_csv(file, **options) as chunks:
            yield from chunks


def _dialect(path: Path) -> dict:
    """Separator, decimal sign and encoding, from the beginning of the file."""
    with open_table(path) as file:
        start = file.read(2**16)
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in start.partition(b"\n")[0]:
        raise ValueError("it is not UTF-8 text; save it as UTF-8")
    text = start.decode(encoding, errors="replace")
    header = re.sub(r'"[^"]*"', "", text.partition("\n")[0])
    separator = max(",;\t|", key=header.count)
    edge, close = f'(?:^|{re.escape(separator)})\\s*"?', f'"?\\s*(?:{re.escape(separator)}|\\r?$)'
    commas = re.search(rf"{edge}[-+]?\d+,\d+{close}", text, re.MULTILINE) if separator != "," else None
    points = commas and re.search(rf"{edge}[-+]?\d+\.\d+{close}", text, re.MULTILINE)
    options = {"sep": separator, "decimal": "," if commas and not points else ".", "encoding": encoding}
    return options | {"skipinitialspace": separator != "\t"}


def _check_short_rows(path: Path, options: dict, cells: int) -> None:
    """Raises ValueError at the first row with fewer cells than there are names: it is unclear which cells it lacks."""
    with open_table(path) as file:
        binary: Any = file
        text = io.TextIOWrapper(binary, options["encoding"], newline="")
        table = csv.reader(text, delimiter=options["sep"], skipinitialspace=options["skipinitialspace"])
        with contextlib.suppress(csv.Error):  # a cell so long that the catalogue is refused for it
            for row in table:
                if len(row) < cells and any(cell.strip() for cell in row):
                    shown = some((cell[:20] for cell in row), 8)
                    raise ValueError(
                        f"line {table.line_num} has {len(row)} cells ({shown}) where the first line has {cells} names: "
                        "write the separators of empty cells too"
                    )


def _names(path: Path, options: dict) -> tuple[list[str], list[str]]:
    """The names of the columns, and of those that have none, which get one here."""
    with open_table(path) as file:
        first = pd.read_csv(file, header=None, nrows=1, dtype=str, keep_default_na=False, **options).iloc[0]
    names = [str(name).strip() for name in first]
    names[0] = names[0].removeprefix("#").strip()  # as NumPy writes a header
    check_names(name for name in names if name)
    nameless = [f"nameless column {i}" for i, name in enumerate(names, 1) if not name]
    return [name or f"nameless column {i}" for i, name in enumerate(names, 1)], nameless


def _has_words(cells: pd.Series) -> bool:
    """Whether a column holds other words than `None`, true and false: then `None` is a word like the others."""
    known = cells.dropna().str.strip()
    return not known.str.fullmatch(f"{_PLAIN}|None", case=False).all()


def _report_text(path: Path, table: pd.DataFrame) -> None:
    """Reports columns that are text for a few cells or for the way their numbers are written, and rows in a cell."""
    for name in table.columns:
        if isinstance(table[name].dtype, pd.StringDtype):
            cells = table[name].dropna()
            broken = cells.index[cells.str.contains("\n")]
            if len(broken):
                report(path, f"column {name!r} has line breaks in row {some(broken)}: is a quote missing there?")
            odd = cells[pd.to_numeric(cells, errors="coerce").isna()]
            if len(odd) and cells.str.fullmatch(_NUMBER).mean() > 0.5:
                report(
                    path,
                    f"column {name!r} is read as text, for these cells are not numbers: {some(odd.unique())}; write "
                    "numbers with a decimal point, and leave cells empty where they are unknown",
                )
