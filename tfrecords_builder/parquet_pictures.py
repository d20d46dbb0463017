"""Pictures inside a parquet table, as in data sets on the Hugging Face Hub: one row per galaxy.

The column of pictures contains the bytes of a file (JPEG, PNG, FITS, ...) or a struct with `bytes` and `path`.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tfrecords_builder.bounded import LIMITS, Limits, check_regular
from tfrecords_builder.checksums import reading
from tfrecords_builder.image_files import decode
from tfrecords_builder.naming import some, unknown
from tfrecords_builder.pixels import Image
from tfrecords_builder.table_files import holds_pictures


class ParquetPictures(NamedTuple):
    """Source of the pictures in a parquet file, found by its `id_str`, or by row number if it has none.

    Attributes:
        path: The file.
        column: The column of pictures; by default the only one.
        limits: Limits for a picture and an unpacked row group.
    """

    path: Path
    column: str | None = None
    limits: Limits = LIMITS

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns a catalogue must have: `file_loc` (the row number) if the file has no `id_str`."""
        return ("id_str",) if self._table.ids is not None else ("id_str", "file_loc")

    @property
    def _table(self) -> "_Table":
        return _open(self.path, self.column, check_regular(self.path).st_mtime_ns)

    def read(self, rows: Iterable[dict]) -> Iterator[Image | ValueError]:
        """Reads the image of every row."""
        for row in rows:
            try:
                yield self._image(row)
            except ValueError as error:
                yield error

    def kept_together(self, row: dict) -> str:
        """The row group that contains a picture; rows sorted by it unpack every group once."""
        try:
            table = self._table
            return f"{table.group_of(table.row_of(row, self.path)):09d}"
        except ValueError:
            return ""

    def _image(self, row: dict) -> Image:
        table = self._table
        number = table.row_of(row, self.path)
        group = table.group_of(number)
        cell = _group(self.path, table.column, group, table.changed, self.limits)[number - int(table.starts[group])]
        cell = cell.as_py()
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if not data:
            where = f" (its path is {cell['path']})" if isinstance(cell, dict) and cell.get("path") else ""
            raise ValueError(f"row {number} of {self.path.name} contains no picture{where}")
        kind = "fits" if data[:9] == b"SIMPLE  =" else "png"  # other formats are detected by Pillow
        return decode(f"row {number} of {self.path.name}.{kind}", data, limits=self.limits)


class _Table(NamedTuple):
    """Facts about a file: the column of pictures, where its row groups start, and its ids if it has them."""

    column: str
    starts: np.ndarray
    ids: pd.Index | None
    changed: int

    def row_of(self, row: dict, path: Path) -> int:
        """The row number of a row of the catalogue."""
        if self.ids is not None:
            place = self.ids.get_indexer([str(row["id_str"])])[0]
            if place < 0:
                raise ValueError(f"{row['id_str']} is not in the column id_str of {path.name}")
            return int(place)
        text = str(row.get("file_loc"))
        if not text.isdigit() or int(text) >= self.starts[-1]:
            raise ValueError(f"file_loc must be a row of {path.name}, from 0 to {self.starts[-1] - 1}, got {text!r}")
        return int(text)

    def group_of(self, number: int) -> int:
        return int(np.searchsorted(self.starts, number, side="right")) - 1


@lru_cache(4)
def _open(path: Path, column: str | None, changed: int) -> _Table:
    with reading(path), pq.ParquetFile(path, pre_buffer=False) as file:
        names = [field.name for field in file.schema_arrow if holds_pictures(field)]
        if column is not None and column not in names:
            raise ValueError(unknown(f"column of pictures in {path}", column, names))
        if column is None and len(names) != 1:
            which = f"several columns of pictures ({some(names, 8)}): name one as hdu" if names else "no pictures in it"
            raise ValueError(f"{path} has {which}")
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        ids = None
        if "id_str" in file.schema_arrow.names:
            ids = pd.Index(
                file.read(["id_str"])["id_str"].cast(pa.string()).to_pandas().str.strip()
            )  # as `read_catalog`
            if not ids.is_unique:
                raise ValueError(f"{path} has id_str more than once: {some(ids[ids.duplicated()].unique())}")
    return _Table(column or names[0], np.concatenate([[0], np.cumsum(groups, dtype=int)]), ids, changed)


@lru_cache(2)
def _group(path: Path, column: str, group: int, changed: int, limits: Limits) -> pa.ChunkedArray:
    with reading(path), pq.ParquetFile(path, pre_buffer=False) as file:
        about = file.metadata.row_group(group)
        size = max(about.column(i).total_uncompressed_size for i in range(about.num_columns))
        if size > limits.bytes:
            raise ValueError(f"{path}: a group of its rows unpacks to {size} bytes; max_bytes allows {limits.bytes}")
        return file.read_row_group(group, [column])[column]
