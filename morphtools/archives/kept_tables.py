"""Tables larger than memory: read once in pieces, kept in a folder, with access to rows in any order."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from morphtools.survey.known_tables import recognise, translate
from tfrecords_builder.catalog import read_chunks
from tfrecords_builder.coordinates import sky_positions
from tfrecords_builder.naming import check_known, some
from tfrecords_builder.tables_out import as_text

ROWS = 2**17
_NULLABLE = {getattr(pa, name)(): getattr(pd, f"{kind}Dtype")() for name, kind in (("bool_", "Boolean"),)}
_NULLABLE |= {
    getattr(pa, f"{u.lower()}int{n}")(): getattr(pd, f"{u}Int{n}Dtype")() for u in ("", "U") for n in (8, 16, 32, 64)
}
_MOVING = re.compile(
    r"(e_)?_?(pm|mu)_?(ra|de|dec|alpha|delta|l|b)?(_?(star|cosdec|error|err))?|ref_?epoch|epoch(_\w+)?"
)


class KeptTable(NamedTuple):
    """A table in a folder.

    Attributes:
        table: Its columns and rows, in files that are mapped into memory.
        sky: (N, 2) right ascension and declination in degrees, NaN for rows without a position; (0, 2) if the places
            were not to be read.
        empty: (N,) number of empty cells in each row.
        remarks: Guesses that were made, and problems.
    """

    table: pa.Table
    sky: np.ndarray
    empty: np.ndarray
    remarks: tuple[str, ...]

    def rows(self, numbers: np.ndarray) -> pd.DataFrame:
        """Returns rows in the requested order; for -1 a row of missing values."""
        wanted, place = np.unique(numbers[numbers >= 0], return_inverse=True)
        order = np.full(len(numbers), -1)
        order[numbers >= 0] = place
        part = self.table.take(pa.array(wanted))
        part = part.take(pa.array(order, mask=order < 0))
        return part.to_pandas(types_mapper=_NULLABLE.get)

    def pieces(self) -> Iterator[pd.DataFrame]:
        """Yields the whole table, in pieces."""
        for start in range(0, max(1, len(self.table)), ROWS):
            yield self.table.slice(start, ROWS).to_pandas(types_mapper=_NULLABLE.get)


def keep_table(catalog, folder: Path, position: tuple[str, str] | None = None, *, places: bool = True) -> KeptTable:
    """Reads a table in pieces, recognises published ones, and keeps it in a folder.

    Args:
        catalog: A table, or the path of one in any format of `read_catalog`.
        folder: Where to keep it; it must be new.
        position: Columns of right ascension and declination (by default found by name).
        places: Whether to read the positions.

    Raises:
        ValueError: It has no positions; the message lists its columns.
    """
    folder.mkdir()
    published, remarks, schemas, files = None, [], [], []
    sky: Any = []
    empty, problems = [], []
    for chunk in read_chunks(catalog, ROWS):
        if not files:
            published = recognise(chunk.columns)
            remarks = translate(chunk, published)[1] + (moving(chunk.columns) if places else [])
        chunk = translate(chunk, published)[0].reset_index(drop=True)
        if places:
            degrees, reasons = read_positions(chunk, position)
            problems += [
                f"row {sum(len(each) for each in sky) + i}: {reasons[i]}" for i in np.flatnonzero(reasons != "")
            ]
            sky.append(degrees)
        empty.append(chunk.isna().sum(axis=1).to_numpy(np.int32))
        mixed = {n: as_text(chunk[n]) for n in chunk.columns if chunk[n].dtype == object and not _is_bool(chunk[n])}
        part = pa.Table.from_pandas(chunk.assign(**mixed), preserve_index=False).replace_schema_metadata()
        files.append(folder / f"{len(files)}.arrow")
        schemas.append(part.schema)
        with pa.ipc.new_file(files[-1], part.schema) as writer:
            writer.write_table(part)
    schema = _common(schemas)
    table = pa.concat_tables([pa.ipc.open_file(pa.memory_map(str(f))).read_all().cast(schema) for f in files])
    sky = np.concatenate(sky) if places else np.empty((0, 2))
    without = np.isnan(sky).any(axis=1).sum() if places else 0
    remarks += [f"{without} rows have no position and match nothing"] if without else []
    remarks += [f"positions that cannot be used: {some(problems, 5)}"] if problems else []
    return KeptTable(table, sky, np.concatenate(empty), tuple(remarks))


def read_positions(table: pd.DataFrame, position: tuple[str, str] | None) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions of a table, as `sky_positions` does.

    Args:
        table: Table with `ra` and `dec`, or the columns `position`.
        position: The columns of right ascension and declination.

    Raises:
        ValueError: There are no such columns.
    """
    for name in position or ():
        check_known("column", name, table.columns)
    names = position or ("ra", "dec")
    if not set(names) <= set(table.columns):
        raise ValueError(
            f"no positions: the table needs ra and dec (degrees, or text such as 10:00:28.6), and has the columns "
            f"{some(table.columns, 12)}; name yours"
        )
    cells = table[[*names]].set_axis(["ra", "dec"], axis=1)
    if all(pd.api.types.is_numeric_dtype(cells[name]) for name in cells):
        degrees = np.array(cells.to_numpy(float, na_value=np.nan))
        usual = ((degrees >= [0, -90]) & (degrees <= [360, 90])) | np.isnan(degrees)
        if usual.all():  # most tables, without a loop
            degrees[np.isnan(degrees).any(axis=1)] = np.nan
            degrees[:, 0] %= 360
            return degrees, np.full(len(degrees), "", object)
    return sky_positions(cells.astype(object).where(cells.notna(), None).to_dict("records"))


def moving(columns) -> list[str]:
    """Returns a remark if a table has proper motions or epochs, which are not applied."""
    names = [str(name) for name in columns if _MOVING.fullmatch(str(name).lower())]
    if not names:
        return []
    return [
        f"proper motions and epochs are ignored ({some(names, 6)}): positions are used as they are; to match moving "
        "stars, bring both tables to one epoch first (astropy's SkyCoord.apply_space_motion)"
    ]


def _is_bool(values: pd.Series) -> bool:
    return pd.api.types.infer_dtype(values, skipna=True) in ("boolean", "empty")


def _common(schemas: list[pa.Schema]) -> pa.Schema:
    """One type per column for all pieces: a csv file may begin with whole numbers and continue with words."""
    fields = []
    for name in schemas[0].names:
        kinds = {schema.field(name).type for schema in schemas} - {pa.null()}
        if len(kinds) > 1:
            numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds)
            whole = all(pa.types.is_integer(kind) for kind in kinds)
            kinds = {(pa.int64() if whole else pa.float64()) if numbers else pa.large_string()}
        fields.append(pa.field(name, next(iter(kinds), pa.large_string())))
    return pa.schema(fields)
