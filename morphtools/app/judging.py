"""Labels and cluster names that people give on the page, read from the file of judgements."""

import hashlib
import logging
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.app.atlas import Atlas
from morphtools.app.judgements import Judgement, Judgements, check_judgement, check_person
from morphtools.app.label_tables import SETTLED, Labels, checked_table
from morphtools.app.sets import Sets
from tfrecords_builder.naming import some
from tfrecords_builder.tables_out import write_csv

log = logging.getLogger(__name__)


class Judging:
    """Labels and cluster names; each is on disk before the method that stores it returns.

    Args:
        atlas: The galaxies.
        sets: Sets of galaxies, to which those with a label or in a named cluster are added.

    Raises:
        ValueError: The file of judgements is damaged.
    """

    def __init__(self, atlas: Atlas, sets: Sets):
        self.atlas, self.sets, self.folder = atlas, sets, atlas.out / "labels"
        self.judgements, self.labels, self._lock = (
            Judgements(atlas.out / "judgements.sqlite"),
            Labels(),
            threading.Lock(),
        )
        self._names: dict[str, Judgement] = {}
        for judgement in self.judgements.all():
            self._apply(judgement)
        sets.more |= {"label": self._labelled_so, "labelled": self._labelled, "artefacts": self._artefact_rows}
        sets.more["cluster-name"] = self._named_so

    def make_table(self, body: dict) -> str:
        """Creates or changes a table of labels; returns its name."""
        with self._lock:
            made = checked_table(body, self.labels.tables.get(str(body.get("name"))))
            self._judge(body, "table", lambda: made)
        return made["name"]

    def label(self, body: dict) -> int:
        """Labels one galaxy, a list of galaxies, or a set; returns how many.

        With `settle`, it settles a galaxy on which people disagree; their own labels stay as they are.

        Raises:
            LookupError: There is no such table, galaxy or set.
            ValueError: The table has no such label.
        """
        table, value = self.labels.table(body.get("table")), body.get("value")
        if value is not None and value not in [each.value for each in table.values]:
            raise ValueError(f"{table.name} has no label {value!r:.80}; it has {some([v.value for v in table.values])}")
        person, settle = check_person(body.get("person")), bool(body.get("settle"))

        def made() -> dict:
            ids = self._ids(body)
            if settle and any(name not in table.contested and table.label_by(name, SETTLED) is None for name in ids):
                raise ValueError(f"nobody disagrees on {some(ids)} in {table.name}: there is nothing to settle")
            if not settle and not body.get("overwrite", "id_str" in body):
                ids = [name for name in ids if table.label_by(name, person) is None]
            return {"table": table.name, "ids": ids, "value": value}

        with self._lock:
            return len(self._judge(body, "settle" if settle else "label", made).body["ids"])

    def undo(self, body: dict) -> list[str]:
        """Undoes a labelling by the same person; returns its galaxies, or none if it was undone before."""
        target = check_judgement(body.get("undo"))
        with self._lock:
            done = self.judgements.find(target)
            if done is None or done.verb not in ("label", "settle"):
                raise LookupError(f"there is no labelling {target}")
            if done.person != body.get("person"):
                raise ValueError(f"this label was given by {done.person}: only they can undo it")
            stood = self.labels.standing(target) is not None
            self._judge(body, "undo-label", lambda: {"undo": target})
        return done.body["ids"] if stood else []

    def name_clusters(self, body: dict) -> None:
        """Names clusters (the same name merges them), marks them as artefacts, or undoes either."""
        if "undo" in body:
            target = check_judgement(body["undo"])
            with self._lock:
                self._judge(body, "undo-cluster", lambda: {"undo": target})
        else:
            made = self._checked_naming(body)
            with self._lock:
                self._judge(body, "cluster", lambda: made)
        self.write_clusters()

    def names(self) -> tuple[dict[int, str], set[int]]:
        """Names of clusters by number, and the numbers of clusters that are artefacts."""
        names, artefacts, of = {}, set(), self._clustering()
        for judgement in list(self._names.values()):
            body = judgement.body
            if body["of"] != of:  # of an earlier clustering with the same numbers
                continue
            for number in body["clusters"]:
                if "artefact" in body:
                    (artefacts.add if body["artefact"] else artefacts.discard)(number)
                elif body["name"] is None:
                    names.pop(number, None)
                else:
                    names[number] = body["name"]
        return names, artefacts

    def write_clusters(self) -> None:
        """Writes names (for `cluster --names`) and artefacts (for `--exclude`)."""
        names, _ = self.names()
        table = pd.DataFrame(sorted(names.items()), columns=["cluster", "name"])
        write_csv(table, self.atlas.out / "cluster-names.csv")
        rows = self._artefact_rows("")
        write_csv(pd.DataFrame({"id_str": self.atlas.names(rows)}), self.atlas.out / "artifacts.csv")

    def write_labels(self, name: str) -> Path:
        """Writes a table of labels, with `file_loc` where it is known."""

        def file_locs(ids: list[str]) -> list[str | None]:
            return self.atlas.columns.file_locs(self.atlas.rows(ids)) if ids else []

        with self._lock:
            return self.labels.write(name, self.folder, file_locs)

    def write_all(self) -> None:
        """Writes every table again, because a killed server may have left old ones."""
        for name in self.labels.tables:
            self.write_labels(name)

    def of(self, id_str: str) -> dict:
        """The labels of one galaxy."""
        labels = {}
        for name, table in self.labels.tables.items():
            given = list(table.labels_of(id_str).items())
            if (settled := table.label_by(id_str, SETTLED)) is not None:
                given.append(("all, as settled", settled))
            labels |= {name: [{"person": person, "value": value} for person, value in given]} if given else {}
        return {"labels": labels}

    def _judge(self, body: dict, kind: str, made: Callable[[], dict]) -> Judgement:
        """Stores and applies a judgement unless it is stored already; the caller holds the lock."""
        name, person = check_judgement(body.get("judgement")), check_person(body.get("person"))
        request = {key: value for key, value in body.items() if key not in ("judgement", "person")}
        earlier = self.judgements.find(name)
        judgement, new = self.judgements.add(name, kind, person, request, made() if earlier is None else {})
        if new:
            self._apply(judgement)
        return judgement

    def _apply(self, judgement: Judgement) -> None:
        self.labels.apply(judgement)
        if judgement.verb == "cluster":
            self._names[judgement.judgement] = judgement
        elif judgement.verb == "undo-cluster":
            self._names.pop(judgement.body["undo"], None)

    def _ids(self, body: dict) -> list[str]:
        if "id_str" in body:
            ids = [body["id_str"]]
        elif "ids" in body:
            ids = body["ids"]
        else:
            rows = self.sets.rows(str(body.get("set")))
            if rows is None:
                raise ValueError("all galaxies cannot be labelled at once: choose a set")
            return self.atlas.names(rows)
        if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
            raise ValueError("choose galaxies by one of id_str, ids and set")
        self.atlas.rows(ids)
        return ids

    def _checked_naming(self, body: dict) -> dict:
        numbers, clusters = body.get("clusters"), self.atlas.clusters
        if clusters is None:
            raise LookupError("there are no clusters")
        known = {repr(number) for number in np.flatnonzero(np.bincount(clusters[clusters >= 0])).tolist()}
        if not isinstance(numbers, list) or not numbers or not set(map(repr, numbers)) <= known:
            raise ValueError(f"clusters must be a list of cluster numbers, got {numbers!r:.80}")
        made = {"of": self._clustering(), "clusters": numbers}
        if "artefact" in body:
            return made | {"artefact": bool(body["artefact"])}
        name = body.get("name")
        if name is not None and (
            not isinstance(name, str) or not 1 <= len(name.strip()) <= 60 or not name.isprintable()
        ):
            raise ValueError(f"the name of a cluster must have 1 to 60 characters, got {name!r:.80}")
        return made | {"name": name and name.strip()}

    def _clustering(self) -> str:
        """Short digest of the fit that numbered the clusters, or of the numbers themselves if there is none."""
        if self.atlas.clusters is None or self.atlas.clusters_folder is None:
            return ""
        fit = self.atlas.clusters_folder / "estimator.npz"
        if fit.exists():
            return hashlib.sha256(fit.read_bytes()).hexdigest()[:16]
        return f"{zlib.crc32(self.atlas.clusters.tobytes()):08x}"

    def _artefact_rows(self, _: str) -> np.ndarray:
        artefacts = sorted(self.names()[1])
        if self.atlas.clusters is None or not artefacts:
            return np.array([], np.int64)
        return np.flatnonzero(np.isin(self.atlas.clusters, artefacts))

    def _named_so(self, name: str) -> np.ndarray:
        numbers = [number for number, each in self.names()[0].items() if each == name]
        if not numbers:
            raise LookupError(f"no cluster is called {name!r}")
        return np.concatenate([self.sets.rows(f"cluster:{number}") for number in numbers])

    def _labelled(self, name: str) -> np.ndarray:
        table = self.labels.table(name)
        return self.atlas.rows(list(table.agreed)) if table.agreed else np.array([], np.int64)

    def _labelled_so(self, text: str) -> np.ndarray:
        name, _, value = text.partition(":")
        ids = [id_str for id_str, agreed in self.labels.table(name).agreed.items() if agreed == value]
        return self.atlas.rows(ids) if ids else np.array([], np.int64)
