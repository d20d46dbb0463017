"""Finds rows of two tables at the same place on the sky."""

import contextlib
import dataclasses
import glob
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.archives.kept_tables import ROWS, KeptTable, keep_table
from morphtools.archives.sky_pairs import groups_of, nearest_within, one_to_one, pairs_within, separations_of
from tfrecords_builder.locks import lock
from tfrecords_builder.naming import check_known, some
from tfrecords_builder.tables_out import ending_of, write_chunks, write_table

log = logging.getLogger(__name__)

FINDS = ("one-to-one", "nearest", "all")
_LARGEST = 90.0
_SEPARATION = "separation_arcsec"


@dataclasses.dataclass(frozen=True)
class CrossMatch:
    """The result of a cross-match.

    Attributes:
        rows_a: (P,) rows of the first table, -1 for none.
        rows_b: (P,) rows of the second table, -1 if a row of the first has no match.
        separations: (P,) arcsec, NaN without a match.
        duplicates: Rows left out because another row of their table is at the same place: `table` (a or b), `row`,
            `id_str` if there is one, `kept_row`, `separation_arcsec`.
        remarks: What was guessed, ignored or left out.
        table: The joined table, if it was not written to a file.
        out: The file it was written to.
    """

    rows_a: np.ndarray
    rows_b: np.ndarray
    separations: np.ndarray
    duplicates: pd.DataFrame
    remarks: tuple[str, ...]
    table: pd.DataFrame | None = None
    out: Path | None = None

    @property
    def summary(self) -> str:
        """The result in a sentence."""
        matched = self.separations[self.rows_b >= 0]
        text = f"{len(matched)} matches"
        if len(matched):
            text += f", median separation {np.median(matched):.3g} arcsec, 99% within {np.quantile(matched, 0.99):.3g}"
        alone = int((self.rows_b < 0).sum())
        return text + (f"; {alone} rows of the first table without a match" if alone else "")


def cross_match(
    a: str | Path | pd.DataFrame,
    b: str | Path | pd.DataFrame,
    out: str | Path | None = None,
    *,
    radius: float | str = "1.98 arcsec",
    find: str = "one-to-one",
    suffixes: tuple[str, str] = ("", "_b"),
    unmatched: bool = False,
    deduplicate: float | str | None = None,
    position_a: tuple[str, str] | None = None,
    position_b: tuple[str, str] | None = None,
) -> CrossMatch:
    """Joins two tables by position on the sky.

    The match is exact at any right ascension and declination. Memory holds the positions, the pairs and one zone of
    declination; the tables themselves are kept in a temporary folder beside `out`, which needs as much space as they
    do. A result in csv or parquet is written piece by piece; FITS, ECSV and VOTable are assembled in memory.

    Proper motions and epochs are ignored, with a remark. Published tables are recognised (see
    `morphtools.survey.known_tables`).

    Args:
        a: The first table: a catalogue in any format, or a `DataFrame`.
        b: The second.
        out: File of the joined table, in the format of its ending; by default it stays in memory.
        radius: Maximum separation: a number in arcsec, or text such as "0.5 arcmin".
        find: `nearest`: for each row of `a` the nearest of `b`, which may match several rows. `one-to-one`: each row of
            either table at most once, the closest pairs first. `all`: every pair.
        suffixes: Endings for the names of columns that both tables have.
        unmatched: Whether rows of `a` without a match stay in the result.
        deduplicate: Separation within which rows of one table are the same object (friends of friends). Of each group,
            the first row with the fewest empty cells is kept; the others are listed in `OUT-duplicates` beside `out`.
        position_a: Names of the columns of right ascension and declination of `a`.
        position_b: The same for `b`.

    Returns:
        The rows, their separations and the table, in the order of `a`, then of the separations.

    Raises:
        ValueError: A table has no positions, or an argument is not allowed.
        FileExistsError: `out` exists.
    """
    limit = to_degrees(radius, "radius")
    same = None if deduplicate is None else to_degrees(deduplicate, "deduplicate")
    check_known("find", find, FINDS)
    if len(suffixes) != 2 or suffixes[0] == suffixes[1]:
        raise ValueError(f"suffixes must be two different endings, such as _a,_b, got {some(map(repr, suffixes))}")
    listed = None if out is None else _new_files(Path(out))
    with _folder(out) as folder:
        tables = [keep_table(a, folder / "a", position_a), keep_table(b, folder / "b", position_b)]
        remarks = [
            f"table {name}: {remark}" for name, table in zip("ab", tables, strict=True) for remark in table.remarks
        ]
        duplicates = _duplicates(tables, same)
        left_out = [duplicates["row"][duplicates["table"] == name].to_numpy(int) for name in "ab"]
        sky_a, sky_b = (_without(table.sky, rows) for table, rows in zip(tables, left_out, strict=True))
        rows_a, rows_b, separations = _match(sky_a, sky_b, limit, find, remarks)
        remarks += [] if len(rows_a) else _other_units(sky_a, sky_b, limit)
        if unmatched:
            rows_a, rows_b, separations = _with_unmatched(rows_a, rows_b, separations, len(tables[0].sky), left_out[0])
        if same is not None and len(duplicates):
            remarks.append(f"{len(duplicates)} duplicates within {same * 3600:g} arcsec were left out")
        for remark in remarks:
            log.info("%s", remark)
        pieces = _joined(tables, rows_a, rows_b, separations, suffixes)
        table = None
        if out is None or listed is None:
            table = pd.concat(pieces, ignore_index=True)
        else:
            write_chunks(pieces, out)
            if len(duplicates):
                write_table(duplicates, listed)
    out = None if out is None else Path(out)
    return CrossMatch(rows_a, rows_b, separations, duplicates, tuple(remarks), table, out)


def to_degrees(angle: float | str, name: str) -> float:
    """Converts an angle to degrees; a number, or text without a unit, is in arcsec.

    Raises:
        ValueError: It is not an angle, or not from 0 to 90 degrees.
    """
    from astropy.units import Quantity, UnitsError, arcsec

    try:
        quantity = Quantity(str(angle).strip())
        degrees = float((quantity * arcsec if quantity.unit == "" else quantity).to_value("deg"))
    except (TypeError, ValueError, UnitsError):
        raise ValueError(f"{name} must be an angle such as '1.98 arcsec', got {angle!r}") from None
    if not 0 < degrees <= _LARGEST:
        raise ValueError(f"{name} must be more than 0 and at most {_LARGEST:g} degrees, got {angle!r}")
    return degrees


def _new_files(out: Path) -> Path:
    """Refuses to replace files; returns the path for the list of duplicates."""
    listed = out.with_name(out.name.removesuffix(ending_of(out)) + f"-duplicates{ending_of(out)}")
    for path in (out, listed):
        if path.exists():
            raise FileExistsError(f"{path} already exists; choose another out")
    return listed


@contextlib.contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    """A temporary folder for the tables: beside `out` if there is one. Leftovers of a killed call are removed."""
    if out is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    out = Path(out)
    folder = out.with_name(f".{out.name}.work")
    with lock(folder):
        for partial in out.parent.glob(f".[0-9]*.partial.{glob.escape(out.name)}"):
            partial.unlink()
        try:
            _empty(folder)
            yield folder
        finally:
            _empty(folder)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _empty(folder: Path) -> None:
    for name in "ab":
        shutil.rmtree(folder / name, ignore_errors=True)


def _match(sky_a, sky_b, limit: float, find: str, remarks: list[str]):
    if find == "nearest":
        return nearest_within(sky_a, sky_b, limit)
    rows_a, rows_b, separations = pairs_within(sky_a, sky_b, limit)
    if find == "one-to-one":
        several = int((np.bincount(rows_a) > 1).sum())
        kept = one_to_one(rows_a, rows_b, separations)
        lost = int((np.bincount(rows_a) > 0).sum() - (np.bincount(rows_a[kept]) > 0).sum())
        if several or lost:
            remarks.append(
                f"{several} rows of table a have several of b within {limit * 3600:g} arcsec; {lost} lost theirs "
                "to a closer row"
            )
        rows_a, rows_b, separations = rows_a[kept], rows_b[kept], separations[kept]
    return rows_a, rows_b, separations


def _other_units(sky_a, sky_b, limit: float) -> list[str]:
    """Which table seems to be in hours or radians, by the matches that there would be then."""
    for unit, factors in (("ra in hours", (15.0, 1.0)), ("ra and dec in radians", (180 / np.pi, 180 / np.pi))):
        for name, a, b in (("a", sky_a * factors, sky_b), ("b", sky_a, sky_b * factors)):
            if not (np.abs(np.concatenate([a, b])) > (360, 90)).any():
                matches = len(nearest_within(a, b, limit)[0])
                if matches:
                    return [f"no matches, but {matches} if table {name} has {unit}: convert them to degrees"]
    return []


def _duplicates(tables: list[KeptTable], radius: float | None) -> pd.DataFrame:
    parts = [pd.DataFrame({"table": [], "row": [], "kept_row": [], _SEPARATION: []})]
    if radius is None:
        return parts[0]
    for name, kept in zip("ab", tables, strict=True):
        group = groups_of(kept.sky, radius)
        order = np.lexsort((np.arange(len(group)), kept.empty, group))
        best = np.zeros(len(group), int)
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        best[group[order[starts]]] = order[starts]
        rows = np.flatnonzero(best[group] != np.arange(len(group)))
        others = best[group[rows]]
        part = pd.DataFrame({"table": name, "row": rows})
        if "id_str" in kept.table.column_names:
            part["id_str"] = kept.table.column("id_str").take(rows).to_pandas().astype(object)
        parts.append(part.assign(kept_row=others, **{_SEPARATION: separations_of(kept.sky[rows], kept.sky[others])}))
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _without(sky: np.ndarray, rows: np.ndarray) -> np.ndarray:
    sky = sky.copy()
    sky[rows] = np.nan
    return sky


def _with_unmatched(rows_a, rows_b, separations, number: int, left_out: np.ndarray):
    matched = np.zeros(number, bool)
    matched[rows_a] = matched[left_out] = True
    alone = np.flatnonzero(~matched)
    rows_a = np.concatenate([rows_a, alone])
    rows_b = np.concatenate([rows_b, np.full(len(alone), -1)])
    separations = np.concatenate([separations, np.full(len(alone), np.nan)])
    order = np.argsort(rows_a, kind="stable")
    return rows_a[order], rows_b[order], separations[order]


def _joined(tables: list[KeptTable], rows_a, rows_b, separations, suffixes) -> Iterator[pd.DataFrame]:
    of_a, of_b = (table.table.column_names for table in tables)
    names = _names(of_a, of_b, suffixes)
    for start in range(0, max(1, len(rows_a)), ROWS):
        part = slice(start, start + ROWS)
        left, right = (table.rows(rows[part]) for table, rows in zip(tables, (rows_a, rows_b), strict=True))
        left, right = left.set_axis(names[0], axis=1), right.set_axis(names[1], axis=1)
        yield pd.concat([left, right, pd.Series(separations[part], name=names[2])], axis=1)


def _names(of_a: list[str], of_b: list[str], suffixes: tuple[str, str]) -> tuple[list[str], list[str], str]:
    """Column names of the joined table: names in both tables get a suffix; capitals do not matter."""
    lower = [{name.lower() for name in names} for names in (of_a, of_b)]
    renamed = [
        [name + suffix if name.lower() in others else name for name in names]
        for names, others, suffix in zip((of_a, of_b), lower[::-1], suffixes, strict=True)
    ]
    both = pd.Series([*renamed[0], *renamed[1]])
    repeated = both[both.str.lower().duplicated()]
    if len(repeated):
        raise ValueError(
            f"with the suffixes {suffixes[0]!r} and {suffixes[1]!r} two columns are called {some(repeated)}; "
            "choose others"
        )
    taken = set(both.str.lower())
    separation = next(
        name for n in range(1, 99) if (name := f"{_SEPARATION}_{n}" if n > 1 else _SEPARATION) not in taken
    )
    return renamed[0], renamed[1], separation
