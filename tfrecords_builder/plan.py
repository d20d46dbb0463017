"""The plan of a build: which rows of the catalogue go into which shard, on disk.

The catalogue is read twice in chunks, first to check and to count, then to deal its rows to one small Arrow file per
shard. Memory holds a chunk at a time, however long the catalogue is.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from tfrecords_builder.catalog import check_catalog, read_chunks
from tfrecords_builder.files import remove_partial
from tfrecords_builder.naming import some
from tfrecords_builder.splits import FRACTIONS, SPLITS, hash_integer, split_of

_OURS = ("shard", "offset", "missing_pixels", "pixel_flag", "findings")  # columns that a build adds
_CHUNK = 32768


class Census(NamedTuple):
    """What the first reading finds: rows per split (about), a hash, the columns' types, which of them are labels."""

    rows: dict[str, int]
    digest: str
    schema: pa.Schema
    label_cols: tuple[str, ...]


def take_census(catalog: str | Path | pd.DataFrame, needs: tuple[str, ...]) -> Census:
    """Checks a catalogue chunk by chunk and counts its rows; an `id_str` that repeats later shows up in `deal`."""
    hasher, rows, schema, splits = hashlib.sha256(), 0, None, Counter()
    for chunk in read_checked(catalog, needs):
        table = _to_arrow(chunk, rows)
        try:
            known = table.schema if schema is None else schema
            schema = pa.unify_schemas([known, table.schema], promote_options="permissive")
            hasher.update(pd.util.hash_pandas_object(chunk, index=False).to_numpy().tobytes())
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
            raise ValueError(f"rows from {rows} on are unlike those before, or no plain values: {error}") from error
        rows += len(chunk)
        splits.update(chunk.get("split", ()))
    if not splits:
        splits = {split: round(rows * share) for split, share in zip(SPLITS, FRACTIONS, strict=True)}
    labels = tuple(f.name for f in schema if _is_number(f.type) and f.name not in ("id_str", "file_loc"))
    hasher.update(json.dumps(schema.names).encode())
    return Census(dict(splits), hasher.hexdigest(), schema, labels)


def read_checked(catalog, needs: tuple[str, ...]) -> Iterator[pd.DataFrame]:
    """The catalogue in checked chunks, without the columns of an earlier build."""
    for chunk in read_chunks(catalog, _CHUNK):
        yield check_catalog(chunk, needs).drop(columns=list(_OURS), errors="ignore")


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _to_arrow(chunk: pd.DataFrame, start: int, schema: pa.Schema | None = None) -> pa.Table:
    try:
        return pa.Table.from_pandas(chunk, schema, preserve_index=False).replace_schema_metadata()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"rows from {start} on hold a column that is no plain data: {error}") from error


def deal(
    catalog, census: Census, folder: Path, *, needs, seed: int, per_shard: int, prefix: str, known, note: dict
) -> None:
    """Deals the rows to the shards: one Arrow file each in `folder/rows`, then `plan.json`.

    The split of a galaxy, where no column tells it, and its shard follow from hashes of its `id_str`.

    Args:
        catalog: Path or DataFrame, as read before.
        census: What the first reading found.
        folder: Where to; appears whole or not at all.
        needs: Columns that have to be there.
        seed: Seed of the hashes.
        per_shard: Galaxies per shard, about.
        prefix: Of the shards' numbers.
        known: Sorted `order_keys` of galaxies to leave out, or None.
        note: What else the plan shall tell.

    Raises:
        ValueError: An `id_str` comes more than once.
    """
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
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
            columns = {"split": pa.array(split, pa.string()), "shard": pa.array(shard, pa.string()), "order": order}
            for name, values in columns.items():
                table = table.append_column(name, pa.array(values))
            for name, places in pd.Series(range(len(shard))).groupby(pd.Series(shard, dtype=object)):
                _append(partial / "rows" / f"{name}.arrow", table.take(places.to_numpy()))
                shards[name] += len(places)
        _check_unique(partial / "rows", shards)
        (partial / "done").mkdir()
        (partial / "plan.json").write_text(json.dumps(note | {"shards": dict(sorted(shards.items()))}))
        if not (folder / "plan.json").exists():
            remove_plan(folder)  # what is left of one that was being removed
            _rename(partial, folder)
    finally:
        remove_plan(partial)


def _rename(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError:
        if not (folder / "plan.json").exists():  # no other part of the same build was faster
            raise FileExistsError(f"{folder} holds files that are not of a build; move them away") from None


def _append(path: Path, rows: pa.Table) -> None:
    with pa.OSFile(str(path), "ab") as file, pa.ipc.new_stream(file, rows.schema) as stream:
        stream.write_table(rows)


def read_plan(folder: Path) -> dict | None:
    """`shards` (their number of rows by name) and the note of the plan in `folder`, if there is one."""
    path = folder / "plan.json"
    return json.loads(path.read_text()) if path.exists() else None


def read_rows(folder: Path, shard: str) -> pa.Table:
    """The rows dealt to a shard, in the order of their hashes."""
    tables = []
    with pa.OSFile(str(folder / "rows" / f"{shard}.arrow")) as file:
        while file.tell() < file.size():  # one stream after the other, as they were appended
            tables.append(pa.ipc.open_stream(file).read_all())
    return pa.concat_tables(tables).sort_by([("order", "ascending"), ("id_str", "ascending")])


def order_keys(ids, seed: int) -> np.ndarray:
    """uint64: where each galaxy stands among all others."""
    return np.array([hash_integer(i, seed, "shard") for i in ids], dtype=np.uint64)


def _check_unique(rows: Path, shards) -> None:
    repeated = []
    for name in shards:  # the same id_str is always in the same shard
        ids = read_rows(rows.parent, name)["id_str"].to_pandas()
        repeated += ids[ids.duplicated()].unique().tolist()
    if repeated:
        raise ValueError(f"the catalogue cannot be used: {len(repeated)} id_str more than once ({some(repeated)})")


def remove_plan(folder: Path) -> None:
    """Removes a plan, and of the folder only what we put there."""
    # plan.json first: it says that the rest is there
    for pattern in (
        "plan.json",
        "rows/*.tfrecord.arrow",
        "done/*.parquet",
        ".*.partial",
        "done/.*.partial.*",
    ):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    for path in (folder / "rows", folder / "done", folder):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def remove_leftovers(out: Path) -> None:
    """Removes the plan in the records' folder, and the unfinished files of builds that were killed."""
    remove_partial(out)
    for folder in (out / ".build", *out.glob(".build.[0-9]*.partial")):
        remove_plan(folder)
