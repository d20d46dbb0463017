"""Labels that people gave galaxies, in tables with values of their own; who said what, and what most people said."""

import collections
import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from morphtools.app.judgements import Judgement
from morphtools.app.sets import checked_name
from morphtools.explore.tables import write_table

_VALUE = re.compile(r"[^\x00-\x1f\x7f]{1,60}")
_MOST = 50  # values of a table
SETTLED = ""  # stands for the person in what was settled where people had disagreed


class Value(NamedTuple):
    """One of the labels of a table.

    Attributes:
        value: The label.
        key: The key that gives it.
        label: Whether it is for training: "unsure" is not.
    """

    value: str
    key: str
    label: bool


class _Table:
    """One table: what each person said of each galaxy, in order, so that it can be taken back."""

    def __init__(self, name: str):
        self.name, self.question = name, ""
        self.values: tuple[Value, ...] = ()
        self.given: dict[str, dict[str, list[tuple[int, str | None]]]] = {}  # by galaxy and person
        self.agreed: dict[str, str | None] = {}  # by galaxy: what most people say; None: they do not agree
        self.contested: dict[str, float] = {}  # by galaxy that is not settled: the share that differs from most
        self.counts: collections.Counter = collections.Counter()
        self.people: collections.Counter = collections.Counter()

    def change(self, id_str: str, person: str, number: int, value: str | None, *, undo: bool = False) -> None:
        """Adds what a judgement says of a galaxy, or takes it away."""
        before = self.said(id_str, person)
        said = self.given.setdefault(id_str, {}).setdefault(person, [])
        if undo:
            said[:] = [each for each in said if each[0] != number]
        else:
            said.append((number, value))
        after = self.said(id_str, person)
        self.people[person] += (after is not None) - (before is not None)
        self._settle(id_str)

    def said(self, id_str: str, person: str) -> str | None:
        """What a person says of a galaxy now."""
        said = self.given.get(id_str, {}).get(person)
        return said[-1][1] if said else None

    def all_said(self, id_str: str) -> dict[str, str]:
        """What each person says of a galaxy now."""
        said = {person: self.said(id_str, person) for person in self.given.get(id_str, {}) if person != SETTLED}
        return {person: value for person, value in said.items() if value is not None}

    def _settle(self, id_str: str) -> None:
        if id_str in self.agreed:
            self.counts[self.agreed.pop(id_str)] -= 1
        self.contested.pop(id_str, None)
        votes, settled = collections.Counter(self.all_said(id_str).values()).most_common(), self.said(id_str, SETTLED)
        if settled is None and len(votes) > 1:
            self.contested[id_str] = 1 - votes[0][1] / sum(number for _, number in votes)
        if votes or settled is not None:
            tie = len(votes) > 1 and votes[0][1] == votes[1][1]
            self.agreed[id_str] = settled if settled is not None else None if tie else votes[0][0]
            self.counts[self.agreed[id_str]] += 1


class Labels:
    """All tables of labels, as they follow from judgements.

    Attributes:
        tables: By name.
    """

    def __init__(self) -> None:
        self.tables: dict[str, _Table] = {}
        self._done: dict[str, Judgement] = {}

    def apply(self, judgement: Judgement) -> None:
        """Takes a judgement in; kinds that are not about labels are left alone."""
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
            LookupError: There is none.
        """
        if not isinstance(name, str) or name not in self.tables:
            raise LookupError(f"there is no table of labels {name!r:.80}; there are {list(self.tables)}")
        return self.tables[name]

    def standing(self, judgement: str) -> Judgement | None:
        """A labelling that was not taken back."""
        return self._done.get(judgement)

    def history(self, name: str, person: str, most: int = 50) -> list[Judgement]:
        """The last labellings of a person that were not taken back, the last one first."""
        mine = (each for each in reversed(self._done.values()) if each.person == person and each.body["table"] == name)
        return [each for each, _ in zip(mine, range(most), strict=False)]

    def about(self, name: str, folder: Path) -> dict:
        """A table as the page is told of it."""
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
        """A table as others read it.

        Returns:
            One row per galaxy that somebody labelled: `id_str`; a column of the table's name, what was settled or what
            most people say, empty where they do not agree or gave no label for training; `people`, how many;
            `agreement`, the share that says the same.
        """
        table = self.tables[name]
        useful, rows = {value.value for value in table.values if value.label}, []
        for id_str, value in table.agreed.items():
            said = table.all_said(id_str).values()
            share = max(collections.Counter(said).values(), default=0) / max(1, len(said))
            rows.append((id_str, value if value in useful else None, len(said), share))
        return pd.DataFrame(rows, columns=["id_str", name, "people", "agreement"])

    def write(self, name: str, folder: Path, file_locs=None) -> Path:
        """Writes a table to `NAME.csv`, with `file_loc` where it is known.

        Args:
            name: Of the table.
            folder: Where to.
            file_locs: From names of galaxies to where their images are.
        """
        frame = self.frame(name)
        if file_locs is not None:
            frame["file_loc"] = file_locs(frame["id_str"].tolist())
            if frame["file_loc"].isna().all():
                frame = frame.drop(columns="file_loc")
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder / f"{name}.csv", frame)
        return folder / f"{name}.csv"


def _speaker(judgement: Judgement) -> str:
    """In whose place a judgement stands."""
    return SETTLED if judgement.verb == "settle" else judgement.person


def checked_table(body: dict, before: _Table | None) -> dict:
    """What a table is to be, from a request.

    Raises:
        ValueError: It cannot be.
    """
    name, question, values = body.get("name"), body.get("question"), body.get("values")
    if checked_name(name) in ("id_str", "file_loc", "people", "agreement", "split", "ra", "dec", "ebv"):
        raise ValueError(f"a table of labels cannot be called {name}: that is a column with a meaning of its own")
    if not isinstance(question, str) or len(question) > 500:
        raise ValueError("the question must be text of at most 500 characters")
    if not isinstance(values, list) or not 2 <= len(values) <= _MOST or not all(isinstance(v, dict) for v in values):
        raise ValueError(f"a table needs 2 to {_MOST} values")
    made = [[value.get("value"), value.get("key") or "", bool(value.get("label", True))] for value in values]
    names = [value[0] for value in made]
    for value in names:
        if not isinstance(value, str) or not _VALUE.fullmatch(value) or value != value.strip():
            raise ValueError(f"a label is text of 1 to 60 characters, not {value!r:.80}")
    keys = [value[1] for value in made if value[1]]
    if len(set(names)) < len(names) or len(set(keys)) < len(keys):
        raise ValueError("labels and keys must differ from each other")
    if not all(isinstance(key, str) and len(key) == 1 for key in keys):
        raise ValueError("a key is a single character")
    if before is not None:
        used = {value for value, number in before.counts.items() if number and value is not None}
        if used - set(names):
            raise ValueError(f"labels that were given already must stay: {sorted(used - set(names))}")
    return {"name": name, "question": question, "values": made}
