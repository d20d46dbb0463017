"""The work of `stream` done by an executor: processes of this machine, or the workers of a cluster."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import lru_cache, partial
from pathlib import Path

import keras

from morphtools.inference.filling import compiled, fill, shard_rows
from tfrecords_builder.checksums import check_file, file_checksum
from tfrecords_builder.files import write_whole
from tfrecords_builder.records import Records
from tfrecords_builder.sharing import results_of


@dataclasses.dataclass(frozen=True)
class Work:
    """What a worker needs to know, small enough to be sent with every shard; all paths are absolute."""

    model: Path
    records: Path
    checksums: tuple[str, str]  # of the two
    folder: Path
    table: Callable
    options: dict
    backend: str


def compute_on(
    executor: Executor,
    model: keras.Model,
    records: Records,
    folder: Path,
    table: Callable,
    shards: Iterable[str],
    options: dict,
) -> Iterator[str]:
    """Distributes shards one at a time; yields the name of each when its parts are written.

    The model is sent as a file in `folder/state`, which a worker reads once.

    Args:
        executor: Its workers see the same files.
        model: As for `stream`, like the next three.
        records: Records of the galaxies.
        folder: Folder of the parts.
        table: What is kept of outputs; can be pickled.
        shards: Their names.
        options: Options of `read_shards`.

    Raises:
        ChildProcessError: A worker died too often, or the cluster gave up; the same call resumes.
    """
    path = folder.absolute() / "state" / "model.keras"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, model.save)
    about = records.folder.absolute() / "records.json"
    checksums = file_checksum(path), file_checksum(about)
    work = Work(path, about, checksums, folder.absolute(), table, options, keras.backend.backend())
    try:
        for name, _ in results_of(partial(_one_shard, work), shards, executor=executor):
            yield name
    finally:
        path.unlink(missing_ok=True)


def _one_shard(work: Work, shard: str) -> None:
    if keras.backend.backend() != work.backend:
        raise ValueError(
            f"a worker runs Keras on {keras.backend.backend()}, not on {work.backend}: start it with "
            f"KERAS_BACKEND={work.backend}"
        )
    step, shape, records = _opened(work.model, work.records, work.checksums, work.options["batch_size"])
    sizes = {shard: len(shard_rows(records, shard, ["id_str"]))}
    fill(step, shape, records, work.folder, work.table, sizes, work.options)


@lru_cache(maxsize=1)
def _opened(model: Path, records: Path, checksums: tuple[str, str], batch_size: int):
    """The forward pass, the shape of its output, and the records: read once by each worker."""
    for path, checksum in zip((model, records), checksums, strict=True):
        check_file(path, checksum)
    loaded = keras.saving.load_model(model, compile=False)
    return compiled(loaded, batch_size), loaded.output_shape[1:], Records.open(records.parent)
