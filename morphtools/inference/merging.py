"""Concatenates the parts of a table, in memory that does not grow with their number."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from morphtools.inference.parts import read_part
from tfrecords_builder.files import write_whole
from tfrecords_builder.table_files import for_spreadsheets

_ROWS = 16384  # of a table at a time


def merge(parts: list[Path], to: Path, metadata: dict[str, str] | None = None) -> int:
    """Concatenates tables, one part at a time, into parquet and csv.

    Args:
        parts: Their files, in order.
        to: Where to write, without an ending.
        metadata: Metadata of the parquet file, which alone has lists.

    Returns:
        The number of rows.

    Raises:
        ValueError: There are no parts, or one is damaged.
    """
    if not parts:
        raise ValueError(f"no galaxy could be used, see {to.with_name('failures.csv')}")
    schema = read_part(parts[0]).schema.remove_metadata()
    flat = pa.schema([field for field in schema if not pa.types.is_fixed_size_list(field.type)])
    for ending, writer, columns in (
        (".parquet", pq.ParquetWriter, schema.with_metadata(metadata)),
        (".csv", pc.CSVWriter, flat),
    ):

        def write(path, writer=writer, columns=columns):
            with writer(path, columns) as file:
                for table in equal_tables(parts, columns):
                    file.write_table(for_spreadsheets(table) if path.suffix == ".csv" else table)

        write_whole(to.with_suffix(ending), write)
    return sum(pq.read_metadata(part).num_rows for part in parts)


def equal_tables(parts: list[Path], columns: pa.Schema) -> Iterator[pa.Table]:
    """The rows of parts in tables of one length, so that a file of them does not depend on where the parts end."""
    waiting = columns.empty_table()
    for i, part in enumerate(parts):
        waiting = pa.concat_tables([waiting, read_part(part, columns.names).cast(columns)])
        while len(waiting) >= _ROWS or (i == len(parts) - 1 and len(waiting)):
            yield waiting.slice(0, _ROWS).combine_chunks()
            waiting = waiting.slice(_ROWS)
