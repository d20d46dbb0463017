"""Selects galaxies of a catalogue by a set of cuts, and counts how many each cut leaves."""

import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from morphtools.archives.kept_tables import KeptTable, keep_table
from morphtools.survey.quality_cuts import Cuts, class_of, columns_of, passes, read_cuts
from tfrecords_builder.tables_out import ending_of, write_chunks

log = logging.getLogger(__name__)


class Selection(NamedTuple):
    """The result of a set of cuts.

    Attributes:
        out: The table of the galaxies that pass all cuts.
        galaxies: Number of these galaxies.
        steps: One row per cut, in order: `cut`, `section` of the paper, `left_out` (galaxies removed by this cut),
            `unknown` (galaxies for which it is unknown whether they pass), `left`.
    """

    out: Path
    galaxies: int
    steps: pd.DataFrame


def select_galaxies(
    catalog: str | Path | pd.DataFrame,
    out: str | Path,
    cuts: str | Path | Mapping,
    *,
    names: Mapping[str, str] | None = None,
) -> Selection:
    """Selects the galaxies of a catalogue that pass a set of cuts.

    Cuts apply one after the other, and the result reports how many galaxies each leaves. A set with classes, such as
    `mohale2023`, adds a column with the class of each galaxy. Galaxies for which it is
    unknown whether they pass, because a cell is empty, are left out, unless the cut keeps them. Published tables are
    recognised (see `morphtools.survey.known_tables`). Tables may be larger than memory if `out` is csv or parquet.

    Args:
        catalog: A catalogue in any format, or a `DataFrame`.
        out: The new file, in the format of its ending.
        cuts: A set that comes with the package (`list_cuts()`), the path of a YAML file, or its contents as a dict;
            see `morphtools.survey.quality_cuts`.
        names: Names of columns in the catalogue, by their names in the cuts.

    Returns:
        The steps, and how many galaxies are left.

    Raises:
        ValueError: The cuts cannot be read, columns are missing (all are listed), a cell cannot be compared, or no
            galaxy is left.
        FileExistsError: `out` exists.
    """
    out, cuts = Path(out), read_cuts(cuts)
    ending_of(out)
    if out.exists():
        raise FileExistsError(f"{out} already exists; choose another out")
    with tempfile.TemporaryDirectory() as folder:
        table = keep_table(catalog, Path(folder) / "table", places=False)
        for remark in table.remarks:
            log.info("%s", remark)
        if cuts.column in table.table.column_names:
            raise ValueError(f"the table has a column {cuts.column!r} already, which these cuts write: rename it first")
        columns = columns_of(cuts, pd.Index(table.table.column_names), names)
        counts = np.zeros((len(cuts.cuts), 3), int)
        write_chunks(_passing(table, cuts, columns, counts), out)
    return Selection(out, int(counts[-1, 2]), _steps(cuts, counts))


def _passing(table: KeptTable, cuts: Cuts, columns: Mapping[str, str], counts: np.ndarray) -> Iterator[pd.DataFrame]:
    """Yields the rows that pass, in pieces, and updates `counts`: (cuts, 3) left out, unknown, left."""
    for piece in table.pieces():
        for number, cut in enumerate(cuts.cuts):
            passed = passes(cut.test, piece, columns)
            unknown = int(passed.isna().sum())
            keep = passed.fillna(cut.keep_unknown).to_numpy(bool)
            counts[number] += [len(piece) - keep.sum(), unknown, keep.sum()]
            piece = piece[keep]
        if cuts.classes:
            piece = piece.assign(**{cuts.column: class_of(cuts, piece, columns)})
        yield piece
    if not counts[-1, 2]:
        steps = _steps(cuts, counts)
        last = steps["cut"][int((counts[:, 2] == 0).argmax())]
        raise ValueError(f"no galaxy passes all cuts: none are left after {last!r}\n{steps.to_string(index=False)}")


def _steps(cuts: Cuts, counts: np.ndarray) -> pd.DataFrame:
    about = {"cut": [str(cut.test) for cut in cuts.cuts], "section": [cut.section for cut in cuts.cuts]}
    return pd.DataFrame(about | dict(zip(("left_out", "unknown", "left"), counts.T, strict=True)))
