"""Parquet parts whose names contain the range of their galaxies and the checksum of their content.

`part-KEY-FROM-TO.CHECKSUM.parquet` has the galaxies FROM to TO of a shard. Parts of earlier versions have no checksum.
Results of unfinished shards are *pieces* of the same form, in another folder.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tfrecords_builder.checksums import check_file, reading
from tfrecords_builder.files import write_whole

_CHECKSUM = re.compile(r"\.([0-9a-f]{8})\.parquet$")
_PART = re.compile(r"part-(.+)-(\d{8})-(\d{8})(?:\.[0-9a-f]{8})?\.parquet")


def write_part(folder: Path, name: str, table: pa.Table) -> Path:
    """Writes a table as `folder/NAME.CHECKSUM.parquet`, complete or not at all.

    Args:
        folder: The folder.
        name: Such as `part-000001`.
        table: The table.

    Returns:
        The file.
    """
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="none")
    content = content.getvalue().to_pybytes()
    path = folder / f"{name}.{checksum_of(content)}.parquet"
    write_whole(path, content)
    return path


def checksum_of(content: bytes) -> str:
    """CRC-32C in eight hexadecimal digits."""
    import google_crc32c

    return f"{google_crc32c.value(content):08x}"


def check_part(path: Path) -> Path:
    """Returns the path of a part if its content is unchanged.

    Raises:
        ValueError: It is damaged; the message names it.
    """
    match = _CHECKSUM.search(path.name)
    return check_file(path, match[1] if match else None)


def read_part(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Reads a part and verifies its checksum.

    Raises:
        ValueError: It is damaged; the message names it.
    """
    check_part(path)
    with reading(path):
        return pq.read_table(path, columns=columns)


def count_rows(path: Path) -> int:
    """The galaxies of a part, without reading them.

    Raises:
        ValueError: It is damaged; the message names it.
    """
    with reading(path):
        return pq.read_metadata(path).num_rows


def name_of(path: Path) -> str:
    """The name that `write_part` was given."""
    return _CHECKSUM.sub("", path.name).removesuffix(".parquet")


def parts_of(folder: Path, key: str) -> list[tuple[int, int, Path]]:
    """The parts of a shard: from which galaxy, to which (excluded), and their files, in order."""
    return _by_key(folder.glob(f"part-{key}-*.parquet")).get(key, [])


def all_parts(folder: Path) -> dict[str, list[tuple[int, int, Path]]]:
    """The parts of every shard by its key, each as `parts_of` has them; the folder is listed once."""
    return _by_key(folder.glob("part-*.parquet"))


def _by_key(paths: Iterable[Path]) -> dict[str, list[tuple[int, int, Path]]]:
    parts: dict[str, list[tuple[int, int, Path]]] = {}
    for path in paths:
        if match := _PART.fullmatch(path.name):
            parts.setdefault(match[1], []).append((int(match[2]), int(match[3]), path))
    return {key: sorted(each) for key, each in parts.items()}


def gaps(parts: list[tuple[int, int, Path]], size: int) -> list[tuple[int, int]]:
    """Runs of the galaxies of a shard of `size` that none of its parts has: from, to (excluded)."""
    left, end = [], 0
    for start, stop, _ in parts:
        if start > end:
            left.append((end, start))
        end = max(end, stop)
    return left + ([(end, size)] if end < size else [])


def remove_overlaps(parts: list[tuple[int, int, Path]]) -> None:
    """Removes parts of a shard with galaxies that another part has, as two processes with the same work leave them.

    No other process may work in the folder.
    """
    end = 0
    for start, stop, path in sorted(parts, key=lambda part: (part[0], -part[1], part[2])):
        if start < end:
            path.unlink()
        end = max(end, stop) if start >= end else end


def publish(pieces: Path, folder: Path, key: str, size: int) -> None:
    """Makes parts of the pieces of a shard: one, unless damage hides galaxies, wherever a process was interrupted.

    Parts are never changed. Other processes may do the same at the same time.

    Args:
        pieces: Folder of the pieces, named like parts; pieces that a part holds are removed.
        folder: Folder of the parts.
        key: Key of the shard.
        size: Its galaxies.
    """
    for start, stop in gaps(parts_of(folder, key), size):
        while start < stop:
            parts = parts_of(pieces, key)
            end, run = _longest_run(parts, start, stop)
            if run:
                try:
                    table = pa.concat_tables(map(read_part, run), promote_options="default").combine_chunks()
                except FileNotFoundError:
                    return  # another process has published them
                write_part(folder, f"part-{key}-{start:08d}-{end:08d}", table)
            start = end if run else min((a for a, *_ in parts if a > start), default=stop)
    for *_, path in parts_of(pieces, key):
        path.unlink(missing_ok=True)


def _longest_run(pieces: list[tuple[int, int, Path]], start: int, stop: int) -> tuple[int, list[Path]]:
    """The pieces that follow each other from one galaxy as far as possible, and where they end."""
    runs: dict[int, list[Path]] = {start: []}
    for a, b, path in pieces:
        if a in runs and b not in runs and b <= stop:
            runs[b] = [*runs[a], path]
    end = max(runs)
    return end, runs[end]
