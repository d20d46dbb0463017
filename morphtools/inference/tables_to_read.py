"""`predictions.csv` and its like: what people read of predictions, beside what the catalogue knows of the galaxies."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from morphtools.answers.digits import significant_columns
from morphtools.answers.kinds import AnyAnswer
from morphtools.answers.to_read import beside_catalog
from morphtools.inference.stream import shard_key
from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.checksums import file_checksum, reading
from tfrecords_builder.plan import OURS
from tfrecords_builder.records import Records
from tfrecords_builder.tables_out import ending_of, write_chunks

FORMATS = ("csv", "parquet")
_ROWS = 16384  # at a time


def checked_formats(formats: str | Sequence[str] | None) -> list[str]:
    """Endings of tables, from names separated by commas or a list: `csv`, `parquet`, `fits`, `vot`, `ecsv`, `tsv`.

    Raises:
        ValueError: One of them is not known.
    """
    if formats is None:
        return list(FORMATS)
    names = [name.strip().lower() for name in (formats.split(",") if isinstance(formats, str) else formats)]
    names = ["vot" if name == "votable" else name for name in names]
    for name in names:
        ending_of(f"predictions.{name}")
    return names


def write_to_read(
    full: Path,
    answer: AnyAnswer,
    questions: tuple[str, ...],
    formats: list[str],
    *,
    beside: str | Path | Records,
) -> dict[str, str]:
    """Writes `predictions.FORMAT` beside `predictions-full.parquet`; returns their checksums by name.

    The galaxies of a catalogue are in its order, and those of records in the order of their shards. Only the former
    are in memory all at once.

    Args:
        full: The full table.
        answer: What was predicted.
        questions: Questions of a vote model, those to have (see `choose`).
        formats: As `checked_formats` gives them.
        beside: The catalogue of the galaxies, or their records.

    Raises:
        ValueError: A format cannot hold a column of the catalogue.
    """
    paths = [full.with_name(f"predictions.{name}") for name in formats]
    if isinstance(beside, Records):
        for path in paths:
            write_chunks(_beside_records(_predicted(full, answer, questions), beside), path)
    else:
        predicted = pd.concat(_predicted(full, answer, questions), ignore_index=True)
        whole = beside_catalog(check_catalog(read_catalog(beside)), predicted)
        for path in paths:
            write_chunks(iter([whole]), path)
    return {path.name: file_checksum(path) for path in paths}


def _predicted(full: Path, answer: AnyAnswer, questions: tuple[str, ...]) -> Iterator[pd.DataFrame]:
    """The columns to read of a full table, some galaxies at a time."""
    with reading(full), pq.ParquetFile(full, pre_buffer=False) as file:
        names = [field.name for field in file.schema_arrow if not pa.types.is_fixed_size_list(field.type)]
        for batch in file.iter_batches(_ROWS, columns=names):
            table = batch.to_pandas()
            more = significant_columns(table[[name for name in ("familiarity",) if name in table]])
            yield answer.to_read(table, questions).join(more)


def _beside_records(tables: Iterator[pd.DataFrame], records: Records) -> Iterator[pd.DataFrame]:
    """Predictions beside what the index of the records knows, which is read a shard at a time."""
    shards = iter(sorted(records.checksums, key=lambda name: f"{shard_key(records, name)}-"))  # as those of the parts
    known = pd.DataFrame({"id_str": []})
    for table in tables:
        while not table["id_str"].isin(known["id_str"]).all():
            shard = next(shards, None)
            if shard is None:
                raise ValueError(f"some galaxies of the predictions are not in {records.folder}")
            known = pd.concat([known, _known_of(records, shard)], ignore_index=True)
        yield beside_catalog(known, table)
        known = known.iloc[known["id_str"].tolist().index(table["id_str"].iloc[-1]) + 1 :]


def _known_of(records: Records, shard: str) -> pd.DataFrame:
    """What the catalogue said of the galaxies of a shard, with types that do not depend on what is unknown."""
    path = records.index_path
    with reading(path):
        rows = pd.read_parquet(path, filters=[("shard", "==", shard)], dtype_backend="numpy_nullable")
    return rows.drop(columns=list(OURS), errors="ignore")
