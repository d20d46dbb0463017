"""The plan of a build on disk: which rows of the catalogue go into which shard.

The catalogue is read twice in chunks: once to check and count, once to distribute its rows to one small Arrow file per
shard. Only one chunk is in memory at a time, however long the catalogue is.

Any number of processes may plan the same build at once without a lock: each makes its plan in its own folder and
renames it to `.build`. The first succeeds, the others use its plan. Plans are also removed by renaming, so that nobody
sees half a plan.
"""

import contextlib
import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from tfrecords_builder.catalog import check_catalog, read_chunks
from tfrecords_builder.checksums import reading
from tfrecords_builder.files import remove_partial
from tfrecords_builder.json_files import read_json, write_json
from tfrecords_builder.naming import some
from tfrecords_builder.splits import FRACTIONS, SPLITS, hash_integer, split_of

OURS = ("shard", "offset", "missing_pixels", "pixel_flag", "findings", "image_hash")  # columns that a build adds
ORDER = "_order"  # column of the plan's rows: the position of a galaxy among all others
_TAKEN = ("image", "shape", "mask")  # names of features of a record, not allowed for labels
_CHUNK = 32768
_FILES = ("plan.json", "index.json", "rows/*.tfrecord.arrow", "done/*.parquet", ".*.partial*", "done/.*.partial.*")
_PLAN = {"digest": str, "shards": dict, "records": dict}


class Census(NamedTuple):
    """Results of the first reading: approximate rows per split, a hash, column types, and which columns are labels."""

    rows: dict[str, int]
    digest: str
    schema: pa.Schema
    label_cols: tuple[str, ...]


def take_census(catalog: str | Path | pd.DataFrame, needs: tuple[str, ...]) -> Census:
    """Checks a catalogue chunk by chunk and counts its rows; ids repeated in other chunks are detected by `deal`."""
    hasher, rows, schemas, splits = hashlib.sha256(), 0, [], Counter()
    for chunk in read_checked(catalog, needs):
        table = _to_arrow(chunk, rows)
        try:
            schemas = [pa.unify_schemas([*schemas, table.schema], promote_options="permissive")]
            hasher.update(pd.util.hash_pandas_object(chunk, index=False).to_numpy().tobytes())
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ValueError(f"rows from {rows} on have other types than those before: {error}") from error
        except TypeError as error:
            nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
            raise ValueError(f"column {some(map(repr, nested))} has several values in a cell: leave it out") from error
        rows += len(chunk)
        splits.update(chunk.get("split", ()))
    if not splits:
        splits = {split: round(rows * share) for split, share in zip(SPLITS, FRACTIONS, strict=True)}
    (schema,) = schemas
    labels = tuple(f.name for f in schema if _is_number(f.type) and f.name not in ("id_str", "file_loc"))
    taken = [name for name in schema.names if name in (ORDER, "_place") or (name in _TAKEN and name in labels)]
    if taken:
        raise ValueError(
            f"columns cannot be called {some(taken, 8)}, because records use these names: rename them in the "
            f"catalogue, for example to my_{taken[0]}"
        )
    hasher.update(json.dumps(schema.names).encode())
    return Census(dict(splits), hasher.hexdigest(), schema, labels)


def read_checked(catalog, needs: tuple[str, ...]) -> Iterator[pd.DataFrame]:
    """Reads the catalogue in checked chunks, without the columns of an earlier build."""
    for chunk in read_chunks(catalog, _CHUNK):
        if len({"shard", "offset"} & set(chunk.columns)) == 1:  # an index of records has both
            (name,) = {"shard", "offset"} & set(chunk.columns)
            raise ValueError(f"a column cannot be called {name}, because records use this name: rename it")
        yield check_catalog(chunk, needs).drop(columns=list(OURS), errors="ignore")


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _to_arrow(chunk: pd.DataFrame, start: int, schema: pa.Schema | None = None) -> pa.Table:
    try:
        return pa.Table.from_pandas(chunk, schema, preserve_index=False).replace_schema_metadata()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"a column is not plain data from row {start} on: {error}") from error


def deal(
    catalog, census: Census, folder: Path, *, needs, seed: int, per_shard: int, prefix: str, known, note: dict
) -> None:
    """Distributes the rows to the shards: one Arrow file each in `folder/rows`, then `plan.json`.

    Hashes of its `id_str` decide a galaxy's shard and, unless there is a column for it, its split.

    Args:
        catalog: Path or DataFrame, as read before.
        census: Result of the first reading.
        folder: Folder of the plan; appears complete or not at all. A plan put there first by another process stays.
        needs: Required columns.
        seed: Seed of the hashes.
        per_shard: Approximate number of galaxies per shard.
        prefix: Prefix of the shard numbers.
        known: Sorted `order_keys` of galaxies to leave out, or None.
        note: Further information to store in the plan.

    Raises:
        ValueError: An `id_str` occurs more than once.
        FileExistsError: Shards with these names exist that do not belong to this build.
    """
    partial = _private(folder)
    (partial / "rows").mkdir(parents=True)
    counts = {split: max(1, -(-rows // per_shard)) for split, rows in census.rows.items()}
    shards = Counter()
    try:
        for chunk in read_checked(catalog, needs):
            table = _to_arrow(chunk, 0, census.schema)
            split = np.array(chunk["split"] if "split" in chunk else [split_of(i, seed) for i in chunk["id_str"]])
            order = order_keys(chunk["id_str"], seed)
            if known is not None:
                new = ~np.isin(order, known)
                table, split, order = table.filter(new), split[new], order[new]
            numbers = [u * counts[s] >> 64 for u, s in zip(order.tolist(), split, strict=True)]
            shard = [f"{s}-{prefix}{n:05d}.tfrecord" for s, n in zip(split, numbers, strict=True)]
            if "split" in table.column_names:
                table = table.drop_columns("split")
            columns = {"split": pa.array(split, pa.string()), "shard": pa.array(shard, pa.string()), ORDER: order}
            for name, values in columns.items():
                table = table.append_column(name, pa.array(values))
            for name, places in pd.Series(range(len(shard))).groupby(pd.Series(shard, dtype=object)):
                _append(partial / "rows" / f"{name}.arrow", table.take(places.to_numpy()))
                shards[name] += len(places)
        _check_unique(partial / "rows", shards)
        (partial / "done").mkdir()
        write_json(partial / "plan.json", note | {"shards": dict(sorted(shards.items()))})
        strangers = [name for name in shards if (folder.parent / name).exists()]
        if strangers and read_plan(folder) is None:  # checked last: shards are built after their plan
            raise FileExistsError(f"{folder.parent} contains shards of something else: {some(strangers)}")
        _install(partial, folder)
    finally:
        remove_plan(partial)


def _private(folder: Path) -> Path:
    """A name that no other process uses, on any machine."""
    return folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.partial")


def _install(partial: Path, folder: Path) -> None:
    """Installs a plan as the plan of the build, unless another process was faster."""
    for _ in range(2):
        try:
            partial.rename(folder)
            return
        except OSError:
            if read_plan(folder) is not None:
                return
            remove_plan(folder, digest="")  # remains of a plan that an earlier version was removing
    raise FileExistsError(f"{folder} contains files that do not belong to a build; move them away")


def _append(path: Path, rows: pa.Table) -> None:
    with pa.OSFile(str(path), "ab") as file, pa.ipc.new_stream(file, rows.schema) as stream:
        stream.write_table(rows)


def read_plan(folder: Path) -> dict | None:
    """`shards` (number of rows by name) and the note of the plan in `folder`, if there is one."""
    try:
        plan = read_json(folder / "plan.json")
    except FileNotFoundError:
        return None
    if not all(isinstance(plan.get(name), kind) for name, kind in _PLAN.items()):
        raise ValueError(f"{folder / 'plan.json'} is damaged: remove {folder} to start the build again")
    return plan


def read_rows(folder: Path, shard: str) -> pa.Table:
    """The rows of a shard, in the order of their hashes."""
    tables, path = [], folder / "rows" / f"{shard}.arrow"
    with reading(path), pa.OSFile(str(path)) as file:
        while file.tell() < file.size():  # one stream after another, as appended
            tables.append(pa.ipc.open_stream(file).read_all())
    table = pa.concat_tables(tables)
    if ORDER not in table.column_names:  # an unfinished build of an earlier version
        table = table.rename_columns({"order": ORDER})
    return table.sort_by([(ORDER, "ascending"), ("id_str", "ascending")])


def order_keys(ids, seed: int) -> np.ndarray:
    """uint64 keys that order the galaxies."""
    return np.array([hash_integer(i, seed, "shard") for i in ids], dtype=np.uint64)


def _check_unique(rows: Path, shards) -> None:
    repeated = []
    for name in shards:  # the same id_str is always in the same shard
        ids = read_rows(rows.parent, name)["id_str"].to_pandas()
        repeated += ids[ids.duplicated()].unique().tolist()
    if repeated:
        raise ValueError(f"the catalogue cannot be used: {len(repeated)} id_str more than once ({some(repeated)})")


def remove_plan(folder: Path, digest: str | None = None) -> None:
    """Removes a plan, and only our own files.

    Args:
        folder: The plan.
        digest: Remove it only if it belongs to this build, or is the remains of a plan; another process may have
            started the next build.
    """
    aside = folder if folder.name.endswith(".partial") else _private(folder)
    with contextlib.suppress(FileNotFoundError):
        folder.rename(aside)
    plan = read_plan(aside) if digest is not None else None
    if plan is None or plan.get("digest") == digest:
        for pattern in _FILES:
            with contextlib.suppress(FileNotFoundError):  # a folder that another process has removed at the same time
                for path in aside.glob(pattern):
                    path.unlink(missing_ok=True)
        for path in (aside / "rows", aside / "done", aside):
            with contextlib.suppress(OSError):  # not empty, or removed by another process
                path.rmdir()
    if aside != folder and aside.exists():  # not ours
        with contextlib.suppress(OSError):
            aside.rename(folder)


def remove_leftovers(out: Path, digest: str) -> None:
    """Removes the plan of a finished build, and unfinished files of killed builds."""
    remove_partial(out)
    for folder in out.glob(".build.*.partial"):
        remove_plan(folder)
    remove_plan(out / ".build", digest)
