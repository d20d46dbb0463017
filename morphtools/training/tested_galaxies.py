"""`predictions.csv` of a run: what people read of its test, beside what the catalogue knows of the galaxies."""

from pathlib import Path

import pandas as pd

from morphtools.answers.to_read import beside_catalog
from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.plan import OURS
from tfrecords_builder.records import Records
from tfrecords_builder.tables_out import write_table


def write_tested(out: Path, predicted: pd.DataFrame, *, catalog: str | Path | None, records: Records) -> None:
    """Writes `predictions.csv`: the test galaxies in the order of the catalogue, its columns, then the predictions.

    Args:
        out: Folder of the run.
        predicted: The table to read of an answer (`to_read`).
        catalog: The catalogue that the run was given; by default the index of the records knows the galaxies.
        records: Those that were given, or the run's own.
    """
    known = check_catalog(read_catalog(catalog), ("id_str",)) if catalog else records.index()
    known = known.drop(columns=list(OURS), errors="ignore")
    write_table(beside_catalog(known, predicted), out / "predictions.csv")
