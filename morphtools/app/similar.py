"""Finds galaxies similar to examples given by name, position on the sky, or an uploaded image."""

import hashlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from morphtools.app.atlas import Atlas, NotReady
from morphtools.app.image_worker import Representing
from morphtools.explore.positions import nearest_place
from morphtools.explore.similarity import nearest_to
from tfrecords_builder.bounded import Limits
from tfrecords_builder.coordinates import sky_positions
from tfrecords_builder.files import write_whole
from tfrecords_builder.images import Image, open_images

MOST = 2000  # maximum number of galaxies returned
_LIMITS = Limits(bytes=2**25, pixels=2**24)  # for uploaded images
_ENDING = re.compile(r"\.(jpe?g|png|webp|gif|bmp|tiff?|fits?|fts)(\.gz|\.bz2|\.xz|\.lzma|\.fz)?$", re.IGNORECASE)


class Similar:
    """The search for similar galaxies.

    Args:
        atlas: The galaxies.
        weights: The weights that made the store, to represent uploaded images.
    """

    def __init__(self, atlas: Atlas, weights: str | Path | None):
        self.atlas, self.folder = atlas, atlas.cache / "uploads"
        self._lock = threading.Lock()
        self._vectors: dict[str, np.ndarray | str] = {}
        self._represent = None if weights is None else Representing(weights, atlas.store.folder)
        self.weights = weights

    def close(self) -> None:
        """Stops the process that represents images, if it was started."""
        if self._represent is not None:
            self._represent.close()

    def about(self) -> dict:
        """Which kinds of search are possible, and why others are not."""
        position, image = self.atlas.columns.sky is not None, self._represent is not None
        return {
            "position": position,
            "image": image,
            "why_no_position": "" if position else "the catalogue has no ra and dec",
            "why_no_image": "" if image else "give the weights that made the representations with --weights",
        }

    def search(
        self, like: list[str], unlike: list[str], position: str, images: list[str], galaxies: int, radius: float, chosen
    ) -> tuple[np.ndarray, np.ndarray, dict]:
        """Finds the galaxies nearest to examples and farthest from counter-examples.

        Args:
            like: Names of examples.
            unlike: Names of counter-examples.
            position: Position of another example, in degrees or sexagesimal; or "".
            images: Handles of uploaded images.
            galaxies: Number of galaxies to find.
            radius: Maximum distance of a galaxy from the position (arcsec).
            chosen: (N,) bool: search only these; None for all.

        Returns:
            Rows and distances, the nearest first; and the examples by name, the position, and the seconds it took.

        Raises:
            ValueError: No example was given, or no galaxy lies near the position.
            NotReady: The representations are being read, or an image is being represented.
        """
        start, place = time.perf_counter(), None
        if position:
            place = self.place(position, radius)
            like = [*like, *([place["id_str"]] if place["id_str"] not in like else [])]
        query = np.concatenate([self._vector(handle) for handle in images]) if images else None
        rows, others = self.atlas.rows(like), self.atlas.rows(unlike)
        number = min(max(galaxies, 1), MOST)
        nearest, distances = nearest_to(self.atlas.near, rows, others, query, galaxies=number, allowed=chosen)
        return nearest, distances, {"like": like, "position": place, "seconds": round(time.perf_counter() - start, 4)}

    def place(self, text: str, radius: float) -> dict:
        """Finds the galaxy nearest to a position on the sky, in degrees or sexagesimal.

        Raises:
            ValueError: It is not a position, or no galaxy lies near it.
        """
        if self.atlas.columns.sky is None:
            if not self.atlas.columns_ready:
                raise NotReady("the catalogue is being read")
            raise ValueError("the galaxies have no positions: give a catalogue with columns ra and dec")
        ra, dec = split_position(text)
        row, separation = nearest_place(self.atlas.columns.sky, ra, dec)
        if separation > radius:
            name = self.atlas.names([row])[0]
            raise ValueError(
                f"no galaxy within {radius:g} arcsec of ra {ra:.5f}, dec {dec:.5f}: the nearest, {name}, is "
                f"{separation:.1f} arcsec away"
            )
        return {"ra": ra, "dec": dec, "id_str": self.atlas.names([row])[0], "separation": separation}

    def upload(self, name: str, data: bytes) -> tuple[str, Image]:
        """Keeps an uploaded image if it can be read, and starts to represent it.

        Raises:
            ValueError: It is not an image, or it is too large.
        """
        ending = _ENDING.search(name)
        if ending is None:
            raise ValueError(f"{name[-80:]!r} is not named like a JPEG, PNG, WebP, GIF, BMP, TIFF or FITS file")
        handle = f"u{hashlib.sha256(data).hexdigest()[:20]}"
        folder = self.folder / handle
        path = folder / f"image{ending[0].lower()}"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
        try:
            image = self.image(handle)
        except ValueError:
            path.unlink()
            folder.rmdir()
            raise
        self._begin(handle)
        return handle, image

    def image(self, handle: str) -> Image:
        """An uploaded image.

        Raises:
            LookupError: No image has that handle.
            ValueError: It cannot be read.
        """
        return open_images(self.folder / handle, limits=_LIMITS)(self._file(handle).name)

    def _file(self, handle: str) -> Path:
        folder = self.folder / handle
        files = sorted(folder.glob("image.*")) if re.fullmatch(r"u[0-9a-f]{20}", handle) and folder.is_dir() else []
        if not files:
            raise LookupError(f"there is no uploaded image {handle[:40]!r}")
        return files[0]

    def _begin(self, handle: str) -> None:
        if self._represent is not None and not isinstance(self._vectors.get(handle), np.ndarray):
            arguments = (handle, self._represent)
            threading.Thread(target=self._represented, args=arguments, daemon=True, name="representing").start()

    def _represented(self, handle: str, represent: Callable[[Path], np.ndarray]) -> None:
        with self._lock:
            if isinstance(self._vectors.get(handle), np.ndarray):
                return
            try:
                self._vectors[handle] = represent(self._file(handle))
            except (ValueError, OSError, LookupError) as error:
                self._vectors[handle] = str(error)

    def _vector(self, handle: str) -> np.ndarray:
        self._file(handle)
        if self._represent is None:
            raise ValueError(self.about()["why_no_image"])
        vector = self._vectors.get(handle)
        if isinstance(vector, str):
            del self._vectors[handle]  # to be tried again next time
            raise ValueError(f"the image cannot be represented: {vector}")
        if vector is None:
            self._begin(handle)
            raise NotReady("the image is being represented; the first one takes longer, because the weights are read")
        return vector


def split_position(text: str) -> tuple[float, float]:
    """Reads ra and dec (deg) from text such as `150.1 2.2`, `10:00:24 +02:12:00`, `10h00m24s +2d12m`.

    Raises:
        ValueError: It is not a position.
    """
    parts = text.replace(",", " ").split()
    if len(parts) not in (2, 6):
        raise ValueError(f"a position must be two numbers or look like 10:00:24 +02:12:00, got {text!r:.80}")
    half = len(parts) // 2
    places, reasons = sky_positions([{"ra": ":".join(parts[:half]), "dec": ":".join(parts[half:])}])
    if reasons[0]:
        raise ValueError(str(reasons[0]))
    if not np.isfinite(places).all():
        raise ValueError(f"a position must be two numbers or look like 10:00:24 +02:12:00, got {text!r:.80}")
    return float(places[0, 0]), float(places[0, 1])
