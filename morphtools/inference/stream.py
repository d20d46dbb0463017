"""Runs records through a model, galaxy by galaxy, in chunks that survive an interruption.

The outputs of a model are kept in files `part-SHARD-CHECKSUM-FROM-TO.CHECKSUM.parquet` (`parts.py`), each with
consecutive galaxies of a shard, written whole. Their names alone show what is done: any process can continue, even
with another number of parts, in this process (`filling.py`) or on a cluster (`distributing.py`). A galaxy whose
record is damaged is in none of them, and is tried again by the next call.
"""

import contextlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from morphtools.inference.distributing import compute_on
from morphtools.inference.filling import compiled, fill, shard_key, shard_rows
from morphtools.inference.parts import all_parts, gaps, read_part, remove_overlaps
from tfrecords_builder.build import build_records
from tfrecords_builder.checksums import reading as reading_of
from tfrecords_builder.copies import origin_of
from tfrecords_builder.listing import images_of
from tfrecords_builder.naming import band_names, some
from tfrecords_builder.pixels import to_pixels
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.records import Records, to_image
from tfrecords_builder.sharing import share_of
from tfrecords_builder.tables_out import write_csv
from tfrecords_builder.tfrecord import decode, read_record

log = logging.getLogger(__name__)

_DAMAGED = "the shard "  # so begins the reason where a galaxy's record is damaged


def galaxies_per_batch(model: keras.Model, orientations: int = 8) -> int:
    """Number of galaxies to show to a model at a time, each in several orientations.

    As many as keep the largest output of a layer at about thirteen million numbers, 50 MB. More images a call are
    faster until what layers hand on no longer fits into the caches of a processor: at 224 px EfficientNetB0 is fastest
    at 8 images a call, MobileNetV3, whose layers give a fifth of the numbers, at 32 to 64.

    Args:
        model: (B, H, W, C) → (B, …), with H and W.
        orientations: How often each galaxy is shown to its encoders.
    """
    return max(1, 13 * 10**6 // (orientations * max(_numbers_per_image(model))))


def _numbers_per_image(model: keras.Model) -> Iterator[int]:
    """How many numbers each layer gives for an image, those of networks inside a network too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _numbers_per_image(layer)
        elif isinstance(layer.output, keras.KerasTensor):
            yield math.prod(n or 1 for n in layer.output.shape[1:])


def stream(
    model: keras.Model,
    records: Records,
    folder: Path,
    table: Callable[[list[str], np.ndarray], pa.Table],
    *,
    splits: list[str],
    batch_size: int,
    part: str | None = None,
    executor: Executor | None = None,
    reading: dict | None = None,
    label: str = "predicting",
) -> None:
    """Shows a model every galaxy that is not in a part in `folder` yet.

    The next batch is read while the model computes, and parts are written by another thread, so that the model waits
    for neither. Galaxies that cannot be decoded, or for which the model's output is not finite, are left
    out; `missing_galaxies` lists them. A finished shard is one part, whichever process made it and however often it was
    interrupted, and batches begin at the same galaxies, so that the bytes are those of one process.

    Args:
        model: (B, H, W, C) → (B, …).
        records: Records of the galaxies.
        folder: Folder of the parts.
        table: What is kept of the outputs (n, …) for galaxies (n,). Can be pickled where there is an executor.
        splits: Which splits.
        batch_size: Galaxies at a time.
        part: `i/n`: only every n-th shard from the i-th on.
        executor: Where to compute instead, a shard at a time, as for `build_records`.
        reading: Keyword arguments of `load_shards`: `image_size`, `stretch`.
        label: For the progress bar.
    """
    sizes = share_of(galaxies_per_shard(records, splits), part)
    if part is None:
        for each in all_parts(folder).values():
            remove_overlaps(each)
    parts = all_parts(folder)
    left = {name: each for name, n in sizes.items() if (each := gaps(parts.get(shard_key(records, name), []), n))}
    todo = {name: sizes[name] for name in left}
    for name in todo:
        if not (records.folder / name).exists() and not origin_of(records.folder):
            raise FileNotFoundError(f"the shard {records.folder / name} is missing: restore it")
    if not todo:
        return
    counts = {name: sum(stop - start for start, stop in each) for name, each in left.items()}
    total, options = sum(sizes.values()), {"batch_size": batch_size, **(reading or {})}
    with progress_bar(total=total, initial=total - sum(counts.values()), desc=label, unit="galaxy") as bar:
        if executor is not None:
            for name in compute_on(executor, model, records, folder, table, todo, options):
                bar.update(counts[name])
        else:
            fill(compiled(model, batch_size), model.output_shape[1:], records, folder, table, todo, options, bar)
    with contextlib.suppress(OSError):  # other parts are at work
        (folder / "state" / "pieces").rmdir()
        (folder / "state").rmdir()


def all_computed(records: Records, folder: Path, splits: list[str]) -> bool:
    """Whether parts have every galaxy of some splits, whichever processes computed them."""
    parts = all_parts(folder)
    sizes = galaxies_per_shard(records, splits)
    return not any(gaps(parts.get(shard_key(records, name), []), size) for name, size in sizes.items())


def galaxies_per_shard(records: Records, splits: list[str]) -> dict[str, int]:
    """The number of galaxies of every shard of some splits, in order."""
    shards = [path.name for split in splits for path in records.shards(split)]
    counts = Counter()
    path = records.index_path
    with reading_of(path), pq.ParquetFile(path, pre_buffer=False) as index:
        for rows in index.iter_batches(columns=["shard"]):
            counts.update(rows["shard"].to_pylist())
    return {name: counts[name] for name in shards}


def missing_galaxies(records: Records, folder: Path, splits: list[str]) -> list[dict]:
    """Galaxies that no part has, of these splits and of any shard with parts: `id_str`, `file_loc`, `reason`."""
    failures, by_key = [], all_parts(folder)
    for shard in galaxies_per_shard(records, list(records.splits)):
        parts = by_key.get(shard_key(records, shard), [])
        if not parts and shard.split("-")[0] not in splits:
            continue
        have = {name for *_, path in parts for name in read_part(path, ["id_str"])["id_str"].to_pylist()}
        for place, row in enumerate(shard_rows(records, shard).to_dict("records")):
            if row["id_str"] not in have:
                reason = _reason(records, row, any(start <= place < stop for start, stop, _ in parts))
                failures.append({"id_str": row["id_str"], "file_loc": row.get("file_loc"), "reason": reason})
    return failures


def _reason(records: Records, row: dict, shown: bool) -> str:
    """Why a galaxy is left out: its record is damaged, its image broken, or the model's output was not finite."""
    try:
        image = to_image(decode(read_record(records.folder / row["shard"], row["offset"])), records.encoding)
    except (ValueError, OSError) as error:
        return str(error)
    try:
        to_pixels(image)
    except Exception as error:  # readers raise many kinds of exceptions, which all mean the same here
        return f"cannot be decoded: {error}"
    return "the model's output is not finite" if shown else "was not read: run the same call again"


def open_galaxies(
    out: Path, catalog, images, records, split: str | None, part: str | None, bands=None, executor=None
) -> tuple[Records, list[str]]:
    """The records to go through and their splits: those given, or some for the time of the work, in `out/state`.

    Raises:
        ValueError: Neither or both are given, parts of a catalogue, or no galaxies.
    """
    if (records is None) == (catalog is None):
        raise ValueError("give either records or a catalog with images")
    if images is not None and catalog is None:
        raise ValueError("images need a catalog that lists them")
    share_of({}, part)
    bands = band_names(bands)
    if bands is not None and catalog is None:
        raise ValueError("records name their bands already: bands are for a catalog and its images")
    if part is not None and catalog is not None:
        raise ValueError("parts need records: build them first (build-records also works in parts), then give records")
    if catalog is None:
        opened = Records.open(records)
        opened.log_findings()
    else:
        options: dict[str, Any] = {"images": images_of(catalog, images), "bands": bands}
        build_records(catalog, out / "state" / "records", **options, executor=executor, max_failures=1.0)
        opened = Records.open(out / "state" / "records")
    splits = [split] if split else [name for name, galaxies in opened.splits.items() if galaxies]
    if not galaxies_per_shard(opened, splits):
        raise ValueError(f"the split {split!r} of {opened.folder} is empty" if split else "there are no galaxies")
    return opened, splits


def list_failures(out: Path, records: Records, folder: Path, splits: list[str]) -> tuple[int, int]:
    """Lists in `failures.csv` which galaxies are left out and why; returns their number, and of how many by damage."""
    failures = missing_galaxies(records, folder, splits)
    damaged = [failure["reason"] for failure in failures if failure["reason"].startswith(_DAMAGED)]
    unusable = records.folder / "failures.parquet"
    if records.folder.parent == out / "state" and unusable.exists():
        with reading_of(unusable):
            failures = pd.read_parquet(unusable).to_dict("records") + failures
    (out / "failures.csv").unlink(missing_ok=True)  # of an earlier call
    if failures:
        write_csv(pd.DataFrame(failures), out / "failures.csv")
        log.warning("%d galaxies are left out, see failures.csv", len(failures))
    if damaged:
        log.warning("%s: restore the shard and run the same call again, which adds its galaxies", some(damaged, 1))
    return len(failures), len(damaged)
