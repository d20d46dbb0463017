"""Routes for rating and for commands that run in the background."""

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from morphtools.app.choosing_routes import post
from morphtools.app.judgements import check_judgement
from morphtools.app.rating import Rating
from morphtools.app.reading_routes import text_of
from morphtools.app.verbs import Verbs


class WorkingRoutes:
    """The routes.

    Args:
        rating: The anomaly loop.
        verbs: The commands.
    """

    def __init__(self, rating: Rating, verbs: Verbs):
        self.rating, self.verbs = rating, verbs

    @property
    def routes(self) -> list[Route]:
        """Returns all routes."""
        return [
            post("/api/rate", self._rate),
            post("/api/jobs", self._start),
            post("/api/jobs/{job}/stop", self._stop),
            Route("/api/rate", self._rated, methods=["GET"]),
            Route("/api/finetune", self._command, methods=["GET"]),
            Route("/api/jobs", self._jobs, methods=["GET"]),
            Route("/api/jobs/{job}", self._job, methods=["GET"]),
            Route("/api/jobs/{job}/figures/{figure}", self._figure, methods=["GET"]),
        ]

    def _rated(self, request: Request) -> Response:
        rater = text_of(request, "rater")
        if request.query_params.get("from") == "contested":
            return JSONResponse(self.rating.contested(rater))
        return JSONResponse(self.rating.about(rater, request.query_params.get("learn", "")))

    def _rate(self, body: dict) -> Response:
        return JSONResponse(self.rating.rate(body))

    def _command(self, request: Request) -> Response:
        return JSONResponse(self.verbs.command(text_of(request, "table")))

    def _start(self, body: dict) -> Response:
        return JSONResponse(self.verbs.start(body, check_judgement(body.get("judgement"))))

    def _jobs(self, request: Request) -> Response:
        jobs = self.verbs.jobs
        return JSONResponse([jobs.state(name) for name in jobs.names()[:50]])

    def _job(self, request: Request) -> Response:
        return JSONResponse(self.verbs.jobs.state(request.path_params["job"]))

    def _stop(self, body: dict) -> Response:
        check_judgement(body.get("judgement"))
        return JSONResponse(self.verbs.jobs.stop(body["job"]))

    def _figure(self, request: Request) -> Response:
        path = self.verbs.jobs.figure(request.path_params["job"], request.path_params["figure"])
        return FileResponse(path, media_type="image/png")
