"""Routes that select galaxies: by lasso and box on the map, by similarity, as saved selections."""

import json

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from morphtools.app.atlas import Atlas
from morphtools.app.judgements import check_judgement
from morphtools.app.reading_routes import ReadingRoutes
from morphtools.app.sets import Sets
from morphtools.app.similar import Similar
from morphtools.app.thumbnails import encoded, shown

_CORNERS = 5000  # maximum number of corners of a lasso
_IDS = 50_000  # maximum number of galaxies named in one request


class ChoosingRoutes:
    """The routes.

    Args:
        atlas: The galaxies.
        sets: Sets of galaxies.
        similar: The search.
        reading: Lists galaxies with their columns.
    """

    def __init__(self, atlas: Atlas, sets: Sets, similar: Similar, reading: ReadingRoutes):
        self.atlas, self.sets, self.similar, self.reading = atlas, sets, similar, reading

    @property
    def routes(self) -> list[Route]:
        """Returns all routes."""
        return [
            post("/api/select", self._select),
            post("/api/selections", self._save),
            post("/api/similar", self._similar),
            Route("/api/uploads", self._upload, methods=["POST"]),
            Route("/api/uploads/{handle}", self._uploaded, methods=["GET"]),
            Route("/api/selections", self._saved, methods=["GET"]),
            Route("/api/selections/{name}", self._download, methods=["GET"]),
        ]

    def _select(self, body: dict) -> Response:
        kinds = [kind for kind in ("polygon", "box", "ids", "set") if kind in body]
        if len(kinds) != 1:
            raise ValueError(f"choose by one of polygon, box, ids and set, got {kinds or 'none'}")
        rows = getattr(self, f"_by_{kinds[0]}")(body[kinds[0]])
        handle = self.sets.combine(rows, body.get("mode", "replace"), str(body.get("to", "all")))
        return JSONResponse({"set": handle, "galaxies": self.sets.count(handle)})

    def _by_polygon(self, corners) -> np.ndarray:
        return self.atlas.map.lasso(_places(corners, 3, _CORNERS))

    def _by_box(self, ends) -> np.ndarray:
        x0, x1, y0, y1 = _places([ends], 1, 1, 4)[0]
        return self.atlas.map.lasso(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]))

    def _by_ids(self, ids) -> np.ndarray:
        return self.atlas.rows(names_of(ids))

    def _by_set(self, text) -> np.ndarray:
        rows = self.sets.rows(str(text))
        return np.arange(len(self.atlas)) if rows is None else rows

    def _saved(self, request: Request) -> Response:
        return JSONResponse(self.sets.saved())

    def _save(self, body: dict) -> Response:
        check_judgement(body.get("judgement"))
        name = body.get("name")
        path = self.sets.save(name, str(body.get("set")), bool(body.get("replace")))
        return JSONResponse({"name": name, "galaxies": self.sets.count(f"selection:{name}"), "file": str(path)})

    def _download(self, request: Request) -> Response:
        name = request.path_params["name"].removesuffix(".csv")
        path = self.sets.path_of(name)
        if not path.exists():
            raise LookupError(f"there is no selection {name!r}")
        return FileResponse(path, media_type="text/csv", filename=path.name)

    def _similar(self, body: dict) -> Response:
        like, unlike, images = (names_of(body.get(name) or []) for name in ("like", "unlike", "images"))
        position, number, radius = body.get("position") or "", body.get("galaxies", 48), body.get("radius", 5)
        if not isinstance(position, str) or not all(isinstance(n, int | float) for n in (number, radius)):
            raise ValueError("position must be text, galaxies and radius must be numbers")
        chosen = self.sets.chosen(str(body.get("within") or "all"))
        rows, distances, about = self.similar.search(like, unlike, position, images, int(number), radius, chosen)
        listed = self.reading.listed(rows)
        listed = [row | {"distance": float(distance)} for row, distance in zip(listed, distances, strict=True)]
        return JSONResponse({"set": self.sets.keep(rows), "rows": listed} | about)

    async def _upload(self, request: Request) -> Response:
        data = await request.body()
        name = request.query_params.get("name", "")
        handle, image = await run_in_threadpool(self.similar.upload, name, data)
        return JSONResponse({"upload": handle, "shape": list(image.shape)})

    def _uploaded(self, request: Request) -> Response:
        data = encoded(shown(self.similar.image(request.path_params["handle"]), None), 256)
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


def post(path: str, answer) -> Route:
    """A POST route that passes the JSON object in its body to `answer`, in a thread."""

    async def answered(request: Request) -> Response:
        try:
            body = json.loads(await request.body())
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise ValueError("the body of the request is not a JSON object")
        return await run_in_threadpool(answer, body | request.path_params)

    return Route(path, answered, methods=["POST"])


def names_of(ids) -> list[str]:
    """Reads the ids in a request.

    Raises:
        ValueError: It is not a list of ids, or the list is too long.
    """
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        raise ValueError("ids must be a list of text")
    if len(ids) > _IDS:
        raise ValueError(f"ids can list at most {_IDS} galaxies, got {len(ids)}: use a set")
    return ids


def _places(numbers, least: int, most: int, width: int = 2) -> np.ndarray:
    try:
        places = np.array(numbers, float)
    except (TypeError, ValueError):
        places = np.zeros(0)
    if places.ndim != 2 or places.shape[1] != width or not np.isfinite(places).all():
        raise ValueError("a polygon must be a list of corners [x, y], a box the numbers x0, x1, y0 and y1")
    if not least <= len(places) <= most:
        raise ValueError(f"a polygon must have {least} to {most} corners, got {len(places)}")
    return places
