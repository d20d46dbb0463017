"""Routes that only read: an overview, the map, tables of galaxies, one galaxy, its image."""

import json
from collections.abc import Callable

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import morphtools
from morphtools.app.atlas import Atlas, NotReady
from morphtools.app.density import View
from morphtools.app.sets import Sets, query
from morphtools.app.thumbnails import STRETCHES
from tfrecords_builder.naming import check_known

_FIRST, _NEAREST = 8, 12  # columns shown by default; neighbours shown beside a galaxy
_SIDE = 4096  # maximum pixels of the map on each side


class ReadingRoutes:
    """The routes.

    Args:
        atlas: The galaxies.
        sets: Sets of galaxies.
        more: Further facts about the survey.
        of: Judgements about a galaxy.
    """

    def __init__(self, atlas: Atlas, sets: Sets, more: Callable[[], dict], of: Callable[[str], dict]):
        self.atlas, self.sets, self._more, self._of = atlas, sets, more, of

    @property
    def routes(self) -> list[Route]:
        """Returns all routes."""
        named = {
            "about": self._about,
            "map.png": self._map,
            "legend": self._legend,
            "hover": self._hover,
            "points": self._points,
            "grid": self._grid,
            "place": self._place,
            "galaxies": self._galaxies,
            "galaxy": self._galaxy,
            "find": self._find,
            "thumbnail": self._thumbnail,
        }
        return [Route(f"/api/{name}", answer, methods=["GET"]) for name, answer in named.items()]

    def _about(self, request: Request) -> Response:
        atlas, messages = self.atlas, self.atlas.messages
        ready = atlas.grid is not None
        waiting = "" if ready else "The first two principal components are being computed."
        about = {
            "name": atlas.store.folder.resolve().name,
            "store": str(atlas.store.folder),
            "out": str(atlas.out),
            "version": morphtools.__version__,
            "galaxies": len(atlas),
            "dimension": atlas.store.dimension,
            "images": atlas.thumbnails.available,
            "map": {
                "kind": atlas.map_kind,
                "ready": ready,
                "galaxies": len(atlas.grid) if ready else 0,
                "bounds": list(atlas.grid.bounds) if ready else None,
                "message": messages.get("map", waiting),
            },
            "columns": {"ready": atlas.columns_ready, "list": atlas.columns.about()},
            "messages": {name: text for name, text in messages.items() if name != "map"},
            "stretches": list(STRETCHES),
            "clusters": atlas.clusters is not None,
            "selections": self.sets.saved(),
        }
        return JSONResponse(about | self._more())

    def _map(self, request: Request) -> Response:
        view = view_of(request, picture=True)
        colour, dot = request.query_params.get("colour"), int(number_of(request, "points", 4))
        colouring = self.atlas.colouring(colour)[0] if colour else None
        chosen = self.sets.chosen(request.query_params.get("set", "all"))
        data, galaxies = self.atlas.map.picture(view, colouring, chosen, min(max(dot, 1), 32))
        return Response(data, media_type="image/png", headers={"X-Galaxies": str(galaxies)})

    def _legend(self, request: Request) -> Response:
        return JSONResponse(self.atlas.colouring(text_of(request, "colour"))[1])

    def _hover(self, request: Request) -> Response:
        x, y, radius = (number_of(request, name) for name in ("x", "y", "radius"))
        row = self.atlas.map.nearest(x, y, radius)
        if row is None:
            return JSONResponse({"id_str": None})
        return JSONResponse(self._placed(row) | {"columns": self._cells([row], self._first(6))[0]})

    def _points(self, request: Request) -> Response:
        x, y, rows = self.atlas.map.within(view_of(request))
        if len(rows) > min(int(number_of(request, "most", 2000)), 20_000):
            return JSONResponse({"galaxies": len(rows), "points": None})
        chosen = self.sets.chosen(request.query_params.get("set", "all"))
        inset = np.ones(len(rows), bool) if chosen is None else chosen[rows]
        points = zip(self.atlas.names(rows), x.tolist(), y.tolist(), inset.tolist(), strict=True)
        return JSONResponse({"galaxies": len(rows), "points": list(points)})

    def _grid(self, request: Request) -> Response:
        columns, rows = (min(max(int(number_of(request, n, d)), 1), 100) for n, d in (("columns", 16), ("rows", 12)))
        chosen = self.sets.chosen(request.query_params.get("set", "all"))
        cells = self.atlas.map.middles(view_of(request), columns, rows, chosen)
        names = self.atlas.names(np.array([cell[3] for cell in cells], np.int64))
        listed = [
            {"column": column, "row": row, "galaxies": number, "id_str": name}
            for (column, row, number, _), name in zip(cells, names, strict=True)
        ]
        return JSONResponse({"cells": listed})

    def _place(self, request: Request) -> Response:
        return JSONResponse(self._placed(self.atlas.row(text_of(request, "id_str"))))

    def _galaxies(self, request: Request) -> Response:
        parameters = request.query_params
        where = [json_of(text, list, "where") for text in parameters.getlist("where")]
        columns = json_of(parameters["columns"], list, "columns") if "columns" in parameters else self._first(_FIRST)
        offset, limit = int(number_of(request, "offset", 0)), int(number_of(request, "limit", 60))
        order = (
            parameters.get("sort", ""),
            parameters.get("descending", "") in ("1", "true"),
            int(number_of(request, "seed", 0)),
        )
        rows = query(self.atlas, self.sets.rows(parameters.get("set", "all")), where, *order)
        shown = rows[max(offset, 0) : max(offset, 0) + min(max(limit, 0), 500)]
        return JSONResponse({"galaxies": len(rows), "rows": self.listed(shown, columns), "columns": columns})

    def _galaxy(self, request: Request) -> Response:
        id_str = text_of(request, "id_str")
        row = self.atlas.row(id_str)
        nearest = None
        try:
            rows, distances = self.atlas.nearest(row, _NEAREST)
            nearest = [
                {"id_str": name, "distance": float(distance)}
                for name, distance in zip(self.atlas.names(rows), distances, strict=True)
            ]
        except (NotReady, ValueError):
            pass
        place = self._placed(row)
        about = {
            "id_str": id_str,
            "columns": self._cells([row], [column["name"] for column in self.atlas.columns.about()])[0],
            "place": None if place["x"] is None else [place["x"], place["y"]],
            "nearest": nearest,
            "links": self._links(row),
        }
        return JSONResponse(about | self._of(id_str))

    def _find(self, request: Request) -> Response:
        return JSONResponse({"ids": self.atlas.find(text_of(request, "text"), int(number_of(request, "limit", 10)))})

    def _thumbnail(self, request: Request) -> Response:
        id_str, stretch = text_of(request, "id_str"), request.query_params.get("stretch", "asinh")
        self.atlas.row(id_str)
        check_known("stretch", stretch, STRETCHES)
        side = min(max(int(number_of(request, "side", 128)), 16), 1024)
        brightness, contrast = (number_of(request, name, value) for name, value in (("brightness", 0), ("contrast", 1)))
        light = min(max(brightness, -1.0), 1.0), min(max(contrast, 0.1), 10.0)
        data = self.atlas.thumbnails.jpeg(id_str, side, stretch, *light)
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    def listed(self, rows: np.ndarray, columns: list[str] | None = None) -> list[dict]:
        """Lists galaxies with columns, by default the first few."""
        cells = self._cells(rows, self._first(_FIRST) if columns is None else columns)
        return [{"id_str": name, "columns": row} for name, row in zip(self.atlas.names(rows), cells, strict=True)]

    def _cells(self, rows, columns: list[str]) -> list[dict]:
        return self.atlas.columns.cells(columns, np.asarray(rows, np.int64))

    def _first(self, number: int) -> list[str]:
        return [column["name"] for column in self.atlas.columns.about()[:number]]

    def _placed(self, row: int) -> dict:
        x, y = (np.nan, np.nan) if self.atlas.x is None else (float(self.atlas.x[row]), float(self.atlas.y[row]))
        on_map = np.isfinite(x) and np.isfinite(y)
        (name,) = self.atlas.names([row])
        return {"id_str": name, "x": x if on_map else None, "y": y if on_map else None}

    def _links(self, row: int) -> list[dict]:
        """Links to other servers for a position on the sky."""
        sky = self.atlas.columns.sky
        if sky is None or not np.isfinite(sky[row]).all():
            return []
        ra, dec = (f"{value:.6f}" for value in sky[row])
        pages = {
            "Legacy Surveys viewer": f"https://www.legacysurvey.org/viewer?ra={ra}&dec={dec}&zoom=15&mark={ra},{dec}",
            "SDSS": f"https://skyserver.sdss.org/dr18/VisualTools/explore/summary?ra={ra}&dec={dec}",
            "SIMBAD": f"https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={ra}+{dec}&Radius=10&Radius.unit=arcsec",
        }
        return [{"name": name, "url": url} for name, url in pages.items()]


def view_of(request: Request, picture: bool = False) -> View:
    """Reads the view of a request.

    Raises:
        ValueError: It is not valid.
    """
    ends = [number_of(request, name) for name in ("x0", "x1", "y0", "y1")]
    if ends[0] >= ends[1] or ends[2] >= ends[3]:
        raise ValueError(f"a view needs x0 < x1 and y0 < y1, got {ends}")
    sides = [int(number_of(request, name)) for name in ("width", "height")] if picture else [1, 1]
    if not 1 <= min(sides) <= max(sides) <= _SIDE:
        raise ValueError(f"a picture must have 1 to {_SIDE} pixels on each side, got {sides[0]} and {sides[1]}")
    x0, x1, y0, y1 = ends
    return View(x0, x1, y0, y1, sides[0], sides[1])


def number_of(request: Request, name: str, default: float | None = None) -> float:
    """A numeric parameter; ValueError if it is not a number."""
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    try:
        value = np.nan if text is None else float(text)
    except (TypeError, ValueError):
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"{name} must be a number, got {text!r:.60}")
    return value


def text_of(request: Request, name: str) -> str:
    """A required parameter; ValueError if it is missing."""
    text = request.query_params.get(name)
    if not text:
        raise ValueError(f"{name} is missing")
    return text


def json_of(text: str, kind: type, name: str):
    """A parameter in JSON; ValueError if it is of another kind, or empty."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind) or not value:
        raise ValueError(f"{name} must be a list in JSON, got {text!r:.80}")
    return value
