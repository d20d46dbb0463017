"""The last step of a build: from the tallies of its shards to the index, the failures and `records.json`."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfrecords_builder.files import write_whole
from tfrecords_builder.plan import remove_plan
from tfrecords_builder.records import Records
from tfrecords_builder.shards import Job, read_lines, read_tally

_FAILURES = pa.schema([("id_str", pa.string()), ("file_loc", pa.string()), ("reason", pa.string())])


def finish(job: Job, shards: dict[str, int], digest: str, *, appended: bool) -> Records:
    """Writes what describes the shards, `records.json` last, and removes the plan.

    Args:
        job: The build.
        shards: Its shards, all of them finished, with their number of rows.
        digest: Hash of catalogue and settings.
        appended: Whether `job.records` are there already and are added to.

    Returns:
        The records.
    """
    if not shards:
        remove_plan(job.plan)
        return job.records
    before = job.records
    splits, checksums, totals = Counter(before.splits), dict(before.checksums), Counter(before.totals)
    levels, uniform, incomplete = [], before.uniform, before.incomplete
    masked, failed = before.masked, before.failed
    for name in shards:
        tally = read_tally(job, name)
        if tally.checksum is not None:
            checksums[name] = tally.checksum
        splits[name.split("-")[0]] += tally.galaxies
        totals.update(tally.totals)
        levels += tally.levels
        uniform, incomplete = uniform and tally.uniform, incomplete + tally.incomplete
        masked, failed = masked + tally.masked, failed + len(tally.failures)
    sky, noise = before.sky, before.noise
    if levels and not appended:  # what was trained on the records before relies on their noise
        values = np.nanmedian(levels, axis=0).tolist()
        sky, noise = tuple(values[: len(values) // 2]), tuple(values[len(values) // 2 :])
    write_whole(job.out / "index.parquet", lambda path: _write_index(path, job, shards, appended))
    if failed:
        write_whole(job.out / "failures.parquet", lambda path: _write_failures(path, job, shards, appended))
    records = dataclasses.replace(
        before,
        splits=dict(splits),
        checksums=checksums,
        totals=dict(totals),
        sky=sky,
        noise=noise,
        uniform=uniform,
        incomplete=incomplete,
        masked=masked,
        failed=failed,
        digest=digest,
    )
    records.save()
    remove_plan(job.plan)
    return records


def _write_index(path: Path, job: Job, shards: dict[str, int], appended: bool) -> None:
    """One row group per shard, so that no more than one is in memory."""
    before = pq.ParquetFile(job.out / "index.parquet") if appended else None
    schema = before.schema_arrow.remove_metadata() if before else read_lines(job, next(iter(shards))).schema
    with pq.ParquetWriter(path, schema) as writer:
        for i in range(before.num_row_groups if before else 0):
            rows = before.read_row_group(i)
            rows = rows.filter(pa.array([name not in shards for name in rows["shard"].to_pylist()]))
            writer.write_table(rows.cast(schema))  # without what a killed call has added already
        for name in shards:
            lines = read_lines(job, name)
            columns = [
                lines[f.name].cast(f.type) if f.name in lines.column_names else pa.nulls(len(lines), f.type)
                for f in schema
            ]
            writer.write_table(pa.table(columns, schema))


def _write_failures(path: Path, job: Job, shards: dict[str, int], appended: bool) -> None:
    old = job.out / "failures.parquet"
    with pq.ParquetWriter(path, _FAILURES) as writer:
        if appended and old.exists():
            writer.write_table(pq.read_table(old, schema=_FAILURES))
        for name in shards:
            failures = read_tally(job, name).failures
            if failures:
                writer.write_table(pa.Table.from_pylist(failures, _FAILURES))
