"""The application and its server: a secret address, the pages, errors in words, open to this machine only."""

import contextlib
import errno
import json
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from morphtools.app.atlas import Atlas, NotReady
from morphtools.app.choosing_routes import ChoosingRoutes
from morphtools.app.guard import Guard, TooLarge
from morphtools.app.judging import Judging
from morphtools.app.judging_routes import JudgingRoutes
from morphtools.app.queues import Queues
from morphtools.app.rating import Rating
from morphtools.app.reading_routes import ReadingRoutes
from morphtools.app.sets import Sets
from morphtools.app.similar import Similar
from morphtools.app.verbs import Verbs
from morphtools.app.working_routes import WorkingRoutes
from morphtools.explore.tables import inputs_of_store
from morphtools.inference.representations import Representations
from tfrecords_builder.claims import claim
from tfrecords_builder.copies import origin_of
from tfrecords_builder.files import write_whole
from tfrecords_builder.json_files import read_json

log = logging.getLogger(__name__)

_STATIC = Path(__file__).parent / "static"
_ENDINGS = {".html", ".js", ".css", ".svg", ".png", ".woff2"}
_ERRORS = (NotReady, LookupError, ValueError, OSError, TooLarge, MemoryError, HTTPException, Exception)
_LOCAL = ("127.0.0.1", "localhost", "[::1]")


def create_app(
    store: str | Path | Representations,
    *,
    records: str | Path | None = None,
    catalog=None,
    images: str | Path | None = None,
    map: str | Path | None = None,
    clusters: str | Path | None = None,
    predictions: str | Path | None = None,
    run: str | Path | None = None,
    session: str | Path | None = None,
    weights: str | Path | None = None,
    out: str | Path | None = None,
    token: str | None = None,
    hosts: tuple[str, ...] = (),
    load: bool = True,
) -> Starlette:
    """Creates the application for a store of representations; `serve` explains the arguments.

    The caller must hold the claim on `out`, as `serve` does.

    Args:
        store: The store or its folder.
        records: Records of its galaxies, for images and columns.
        catalog: Table with `id_str` and columns to show.
        images: Its images.
        map: Folder of `make_map`.
        clusters: Folder of `cluster`.
        predictions: Table with `id_str` and predictions.
        run: Run folder of `finetune`.
        session: Folder of `find_anomalies`.
        weights: The weights that made the store.
        out: Folder of the application.
        token: The secret; a new one by default.
        hosts: Further host names, if the server is behind a proxy.
        load: Whether to start reading the slow parts in a thread; otherwise call `app.state.atlas.load()`.

    Returns:
        The application; `app.state.token` is the secret at the beginning of its paths.
    """
    out = out_folder(store, out)
    shown = {"records": records, "catalog": catalog, "images": images}
    atlas = Atlas(store, out, **shown, map=map, clusters=clusters, predictions=predictions)
    similar = Similar(atlas, weights)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette):
        yield
        similar.close()

    routes = _routes(atlas, similar, run, session, weights)
    app = Starlette(routes=routes, exception_handlers=dict.fromkeys(_ERRORS, _failed), lifespan=lifespan)
    app.state.token = token or secrets.token_urlsafe(24)
    app.state.atlas = atlas
    app.add_middleware(Guard, token=app.state.token, hosts=(*_LOCAL, *hosts))
    if load:
        threading.Thread(target=atlas.load, daemon=True, name="reading").start()
    return app


def _routes(atlas: Atlas, similar: Similar, run, session, weights) -> list[Route]:
    sets = Sets(atlas)
    judging, rating = Judging(atlas, sets), Rating(atlas, Path(session or atlas.out / "anomalies"))
    sets.more["rated"] = rating.rated
    verbs = Verbs(atlas, judging, weights, run)
    labels = JudgingRoutes(atlas, judging, Queues(atlas, sets, judging, verbs.suggestions))

    def about() -> dict:
        for name in verbs.jobs.names()[:5]:  # show what they made
            verbs.jobs.state(name)
        people = sorted({person for table in labels.about() for person in table["people"]})
        return {"labels": labels.about(), "people": people, "similar": similar.about(), "run": run is not None}

    def of(id_str: str) -> dict:
        return judging.of(id_str) | rating.of(id_str)

    reading = ReadingRoutes(atlas, sets, about, of)
    parts: list[Any] = [reading, ChoosingRoutes(atlas, sets, similar, reading), labels, WorkingRoutes(rating, verbs)]
    pages = [Route("/", _page, methods=["GET"]), Route("/static/{name}", _static, methods=["GET"])]
    return pages + [route for part in parts for route in part.routes]


def out_folder(store: str | Path | Representations, out: str | Path | None) -> Path:
    """The folder of the application: by default `STORE-explore` beside the store."""
    folder = Representations.open(store).folder
    if out is None and origin_of(folder):
        raise ValueError(f"{origin_of(folder)} is not on this machine: give `out`, a folder for what is judged")
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}-explore") if out is None else Path(out)


class Server:
    """A running server; leaving it as a context manager stops it.

    Attributes:
        url: The address; anyone who knows it has access.
    """

    def __init__(self, url: str, stop: Callable[[], None], thread: threading.Thread):
        self.url, self._stop, self._thread = url, stop, thread

    def stop(self) -> None:
        """Stops the server and releases its folder."""
        self._stop()
        self._thread.join()

    def wait(self) -> None:
        """Waits until the server is stopped or Ctrl-C is pressed."""
        try:
            while self._thread.is_alive():
                self._thread.join(0.5)
        except KeyboardInterrupt:
            self.stop()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_) -> None:
        self.stop()


def serve(
    store: str | Path | Representations,
    *,
    records: str | Path | None = None,
    catalog=None,
    images: str | Path | None = None,
    map: str | Path | None = None,
    clusters: str | Path | None = None,
    predictions: str | Path | None = None,
    run: str | Path | None = None,
    session: str | Path | None = None,
    weights: str | Path | None = None,
    out: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    hosts: tuple[str, ...] = (),
    block: bool = True,
    announce: Callable[[str], object] = print,
) -> Server:
    """Serves the application to browsers on this machine.

    Args:
        store: The store or its folder.
        records: Records of its galaxies, for images and columns.
        catalog: Table with `id_str` and columns to show.
        images: Folder, zip archive or stack of the catalogue's images, instead of records.
        map: Folder of `make_map`; by default the map made in the browser, or the first two principal components.
        clusters: Folder of `cluster`; by default the clusters made in the browser.
        predictions: Table with `id_str` and predictions.
        run: Run folder of `finetune`, to suggest galaxies to label.
        session: Folder of `find_anomalies` in which to rate; by default one in `out`.
        weights: The weights that made the store, to search by images.
        out: Folder of the application, with every judgement; by default `STORE-explore` beside the store. Only one
            server at a time can use it.
        host: Address to listen on. With any but this machine's own, everyone who knows the secret has access.
        port: Port; 0: the same as last time, or any free one. The secret also stays the same.
        hosts: Further host names, if the server is behind a proxy.
        block: Whether to wait until the server ends.
        announce: Called with the address.

    Returns:
        The server.

    Raises:
        BlockingIOError: Another server is using `out`.
        FileExistsError: `out` belongs to another store.
        OSError: The port is in use.
    """
    store = Representations.open(store)
    out = out_folder(store, out)
    with contextlib.ExitStack() as held:
        claimed = held.enter_context(claim(out, "explore", {}, inputs_of_store(store), others=True))
        about = {"records": records, "catalog": catalog, "images": images, "map": map, "clusters": clusters}
        about |= {"predictions": predictions, "run": run, "session": session, "weights": weights}
        names = (*hosts, *([] if host in (*_LOCAL, "0.0.0.0", "::") else [host]))
        last_port, token = _address(out)
        app = create_app(store, out=out, hosts=names, load=False, token=token, **about)
        claimed.keep()
        listening = held.enter_context(contextlib.closing(_listen(host, port, last_port)))
        _keep_address(out, listening.getsockname()[1], app.state.token)
        address = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        url = f"http://{address}:{listening.getsockname()[1]}/{app.state.token}/"
        server = _start(app, listening, held.pop_all())
    running = Server(url, server.stop, server.thread)
    announce(url)
    if block:
        running.wait()
    return running


class _Started:
    """Uvicorn in a thread."""

    def __init__(self, app: Starlette, listening: socket.socket, held: contextlib.ExitStack):
        import uvicorn

        # requests are not logged: their paths contain the secret
        options: dict[str, Any] = {"log_level": "warning", "access_log": False, "ws": "none", "server_header": False}
        options["log_config"] = None  # uvicorn's own would close all other log handlers of the process
        self._server = uvicorn.Server(uvicorn.Config(app, **options, timeout_graceful_shutdown=3))
        self._listening, self._held = listening, held
        self.thread = threading.Thread(target=self._run, daemon=True, name="server")
        self.thread.start()

    def _run(self) -> None:
        with self._held:
            self._server.run(sockets=[self._listening])

    def stop(self) -> None:
        self._server.should_exit = True


def _start(app: Starlette, listening: socket.socket, held: contextlib.ExitStack) -> _Started:
    """Starts the server; slow parts are read in the background once it answers."""
    started = _Started(app, listening, held)
    while not started._server.started and started.thread.is_alive():
        time.sleep(0.005)
    threading.Thread(target=app.state.atlas.load, daemon=True, name="reading").start()
    return started


def _address(out: Path) -> tuple[int, str | None]:
    """Port and secret of the last server of a folder, so that open pages continue to work with the next one."""
    try:
        kept = read_json(out / "address.json")
    except (OSError, ValueError):
        return 0, None
    return kept["port"], kept["token"]


def _keep_address(out: Path, port: int, token: str) -> None:
    def write(new: Path) -> None:
        new.touch(0o600)  # anyone who can read it has access
        new.write_text(json.dumps({"port": port, "token": token}))

    write_whole(out / "address.json", write)


def _listen(host: str, port: int, last_port: int = 0) -> socket.socket:
    if not port and last_port:
        with contextlib.suppress(OSError):  # another program uses it now
            return _listen(host, last_port)
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"cannot listen on {host}, port {port}: {error.strerror}") from None
    return listening


async def _page(request: Request) -> Response:
    return _file("index.html")


async def _static(request: Request) -> Response:
    return _file(request.path_params["name"])


def _file(name: str) -> Response:
    """A file of the page, by a name listed in the folder, never by a path."""
    names = {path.name for path in _STATIC.iterdir() if path.suffix in _ENDINGS} if _STATIC.is_dir() else ()
    if name not in names:
        return JSONResponse({"error": f"there is no {name[:80]}"}, 404)
    return FileResponse(_STATIC / name)


_STATUS = (
    (NotReady, 503),
    (FileNotFoundError, 404),
    (LookupError, 404),
    (TooLarge, 413),
    (ValueError, 400),
    (FileExistsError, 409),
    (BlockingIOError, 409),
)


async def _failed(request: Request, error: Exception) -> Response:
    """Reports an error in one sentence, with the HTTP status of its kind."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" on the disk of {error.filename}" if error.filename else ""
        return JSONResponse({"error": f"The disk is full and this was not stored. Free some space{where}."}, 507)
    status = next((number for kind, number in _STATUS if isinstance(error, kind)), 500)
    status = 500 if isinstance(error, KeyError | IndexError) else status
    if status == 500 and not isinstance(error, OSError | MemoryError):
        log.exception("unexpected error", exc_info=error)
    return JSONResponse({"error": _words(error)} | ({"retry": 1} if status == 503 else {}), status)


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename}"
    return str(error) or type(error).__name__
