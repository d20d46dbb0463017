"""All judgements by people, in one SQLite file that only grows; each is on disk before it is acknowledged."""

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
    """One judgement by one person.

    Attributes:
        number: Its number, from 1 in the order of arrival.
        judgement: Its name, chosen by the browser.
        verb: The kind of judgement, in a word.
        person: Who made it.
        time: When it was made (UTC).
        asked: What the browser sent; a repeated judgement is recognised by it.
        body: What was decided.
    """

    number: int
    judgement: str
    verb: str
    person: str
    time: str
    asked: dict
    body: dict


class Judgements:
    """A file of judgements.

    Each judgement has a name chosen by the browser: if it is sent again because no answer came, it counts once. An
    undone judgement stays in the file, followed by another that undoes it. SQLite keeps a write-ahead log where the
    file system supports one.

    Args:
        path: The file; created if it does not exist.

    Raises:
        ValueError: The file is damaged.
        OSError: The file cannot be read or written (raised by any method).
    """

    def __init__(self, path: str | Path):
        self.path, self._lock = Path(path), threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._words():
            self._database = sqlite3.connect(self.path, timeout=30, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")  # a commit is on disk when it returns
            self._database.executescript(_TABLE)
            self._check()

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._database.close()

    def add(self, judgement: str, verb: str, person: str, asked: dict, body: dict) -> tuple[Judgement, bool]:
        """Stores a judgement; it is on disk when this returns.

        Args:
            judgement: Its name, chosen by the browser.
            verb: The kind of judgement, in a word.
            person: Who made it.
            asked: What the browser sent.
            body: What was decided, ready for JSON.

        Returns:
            The judgement as first stored, and whether it is new.

        Raises:
            ValueError: The name is not valid.
            FileExistsError: Another judgement has this name.
        """
        check_judgement(judgement)
        time = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        with self._lock, self._words():
            earlier = self._find(judgement)
            if earlier is not None:
                if (earlier.verb, earlier.person, earlier.asked) != (verb, person, json.loads(_text(asked))):
                    raise FileExistsError(f"another judgement is named {judgement}")
                return earlier, False
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
        """The judgement with a name, or None."""
        with self._lock, self._words():
            return self._find(judgement)

    def all(self) -> Iterator[Judgement]:
        """All judgements, in the order of arrival."""
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
                problems.append(f"judgement {row[2]} differs from what was stored")
        if problems:
            raise ValueError(f"{self.path} is damaged: {some(problems, 2)}; restore it from a copy")

    @contextlib.contextmanager
    def _words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError):
                raise ValueError(f"{self.path} is damaged: {error}; restore it from a copy") from None
            raise cannot_store("judgements", error, self.path) from error


def check_judgement(judgement) -> str:
    """Checks the name of a judgement.

    Raises:
        ValueError: It is not valid.
    """
    if not isinstance(judgement, str) or not _ID.fullmatch(judgement):
        raise ValueError(f"judgement must have 8 to 64 letters, digits and -, got {judgement!r:.80}")
    return judgement


def check_person(person) -> str:
    """Checks the name of a person.

    Raises:
        ValueError: It is not valid.
    """
    if not isinstance(person, str) or not 1 <= len(person) <= 40 or not person.isprintable() or not person.strip():
        raise ValueError(f"person must be a name of 1 to 40 characters, got {person!r:.80}")
    return person


def _judgement(row: tuple) -> Judgement:
    number, name, verb, person, time, asked, body = row
    return Judgement(number, name, verb, person, time, json.loads(asked), json.loads(body))


def _text(body: dict) -> str:
    return json.dumps(body, sort_keys=True, ensure_ascii=False)


def _checksum(row: tuple) -> int:
    return zlib.crc32(repr(row).encode())
