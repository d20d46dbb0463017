"""Converts tables between formats, with the column names that other commands use."""

import logging
import tempfile
from pathlib import Path

import pandas as pd

from morphtools.archives.kept_tables import keep_table
from tfrecords_builder.tables_out import ending_of, write_chunks

log = logging.getLogger(__name__)


def convert_table(table: str | Path | pd.DataFrame, out: str | Path) -> list[str]:
    """Writes a table as csv, parquet, FITS, ECSV or VOTable, depending on the ending of `out`.

    Published tables are recognised (see `morphtools.survey.known_tables`) and get `id_str`, `ra`, `dec`, labels and
    redshifts. From csv, parquet or FITS to csv or parquet, tables may be larger than memory; a temporary folder holds
    them meanwhile.

    Args:
        table: A catalogue in any format, or a `DataFrame`.
        out: The new file.

    Returns:
        A sentence for every guess that was made.

    Raises:
        FileExistsError: `out` exists.
        ValueError: The format is unknown, or cannot hold a column.
    """
    out = Path(out)
    ending_of(out)
    if out.exists():
        raise FileExistsError(f"{out} already exists; choose another out")
    with tempfile.TemporaryDirectory() as folder:
        kept = keep_table(table, Path(folder) / "table", places=False)
        for remark in kept.remarks:
            log.info("%s", remark)
        write_chunks(kept.pieces(), out)
    return list(kept.remarks)
