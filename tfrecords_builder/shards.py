"""One shard: a pure function from the rows of the catalogue that were dealt to it to a file."""

import json
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfrecords_builder.files import write_whole
from tfrecords_builder.images import Image, read_images
from tfrecords_builder.plan import read_rows
from tfrecords_builder.records import Records
from tfrecords_builder.tfrecord import encode, frame

_NOISE_PIXELS = 512  # of one band and galaxy: enough for a median


class Job(NamedTuple):
    """What all shards of a build have in common.

    Attributes:
        plan: Folder of the plan, in which the state of the build is kept as well.
        source: Where images come from.
        records: The records as they will be: shape, bands, encoding, labels.
        max_failures: Largest share of galaxies that may be unusable.
        noise_galaxies: Most training galaxies of a shard that noise is measured on.
    """

    plan: Path
    source: Any
    records: Records
    max_failures: float
    noise_galaxies: int


class Tally(NamedTuple):
    """What is known of a finished shard; kept beside its rows of the index.

    Attributes:
        checksum: CRC-32C of the file; None if no galaxy of it could be used and there is none.
        size: Bytes.
        galaxies: How many there are.
        failures: `id_str`, `file_loc`, `reason` of those that are not.
        totals: Sum of every label column, unknowns left out.
        levels: Per galaxy measured, the median of every band, then its noise.
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
    """Writes a shard, then its tally; both appear whole or not at all. A finished one is left as it is.

    Raises:
        ValueError: Too many of its images cannot be used.
    """
    done = read_tally(job, name)
    if done is not None:
        return done
    table = read_rows(job.plan, name)
    if hasattr(job.source, "mosaics_of"):  # open every mosaic once
        places = [str(job.source.mosaics_of(row)) for row in table.to_pylist()]
        table = table.append_column("place", pa.array(places)).sort_by([("place", "ascending"), ("order", "ascending")])
        table = table.drop_columns("place")
    table = table.drop_columns("order")
    labels = _labels(table, job.records.label_cols)
    rows, lines, failures, levels = table.to_pylist(), [], [], []
    uniform, incomplete, masked, offset, crc = True, 0, 0, 0, 0

    # a name of its own for every attempt: a scheduler may start a second one while the first still lives
    partial = job.plan / f".{uuid.uuid4().hex}.partial"
    try:
        with partial.open("wb") as file:
            for i, (row, image) in enumerate(zip(rows, read_images(job.source, rows), strict=True)):
                try:
                    image = prepare(image, job)
                except ValueError as error:
                    failures.append({"id_str": row["id_str"], "file_loc": row.get("file_loc"), "reason": str(error)})
                    check_failures(len(failures), failures, seen=i + 1, allowed=job.max_failures)
                    continue
                record = b"".join(frame(encode(_features(row["id_str"], image, labels[i], job))))
                crc = google_crc32c.extend(crc, record)
                file.write(record)
                gaps, bad = _missing(image)
                lines.append((i, offset, bad, image.flag))
                offset += len(record)
                uniform &= image.shape == job.records.shape
                incomplete += gaps
                masked += image.mask is not None
                if row["split"] == "train" and len(levels) < job.noise_galaxies and job.records.encoding != "encoded":
                    levels.append(_levels(image))
        if lines:
            partial.replace(job.records.folder / name)
    finally:
        partial.unlink(missing_ok=True)
    used = [line[0] for line in lines]
    totals = dict(zip(job.records.label_cols, np.nansum(labels[used], axis=0, dtype=np.float64).tolist(), strict=True))
    checksum = f"{crc:08x}" if lines else None
    tally = Tally(checksum, offset, len(lines), failures, totals, levels, uniform, incomplete, masked)
    index = table.take(pa.array(used, pa.int64()))
    for column, values, kind in (
        ("offset", [line[1] for line in lines], pa.int64()),
        ("missing_pixels", [line[2] for line in lines], pa.float32()),
        ("pixel_flag", [line[3] for line in lines], pa.string()),
    ):
        index = index.append_column(column, pa.array(values, kind))
    index = index.replace_schema_metadata({"tally": json.dumps(tally._asdict())})
    write_whole(_tally_path(job, name), lambda path: pq.write_table(index, path))
    return tally


def _tally_path(job: Job, name: str) -> Path:
    return job.plan / "done" / f"{name}.parquet"


def read_tally(job: Job, name: str) -> Tally | None:
    """The tally of a shard if it is finished and still there in its full length."""
    path = _tally_path(job, name)
    if not path.exists():
        return None
    tally = Tally(**json.loads(pq.read_schema(path).metadata[b"tally"]))
    shard = job.records.folder / name
    return tally if tally.checksum is None or (shard.exists() and shard.stat().st_size == tally.size) else None


def read_lines(job: Job, name: str) -> pa.Table:
    """A finished shard's rows of the index."""
    return pq.read_table(_tally_path(job, name)).replace_schema_metadata()


def discard(job: Job, name: str) -> None:
    """Takes a shard and its tally back."""
    for path in (_tally_path(job, name), job.records.folder / name):
        path.unlink(missing_ok=True)


def check_failures(failed: int, examples: list[dict], *, seen: int, allowed: float, total: float = np.inf) -> None:
    """Raises ValueError where more than `allowed` of `total` fail, or of those seen so many that it comes to that."""
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


def prepare(image: Image | ValueError, job: Job) -> Image:
    """The image as it is stored: the bands in their order, the aspect of the records, dead pixels masked.

    Raises:
        ValueError: It does not fit into the records.
    """
    if isinstance(image, ValueError):
        raise image
    encoded = isinstance(image.data, bytes)
    if encoded != (job.records.encoding == "encoded"):
        raise ValueError("mixes FITS with JPEG or PNG")
    height, width, bands = image.shape
    if bands != job.records.shape[2] and (not encoded or bands > job.records.shape[2]):
        raise ValueError(f"has {bands} bands where the records have {job.records.shape[2]}")
    if image.bands and image.bands != job.records.bands and set(image.bands) & set(job.records.bands):
        image = _in_order(image, job.records.bands)
    aspect = job.records.shape[0] / job.records.shape[1]
    if abs(height / width - aspect) > 0.02:
        if encoded:
            raise ValueError(
                f"is {height}×{width} pixels where the records are {job.records.shape[0]}×{job.records.shape[1]}"
            )
        image = _padded(image, aspect)
    if (
        job.records.encoding == "float16"
        and np.abs(image.data, where=np.isfinite(image.data), out=np.zeros(image.shape)).max() > 65504
    ):
        raise ValueError("has values beyond the ±65504 of float16; store it as float32")
    return image if encoded else _without_dead(image, job.records.bands)


def _in_order(image: Image, bands: tuple[str, ...]) -> Image:
    if set(image.bands) != set(bands):
        raise ValueError(f"has the bands {', '.join(image.bands)} where the records have {', '.join(bands)}")
    order = [image.bands.index(band) for band in bands]
    mask = None if image.mask is None else image.mask[..., order]
    return image._replace(data=np.ascontiguousarray(image.data[..., order]), mask=mask, bands=bands)


def _padded(image: Image, aspect: float) -> Image:
    height, width, _ = image.shape
    tall, wide = max(height, round(width * aspect)), max(width, round(height / aspect))
    margins = [
        ((tall - height) // 2, -((height - tall) // 2)),
        ((wide - width) // 2, -((width - wide) // 2)),
        (0, 0),
    ]
    pixels = np.pad(image.data, margins, constant_values=np.nan)
    mask = None if image.mask is None else np.pad(image.mask, margins)
    flag = _flags(image.flag, f"{height}×{width} pixels, padded to {tall}×{wide}")
    return image._replace(data=pixels, shape=pixels.shape, mask=mask, flag=flag)


def _without_dead(image: Image, bands: tuple[str, ...]) -> Image:
    """Masks pixels that are exactly zero in a band with noise: no sky is, they were never exposed."""
    zero = image.data == 0
    if np.count_nonzero(zero) <= 0.01 * zero[..., 0].size:
        return image
    share = zero.mean(axis=(0, 1))
    dead = (share > 0.01) & (image.data < 0).any(axis=(0, 1))  # without noise zero is a value like any other
    if not dead.any():
        return image
    mask = zero & dead if image.mask is None else zero & dead | image.mask
    flag = ", ".join(f"{part:.0%} of {band}" for part, band in zip(share[dead], np.array(bands)[dead], strict=True))
    return image._replace(mask=mask, flag=_flags(image.flag, f"exactly zero: {flag}"))


def _flags(*flags: str) -> str:
    return "; ".join(flag for flag in flags if flag)


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


def _missing(image: Image) -> tuple[bool, float]:
    """Whether pixels are missing, and the share of those that are missing or bad."""
    if isinstance(image.data, bytes):
        return False, 0.0
    good = np.isfinite(image.data)
    gaps = not good.all()
    if image.mask is not None:
        good &= ~image.mask
    return gaps, 1.0 - float(np.count_nonzero(good)) / good.size


def _levels(image: Image) -> list[float]:
    """Per band the median of the good pixels, then 1.4826 × their median absolute deviation."""
    flat = image.data.reshape(-1, image.shape[2])
    step = -(-len(flat) // _NOISE_PIXELS) | 1  # odd: not always the same columns of an even image
    sample = flat[::step].T.copy()
    if image.mask is not None:
        sample[image.mask.reshape(flat.shape)[::step].T] = np.nan
    level = _median(sample)
    return [*level.tolist(), *(1.4826 * _median(np.abs(sample - level[:, np.newaxis]))).tolist()]


def _median(sample: np.ndarray) -> np.ndarray:
    """Of every row, the finite values' median; the upper one of an even number. NumPy's takes four times as long."""
    middle = sample.shape[1] // 2
    if np.isfinite(sample).all():
        return np.partition(sample, middle, axis=1)[:, middle]
    rows = (np.sort(row[np.isfinite(row)]) for row in sample)
    return np.array([row[len(row) // 2] if len(row) else np.nan for row in rows])
