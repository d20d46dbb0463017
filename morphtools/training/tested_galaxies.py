"""`predictions.csv` of a run: its test galaxies with their predictions, beside the columns of the catalogue."""

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
        predicted: The readable table of an answer (`to_read`).
        catalog: The catalogue of the run; by default the index of the records is used.
        records: The records of the run.
    """
    about = check_catalog(read_catalog(catalog), ("id_str",)) if catalog else records.index()
    about = about.drop(columns=list(OURS), errors="ignore")
    write_table(beside_catalog(about, predicted), out / "predictions.csv")
