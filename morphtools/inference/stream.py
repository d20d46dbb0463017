"""Records through a model, galaxy by galaxy, in chunks that survive an interruption.

The outputs of a model are kept in files `part-SHARD-CHECKSUM-FROM-TO.CHECKSUM.parquet` (`parts.py`), each with
consecutive galaxies of a shard, written whole. Their names alone show what is done: any process can continue, even
with another number of parts. A galaxy whose record is damaged is in none of them, and is tried again by the next call.
"""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from tqdm import tqdm

from morphtools.data.batches import read_run, read_shards
from morphtools.inference.parts import gaps, parts_of, read_part, remove_overlaps
from tfrecords_builder.build import build_records, share_of
from tfrecords_builder.checksums import reading as reading_of
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import band_names, some
from tfrecords_builder.pixels import to_pixels
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.records import Records, to_image
from tfrecords_builder.table_files import for_spreadsheets
from tfrecords_builder.tfrecord import decode, read_record

log = logging.getLogger(__name__)

_DAMAGED = "the shard "  # so begins the reason where a galaxy's record is damaged
_ROWS, _SECONDS = 8192, 15.0  # a part is written when it has so many galaxies, or after so long


def galaxies_per_batch(model: keras.Model, orientations: int = 8) -> int:
    """How many galaxies to show to a model at a time, each in several orientations.

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
    keep: Callable[[list[str], np.ndarray, str], None],
    *,
    splits: list[str],
    batch_size: int,
    part: str | None = None,
    reading: dict | None = None,
    label: str = "predicting",
) -> None:
    """Shows a model every galaxy that `folder` has no part with yet.

    The next batch is read while the model computes, and parts are written by another thread, so that the model waits
    for neither. Galaxies that cannot be decoded, or for which the model's output is not finite, are left
    out; `missing_galaxies` lists them.

    Args:
        model: (B, H, W, C) → (B, …).
        records: Where the galaxies are.
        folder: Where the parts are.
        keep: Writes a part `(names, values, part)` as `folder/part-{part}.parquet`, whole or not at all.
        splits: Which splits.
        batch_size: Galaxies at a time.
        part: `i/n`: only every n-th shard from the i-th on.
        reading: Keyword arguments of `load_shards`: `image_size`, `stretch`.
        label: For the progress bar.
    """
    sizes = share_of(galaxies_per_shard(records, splits), part)
    keys = {name: shard_key(records, name) for name in sizes}
    if part is None:
        for key in keys.values():
            remove_overlaps(folder, key)
    missing = {name: gaps(folder, keys[name], size) for name, size in sizes.items()}
    left = sum(stop - start for each in missing.values() for start, stop in each)
    if not left:
        return
    for name in sizes:
        if missing[name] and not (records.folder / name).exists():
            raise FileNotFoundError(f"the shard {records.folder / name} is missing: restore it")
    step, options = _step(model, batch_size), {"batch_size": batch_size, **(reading or {})}
    bar = progress_bar(total=sum(sizes.values()), initial=sum(sizes.values()) - left, desc=label, unit="galaxy")
    with bar:
        starts = {name: each[-1][0] for name, each in missing.items() if each and each[-1][1] == sizes[name]}
        if starts:
            _show(_outputs(step, read_shards(records, starts, **options), bar), records, folder, keep, starts)
        for name in sizes:  # what damage has hidden
            for start, galaxies in _sound(records, name, gaps(folder, keys[name], sizes[name])):
                batches = read_run(records, galaxies, start, **options)
                _show(_outputs(step, batches, bar), records, folder, keep, {name: start})


def _show(outputs: Iterator, records: Records, folder: Path, keep: Callable, places: dict[str, int]) -> None:
    """Writes outputs as parts; `places` has where each shard begins."""
    places, current, ids = dict(places), "", np.array([], object)
    with ThreadPoolExecutor(1) as writer:
        writing = None
        for shard, stop, names, values in _runs(outputs, list(places)):
            if current != shard:
                current, ids = shard, shard_rows(records, shard, ["id_str"])["id_str"].to_numpy()
            strangers = set(names) - set(ids[places[shard] : stop])
            if strangers:
                raise ValueError(
                    f"the shard {records.folder / shard} is not the one that was built: "
                    f"the index has no {some(sorted(strangers))} there; restore it"
                )
            if writing is not None:
                writing.result()  # so that no more than one part waits to be written; raises what went wrong with it
            name = f"{shard_key(records, shard)}-{places[shard]:08d}-{stop:08d}"
            writing = writer.submit(_keep_finite, keep, names, values, name)
            places[shard] = stop
        if writing is not None:
            writing.result()


def _sound(records: Records, shard: str, missing: list[tuple[int, int]]) -> Iterator[tuple[int, list[bytes]]]:
    """Runs of records among the missing galaxies of a shard that can be read: place of the first, their content."""
    offsets = shard_rows(records, shard, ["offset"])["offset"].tolist() if missing else []
    for start, stop in missing:
        run = []
        for place in range(start, stop):
            try:
                run.append(read_record(records.folder / shard, offsets[place]))
            except ValueError:  # `missing_galaxies` reports it
                if run:
                    yield place - len(run), run
                run = []
        if run:
            yield stop - len(run), run


def shard_rows(records: Records, shard: str, columns: list[str] | None = None) -> pd.DataFrame:
    """The rows of the index with a shard's galaxies, in their order."""
    path = records.index_path
    with reading_of(path):
        return pd.read_parquet(path, columns=columns, filters=[("shard", "==", shard)])


def _keep_finite(keep: Callable, names: list[str], values: np.ndarray, part: str) -> None:
    good = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    keep([name for name, each in zip(names, good, strict=True) if each], values[good], part)


def _step(model: keras.Model, batch_size: int) -> Callable:
    """The model's forward pass; what it returns need not be computed yet."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
        return tf.function(lambda images: model(images, training=False), input_signature=signature)

    def step(images):  # always of one shape: others would be compiled anew
        images = np.asarray(images)
        padded = np.pad(images, [(0, batch_size - len(images))] + [(0, 0)] * 3)
        return model.predict_on_batch(padded)[: len(images)]

    return step


def _outputs(step: Callable, batches, bar: tqdm) -> Iterator[tuple[dict, np.ndarray]]:
    """Batches and the model's outputs for them, handed over when the next one is on its way."""
    waiting = []
    for batch in batches:
        waiting.append((batch, step(batch.pop("image"))))
        if len(waiting) == 2:
            before, said = waiting.pop(0)
            yield before, np.asarray(said)
            bar.update(len(said))
    for before, said in waiting:
        yield before, np.asarray(said)
        bar.update(len(said))


def _runs(outputs, shards: list[str]) -> Iterator[tuple]:
    """Outputs put together to parts: shard, how far it was read, names, values."""
    shard, stop, names, values, since = None, 0, [], [], time.monotonic()
    for batch, said in outputs:
        now = shards[int(batch["shard"])]
        if names and (now != shard or len(names) >= _ROWS or time.monotonic() - since > _SECONDS):
            yield shard, stop, names, np.concatenate(values)
            names, values, since = [], [], time.monotonic()
        shard, stop = now, int(batch["place"][-1]) + 1
        names += batch["id_str"].tolist()
        values.append(said)
    if names:
        yield shard, stop, names, np.concatenate(values)


def galaxies_per_shard(records: Records, splits: list[str]) -> dict[str, int]:
    """The number of galaxies of every shard of some splits, in order."""
    shards = [path.name for split in splits for path in records.shards(split)]
    counts = Counter()
    path = records.index_path
    with reading_of(path), pq.ParquetFile(path) as index:
        for rows in index.iter_batches(columns=["shard"]):
            counts.update(rows["shard"].to_pylist())
    return {name: counts[name] for name in shards}


def shard_key(records: Records, shard: str) -> str:
    """A shard's name in the names of parts: with its checksum, since others may have a shard of that name too."""
    return f"{shard.removesuffix('.tfrecord')}-{records.checksums[shard]}"


def missing_galaxies(records: Records, folder: Path, splits: list[str]) -> list[dict]:
    """Galaxies that no part has, of these splits and of any shard with parts: `id_str`, `file_loc`, `reason`."""
    failures = []
    for shard in galaxies_per_shard(records, list(records.splits)):
        parts = parts_of(folder, shard_key(records, shard))
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
    except Exception as error:  # readers raise many kinds, all meaning the same to us
        return f"cannot be decoded: {error}"
    return "the model's output is not finite" if shown else "was not read: run the same call again"


def open_galaxies(
    out: Path, catalog, images, records, split: str | None, part: str | None, bands=None
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
        found = Records.open(records)
        found.log_findings()
    else:
        source = images or Path(catalog).expanduser().parent
        build_records(catalog, out / "state" / "records", images=source, bands=bands, max_failures=1.0)
        found = Records.open(out / "state" / "records")
    splits = [split] if split else [name for name, galaxies in found.splits.items() if galaxies]
    if not galaxies_per_shard(found, splits):
        raise ValueError(f"the split {split!r} of {found.folder} is empty" if split else "there are no galaxies")
    return found, splits


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
        write_whole(
            out / "failures.csv", lambda path: for_spreadsheets(pd.DataFrame(failures)).to_csv(path, index=False)
        )
        log.warning("%d galaxies are left out, see failures.csv", len(failures))
    if damaged:
        log.warning("%s: restore the shard and run the same call again, which adds its galaxies", some(damaged, 1))
    return len(failures), len(damaged)
