"""ECSV and VOTable catalogues, which astropy parses, with unknown cells missing.

A VOTable that names another file as the place of its data is refused, and one that its service cut off is reported.
"""

import csv
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tfrecords_builder.bounded import open_table
from tfrecords_builder.table_files import check_names, first_of_several, in_degrees, leave_out, report, series


def read_ecsv(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """Reads an ECSV file, `rows` rows at a time."""
    from astropy.table import Table

    with io.TextIOWrapper(open_table(path), "utf-8") as file:
        head = []
        for line in file:
            head.append(line)
            if line.strip() and not line.startswith("#"):
                break
        separator = "," if any("delimiter: ','" in line for line in head) else " "
        check_names(next(csv.reader(head[-1:], delimiter=separator), []))
        any_rows, lines, open_quote = False, [], False
        for line in file:
            if line.startswith("#") and not open_quote:  # astropy would treat the row as a comment
                cell, rest = re.split(f"(?=[{separator}\n])", line, maxsplit=1)
                line = f'"{cell}"{rest}'
            lines.append(line)
            open_quote ^= line.count('"') % 2 == 1  # a cell may continue on the next line
            if len(lines) >= rows and not open_quote:
                yield _from_astropy(path, Table.read("".join([*head, *lines]), format="ascii.ecsv"))
                any_rows, lines = True, []
        if lines or not any_rows:
            yield _from_astropy(path, Table.read("".join([*head, *lines]), format="ascii.ecsv"))


def read_votable(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """Reads a whole VOTable; its data must be in the file itself.

    Raises:
        ValueError: The data is elsewhere: only files named by the user are opened.
    """
    from astropy.io.votable import parse

    _refuse_links(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy warns about every small deviation from the standard
        with open_table(path) as stream:
            file = parse(io.BytesIO(stream.read()))
        _report_status(path, file)
        tables = list(file.iter_tables())
        if not tables:
            raise ValueError("it contains no table")
        names = [table.name or table.ID or f"number {i}" for i, table in enumerate(tables, 1)]
        table = first_of_several(path, tables, names)
        check_names(field.name for field in table.fields)
        table = _from_astropy(path, table.to_table(use_names_over_ids=True))
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
        with open_table(path) as file:
            parser.ParseFile(file)
    except expat.ExpatError as error:
        raise ValueError(f"it is not XML: {error}") from None


def _report_status(path: Path, file) -> None:
    """Reports what a service wrote about its answer: that it truncated the table, or why there is none.

    Reference:
        IVOA DALI 1.1, section 4.4 (`QUERY_STATUS`).
    """
    for info in (info for resource in file.resources for info in resource.infos if info.name == "QUERY_STATUS"):
        if str(info.value).upper() == "OVERFLOW":
            report(path, "the service truncated this table (QUERY_STATUS is OVERFLOW): rows are missing")
        elif str(info.value).upper() == "ERROR":
            raise ValueError(f"it is a service's answer to a failed query: {info.content or 'no reason given'}")


def _from_astropy(path: Path, table) -> pd.DataFrame:
    from astropy.table.serialize import represent_mixins_as_columns

    table = represent_mixins_as_columns(table)
    vectors = [c.name for c in table.columns.values() if c.ndim != 1 or _holds_arrays(c)]
    leave_out(path, vectors)
    columns = [column for column in table.columns.values() if column.name not in vectors]
    values = {c.name: series(np.ma.getdata(c), np.ma.getmaskarray(c)) for c in columns}
    return pd.DataFrame({c.name: in_degrees(path, values[c.name], c) for c in columns})


def _holds_arrays(column) -> bool:
    return column.dtype.kind in "OV" and any(isinstance(value, np.ndarray | np.void | list) for value in column)
