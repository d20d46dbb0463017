"""The anomaly loop on the page: the fit runs in the background, so that keys never wait for it."""

import contextlib
import hashlib
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from morphtools.anomalies.ratings import AGREED, HIGHEST, check_rater
from morphtools.app.atlas import Atlas, NotReady
from morphtools.app.judgements import check_judgement
from tfrecords_builder.locks import lock
from tfrecords_builder.naming import unknown

if TYPE_CHECKING:
    from morphtools.anomalies.loop import AnomalyLoop

log = logging.getLogger(__name__)

# Whose ratings a ranking follows.
LEARNING: dict[str, dict[str, bool]] = {
    "all": {"own": False, "similar": False},
    "own": {"own": True, "similar": False},
    "similar": {"own": True, "similar": True},
}
_BATCH, _FEW = 10, 6  # galaxies chosen by a fit; the next fit starts when this few are left


class _Rater:
    """One rater: their view of the session, and why each galaxy was chosen."""

    def __init__(self, loop: "AnomalyLoop"):
        self.loop, self.why, self.learn = loop, {}, "all"

    @property
    def columns(self) -> tuple[str, str]:
        """Names of the columns with the ratings that are expected, and how uncertain they are."""
        of = f" for {self.loop.rater}" if self.loop.own else ""
        return f"score{of}", f"uncertainty{of}"


class Rating:
    """A session of `find_anomalies` for several raters.

    It is opened when somebody first wants to rate, because that takes a while for a large store.

    Args:
        atlas: The galaxies.
        folder: Folder of the session.
    """

    def __init__(self, atlas: Atlas, folder: Path):
        self.atlas, self.folder = atlas, folder
        self._loop: AnomalyLoop | None = None
        self._raters: dict[str, _Rater] = {}
        self._lock, self._changing = threading.Lock(), threading.RLock()
        self._thread: threading.Thread | None = None
        self._failure = ""
        self._locks = contextlib.ExitStack()
        self._state = {"state": "idle", "ratings": 0, "message": ""}

    def close(self) -> None:
        """Releases the session."""
        self._locks.close()

    def about(self, name: str, learn: str = "") -> dict:
        """What a rater sees: the queue, the ratings so far, and the state of the fit.

        Args:
            name: Name of the rater.
            learn: One of `LEARNING`, from now on; as before if it is empty.

        Raises:
            NotReady: The session is being opened.
            ValueError: It cannot learn like this.
        """
        if learn and learn not in LEARNING:
            raise ValueError(unknown("way to learn", learn, LEARNING))
        with self._changing:
            rater = self._rater(name)
            if learn and learn != rater.learn:
                rater.learn, rater.loop = learn, rater.loop.of(name, **LEARNING[learn])
                if _rated(rater.loop):
                    self._fit(rater)
            self._refill(rater)
            return self._describe(rater)

    def contested(self, name: str) -> dict:
        """What a rater sees of the galaxies that raters disagree on, and what was settled."""
        with self._changing:
            loop = self._rater(name).loop
            listed = [
                {"id_str": id_str, "about": ", ".join(f"{rater}: {rating:g}" for rater, rating in ratings.items())}
                for id_str, ratings in loop.contested()
            ]
            return {"queue": listed, "history": self._history(loop.of(AGREED))}

    def rate(self, body: dict) -> dict:
        """Stores or undoes a rating; it is on disk when this returns.

        With `settle`, it settles for all raters a galaxy on which they disagree.

        Raises:
            ValueError: It is not a rating, or the galaxy is not in the store.
            LookupError: The rating to undo does not exist.
        """
        judgement = check_judgement(body.get("judgement"))
        with self._changing:
            rater = self._rater(body.get("rater"))
            answer: dict[str, Any] = {"judgement": judgement}
            loop = rater.loop.of(AGREED) if body.get("settle") else rater.loop
            if "undo" in body:
                answer["undone"] = loop.take_back(str(body["undo"]))
            else:
                rating = body.get("rating")
                if isinstance(rating, bool) or "rating" not in body or not isinstance(body.get("id_str"), str):
                    raise ValueError(f"a rating needs id_str and rating, a number from 0 to {HIGHEST} or null")
                loop.rate({body["id_str"]: rating}, judgement)
            self._refill(rater)
            return answer | self._describe(rater)

    def of(self, id_str: str) -> dict:
        """The ratings of one galaxy."""
        if self._loop is None:
            return {"ratings": []}
        history = self._loop.history()
        mine = history[(history["id_str"] == id_str) & history["undone"].isna()]
        ratings = mine[["rater", "rating", "time"]].astype(object)
        return {"ratings": ratings.where(ratings.notna(), None).to_dict("records")}

    def rated(self, _: str) -> np.ndarray:
        """Rows of the rated galaxies."""
        return self.atlas.rows(self._session().ratings()["id_str"].tolist())

    def _rater(self, name) -> _Rater:
        check_rater(name)
        session = self._session()
        if name not in self._raters:
            # as in `find_anomalies`: one terminal or page at a time
            digest = hashlib.sha256(name.encode()).hexdigest()[:12]
            self._locks.enter_context(lock(self.folder, name=f".lock-{digest}"))
            self._raters[name] = _Rater(session.of(name))
        return self._raters[name]

    def _session(self) -> "AnomalyLoop":
        """The session, which is opened when it is first needed; NotReady until it is."""
        if self._loop is not None:
            return self._loop
        with self._lock:
            if self._failure:
                failure, self._failure, self._thread = self._failure, "", None
                raise ValueError(failure)
            if self._thread is None:
                self._thread = threading.Thread(target=self._opened, daemon=True, name="session")
                self._thread.start()
        self._thread.join(0.2)
        if self._loop is None:
            raise NotReady(self._failure or "the session is being opened")
        return self._loop

    def _opened(self) -> None:
        from morphtools.anomalies.loop import AnomalyLoop  # scikit-learn would double the time to start

        try:
            self._loop = AnomalyLoop(self.atlas.store, self.folder)
        except (ValueError, OSError) as error:
            self._failure = str(error)

    def _refill(self, rater: _Rater) -> None:
        """Ensures that there are galaxies to rate: chosen by a background fit, or at random until it is ready."""
        waiting = rater.loop.asked()
        learns = _rated(rater.loop) or rater.loop.similar
        if len(waiting) <= _FEW and learns:
            self._fit(rater)
        if not waiting:
            for name in rater.loop.extend(_FEW // 2 if learns else _BATCH, learn=False):
                rater.why[name] = "random"

    def _fit(self, rater: _Rater) -> None:
        with self._lock:
            if self._state["state"] == "running":
                return
            self._state = {"state": "running", "ratings": self._state["ratings"], "message": ""}
        threading.Thread(target=self._fitted, args=(rater,), daemon=True, name="fit").start()

    def _fitted(self, rater: _Rater) -> None:
        try:
            loop, rated = rater.loop, _rated(rater.loop)
            for name in loop.extend(_BATCH):
                rater.why[name] = "fit"
            if rated:  # otherwise others chose
                for name, values in zip(rater.columns, loop.expected(), strict=True):
                    self.atlas.columns.add(name, "ratings", values.astype(float))
            self._state = {"state": "idle", "ratings": rated, "message": ""}
        except (ValueError, OSError, MemoryError, ArithmeticError, np.linalg.LinAlgError) as error:
            log.warning("the fit failed: %s", error)
            self._state = self._state | {"state": "failed", "message": f"the fit failed: {error}"}

    def _describe(self, rater: _Rater) -> dict:
        means, raters = rater.loop.tally()
        given = [mean for mean in means if mean is not None]
        counts = np.bincount(np.rint(given).astype(int), minlength=HIGHEST + 1)
        waiting = rater.loop.asked()
        columns = {column["name"] for column in self.atlas.columns.about() if column["from"] == "ratings"}
        scored = columns.issuperset(rater.columns) and waiting
        rows = rater.loop.rows(waiting) if scored else []
        cells = self.atlas.columns.cells(list(rater.columns), rows) if scored else [{}] * len(waiting)
        return {
            "queue": [
                {"id_str": name, "why": rater.why.get(name, "begun")}
                | {key: cell.get(column) for key, column in zip(("score", "uncertainty"), rater.columns, strict=True)}
                for name, cell in zip(waiting, cells, strict=True)
            ],
            "learn": rater.learn,
            "like": rater.loop.like,
            "column": rater.columns[0],
            "rated": len(given),
            "skipped": len(means) - len(given),
            "raters": raters,
            "counts": {str(rating): int(counts[rating]) for rating in range(HIGHEST + 1)},
            "fit": self._state,
            "history": self._history(rater.loop),
        }

    @staticmethod
    def _history(loop: "AnomalyLoop") -> list[dict]:
        return [dict(zip(("judgement", "id_str", "rating"), each, strict=True)) for each in loop.last(50)]


def _rated(loop: "AnomalyLoop") -> int:
    """How many galaxies have a rating that counts."""
    return sum(mean is not None for mean in loop.tally()[0])
