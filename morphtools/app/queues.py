"""Which galaxies to label next: a set, those a model is least certain about, or those it would learn most from."""

from pathlib import Path

import numpy as np

from morphtools.app.atlas import Atlas, NotReady
from morphtools.app.judging import Judging
from morphtools.app.sets import Sets, permutation
from tfrecords_builder.catalog import read_catalog
from tfrecords_builder.naming import check_known

ORIGINS = ("set", "uncertain", "suggested", "random", "contested")


class Queues:
    """Galaxies that a person has not labelled yet, in the order in which to label them.

    Args:
        atlas: The galaxies.
        sets: Sets of galaxies.
        judging: The labels.
        suggest: Called with a table; returns its file of suggestions, or starts making one.
    """

    def __init__(self, atlas: Atlas, sets: Sets, judging: Judging, suggest):
        self.atlas, self.sets, self.judging, self._suggest = atlas, sets, judging, suggest

    def next(self, table: str, person: str, origin: str, chosen: str, number: int, seed: int) -> dict:
        """The next galaxies.

        Args:
            table: Name of the table of labels.
            person: Who labels.
            origin: One of `ORIGINS`.
            chosen: The set that they come from.
            number: Number of galaxies.
            seed: Seed of a random order.

        Returns:
            `queue`: `id_str`, `value` (None) and `about` of each; `left`, the total number; `message`.
        """
        check_known("queue", origin, ORIGINS)
        labels, message = self.judging.labels.table(table), ""
        rows, about = self._ordered(table, origin, chosen, seed)
        done = [name for name in list(labels.given) if labels.label_by(name, person) is not None]
        if done and origin != "contested":
            labelled = np.zeros(len(self.atlas), bool)
            labelled[self.atlas.rows(done)] = True
            rows = rows[~labelled[rows]]
        if not len(rows):
            message = "Nobody disagrees." if origin == "contested" else "All of these have labels."
        queue = [{"id_str": name, "value": None, "about": about(row)} for name, row in self._named(rows[:number])]
        return {"queue": queue, "left": len(rows), "message": message}

    def _named(self, rows: np.ndarray):
        return zip(self.atlas.names(rows), rows.tolist(), strict=True)

    def _ordered(self, table: str, origin: str, chosen: str, seed: int):
        """Rows in order, and a function that describes each row."""
        rows = self.sets.rows(chosen)
        if origin == "suggested":
            return self._suggested(table, rows)
        if origin == "contested":
            return self._contested(table, rows)
        rows = np.arange(len(self.atlas)) if rows is None else rows
        if origin == "random":
            return rows[permutation(len(rows), seed)], lambda row: ""
        if origin == "set":
            return rows, lambda row: ""
        uncertainty = self._uncertainty()
        finite = rows[np.isfinite(uncertainty[rows])]
        return finite[
            np.argsort(-uncertainty[finite], kind="stable")
        ], lambda row: f"uncertainty {uncertainty[row]:.2f}"

    def _suggested(self, table: str, rows: np.ndarray | None):
        path: Path = self._suggest(table)
        listed = read_catalog(path)
        ids, uncertainty = listed["id_str"].tolist(), dict(zip(listed["id_str"], listed["uncertainty"], strict=True))
        order = self.atlas.rows(ids)
        order = order if rows is None else order[np.isin(order, rows)]
        reasons = {
            row: f"uncertainty {uncertainty[name]:.2f}"
            for name, row in zip(ids, self.atlas.rows(ids).tolist(), strict=True)
        }
        return order, lambda row: reasons.get(row, "")

    def _contested(self, table: str, rows: np.ndarray | None):
        """The galaxies people disagree on, the most contested first, and who gave which label."""
        labels = self.judging.labels.table(table)
        names = [name for name, _ in sorted(labels.contested.items(), key=lambda each: -each[1])]
        order = self.atlas.rows(names)
        given = {row: labels.labels_of(name) for name, row in zip(names, order.tolist(), strict=True)}
        order = order if rows is None else order[np.isin(order, rows)]
        return order, lambda row: ", ".join(f"{person}: {value}" for person, value in given[row].items())

    def _uncertainty(self) -> np.ndarray:
        """(N,) uncertainty: as predicted, or 1 minus the margin between the two most probable classes."""
        if not self.atlas.columns_ready:
            raise NotReady("the predictions are being read")
        names = [column["name"] for column in self.atlas.columns.about() if column["from"] == "predictions"]
        classes = [name for name in names if name.startswith("P(")]
        if "uncertainty" in names:
            return self.atlas.columns["uncertainty"].values
        if len(classes) > 1:
            ordered = np.sort([self.atlas.columns[name].values for name in classes], axis=0)
            return 1 - (ordered[-1] - ordered[-2])
        if "probability" in names:
            return 1 - np.abs(2 * self.atlas.columns["probability"].values - 1)
        raise LookupError("there are no predictions with probabilities: give --predictions, or choose other galaxies")
