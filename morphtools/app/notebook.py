"""Shows the browser application below a cell of a notebook."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from morphtools.app.server import Server, serve
from morphtools.inference.representations import Representations


@dataclass(frozen=True)
class Page:
    """A running application, shown below the notebook cell that ends with it.

    Attributes:
        server: The running server.
        height: Height of the frame (px).
    """

    server: Server
    height: int

    @property
    def url(self) -> str:
        """The address for a browser on this machine; anyone who knows it can look and judge."""
        return self.server.url

    def stop(self) -> None:
        """Stops the server; all judgements are on disk."""
        self.server.stop()

    def _ipython_display_(self) -> None:
        address = urlsplit(self.url)
        if _colab() is not None:
            _colab().serve_kernel_port_as_iframe(address.port, path=address.path, height=self.height)
            return
        from IPython.display import IFrame, display

        display(IFrame(self.url, "100%", self.height))


def browse(
    store: str | Path | Representations,
    *,
    records: str | Path | None = None,
    catalog: str | Path | pd.DataFrame | None = None,
    images: str | Path | None = None,
    map: str | Path | None = None,
    clusters: str | Path | None = None,
    predictions: str | Path | pd.DataFrame | None = None,
    run: str | Path | None = None,
    session: str | Path | None = None,
    weights: str | None = None,
    out: str | Path | None = None,
    height: int = 760,
) -> Page:
    """Opens a survey in the browser, below a notebook cell: its map, galleries, search, ratings and labels.

    It is the same as the command `morphtools explore`, whose help explains each argument. (The name
    `morphtools.explore` belongs to a package.) The server runs beside the notebook, on this machine only, until `stop`
    is called or the notebook ends; every judgement is on disk before the next galaxy is shown.

    On Colab the page comes through Colab's proxy. This follows its documentation and *was not tested there*. On
    another machine, such as a JupyterHub, forward the port (`ssh -L`), or open `morphtools explore` on your own.

    Args:
        store: Representations or their folder; all galaxies in it are shown.
        records: Records, for pictures.
        catalog: Table with `id_str` and columns to show; with `images` also `file_loc`.
        images: Folder, zip archive or stack of images, instead of records.
        map: Folder of `make_map`; otherwise the map is made of the first two principal components.
        clusters: Folder of `cluster`; otherwise they can be made in the browser.
        predictions: Table of `predict`.
        run: Run folder of `finetune`, to suggest galaxies to label.
        session: Folder of `find_anomalies`, to continue its ratings.
        weights: The weights that made the store: uploaded images are searched with them, and training starts from them.
        out: Folder for all judgements (beside the store, `STORE-explore`).
        height: Height of the frame below the cell (px).

    Returns:
        The page, which is shown below the cell; `url` is its address, and `stop` ends it.

    Raises:
        FileNotFoundError: The store, catalogue, image folder or run does not exist.
        ValueError: The arguments do not belong together.
    """
    given: dict[str, Any] = {"records": records, "catalog": catalog, "images": images, "map": map, "clusters": clusters}
    given |= {"predictions": predictions, "run": run, "session": session, "weights": weights, "out": out}
    if _colab() is not None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        proxy = urlsplit(_colab().eval_js(f"google.colab.kernel.proxyPort({port})")).hostname
        given |= {"port": port, "hosts": (proxy,)}
    return Page(serve(store, **given, block=False), height)


def _colab():
    """Colab's output module; None elsewhere."""
    try:
        from google.colab import output
    except ImportError:
        return None
    return output
