"""Tables of labels: which label each person gave each galaxy, and which one most people chose."""

import collections
import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from morphtools.app.judgements import Judgement
from morphtools.app.sets import checked_name
from morphtools.survey.label_values import read_words
from tfrecords_builder.csv_tables import UNKNOWN
from tfrecords_builder.naming import some
from tfrecords_builder.tables_out import write_csv

_VALUE = re.compile(r"[^\x00-\x1f\x7f]{1,60}")
_MOST = 50  # maximum number of values of a table
SETTLED = ""  # the "person" of labels that settle a disagreement


class Value(NamedTuple):
    """One of the labels of a table.

    Attributes:
        value: The label.
        key: The key that gives this label.
        label: Whether it is used for training ("unsure" is not).
    """

    value: str
    key: str
    label: bool


class _Table:
    """One table: the labels each person gave each galaxy, in order, so that they can be undone."""

    def __init__(self, name: str):
        self.name, self.question = name, ""
        self.values: tuple[Value, ...] = ()
        self.given: dict[str, dict[str, list[tuple[int, str | None]]]] = {}  # by galaxy and person
        self.agreed: dict[str, str | None] = {}  # by galaxy: the label most people chose; None: a tie
        self.contested: dict[str, float] = {}  # by galaxy, if not settled: the share of other labels
        self.counts: collections.Counter = collections.Counter()
        self.people: collections.Counter = collections.Counter()

    def change(self, id_str: str, person: str, number: int, value: str | None, *, undo: bool = False) -> None:
        """Adds the label that a judgement gives a galaxy, or removes it."""
        before = self.label_by(id_str, person)
        labels = self.given.setdefault(id_str, {}).setdefault(person, [])
        if undo:
            labels[:] = [each for each in labels if each[0] != number]
        else:
            labels.append((number, value))
        after = self.label_by(id_str, person)
        self.people[person] += (after is not None) - (before is not None)
        self._settle(id_str)

    def label_by(self, id_str: str, person: str) -> str | None:
        """The current label of a galaxy by one person."""
        labels = self.given.get(id_str, {}).get(person)
        return labels[-1][1] if labels else None

    def labels_of(self, id_str: str) -> dict[str, str]:
        """The current label of a galaxy by each person."""
        labels = {person: self.label_by(id_str, person) for person in self.given.get(id_str, {}) if person != SETTLED}
        return {person: value for person, value in labels.items() if value is not None}

    def _settle(self, id_str: str) -> None:
        if id_str in self.agreed:
            self.counts[self.agreed.pop(id_str)] -= 1
        self.contested.pop(id_str, None)
        votes = collections.Counter(self.labels_of(id_str).values()).most_common()
        settled = self.label_by(id_str, SETTLED)
        if settled is None and len(votes) > 1:
            self.contested[id_str] = 1 - votes[0][1] / sum(number for _, number in votes)
        if votes or settled is not None:
            tie = len(votes) > 1 and votes[0][1] == votes[1][1]
            self.agreed[id_str] = settled if settled is not None else None if tie else votes[0][0]
            self.counts[self.agreed[id_str]] += 1


class Labels:
    """All tables of labels, built from judgements.

    Attributes:
        tables: The tables by name.
    """

    def __init__(self) -> None:
        self.tables: dict[str, _Table] = {}
        self._done: dict[str, Judgement] = {}

    def apply(self, judgement: Judgement) -> None:
        """Applies a judgement; kinds that do not concern labels are ignored."""
        body = judgement.body
        if judgement.verb == "table":
            table = self.tables.setdefault(body["name"], _Table(body["name"]))
            table.question, table.values = body["question"], tuple(Value(*value) for value in body["values"])
        elif judgement.verb in ("label", "settle"):
            self._done[judgement.judgement] = judgement
            for id_str in body["ids"]:
                self.tables[body["table"]].change(id_str, _speaker(judgement), judgement.number, body["value"])
        elif judgement.verb == "undo-label" and (done := self._done.pop(body["undo"], None)) is not None:
            for id_str in done.body["ids"]:
                table = self.tables[done.body["table"]]
                table.change(id_str, _speaker(done), done.number, None, undo=True)

    def table(self, name) -> _Table:
        """A table by name.

        Raises:
            LookupError: There is no such table.
        """
        if not isinstance(name, str) or name not in self.tables:
            raise LookupError(f"there is no table of labels {name!r:.80}; there are {list(self.tables)}")
        return self.tables[name]

    def standing(self, judgement: str) -> Judgement | None:
        """A labelling, unless it was undone."""
        return self._done.get(judgement)

    def history(self, name: str, person: str, most: int = 50) -> list[Judgement]:
        """The last labellings by a person that were not undone, latest first."""
        mine = (each for each in reversed(self._done.values()) if each.person == person and each.body["table"] == name)
        return [each for each, _ in zip(mine, range(most), strict=False)]

    def about(self, name: str, folder: Path) -> dict:
        """Describes a table for the page."""
        table = self.tables[name]
        useful = {value.value for value in table.values if value.label}
        return {
            "name": name,
            "question": table.question,
            "values": [value._asdict() for value in table.values],
            "labelled": sum(number for value, number in table.counts.items() if value in useful),
            "counts": {value.value: table.counts[value.value] for value in table.values},
            "disagreed": table.counts[None],
            "contested": len(table.contested),
            "people": {person: number for person, number in table.people.items() if number and person != SETTLED},
            "file": str(folder / f"{name}.csv"),
        }

    def frame(self, name: str) -> pd.DataFrame:
        """A table for other programs.

        Returns:
            One row per labelled galaxy: `id_str`; a column with the table's name, holding the settled label or the
            one most people chose, empty for a tie or a label that is not used for training; `people`, the number of
            people; `agreement`, the share of them who chose the most common label.
        """
        table = self.tables[name]
        useful, rows = {value.value for value in table.values if value.label}, []
        for id_str, value in table.agreed.items():
            labels = table.labels_of(id_str).values()
            share = max(collections.Counter(labels).values(), default=0) / max(1, len(labels))
            rows.append((id_str, value if value in useful else None, len(labels), share))
        return pd.DataFrame(rows, columns=["id_str", name, "people", "agreement"])

    def write(self, name: str, folder: Path, file_locs=None) -> Path:
        """Writes a table to `NAME.csv`, with `file_loc` where it is known.

        Args:
            name: Name of the table.
            folder: Folder to write to.
            file_locs: Function from ids of galaxies to where their images are.
        """
        frame = self.frame(name)
        if file_locs is not None:
            frame["file_loc"] = file_locs(frame["id_str"].tolist())
            if frame["file_loc"].isna().all():
                frame = frame.drop(columns="file_loc")
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(frame, folder / f"{name}.csv")
        return folder / f"{name}.csv"


def _speaker(judgement: Judgement) -> str:
    """The person to whom a judgement is attributed."""
    return SETTLED if judgement.verb == "settle" else judgement.person


def checked_table(body: dict, before: _Table | None) -> dict:
    """Reads the description of a table from a request.

    Raises:
        ValueError: It is not valid.
    """
    name, question, values = body.get("name"), body.get("question"), body.get("values")
    if checked_name(name) in ("id_str", "file_loc", "people", "agreement", "split", "ra", "dec", "ebv"):
        raise ValueError(f"a table of labels cannot be called {name}: this column name is reserved")
    if not isinstance(question, str) or len(question) > 500:
        raise ValueError("the question must be text of at most 500 characters")
    if not isinstance(values, list) or not 2 <= len(values) <= _MOST or not all(isinstance(v, dict) for v in values):
        raise ValueError(f"a table must have 2 to {_MOST} labels")
    made = [[value.get("value"), value.get("key") or "", bool(value.get("label", True))] for value in values]
    names = [value[0] for value in made]
    for value in names:
        if not isinstance(value, str) or not _VALUE.fullmatch(value) or value != value.strip():
            raise ValueError(f"a label must have 1 to 60 characters, got {value!r:.80}")
    keys = [value[1] for value in made if value[1]]
    if len(set(names)) < len(names) or len(set(keys)) < len(keys):
        raise ValueError("each label and each key can appear only once")
    _check_readable([value for value, _, labels in made if labels])
    if not all(isinstance(key, str) and len(key) == 1 for key in keys):
        raise ValueError("a key must be a single character")
    if before is not None:
        used = {value for value, number in before.counts.items() if number and value is not None}
        if used - set(names):
            raise ValueError(f"labels already in use cannot be removed: {sorted(used - set(names))}")
    return {"name": name, "question": question, "values": made}


def _check_readable(names: list[str]) -> None:
    """Raises ValueError if labels would be lost or merged when the table is read again."""
    read = read_words(pd.DataFrame({"label": names}), "label")
    empty = [name for name, word in zip(names, read, strict=True) if name in UNKNOWN or pd.isna(word)]
    if empty:
        raise ValueError(f"a label cannot be called {empty[0]}: tables read that as an empty cell")
    alike = read[read.duplicated(keep=False)]
    if len(alike):
        raise ValueError(f"the labels {some(names[i] for i in alike.index)} would be read as one class")
