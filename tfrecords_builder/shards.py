"""Writes one shard: a pure function from its rows of the catalogue to a file."""

import json
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfrecords_builder.checksums import reading
from tfrecords_builder.files import write_whole
from tfrecords_builder.images import Image, read_images
from tfrecords_builder.plan import ORDER, read_rows
from tfrecords_builder.prepare import examine, measure, missing, prepare
from tfrecords_builder.records import Records
from tfrecords_builder.repeats import image_hash
from tfrecords_builder.tfrecord import encode, frame


class Job(NamedTuple):
    """What all shards of a build share.

    Attributes:
        plan: Folder of the plan and the state of the build.
        source: Source of the images.
        records: The future records: shape, bands, encoding, labels.
        max_failures: Maximum fraction of unusable galaxies.
        noise_galaxies: Maximum number of training galaxies per shard on which noise is measured.
    """

    plan: Path
    source: Any
    records: Records
    max_failures: float
    noise_galaxies: int


class Tally(NamedTuple):
    """The tally of a finished shard, kept beside its rows of the index.

    Attributes:
        checksum: CRC-32C of the file; None if there is no file because no galaxy could be used.
        size: Size in bytes.
        galaxies: Number of galaxies.
        failures: `id_str`, `file_loc`, `reason` of galaxies that could not be used.
        totals: Sum of every label column, without unknown values.
        levels: For each measured galaxy, the median of every band, then its noise.
        uniform: Whether all images have the shape of the records.
        incomplete: Number of galaxies with missing pixels.
        masked: Number of galaxies with a mask.
    """

    checksum: str | None
    size: int
    galaxies: int
    failures: list[dict]
    totals: dict[str, float]
    levels: list[list[float]]
    uniform: bool
    incomplete: int
    masked: int


def build_shard(job: Job, name: str) -> Tally:
    """Writes a shard, then its tally; both appear complete or not at all. A finished shard is left as it is.

    Raises:
        ValueError: Too many of its images cannot be used.
    """
    done = read_tally(job, name)
    if done is not None:
        return done
    table = read_rows(job.plan, name)
    measured = set(table["id_str"].to_pylist()[: job.noise_galaxies if name.startswith("train-") else 0])
    if hasattr(job.source, "kept_together"):  # open every mosaic once, unpack every row group once
        places = [str(job.source.kept_together(row)) for row in table.to_pylist()]
        table = table.append_column("_place", pa.array(places)).sort_by([("_place", "ascending"), (ORDER, "ascending")])
        table = table.drop_columns("_place")
    table = table.drop_columns(ORDER)
    labels = _labels(table, job.records.label_cols)
    rows, lines, failures, levels = table.to_pylist(), [], [], []
    uniform, incomplete, masked, offset, crc = True, 0, 0, 0, 0

    # a unique name for every attempt: a scheduler may start a second one while the first is still running
    partial = job.plan / f".{uuid.uuid4().hex}.partial"
    try:
        with partial.open("wb") as file:
            for i, (row, image) in enumerate(zip(rows, read_images(job.source, rows), strict=True)):
                try:
                    image = prepare(image, job.records)
                except ValueError as error:
                    failures.append({"id_str": row["id_str"], "file_loc": row.get("file_loc"), "reason": str(error)})
                    check_failures(len(failures), failures, seen=i + 1, allowed=job.max_failures)
                    continue
                gaps, bad = missing(image)
                image = examine(image, bad)
                record = b"".join(frame(encode(_features(row["id_str"], image, labels[i], job))))
                crc = google_crc32c.extend(crc, record)
                file.write(record)
                lines.append((i, offset, bad, image.flag, " ".join(image.findings), image_hash(image)))
                offset += len(record)
                uniform &= image.shape == job.records.shape
                incomplete += gaps
                masked += image.mask is not None
                if row["id_str"] in measured and job.records.encoding != "encoded":
                    levels.append(measure(image))
        if lines:
            partial.replace(job.records.folder / name)
    finally:
        partial.unlink(missing_ok=True)
    used = [line[0] for line in lines]
    sums: Any = np.nansum(labels[used], axis=0, dtype=np.float64)
    totals = {name: float(total) for name, total in zip(job.records.label_cols, sums, strict=True)}
    checksum = f"{crc:08x}" if lines else None
    tally = Tally(checksum, offset, len(lines), failures, totals, levels, uniform, incomplete, masked)
    _save(job, name, table.take(pa.array(used, pa.int64())), lines, tally)
    return tally


def _save(job: Job, name: str, index: pa.Table, lines: list[tuple], tally: Tally) -> None:
    """Writes the shard's part of the index with its tally, which marks it as finished."""
    for column, place, kind in (
        ("offset", 1, pa.int64()),
        ("missing_pixels", 2, pa.float32()),
        ("pixel_flag", 3, pa.string()),
        ("findings", 4, pa.string()),
        ("image_hash", 5, pa.int64()),
    ):
        index = index.append_column(column, pa.array([line[place] for line in lines], kind))
    index = index.replace_schema_metadata({"tally": json.dumps(tally._asdict())})
    write_whole(_tally_path(job, name), lambda path: pq.write_table(index, path, write_page_checksum=True))


def _tally_path(job: Job, name: str) -> Path:
    return job.plan / "done" / f"{name}.parquet"


def read_tally(job: Job, name: str) -> Tally | None:
    """The tally of a shard if it is finished and its file still has its full length."""
    path = _tally_path(job, name)
    if not path.exists():
        return None
    with reading(path):
        tally = Tally(**json.loads(pq.read_schema(path).metadata[b"tally"]))
    shard = job.records.folder / name
    return tally if tally.checksum is None or (shard.exists() and shard.stat().st_size == tally.size) else None


def read_lines(job: Job, name: str) -> pa.Table:
    """A finished shard's rows of the index."""
    path = _tally_path(job, name)
    with reading(path):
        return pq.read_table(path, page_checksum_verification=True).replace_schema_metadata()


def discard(job: Job, name: str) -> None:
    """Removes a shard and its tally."""
    for path in (_tally_path(job, name), job.records.folder / name):
        path.unlink(missing_ok=True)


def check_failures(failed: int, examples: list[dict], *, seen: int, allowed: float, total: float = np.inf) -> None:
    """Raises ValueError if more than `allowed` of `total` fail, or if the failures seen so far make that certain."""
    likely = allowed * seen + 4 * np.sqrt(allowed * seen) + 10  # four standard deviations: the order is random
    if failed > min(allowed * total, likely):
        reasons = [f"{f['id_str']}: {f['reason']}" for f in examples[:2]]
        reasons += [f"and {failed - 2} more"] if failed > 2 else []
        of = f"{total}" if failed > allowed * total else f"the first {seen}"
        raise ValueError(f"{failed} of {of} images cannot be used ({allowed:.0%} may fail): {', '.join(reasons)}")


def _labels(table: pa.Table, label_cols: tuple[str, ...]) -> np.ndarray:
    """(N, labels) float32, NaN where unknown."""
    labels = np.empty((len(table), len(label_cols)), np.float32)
    with np.errstate(over="ignore"):
        for i, name in enumerate(label_cols):
            labels[:, i] = (
                table[name].cast(pa.float64(), safe=False).to_numpy() if name in table.column_names else np.nan
            )
    return labels


def _features(id_str: str, image: Image, labels: np.ndarray, job: Job) -> dict:
    data = image.data
    if job.records.encoding != "encoded":
        with np.errstate(over="ignore"):
            data = data.astype("<f2" if job.records.encoding == "float16" else "<f4", copy=False)
        data = data.tobytes()
    features = dict(zip(job.records.label_cols, labels, strict=True))
    features |= {"id_str": id_str.encode(), "image": data, "shape": image.shape}
    if image.mask is not None:
        features["mask"] = np.packbits(image.mask, bitorder="little").tobytes()
    return features
