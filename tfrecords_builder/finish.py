"""The last step of a build: writes the index, the failures and `records.json` from the tallies of the shards."""

import dataclasses
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfrecords_builder.checksums import check_file, file_checksum
from tfrecords_builder.files import write_whole
from tfrecords_builder.json_files import read_json, write_json
from tfrecords_builder.plan import remove_leftovers
from tfrecords_builder.records import Records
from tfrecords_builder.repeats import repeated, with_repeats
from tfrecords_builder.shards import Job, read_lines, read_tally

_FAILURES = pa.schema([("id_str", pa.string()), ("file_loc", pa.string()), ("reason", pa.string())])


def finish(job: Job, shards: dict[str, int], digest: str, out: Path) -> Records:
    """Writes the files that describe the shards, `records.json` last, and removes the plan.

    Args:
        job: The build.
        shards: Its shards, all finished, with their numbers of rows.
        digest: Hash of catalogue and settings.
        out: The folder, as given by the caller.

    Returns:
        The records.
    """
    if not shards:
        remove_leftovers(out, digest)
        return dataclasses.replace(job.records, folder=out)
    before, appended = job.records, bool(job.records.checksums)
    splits, checksums, totals = Counter(before.splits), dict(before.checksums), Counter(before.totals)
    levels, failed, uniform, incomplete = [], [], before.uniform, before.incomplete
    masked = before.masked
    for name in shards:
        tally = read_tally(job, name)
        if tally is None:
            raise FileNotFoundError(f"the shard {name} was removed after it was built (plan in {job.plan})")
        if tally.checksum is not None:
            checksums[name] = tally.checksum
        splits[name.split("-")[0]] += tally.galaxies
        totals.update(tally.totals)
        levels += tally.levels
        failed += tally.failures
        uniform, incomplete = uniform and tally.uniform, incomplete + tally.incomplete
        masked += tally.masked
    sky, noise = before.sky, before.noise
    if levels and not appended:  # earlier training relies on the noise of the records
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NaN for a band without a good pixel, which is a finding
            values = np.nanmedian(levels, axis=0).tolist()
        sky, noise = tuple(values[: len(values) // 2]), tuple(values[len(values) // 2 :])
    failures = _with_earlier(failed, job, shards) if appended else failed
    if failures or before.failed:
        table = pa.Table.from_pylist(failures, _FAILURES)
        write_whole(job.records.folder / "failures.parquet", lambda path: pq.write_table(table, path))
    if splits == before.splits:  # only failures were added
        remove_leftovers(out, digest)
        return dataclasses.replace(before, folder=out)
    if appended:
        _check_index(job)
    index = job.records.folder / "index.parquet"
    write_whole(index, lambda path: _write_index(path, job, shards, appended))
    records = dataclasses.replace(
        before,
        folder=out,
        splits=dict(splits),
        checksums=checksums,
        totals=dict(totals),
        sky=sky,
        noise=noise,
        uniform=uniform,
        incomplete=incomplete,
        masked=masked,
        failed=len(failures),
        digest=digest,
        index_checksum=file_checksum(index),
    )
    records.save()
    remove_leftovers(out, digest)
    return records


def _check_index(job: Job) -> None:
    """Raises ValueError if the index is neither the old one nor one extended by a killed call."""
    checksum = file_checksum(job.records.folder / "index.parquet")
    made = job.plan / "index.json"
    if job.records.index_checksum is not None and not (
        made.exists() and read_json(made)["checksum_of_index"] == checksum
    ):
        check_file(job.records.folder / "index.parquet", job.records.index_checksum)


def _write_index(path: Path, job: Job, shards: dict[str, int], appended: bool) -> None:
    """Writes one row group per shard, so that only one is in memory."""
    schema = read_lines(job, next(iter(shards))).schema
    if appended:
        schema = pq.read_schema(job.records.folder / "index.parquet").remove_metadata()
    hashed = "image_hash" in schema.names
    again = repeated(rows["image_hash"] for rows in _groups(job, shards, schema, appended)) if hashed else np.empty(0)
    with pq.ParquetWriter(path, schema) as writer:
        for rows in _groups(job, shards, schema, appended):
            writer.write_table(with_repeats(rows, again))
    write_json(job.plan / "index.json", {"checksum_of_index": file_checksum(path)})


def _groups(job: Job, shards: dict[str, int], schema: pa.Schema, appended: bool) -> Iterator[pa.Table]:
    """Rows of the index: those of earlier builds, without rows that a killed call has added already; then new ones."""
    if appended:
        before = pq.ParquetFile(job.records.folder / "index.parquet")
        for group in range(before.num_row_groups):
            rows = before.read_row_group(group)
            rows = rows.filter(pa.array([name not in shards for name in rows["shard"].to_pylist()]))
            if len(rows):
                yield rows.cast(schema)
    for name in shards:
        lines = read_lines(job, name)
        columns = [
            lines[f.name].cast(f.type) if f.name in lines.column_names else pa.nulls(len(lines), f.type) for f in schema
        ]
        yield pa.table(columns, schema)


def _with_earlier(failures: list[dict], job: Job, shards: dict[str, int]) -> list[dict]:
    """Failures, preceded by earlier ones whose galaxies were not tried again."""
    path = job.records.folder / "failures.parquet"
    if not path.exists():
        return failures
    before, tried = pq.read_table(path, schema=_FAILURES).to_pylist(), {failure["id_str"] for failure in failures}
    for name in shards:
        tried |= set(read_lines(job, name)["id_str"].to_pylist())
    return [failure for failure in before if failure["id_str"] not in tried] + failures
