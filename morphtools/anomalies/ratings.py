"""Ratings of galaxies by people, in one SQLite file from which nothing is ever deleted."""

import contextlib
import datetime
import errno
import numbers
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from tfrecords_builder.naming import some

HIGHEST = 5
AGREED = "(agreed)"  # the "rater" of ratings that settle a disagreement: only these count
_FAR = 2  # a difference between two ratings of a galaxy that is a disagreement

_TABLES = """
CREATE TABLE IF NOT EXISTS ratings (
    number INTEGER PRIMARY KEY, id_str TEXT NOT NULL, rating REAL, rater TEXT NOT NULL, time TEXT NOT NULL,
    undone TEXT, checksum INTEGER, judgement TEXT, UNIQUE (rater, id_str, time));
CREATE TABLE IF NOT EXISTS asked (
    rater TEXT NOT NULL, place INTEGER NOT NULL, id_str TEXT NOT NULL, PRIMARY KEY (rater, place));
"""
_RATING = "id_str, rating, rater, time, undone"
# Each rater's latest rating of a galaxy that was not taken back (with max, SQLite takes that row's other columns).
_STANDING = (
    "SELECT id_str, rating, max(time) AS time, number, rater FROM ratings WHERE undone IS NULL GROUP BY rater, id_str"
)
_OF = "? IN (rater, '')"  # of one rater, or with an empty name of all
_SETTLED = f"SELECT id_str FROM ratings WHERE undone IS NULL AND rater = '{AGREED}'"
_COUNTED = f"SELECT * FROM ({_STANDING}) WHERE rater = '{AGREED}' OR id_str NOT IN ({_SETTLED})"


class Ratings:
    """Who rated which galaxy, how and when; and what each rater was shown last.

    Several processes and raters may use one file at a time. A galaxy rated again by the same rater keeps the earlier
    rating in the history, and `undo` brings it back.

    Args:
        path: The SQLite file; it is made if there is none.

    Raises:
        OSError: It cannot be read or written, from any method.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        with self._open() as database:
            database.executescript(_TABLES)
            database.execute("BEGIN IMMEDIATE")
            columns = [column[1] for column in database.execute("PRAGMA table_info(ratings)")]
            for column, kind in {"checksum": "INTEGER", "judgement": "TEXT"}.items():
                if column not in columns:
                    database.execute(f"ALTER TABLE ratings ADD COLUMN {column} {kind}")  # of an earlier version
            database.execute("CREATE UNIQUE INDEX IF NOT EXISTS one_judgement ON ratings (judgement)")

    def check(self) -> None:
        """Verifies the whole file, and the checksum of every rating.

        Raises:
            ValueError: It is damaged.
        """
        with self._open() as database:
            problems = [" ".join(row[0].split()) for row in database.execute("PRAGMA integrity_check")]
            for row in database.execute(f"SELECT checksum, {_RATING} FROM ratings WHERE checksum IS NOT NULL"):
                if row[0] != _checksum(row[1:]):
                    problems.append(f"the rating of {row[1]!r} by {row[3]!r} is not what was stored")
        if problems := [problem for problem in problems if problem != "ok"]:
            raise ValueError(f"{self.path} is damaged: {some(problems, 2)}; restore it from a copy")

    def add(self, ratings: Mapping[str, float | None], rater: str, judgement: str | None = None) -> None:
        """Stores ratings, all or none; they are on disk when this returns.

        Args:
            ratings: 0–5 by `id_str`; None for a galaxy that was seen but cannot be rated.
            rater: Name of who rated.
            judgement: A name for a single rating: stored again under it, because nobody knew whether it was, it counts
                once.

        Raises:
            ValueError: A rating outside 0–5, or a rater without a name.
            FileExistsError: Another rating has the name.
        """
        if judgement is not None and len(ratings) != 1:
            raise ValueError(f"a judgement is one rating, got {len(ratings)}")
        if not isinstance(ratings, Mapping):
            raise ValueError(f"ratings are given by id_str, as {{'g1': 4, 'g2': None}}, got {ratings!r}")
        check_rater(rater)
        bad = [f"{name}: {rating}" for name, rating in ratings.items() if not _possible(rating)]
        if bad:
            raise ValueError(f"ratings are numbers from 0 to {HIGHEST}, or None to skip a galaxy, got {some(bad)}")
        time = _now()
        rows = [(str(name), None if value is None else float(value), rater) for name, value in ratings.items()]
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            earlier = "SELECT id_str, rating, rater FROM ratings WHERE judgement = ?"
            if judgement is not None and (before := database.execute(earlier, (judgement,)).fetchone()):
                if before != rows[0]:
                    raise FileExistsError(f"another rating has the name {judgement}")
                return
            insert = "INSERT INTO ratings (id_str, rating, rater, time, judgement) VALUES (?, ?, ?, ?, ?)"
            database.executemany(insert, [(*row, time, judgement) for row in rows])
            _seal(database)

    def undo(self, n: int, rater: str) -> list[str]:
        """Undoes a rater's last n ratings; returns the galaxies, latest first.

        Raises:
            ValueError: n is not a whole number, or below 1.
        """
        n = at_least_one(n, "the number of ratings to undo")
        with self._open() as database:
            last = (
                "SELECT number, id_str FROM ratings WHERE rater = ? AND undone IS NULL ORDER BY time DESC, number DESC"
            )
            rows = database.execute(f"{last} LIMIT ?", (rater, min(n, 2**62))).fetchall()
            time = _now()
            undo = "UPDATE ratings SET undone = ?, checksum = NULL WHERE number = ?"
            database.executemany(undo, [(time, row[0]) for row in rows])
            _seal(database)
        return [row[1] for row in rows]

    def take_back(self, judgement: str, rater: str) -> str | None:
        """Takes back one rating of a rater by its name in `last`; returns the galaxy, None if it was taken back before.

        Raises:
            LookupError: The rater has given none of that name.
        """
        column, name = ("number", judgement[1:]) if judgement.startswith("#") else ("judgement", judgement)
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            find = f"SELECT number, id_str, undone FROM ratings WHERE {column} = ? AND rater = ?"
            row = database.execute(find, (name, rater)).fetchone()
            if row is None:
                raise LookupError(f"{rater} has given no rating {judgement}")
            if row[2] is not None:
                return None
            undo = "UPDATE ratings SET undone = ?, checksum = NULL WHERE number = ?"
            database.execute(undo, (_now(), row[0]))
            _seal(database)
        return row[1]

    def last(self, n: int, rater: str) -> list[tuple[str, str, float | None]]:
        """A rater's last ratings that stand, the last one first: name, galaxy, rating (None if skipped)."""
        last = (
            "SELECT coalesce(judgement, '#' || number), id_str, rating FROM ratings WHERE rater = ? AND undone IS NULL "
            "ORDER BY time DESC, number DESC LIMIT ?"
        )
        with self._open() as database:
            return database.execute(last, (rater, n)).fetchall()

    def current(self, rater: str = "") -> pd.DataFrame:
        """One row per galaxy in the order of the ratings: `id_str`, mean `rating` (NaN if all skipped), `raters`.

        Args:
            rater: Only the ratings of this one.
        """
        query = f"SELECT * FROM ({_STANDING if rater else _COUNTED}) WHERE {_OF} ORDER BY time, number"
        with self._open() as database:
            standing = pd.read_sql_query(query, database, params=(rater,))
        standing["rating"] = standing["rating"].astype(float)
        grouped = standing.groupby("id_str", sort=False)
        return grouped.agg(rating=("rating", "mean"), raters=("rating", "count")).reset_index()

    def tally(self, rater: str = "") -> tuple[list[float | None], dict[str, int]]:
        """The mean rating of every galaxy seen, None where all skipped it; and how many galaxies each rater rated.

        Args:
            rater: Means of the ratings of this one only.
        """
        means = f"SELECT avg(rating) FROM ({_STANDING if rater else _COUNTED}) WHERE {_OF} GROUP BY id_str"
        standing = f"ratings WHERE undone IS NULL AND rating IS NOT NULL AND rater != '{AGREED}'"
        raters = f"SELECT rater, count(DISTINCT id_str) FROM {standing} GROUP BY rater"
        with self._open() as database:
            return [row[0] for row in database.execute(means, (rater,))], dict(database.execute(raters).fetchall())

    def contested(self) -> list[tuple[str, dict[str, float]]]:
        """Galaxies with ratings 2 or more apart that were not settled, and who gave which; the farthest apart first."""
        ratings: dict[str, dict[str, float]] = {}
        rated = f"SELECT id_str, rater, rating FROM ({_COUNTED}) WHERE rating IS NOT NULL ORDER BY number"
        with self._open() as database:
            for id_str, rater, rating in database.execute(rated):
                ratings.setdefault(id_str, {})[rater] = rating
        apart = {id_str: max(given.values()) - min(given.values()) for id_str, given in ratings.items()}
        return [(name, ratings[name]) for name in sorted(ratings, key=lambda name: -apart[name]) if apart[name] >= _FAR]

    def history(self) -> pd.DataFrame:
        """Everything that was ever rated: `id_str`, `rating`, `rater`, `time` (UTC), `undone` (when, or None)."""
        with self._open() as database:
            return pd.read_sql_query(f"SELECT {_RATING} FROM ratings ORDER BY number", database)

    def merge(self, other: "Ratings") -> int:
        """Adds the ratings that only another file has; returns how many are new.

        Ratings that were taken back in either stay so.
        """
        theirs = other.history()
        rows = list(theirs.itertuples(index=False, name=None))
        with self._open() as database:
            before = database.total_changes
            insert = "INSERT OR IGNORE INTO ratings (id_str, rating, rater, time, undone) VALUES (?, ?, ?, ?, ?)"
            database.executemany(insert, [tuple(None if pd.isna(x) else x for x in row) for row in rows])
            new = database.total_changes - before
            undone = theirs[theirs["undone"].notna()][["undone", "rater", "id_str", "time"]]
            undo = "UPDATE ratings SET undone = ?, checksum = NULL"
            undo += " WHERE rater = ? AND id_str = ? AND time = ? AND undone IS NULL"
            database.executemany(undo, list(undone.itertuples(index=False, name=None)))
            _seal(database)
        return new

    def ask(self, names: list[str], rater: str) -> None:
        """Remembers the batch that a rater is shown."""
        with self._open() as database:
            database.execute("DELETE FROM asked WHERE rater = ?", (rater,))
            rows = [(rater, place, name) for place, name in enumerate(names)]
            database.executemany("INSERT INTO asked VALUES (?, ?, ?)", rows)

    def ask_more(self, names: list[str], rater: str) -> None:
        """Adds galaxies to the batch that a rater is shown, even if the batch has changed meanwhile."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            asked = dict(database.execute("SELECT id_str, place FROM asked WHERE rater = ?", (rater,)))
            last = max(asked.values(), default=-1)
            rows = [(rater, place, name) for place, name in enumerate(names, last + 1) if name not in asked]
            database.executemany("INSERT INTO asked VALUES (?, ?, ?)", rows)

    def asked(self, rater: str, by: str = "") -> list[str]:
        """The galaxies of the rater's last batch that nobody has rated yet, or not this one (`by`)."""
        open_ones = f"""SELECT id_str FROM asked WHERE rater = ?
            AND id_str NOT IN (SELECT id_str FROM ({_STANDING}) WHERE {_OF}) ORDER BY place"""
        with self._open() as database:
            return [row[0] for row in database.execute(open_ones, (rater, by))]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction, which is on disk when the block ends, or did not happen."""
        try:
            # the rollback journal, not a write-ahead log: that fails on network file systems
            with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as database, database:
                database.execute("PRAGMA synchronous = EXTRA")
                yield database
        except sqlite3.OperationalError as error:
            raise cannot_store("ratings", error, self.path) from error
        except sqlite3.Error as error:
            raise OSError(f"ratings at {self.path}: {error}") from error


def _seal(database: sqlite3.Connection) -> None:
    """Gives every rating that was written or changed its checksum."""
    rows = database.execute(f"SELECT number, {_RATING} FROM ratings WHERE checksum IS NULL").fetchall()
    sealed = [(_checksum(row[1:]), row[0]) for row in rows]
    database.executemany("UPDATE ratings SET checksum = ? WHERE number = ?", sealed)


def _checksum(rating: tuple) -> int:
    return zlib.crc32(repr(rating).encode())


def cannot_store(what: str, error: sqlite3.OperationalError, path: Path) -> OSError:
    """Turns an error of SQLite into that of a file, so that a full disk is always recognised.

    Args:
        what: That is kept there, in a word.
        error: Of SQLite.
        path: The database.
    """
    number = errno.ENOSPC if "disk is full" in str(error) else errno.EIO
    return OSError(number, f"{what} cannot be stored: {error}", str(path))


def check_rater(rater: str) -> None:
    """Raises ValueError if the name of a rater is not text, or empty."""
    if not isinstance(rater, str) or not rater.strip() or not rater.isprintable():
        raise ValueError(f"the rater must have a name, as rater='ann', got {rater!r}")


def at_least_one(n: int, what: str) -> int:
    """A number of galaxies; ValueError where it is not whole, or below 1."""
    if isinstance(n, bool) or not isinstance(n, numbers.Integral) or n < 1:
        raise ValueError(f"{what} must be a whole number, at least 1, got {n!r}")
    return int(n)


def _possible(rating) -> bool:
    try:
        return rating is None or 0 <= float(rating) <= HIGHEST
    except (TypeError, ValueError):
        return False


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
