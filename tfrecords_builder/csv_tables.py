"""Reads csv and tsv catalogues with any common separator, decimal sign, encoding and comment lines."""

import contextlib
import csv
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import pandas as pd

from tfrecords_builder.bounded import not_an_image, open_table
from tfrecords_builder.naming import some
from tfrecords_builder.table_files import TEXT, check_names, report

UNKNOWN = ["", "#N/A", "#NA", "-nan", "-NaN", "<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null", "--", "\\N"]
NUMBER = r"\s*[-+]?(?:\d[\d_,]*(?:[.,]\d*)?|[.,]\d+)(?:[eEdD][-+]?\d+)?\s*%?\s*"  # as people and programs write them
_PLAIN = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf(?:inity)?|true|false"
_SEPARATORS = ",;\t|"
_USUAL = {*TEXT, "ra", "dec"}
_SAMPLE = 1000  # rows


class _Dialect(NamedTuple):
    """How a file is written: its encoding, the number of lines before the column names, and options for pandas."""

    encoding: str
    before: int
    options: dict


def read_csv(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """Reads a csv or tsv file, compressed or not, separated by commas, semicolons, tabs or bars.

    Comment lines (`#`) before the column names are skipped; the last of them may contain the names. Columns without a
    name (such as pandas' index) are left out, as is an empty last column. If a column is read as text although most of
    its cells are numbers, the log explains why.
    """
    dialect = _dialect(path)
    try:
        names, nameless = _names(path, dialect)
        text = [name for name in names if name.lower() in TEXT]
        options: dict = {"header": 0, "names": names, "index_col": False, "keep_default_na": False}
        unknown = {name: [""] if name in text else UNKNOWN for name in names}
        first = options | {"dtype": str, "na_values": unknown, "nrows": _SAMPLE, "chunksize": _SAMPLE}
        sample = next(_parsed(path, dialect, first))
        unknown |= {n: [*UNKNOWN, "None"] for n in names if n not in text and not _has_words(sample[n])}
        options |= {"dtype": dict.fromkeys(text, str), "dtype_backend": "numpy_nullable"}
        options |= {"na_values": unknown, "chunksize": rows, "low_memory": False}
        last = next(name for name in reversed(names) if name not in nameless)
        whole = True
        for i, chunk in enumerate(_parsed(path, dialect, options)):
            if i == 0:
                _report_text(path, chunk.drop(columns=text))
            if whole and chunk[last].isna().any():  # empty or missing
                _check_short_rows(path, dialect, names.index(last) + 1)
                whole = False
            chunk = chunk.drop(columns=nameless).assign(**{name: chunk[name].str.strip() for name in text})
            _check_repeated_names(chunk)
            yield chunk
    except pd.errors.EmptyDataError:
        raise ValueError("it is empty") from None
    except pd.errors.ParserWarning:  # pandas would take the first cells for an index, or drop the last ones
        raise ValueError(f"its rows have more cells than there are column names ({some(names, 8)})") from None
    except pd.errors.ParserError as error:
        reason = str(error).rpartition("C error: ")[2]
        reason = re.sub(r"(?<= line )\d+", lambda line: str(int(line[0]) + dialect.before), reason)
        raise ValueError(f"it is not a table: {reason}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text (byte {error.start}); save it as UTF-8") from None


@contextlib.contextmanager
def _opened(path: Path, dialect: _Dialect) -> Iterator[TextIO]:
    """The text of the file, starting at the line with the column names."""
    with io.TextIOWrapper(open_table(path), dialect.encoding, newline="") as file:
        for _ in range(dialect.before):
            file.readline()
        yield file


def _parsed(path: Path, dialect: _Dialect, options: dict) -> Iterator[pd.DataFrame]:
    with _opened(path, dialect) as file, warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        with pd.read_csv(file, **dialect.options, **options) as chunks:
            yield from chunks


def _dialect(path: Path) -> _Dialect:
    """Detects encoding, separator, decimal sign and the line of column names, from the beginning of the file."""
    with open_table(path) as file:
        start = file.read(2**16)
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    if re.match(rb"\s*<(\?xml|!doctype|html|votable)", start, re.IGNORECASE) or start[:4] in (
        b"PK\3\4",
        b"PAR1",
        b"SIMP",
    ):
        raise ValueError(f"it is not text: {not_an_image(start)}")
    if encoding != "utf-16" and b"\0" in start.partition(b"\n")[0]:
        raise ValueError("it is not UTF-8 text; save it as UTF-8")
    lines = re.split(r"\r\n|\r|\n", start.decode(encoding, errors="replace"))
    before = _lines_before_names(lines)
    header = re.sub(r'"[^"]*"', "", lines[before])
    separator = max(_SEPARATORS, key=header.count)
    if separator not in header and len(header.split()) > 1 and _USUAL & set(header.lower().split()):
        raise ValueError("its cells are separated by blanks: save it with commas, semicolons, tabs or bars instead")
    text, edge = "\n".join(lines[before:]), f'(?:^|{re.escape(separator)})\\s*"?'
    close = f'"?\\s*(?:{re.escape(separator)}|$)'
    commas = re.search(rf"{edge}[-+]?\d+,\d+{close}", text, re.MULTILINE) if separator != "," else None
    points = commas and re.search(rf"{edge}[-+]?\d+\.\d+{close}", text, re.MULTILINE)
    options: dict = {"sep": separator, "decimal": "," if commas and not points else "."}
    rulers = [i for i in (1, 2) if _is_ruler(lines[before + i : before + i + 1], separator)]
    if rulers:  # below the names, or below their units
        options["skiprows"] = range(1, 1 + rulers[0])
    return _Dialect(encoding, before, options | {"skipinitialspace": separator != "\t"})


def _lines_before_names(lines: list[str]) -> int:
    """How many lines are comments, empty, or Excel's `sep=;`; the names may be in the last comment, as from NumPy."""
    before = next((i for i, line in enumerate(lines) if not re.match(r'\s*(#|$)|"?sep=."?$', line)), len(lines))
    comments = [i for i in range(before) if lines[i].lstrip().startswith("#")]
    if not comments or before == len(lines):
        return comments[-1] if comments else before % len(lines)
    comment, line = lines[comments[-1]], lines[before]
    separator = max(_SEPARATORS, key=comment.count if any(map(comment.count, _SEPARATORS)) else line.count)
    ours, theirs = ({cell.strip(' #"') for cell in text.lower().split(separator)} & _USUAL for text in (line, comment))
    return comments[-1] if comment.count(separator) == line.count(separator) and len(theirs) >= len(ours) else before


def _is_ruler(line: list[str], separator: str) -> bool:
    """Whether a line has dashes in all of its cells, as VizieR writes it below the units."""
    cells = [cell.strip() for cell in "".join(line).split(separator)]
    return len(cells) > 1 and max(map(len, cells)) > 2 and all(re.fullmatch("-+", cell) for cell in cells)


def _check_short_rows(path: Path, dialect: _Dialect, cells: int) -> None:
    """Raises ValueError at the first row with fewer cells than columns: it is unclear which ones are missing."""
    options = dialect.options
    with _opened(path, dialect) as file:
        table = csv.reader(file, delimiter=options["sep"], skipinitialspace=options["skipinitialspace"])
        with contextlib.suppress(csv.Error):  # a cell of this length is refused elsewhere
            for row in table:
                if len(row) < cells and any(cell.strip() for cell in row):
                    line, shown = table.line_num + dialect.before, some((cell[:20] for cell in row), 8)
                    raise ValueError(
                        f"line {line} has {len(row)} cells ({shown}) but there are {cells} column names: write the "
                        "separators of empty cells too"
                    )


def _check_repeated_names(chunk: pd.DataFrame) -> None:
    """Raises ValueError if a row repeats the column names: tables were concatenated with their headers."""
    if not any(map(pd.api.types.is_numeric_dtype, chunk.dtypes)):  # where cells are numbers, none is a name
        again = (chunk.fillna("") == chunk.columns).all(axis=1)
        if again.any():
            raise ValueError(f"row {some(chunk.index[again])} repeats the column names: remove it")


def _names(path: Path, dialect: _Dialect) -> tuple[list[str], list[str]]:
    """The names of all columns, and the names given here to columns without one."""
    options: dict = {"header": None, "nrows": 1, "dtype": str, "keep_default_na": False, **dialect.options}
    with _opened(path, dialect) as file:
        first = pd.read_csv(file, **options).iloc[0]
    names = [str(name).strip() for name in first]
    names[0] = names[0].removeprefix("#").strip()
    check_names(name for name in names if name)
    nameless = [f"nameless column {i}" for i, name in enumerate(names, 1) if not name]
    return [name or f"nameless column {i}" for i, name in enumerate(names, 1)], nameless


def _has_words(cells: pd.Series) -> bool:
    """Whether a column contains words besides `None`, true and false: then `None` is a word like any other."""
    known = cells.dropna().str.strip()
    return not known.str.fullmatch(f"{_PLAIN}|None", case=False).all()


def _report_text(path: Path, table: pd.DataFrame) -> None:
    """Warns of columns of numbers that are read as text, and of line breaks within cells."""
    for name in table.columns:
        if isinstance(table[name].dtype, pd.StringDtype):
            cells = table[name].dropna()
            broken = cells.index[cells.str.contains("\n")]
            if len(broken):
                report(path, f"column {name!r} has line breaks in row {some(broken)}: perhaps a quote is missing")
            odd = cells[pd.to_numeric(cells, errors="coerce").isna()]
            if len(odd) and cells.str.fullmatch(NUMBER).mean() > 0.5:
                report(
                    path,
                    f"column {name!r} is read as text because these cells are not numbers: {some(odd.unique())}; write "
                    "numbers with a decimal point and leave unknown cells empty",
                )
