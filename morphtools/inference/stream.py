"""Records through a model, galaxy by galaxy, in chunks that a kill cannot break.

What a model says is kept in files `part-SHARD-CHECKSUM-FROM-TO.parquet`, each with a run of a shard's galaxies and
written whole. Their names alone tell what is done: any process can go on, with other parts than those before.
"""

import contextlib
import logging
import re
import shutil
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

from morphtools.data.dataset import load_shards
from tfrecords_builder.build import build_records, share_of
from tfrecords_builder.files import write_whole
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.records import Records, read_pixels
from tfrecords_builder.table_files import for_spreadsheets

log = logging.getLogger(__name__)

_ROWS, _SECONDS = 8192, 15.0  # a part is written when it has so many galaxies, or after so long
_PART = re.compile(r"part-(?P<key>.+)-(?P<start>\d{8})-(?P<stop>\d{8})\.parquet")


def galaxies_per_batch(shape: tuple[int, int, int], orientations: int = 8) -> int:
    """How many galaxies of (H, W, C) to show to an encoder at a time, each in several orientations.

    About half a million pixels: on two busy cores, EfficientNetB0 at 224 px represented 36 images a second in batches
    of one galaxy and 20 in batches of sixteen, whose activations no longer fit into the caches.
    """
    return max(1, 2**19 // (orientations * shape[0] * shape[1]))


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
    for neither. Galaxies that cannot be decoded, or for which the model says something that is not finite, are left
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
    done = {name: _done(folder, _key(records, name)) for name in sizes}
    places = {name: done[name] for name in sizes if done[name] < sizes[name]}
    if not places:
        return
    batches = load_shards(records, places, batch_size=batch_size, **(reading or {}))
    bar = progress_bar(total=sum(sizes.values()), initial=sum(done.values()), desc=label, unit="galaxy")
    with bar, ThreadPoolExecutor(1) as writer:
        writing = None
        for shard, stop, names, values in _runs(_outputs(_step(model, batch_size), batches, bar), list(places)):
            if writing is not None:
                writing.result()  # so that no more than one part waits to be written; raises what went wrong with it
            name = f"{_key(records, shard)}-{places[shard]:08d}-{stop:08d}"
            writing = writer.submit(_keep_finite, keep, names, values, name)
            places[shard] = stop
        if writing is not None:
            writing.result()


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
    """Batches and what the model says about them, handed over when the next one is on its way."""
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
        names += [name.decode() for name in batch["id_str"].numpy()]
        values.append(said)
    if names:
        yield shard, stop, names, np.concatenate(values)


def galaxies_per_shard(records: Records, splits: list[str]) -> dict[str, int]:
    """The number of galaxies of every shard of some splits, in order."""
    shards = [path.name for split in splits for path in records.shards(split)]
    counts = Counter()
    with pq.ParquetFile(records.folder / "index.parquet") as index:
        for rows in index.iter_batches(columns=["shard"]):
            counts.update(rows["shard"].to_pylist())
    return {name: counts[name] for name in shards}


def _key(records: Records, shard: str) -> str:
    """A shard's name in the names of parts: with its checksum, since others may have a shard of that name too."""
    return f"{shard.removesuffix('.tfrecord')}-{records.checksums[shard]}"


def _parts(folder: Path, key: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"part-{key}-*.parquet") if _PART.fullmatch(path.name))


def _done(folder: Path, key: str) -> int:
    """How many of a shard's galaxies have been seen."""
    return max((int(_PART.fullmatch(path.name)["stop"]) for path in _parts(folder, key)), default=0)


def missing_galaxies(records: Records, folder: Path, splits: list[str]) -> list[dict]:
    """Galaxies that no part has, of these splits and of any shard with parts: `id_str`, `file_loc`, `reason`."""
    failures = []
    for shard in galaxies_per_shard(records, list(records.splits)):
        parts = _parts(folder, _key(records, shard))
        if not parts and shard.split("-")[0] not in splits:
            continue
        have = {name for path in parts for name in pq.read_table(path, columns=["id_str"])["id_str"].to_pylist()}
        index = pd.read_parquet(records.folder / "index.parquet", filters=[("shard", "==", shard)])
        for row in index[~index["id_str"].isin(have)].to_dict("records"):
            reason = _reason(records, row["id_str"])
            failures.append({"id_str": row["id_str"], "file_loc": row.get("file_loc"), "reason": reason})
    return failures


def _reason(records: Records, id_str: str) -> str:
    try:
        next(read_pixels(records, [id_str]))
    except Exception as error:  # readers raise many kinds, all meaning the same to us
        return f"cannot be decoded: {error}"
    return "the model's output is not finite"


@contextlib.contextmanager
def open_galaxies(out: Path, catalog, images, records, split: str | None, part: str | None):
    """The records to go through and their splits: those given, or some for the time of the work, in `out/state`.

    If what stands under `with` finds that they cannot be used, no new folder is left behind.

    Raises:
        ValueError: Neither or both are given, parts of a catalogue, or no galaxies.
    """
    if (records is None) == (catalog is None):
        raise ValueError("give either records, or a catalog with images")
    if images is not None and catalog is None:
        raise ValueError("images need a catalog that says what is on them")
    share_of({}, part)
    if part is not None and catalog is not None:
        raise ValueError("parts need records: build them first (build-records, which has parts too), then give records")
    begun = out.exists()
    try:
        if catalog is None:
            found = Records.open(records)
            for finding in found.findings():
                log.warning("odd: %s", finding)
        else:
            source = images or Path(catalog).expanduser().parent
            found = build_records(catalog, out / "state" / "records", images=source, max_failures=1.0)
        splits = [split] if split else [name for name, galaxies in found.splits.items() if galaxies]
        if not galaxies_per_shard(found, splits):
            raise ValueError(f"the split {split!r} of {found.folder} is empty" if split else "there are no galaxies")
        yield found, splits
    except (ValueError, OSError):
        if catalog is not None and not begun:
            shutil.rmtree(out, ignore_errors=True)
        raise


def list_failures(out: Path, records: Records, folder: Path, splits: list[str]) -> int:
    """Lists in `failures.csv` which galaxies are left out and why; returns their number."""
    failures = missing_galaxies(records, folder, splits)
    unusable = records.folder / "failures.parquet"
    if records.folder.parent == out / "state" and unusable.exists():
        failures = pd.read_parquet(unusable).to_dict("records") + failures
    (out / "failures.csv").unlink(missing_ok=True)  # of an earlier call
    if failures:
        write_whole(
            out / "failures.csv", lambda path: for_spreadsheets(pd.DataFrame(failures)).to_csv(path, index=False)
        )
        log.warning("%d galaxies are left out, see failures.csv", len(failures))
    return len(failures)
