"""Routes for labels and cluster names."""

from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from morphtools.app.atlas import Atlas
from morphtools.app.choosing_routes import names_of, post
from morphtools.app.judging import Judging
from morphtools.app.queues import Queues
from morphtools.app.reading_routes import number_of, text_of

_TYPICAL = 12  # galaxies shown of each cluster


class JudgingRoutes:
    """The routes.

    Args:
        atlas: The galaxies.
        judging: What people judge.
        queues: Which galaxies to label next.
    """

    def __init__(self, atlas: Atlas, judging: Judging, queues: Queues):
        self.atlas, self.judging, self.queues = atlas, judging, queues

    @property
    def routes(self) -> list[Route]:
        """Returns all routes."""
        return [
            post("/api/labels", self._make_table),
            post("/api/label", self._label),
            post("/api/label-all", self._label_all),
            post("/api/clusters", self._name_clusters),
            Route("/api/labels", self._tables, methods=["GET"]),
            Route("/api/labels/{name}", self._download, methods=["GET"]),
            Route("/api/queue", self._queue, methods=["GET"]),
            Route("/api/history", self._history, methods=["GET"]),
            Route("/api/clusters", self._clusters, methods=["GET"]),
        ]

    def about(self) -> list[dict]:
        """Describes every table of labels."""
        return [self._about(name) for name in list(self.judging.labels.tables)]

    def _about(self, name: Any) -> dict:
        return self.judging.labels.about(name, self.judging.folder)

    def _tables(self, request: Request) -> Response:
        return JSONResponse(self.about())

    def _make_table(self, body: dict) -> Response:
        return JSONResponse(self._about(self.judging.make_table(body)))

    def _label(self, body: dict) -> Response:
        answer = {"judgement": body.get("judgement")}
        if "undo" in body:
            answer["undone"] = self.judging.undo(body)[:100]
        elif "id_str" in body:
            self.judging.label(body)
        else:
            raise ValueError("id_str is missing: a label needs a galaxy")
        return JSONResponse(answer | {"table": self._about(body.get("table"))})

    def _label_all(self, body: dict) -> Response:
        if "ids" in body:
            names_of(body["ids"])
        changed = self.judging.label({key: value for key, value in body.items() if key != "id_str"})
        return JSONResponse(
            {"judgement": body["judgement"], "changed": changed, "table": self._about(body.get("table"))}
        )

    def _download(self, request: Request) -> Response:
        name = request.path_params["name"].removesuffix(".csv")
        self.judging.labels.table(name)
        path = self.judging.write_labels(name)
        return FileResponse(path, media_type="text/csv", filename=path.name)

    def _history(self, request: Request) -> Response:
        name, person = text_of(request, "table"), text_of(request, "person")
        self.judging.labels.table(name)
        listed = [
            {
                "judgement": each.judgement,
                "id_str": each.body["ids"][0] if len(each.body["ids"]) == 1 else None,
                "galaxies": len(each.body["ids"]),
                "value": each.body["value"],
                "settled": each.verb == "settle",
                "time": each.time,
            }
            for each in self.judging.labels.history(name, person)
        ]
        return JSONResponse(listed)

    def _queue(self, request: Request) -> Response:
        table, person = text_of(request, "table"), text_of(request, "person")
        number, seed = (int(number_of(request, name, value)) for name, value in (("galaxies", 20), ("seed", 0)))
        origin, chosen = request.query_params.get("from", "random"), request.query_params.get("set", "all")
        return JSONResponse(self.queues.next(table, person, origin, chosen, min(max(number, 1), 500), seed))

    def _clusters(self, request: Request) -> Response:
        return JSONResponse(self._listed())

    def _name_clusters(self, body: dict) -> Response:
        self.judging.name_clusters(body)
        return JSONResponse(self._listed())

    def _listed(self) -> dict:
        numbers = self.atlas.clusters
        if numbers is None:
            raise LookupError(
                self.atlas.messages.get("clusters", "There are no clusters yet: make them here, or give --clusters.")
            )
        names, artefacts = self.judging.names()
        counts = np.bincount(numbers[numbers >= 0])
        listed = []
        for number in np.flatnonzero(counts).tolist():
            rows = np.flatnonzero(numbers == number)
            rows = self.atlas.most_typical_first(rows)
            rows = rows[np.linspace(0, len(rows) - 1, min(_TYPICAL, len(rows))).astype(int)]
            listed.append(
                {
                    "cluster": number,
                    "galaxies": int(counts[number]),
                    "share": float(counts[number] / len(numbers)),
                    "name": names.get(number),
                    "artefact": number in artefacts,
                    "members": self.atlas.names(rows),
                }
            )
        return {"clusters": listed, "names": str(self.atlas.out / "cluster-names.csv"), "message": ""}
