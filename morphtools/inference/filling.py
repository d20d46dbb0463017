"""Runs shards of records through a model and writes complete parts: the work of one process for `stream`.

Until a shard is finished, its results are kept as pieces in `state/pieces`, so that a kill costs only seconds.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from morphtools.data.batches import read_run, read_shards
from morphtools.inference.parts import all_parts, gaps, parts_of, publish, write_part
from morphtools.models.folding import folded
from tfrecords_builder.checksums import reading as reading_of
from tfrecords_builder.naming import some
from tfrecords_builder.records import Records
from tfrecords_builder.tfrecord import read_record

_CONSTANTS = 5 * 10**6  # kernels of larger models are not constants of the graph: those take 17 times their memory
_ROWS, _SECONDS = 8192, 15.0  # a piece is written when it has so many galaxies, or after so long


def fill(
    step: Callable,
    shape: tuple[int, ...],
    records: Records,
    folder: Path,
    table: Callable[[list[str], np.ndarray], pa.Table],
    sizes: dict[str, int],
    options: dict,
    bar: tqdm | None = None,
) -> None:
    """Shows a model all galaxies of some shards that are not in a part yet, and writes their parts.

    Args:
        step: The forward pass, as `compiled` gives it.
        shape: Shape of its output for a galaxy.
        records: As for `stream`, like the next two.
        folder: Folder of the parts.
        table: Function that turns outputs into a table.
        sizes: Galaxies of each shard.
        options: Options of `read_shards`.
        bar: Progress bar to update.
    """
    pieces = folder / "state" / "pieces"
    pieces.mkdir(parents=True, exist_ok=True)
    keys = {name: shard_key(records, name) for name in sizes}
    parts, begun = all_parts(folder), all_parts(pieces)

    def left(name: str) -> list[tuple[int, int]]:
        return gaps(sorted([*parts.get(keys[name], []), *begun.get(keys[name], [])]), sizes[name])

    def keep(name: str, start: int, stop: int, names: list[str], values: np.ndarray) -> None:
        good = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        kept = table([name for name, each in zip(names, good, strict=True) if each], values[good])
        written = None
        while written is None:
            pieces.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another part of the job was done, and found the folder empty
                written = write_part(pieces, f"part-{keys[name]}-{start:08d}-{stop:08d}", kept)
        if stop == sizes[name] and not gaps(parts_of(pieces, keys[name]), stop):
            publish(pieces, folder, keys[name], stop)

    ends = {name: each[-1] for name in sizes if (each := left(name))}
    starts = {name: start for name, (start, stop) in ends.items() if stop == sizes[name]}
    if bar is not None:
        bar.update(sum(stop - start for each in begun.values() for start, stop, _ in each))
    if starts:
        _show(_outputs(step, read_shards(records, starts, **options), bar), records, keep, starts)
    parts, begun = all_parts(folder), all_parts(pieces)
    for name, key in keys.items():
        for start, galaxies in _sound(records, name, left(name)):  # what damage has hidden
            stop = start + len(galaxies)
            batches = read_run(records, galaxies, start, **options)
            reached = _show(_outputs(step, batches, bar), records, keep, {name: start})[name]
            if reached < stop:  # none of the last ones can be decoded
                keep(name, reached, stop, [], np.zeros((0, *shape), np.float32))
        publish(pieces, folder, key, sizes[name])


def _show(outputs: Iterator, records: Records, keep: Callable, places: dict[str, int]) -> dict[str, int]:
    """Keeps outputs run by run; `places` has where each shard begins. Returns where it ended."""
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
                writing.result()  # so that no more than one run waits to be written; raises what went wrong with it
            writing = writer.submit(keep, shard, places[shard], stop, names, values)
            places[shard] = stop
        if writing is not None:
            writing.result()
    return places


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


def shard_key(records: Records, shard: str) -> str:
    """A shard's name in the names of parts: with its checksum, since others may have a shard of that name too."""
    return f"{shard.removesuffix('.tfrecord')}-{records.checksums[shard]}"


def compiled(model: keras.Model, batch_size: int) -> Callable:
    """The model's forward pass, which may return before its result is computed."""
    model = folded(model)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
        large = model.count_params() > _CONSTANTS

        def value(weight):
            return weight.value if large and len(weight.shape) > 1 else keras.ops.convert_to_numpy(weight)

        weights = [list(map(value, each)) for each in (model.trainable_variables, model.non_trainable_variables)]
        return tf.function(
            lambda images: model.stateless_call(*weights, images, training=False)[0], input_signature=signature
        )

    def step(images):  # always of one shape, because others would be compiled again
        images = np.asarray(images)
        padded = np.pad(images, [(0, batch_size - len(images))] + [(0, 0)] * 3)
        return model.predict_on_batch(padded)[: len(images)]

    return step


def _advance(bar: tqdm | None, said) -> None:
    if bar is not None:
        bar.update(len(said))


def _outputs(step: Callable, batches, bar: tqdm | None) -> Iterator[tuple[dict, np.ndarray]]:
    """Batches and the model's outputs for them, handed over when the next one is on its way."""
    waiting = []
    for batch in batches:
        waiting.append((batch, step(batch.pop("image"))))
        if len(waiting) == 2:
            before, said = waiting.pop(0)
            yield before, np.asarray(said, np.float32)
            _advance(bar, said)
    for before, said in waiting:
        yield before, np.asarray(said, np.float32)
        _advance(bar, said)


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
