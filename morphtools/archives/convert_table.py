"""A table of one format in another, with the names that the other verbs know."""

import logging
import tempfile
from pathlib import Path

import pandas as pd

from morphtools.archives.kept_tables import keep_table
from tfrecords_builder.tables_out import ending_of, write_chunks

log = logging.getLogger(__name__)


def convert_table(table: str | Path | pd.DataFrame, out: str | Path) -> list[str]:
    """Writes a table as csv, parquet, FITS, ECSV or VOTable, whichever the ending of `out` names.

    Published tables are recognised (see `morphtools.survey.known_tables`) and get `id_str`, `ra`, `dec`, labels and
    redshifts. From csv, parquet or FITS to csv or parquet tables may be larger than memory; they are kept in a
    temporary folder meanwhile.

    Args:
        table: A catalogue in any format, or a `DataFrame`.
        out: The new file.

    Returns:
        A sentence for every guess.

    Raises:
        FileExistsError: `out` is there already.
        ValueError: The format is not known, or cannot hold a column.
    """
    out = Path(out)
    ending_of(out)
    if out.exists():
        raise FileExistsError(f"{out} is there already; choose another out")
    with tempfile.TemporaryDirectory() as folder:
        kept = keep_table(table, Path(folder) / "table", places=False)
        for remark in kept.remarks:
            log.info("%s", remark)
        write_chunks(kept.pieces(), out)
    return list(kept.remarks)
