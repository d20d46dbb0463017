"""Everything that people judged, in one SQLite file: only ever added to, and on disk before anyone is told so."""

import contextlib
import datetime
import json
import re
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from morphtools.anomalies.ratings import cannot_store
from tfrecords_builder.naming import some

_TABLE = """
CREATE TABLE IF NOT EXISTS judgements (
    number INTEGER PRIMARY KEY, judgement TEXT NOT NULL UNIQUE, verb TEXT NOT NULL, person TEXT NOT NULL,
    time TEXT NOT NULL, asked TEXT NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL);
"""
_FIELDS = "number, judgement, verb, person, time, asked, body"
_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


class Judgement(NamedTuple):
    """One thing that somebody judged.

    Attributes:
        number: From 1, in the order in which they came.
        judgement: The name that the browser gave it.
        verb: What was done, in a word.
        person: Who judged.
        time: When (UTC).
        asked: What the browser sent, by which the same judgement is recognised.
        body: What was judged.
    """

    number: int
    judgement: str
    verb: str
    person: str
    time: str
    asked: dict
    body: dict


class Judgements:
    """The file of judgements.

    Each has a name that the browser made: sent again, because no answer came, it counts once. One that is taken back
    stays in the file, followed by another that says so. SQLite keeps a write-ahead log where the file system can.

    Args:
        path: The file; it is made if there is none.

    Raises:
        ValueError: It is damaged.
        OSError: It cannot be read or written, from any method.
    """

    def __init__(self, path: str | Path):
        self.path, self._lock = Path(path), threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._words():
            self._database = sqlite3.connect(self.path, timeout=30, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")  # a commit is on the disk, not only on its way
            self._database.executescript(_TABLE)
            self._check()

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._database.close()

    def add(self, judgement: str, verb: str, person: str, asked: dict, body: dict) -> tuple[Judgement, bool]:
        """Stores a judgement; it is on disk when this returns.

        Args:
            judgement: The name that the browser gave it.
            verb: What was done, in a word.
            person: Who judges.
            asked: What the browser sent.
            body: What that means, as goes into JSON.

        Returns:
            The judgement, as it was stored first, and whether it is new.

        Raises:
            ValueError: The name cannot be one.
            FileExistsError: Another judgement has it.
        """
        check_judgement(judgement)
        time = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        with self._lock, self._words():
            there = self._find(judgement)
            if there is not None:
                if (there.verb, there.person, there.asked) != (verb, person, json.loads(_text(asked))):
                    raise FileExistsError(f"another judgement has the name {judgement}")
                return there, False
            self._database.execute("BEGIN IMMEDIATE")
            try:
                number = self._database.execute("SELECT coalesce(max(number), 0) + 1 FROM judgements").fetchone()[0]
                row = (number, judgement, verb, person, time, _text(asked), _text(body))
                insert = f"INSERT INTO judgements ({_FIELDS}, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                self._database.execute(insert, (*row, _checksum(row)))
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled it back already
                    self._database.execute("ROLLBACK")
                raise
        return _judgement(row), True

    def find(self, judgement: str) -> Judgement | None:
        """The judgement of a name."""
        with self._lock, self._words():
            return self._find(judgement)

    def all(self) -> Iterator[Judgement]:
        """Every judgement, in the order in which they came."""
        with self._lock, self._words():
            rows = self._database.execute(f"SELECT {_FIELDS} FROM judgements ORDER BY number").fetchall()
        for row in rows:
            yield _judgement(row)

    def _find(self, judgement: str) -> Judgement | None:
        row = self._database.execute(f"SELECT {_FIELDS} FROM judgements WHERE judgement = ?", (judgement,)).fetchone()
        return None if row is None else _judgement(row)

    def _check(self) -> None:
        problems = [row[0] for row in self._database.execute("PRAGMA integrity_check") if row[0] != "ok"]
        for row in self._database.execute(f"SELECT checksum, {_FIELDS} FROM judgements"):
            if row[0] != _checksum(row[1:]):
                problems.append(f"judgement {row[2]} is not what was stored")
        if problems:
            raise ValueError(f"{self.path} is damaged: {some(problems, 2)}; put it back from a copy")

    @contextlib.contextmanager
    def _words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError):
                raise ValueError(f"{self.path} is damaged: {error}; put it back from a copy") from None
            raise cannot_store("judgements", error, self.path) from error


def check_judgement(judgement) -> str:
    """The name of a judgement.

    Raises:
        ValueError: It cannot be one.
    """
    if not isinstance(judgement, str) or not _ID.fullmatch(judgement):
        raise ValueError(f"judgement must be a name of 8 to 64 letters, digits and -, got {judgement!r:.80}")
    return judgement


def check_person(person) -> str:
    """The name of who judges.

    Raises:
        ValueError: It cannot be one.
    """
    if not isinstance(person, str) or not 1 <= len(person) <= 40 or not person.isprintable() or not person.strip():
        raise ValueError(f"say who judges: a name of 1 to 40 characters, got {person!r:.80}")
    return person


def _judgement(row: tuple) -> Judgement:
    number, name, verb, person, time, asked, body = row
    return Judgement(number, name, verb, person, time, json.loads(asked), json.loads(body))


def _text(body: dict) -> str:
    return json.dumps(body, sort_keys=True, ensure_ascii=False)


def _checksum(row: tuple) -> int:
    return zlib.crc32(repr(row).encode())
