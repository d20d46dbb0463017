"""Parquet parts whose names show which galaxies they hold, and the checksum of their content.

`part-KEY-FROM-TO.CHECKSUM.parquet` has the galaxies FROM to TO of a shard. Parts of earlier versions have no checksum.
"""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tfrecords_builder.checksums import check_file, reading
from tfrecords_builder.files import write_whole

_CHECKSUM = re.compile(r"\.([0-9a-f]{8})\.parquet$")


def write_part(folder: Path, name: str, table: pa.Table, **options) -> Path:
    """Writes a table as `folder/NAME.CHECKSUM.parquet`, whole or not at all.

    Args:
        folder: The folder.
        name: Such as `part-000001`.
        table: The table.
        options: For `pyarrow.parquet.write_table`.

    Returns:
        The file.
    """
    content = pa.BufferOutputStream()
    pq.write_table(table, content, **options)
    content = content.getvalue().to_pybytes()
    path = folder / f"{name}.{checksum_of(content)}.parquet"
    write_whole(path, content)
    return path


def checksum_of(content: bytes) -> str:
    """CRC-32C in eight hexadecimal digits."""
    import google_crc32c

    return f"{google_crc32c.value(content):08x}"


def check_part(path: Path) -> Path:
    """The path of a part that is what was written.

    Raises:
        ValueError: It is damaged; names it.
    """
    match = _CHECKSUM.search(path.name)
    return check_file(path, match[1] if match else None)


def read_part(path: Path, columns: list[str] | None = None) -> pa.Table:
    """A part, compared with its checksum.

    Raises:
        ValueError: It is damaged; names it.
    """
    check_part(path)
    with reading(path):
        return pq.read_table(path, columns=columns)


def count_rows(path: Path) -> int:
    """The galaxies of a part, without reading them.

    Raises:
        ValueError: It is damaged; names it.
    """
    with reading(path):
        return pq.read_metadata(path).num_rows


def name_of(path: Path) -> str:
    """The name that `write_part` was given."""
    return _CHECKSUM.sub("", path.name).removesuffix(".parquet")


def parts_of(folder: Path, key: str) -> list[tuple[int, int, Path]]:
    """The parts of a shard: from which galaxy, to which (excluded), and their files, in order."""
    pattern = re.compile(rf"part-{re.escape(key)}-(\d{{8}})-(\d{{8}})(\.[0-9a-f]{{8}})?\.parquet")
    matches = [(pattern.fullmatch(path.name), path) for path in folder.glob(f"part-{key}-*.parquet")]
    return sorted((int(match[1]), int(match[2]), path) for match, path in matches if match)


def gaps(folder: Path, key: str, size: int) -> list[tuple[int, int]]:
    """Runs of the galaxies of a shard of `size` that no part has: from, to (excluded)."""
    left, end = [], 0
    for start, stop, _ in parts_of(folder, key):
        if start > end:
            left.append((end, start))
        end = max(end, stop)
    return left + ([(end, size)] if end < size else [])


def remove_overlaps(folder: Path, key: str) -> None:
    """Removes parts with galaxies that another part has, as two processes with the same work leave them.

    No other process may work in the folder.
    """
    end = 0
    for start, stop, path in sorted(parts_of(folder, key), key=lambda part: (part[0], -part[1], part[2])):
        if start < end:
            path.unlink()
        end = max(end, stop) if start >= end else end
