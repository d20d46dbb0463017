"""Reads records from the first byte to the last and verifies their checksums."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tfrecords_builder.checksums import file_checksum, is_written
from tfrecords_builder.copies import all_present, present
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.records import Records, to_image
from tfrecords_builder.tfrecord import decode, scan


def verify_records(records: Records | str | Path) -> list[str]:
    """Compares every shard with its checksum, CRCs, the index and `records.json`.

    Args:
        records: The records or their folder.

    Returns:
        The problems in words, naming shard and galaxy; empty if there are none.
    """
    records = Records.open(records)
    problems, counts = [], dict.fromkeys(records.splits, 0)
    index = _by_shard(records, problems)
    for name, checksum in progress_bar(sorted(records.checksums.items()), desc="verifying", unit="shard"):
        path = records.folder / name
        counts[name.split("-")[0]] += len(index.get(name, {}))
        try:
            present(path).stat()
        except FileNotFoundError:
            problems.append(f"{name} is missing")
            continue
        if file_checksum(path) != checksum:
            problems.append(f"the checksum of {name} has changed since it was written")
        problems += [f"{name}: {problem}" for problem in _check_shard(records, path, index.get(name, {}))]
    if counts != records.splits:
        problems.append(f"records.json counts {records.splits}, the index {counts}")
    strangers = {path.name for path in records.folder.glob("*.tfrecord")} - set(records.checksums)
    if strangers:
        problems.append(f"shards missing from records.json: {', '.join(sorted(strangers))}")
    return problems


def check_shards(records: Records, names: Iterable[str]) -> None:
    """Compares shards with their checksums; those in object storage are copied first.

    Raises:
        FileNotFoundError: A shard does not exist.
        ValueError: A shard is damaged or was replaced; the message names it.
    """
    paths = [records.folder / name for name in names]
    all_present(paths)
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"the shard {path} is missing: restore it, or build the records again")
        if is_written(path, records.checksums[path.name]):
            continue
        try:
            for _ in scan(path):
                pass
            problem = "not the file that was built (checksum)"
        except ValueError as error:
            problem = str(error)
        raise ValueError(f"the shard {path} is {problem}: restore it, or build the records again")


def _by_shard(records: Records, problems: list[str]) -> dict[str, dict[str, int]]:
    """The offset of every galaxy, by shard."""
    try:
        table = pq.read_table(records.index_path, columns=["id_str", "shard", "offset"])
    except Exception as error:  # a damaged file raises many kinds of exceptions, which all mean the same here
        problems.append(f"index.parquet cannot be read: {error}")
        return {}
    places: dict[str, dict[str, int]] = {}
    for row in table.to_batches():
        for id_str, shard, offset in zip(*(column.to_pylist() for column in row.columns), strict=True):
            places.setdefault(shard, {})[id_str] = offset
    return places


def _check_shard(records: Records, path: Path, expected: dict[str, int]) -> list[str]:
    offsets, problems = {}, []
    try:
        for offset, data in scan(path):
            features = decode(data)
            id_str = features["id_str"].decode()
            offsets[id_str] = offset
            image = to_image(features, records.encoding)
            if records.uniform and image.shape != records.shape:
                problems.append(f"{id_str} has the shape {image.shape}, but the records have {records.shape}")
            if set(features) - {"id_str", "image", "shape", "mask"} != set(records.label_cols):
                problems.append(f"the labels of {id_str} differ from those of the index")
            if isinstance(image.data, np.ndarray) and not np.isfinite(image.data).any():
                problems.append(f"{id_str} has no pixels")
    except (ValueError, KeyError) as error:
        problems.append(f"after {len(offsets)} galaxies: {error}")
    if offsets != expected:
        problems.append(f"{len(offsets)} galaxies, but the index has {len(expected)}, or others")
    return problems
