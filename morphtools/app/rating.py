"""The anomaly loop on the page: keys that never wait for the fit, which runs beside them."""

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

if TYPE_CHECKING:
    from morphtools.anomalies.loop import AnomalyLoop

log = logging.getLogger(__name__)

_BATCH, _FEW = 10, 6  # galaxies chosen by a fit; with fewer in the queue the next fit begins


class _Rater:
    """One rater: the session as they have it, and why they are asked about each galaxy."""

    def __init__(self, loop: "AnomalyLoop"):
        self.loop, self.why = loop, {}


class Rating:
    """A session of `find_anomalies` for several raters.

    It is opened when somebody first wants to rate: of a large store this takes a while.

    Args:
        atlas: The galaxies.
        folder: Of the session.
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
        """Gives the session free."""
        self._locks.close()

    def about(self, name: str) -> dict:
        """What a rater is shown: the queue, what was rated, how the fit does.

        Raises:
            NotReady: The session is being opened.
        """
        with self._changing:
            rater = self._rater(name)
            self._refill(rater)
            return self._told(rater)

    def contested(self, name: str) -> dict:
        """What a rater is shown of the galaxies that raters disagree about, and what was settled."""
        with self._changing:
            loop = self._rater(name).loop
            listed = [
                {"id_str": id_str, "about": ", ".join(f"{rater}: {rating:g}" for rater, rating in said.items())}
                for id_str, said in loop.contested()
            ]
            return {"queue": listed, "history": self._history(loop.of(AGREED))}

    def rate(self, body: dict) -> dict:
        """Stores a rating, or takes one back; on disk when this returns.

        With `settle` it decides for all raters what a galaxy is about which they disagree.

        Raises:
            ValueError: It is no rating, or not of a galaxy here.
            LookupError: What is to be taken back is not there.
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
                    raise ValueError(f"a rating has id_str and rating, a number from 0 to {HIGHEST} or null")
                loop.rate({body["id_str"]: rating}, judgement)
            self._refill(rater)
            return answer | self._told(rater)

    def of(self, id_str: str) -> dict:
        """What was rated of one galaxy."""
        if self._loop is None:
            return {"ratings": []}
        history = self._loop.history()
        mine = history[(history["id_str"] == id_str) & history["undone"].isna()]
        said = mine[["rater", "rating", "time"]].astype(object)
        return {"ratings": said.where(said.notna(), None).to_dict("records")}

    def rated(self, _: str) -> np.ndarray:
        """Rows of the galaxies that were rated."""
        return self.atlas.rows(self._session().ratings()["id_str"].tolist())

    def _rater(self, name) -> _Rater:
        check_rater(name)
        session = self._session()
        if name not in self._raters:
            digest = hashlib.sha256(name.encode()).hexdigest()[:12]  # as `find_anomalies` has it: one terminal or page
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
        from morphtools.anomalies.loop import AnomalyLoop  # scikit-learn: a second of a start that is one

        try:
            self._loop = AnomalyLoop(self.atlas.store, self.folder)
        except (ValueError, OSError) as error:
            self._failure = str(error)

    def _refill(self, rater: _Rater) -> None:
        """Sees to it that there are galaxies to rate: chosen by a fit beside, at random where it is not ready."""
        waiting = rater.loop.asked()
        rated = sum(mean is not None for mean in rater.loop.tally()[0])
        if len(waiting) <= _FEW and rated:
            self._fit(rater)
        if not waiting:
            for name in rater.loop.extend(_BATCH if not rated else _FEW // 2, learn=False):
                rater.why[name] = "random"

    def _fit(self, rater: _Rater) -> None:
        with self._lock:
            if self._state["state"] == "running":
                return
            self._state = {"state": "running", "ratings": self._state["ratings"], "message": ""}
        threading.Thread(target=self._fitted, args=(rater,), daemon=True, name="fit").start()

    def _fitted(self, rater: _Rater) -> None:
        try:
            rated = sum(mean is not None for mean in rater.loop.tally()[0])
            for name in rater.loop.extend(_BATCH):
                rater.why[name] = "fit"
            self._keep_scores(rater.loop)
            self._state = {"state": "idle", "ratings": rated, "message": ""}
        except (ValueError, OSError, MemoryError, ArithmeticError, np.linalg.LinAlgError) as error:
            log.warning("the fit failed: %s", error)
            self._state = self._state | {"state": "failed", "message": f"the fit failed: {error}"}

    def _keep_scores(self, loop: "AnomalyLoop") -> None:
        """Expected ratings as columns of all galaxies."""
        for name, values in zip(("score", "uncertainty"), loop.expected(), strict=True):
            self.atlas.columns.add(name, "ratings", values.astype(float))

    def _told(self, rater: _Rater) -> dict:
        means, raters = rater.loop.tally()
        given = [mean for mean in means if mean is not None]
        counts = np.bincount(np.rint(given).astype(int), minlength=HIGHEST + 1)
        waiting = rater.loop.asked()
        columns = {column["name"] for column in self.atlas.columns.about() if column["from"] == "ratings"}
        scored = {"score", "uncertainty"} <= columns and waiting
        rows = rater.loop.rows(waiting) if scored else []
        cells = self.atlas.columns.cells(["score", "uncertainty"], rows) if scored else [{}] * len(waiting)
        return {
            "queue": [
                {"id_str": name, "why": rater.why.get(name, "begun"), "score": None, "uncertainty": None} | cell
                for name, cell in zip(waiting, cells, strict=True)
            ],
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
