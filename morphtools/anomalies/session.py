"""The folder of a session of the rating loop: its candidates, what they were made of, and its ratings."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from morphtools.anomalies.ratings import Ratings
from morphtools.explore.pca import fit_pca
from morphtools.inference.parts import check_part
from morphtools.inference.representations import Representations
from tfrecords_builder.checksums import file_checksum
from tfrecords_builder.claims import claim
from tfrecords_builder.files import write_whole
from tfrecords_builder.json_files import read_json, write_json
from tfrecords_builder.naming import some
from tfrecords_builder.progress import progress_bar

log = logging.getLogger(__name__)

_ROWS = 65536


class Names:
    """The names of the galaxies of a session, which stay in the store; of those that were met the rows are remembered.

    Args:
        store: The representations; what is added to them later is not in the session.
    """

    def __init__(self, store: Representations):
        self._store, self._parts, self._rows = store, store.parts, dict[str, int]()

    def __iter__(self) -> Iterator[np.ndarray]:
        return self._store.name_batches(_ROWS, self._parts)

    def rows(self, ids: Iterable[str]) -> np.ndarray:
        """(n,) rows of galaxies, −1 for those that are not there."""
        names = [str(name) for name in ids]
        new = [name for name in names if name not in self._rows]
        self._rows.update(zip(new, self._store.rows_of(new, self._parts).tolist(), strict=True))
        return np.array([self._rows[name] for name in names], int)

    def of(self, rows: np.ndarray) -> list[str]:
        """The names of some rows (n,)."""
        names = [str(name) for name in self._store.names_of(rows, self._parts)]
        self._rows.update(zip(names, rows.tolist(), strict=True))
        return names


def standardized_components(store: Representations, components: int, path: Path, *, whiten: bool = True) -> None:
    """Writes the first principal components as (N, K) float32 `.npy`, with a mean variance of 1.

    Each is divided by its own standard deviation; without `whiten` all are divided by one number, as in the papers, so
    that the first ones count most.
    """
    projection = fit_pca(store, components=min(components, store.dimension, len(store) - 1))
    shape = (len(store), len(projection.components))

    def write(new):  # not through a memory map: a full disk would end the process
        with new.open("w+b") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            begin, squares = file.tell(), np.zeros(shape[1])
            with progress_bar(total=len(store), desc="components", unit="galaxy", delay=2) as bar:
                for _, values in store.batches():
                    part = projection(values)
                    squares += (part.astype(float) ** 2).sum(axis=0)
                    file.write(part.tobytes())
                    bar.update(len(part))
            variance = squares if whiten else np.full(shape[1], squares.mean())
            deviation = np.sqrt(variance / len(store)).astype(np.float32)
            deviation = np.maximum(deviation, np.finfo(np.float32).tiny)
            for start in range(0, shape[0], _ROWS):
                place = begin + 4 * start * shape[1]
                file.seek(place)
                part = np.frombuffer(file.read(4 * _ROWS * shape[1]), "<f4").reshape(-1, shape[1])
                file.seek(place)
                file.write((part / deviation).tobytes())

    write_whole(path, write)


def open_session(out: Path, store: Representations, components: int) -> np.ndarray:
    """Makes a session or checks that it belongs to these representations; returns the candidates.

    `session.json` is written last, with the checksum of the candidates. Raters who begin a session together wait for
    the first of them.
    """
    parts = {path.name: _checksum(path) for path in store.parts}
    for path in store.parts:
        if f".{parts[path.name]:08x}." not in path.name:  # a part of an earlier version, or damaged
            check_part(path)
    about, ratings, candidates = out / "session.json", out / "ratings.sqlite", out / "candidates.npy"
    try:
        settings, inputs = {"components": components}, {"representations": parts}
        with claim(out, "find-anomalies", settings, inputs, old="session.json", wait=True) as claimed:
            begun = read_json(about) if about.exists() else {}
            if begun and not (ratings.exists() and ratings.stat().st_size):
                raise ValueError(f"{ratings} is missing or empty: restore it from a copy, or choose another out")
            if not begun and (twice := store.repeated_names()):
                raise ValueError(f"galaxies that are twice in {store.folder}: {some(twice)}")
            claimed.keep()
            Ratings(ratings).check()
            if not _sound(candidates, begun.get("candidates"), len(store)):
                if begun:
                    log.warning("%s was missing or damaged, and is made again", candidates)
                standardized_components(store, components, candidates)
                begun = {}
            if not begun:
                write_json(about, settings | {"parts": parts, "candidates": _checksum(candidates)})
    except FileExistsError as error:
        merge = "; the ratings of a session can be merged into another" if about.exists() else ""
        raise FileExistsError(f"{error}{merge}") from None
    return np.load(candidates, mmap_mode="r")


def _sound(candidates: Path, checksum: int | None, galaxies: int) -> bool:
    """Whether the candidates are as they were written; sessions of earlier versions have no checksum."""
    if not candidates.exists() or checksum is not None:
        return candidates.exists() and _checksum(candidates) == checksum
    try:
        return len(np.load(candidates, mmap_mode="r")) == galaxies
    except (ValueError, EOFError, OSError):
        return False


def _checksum(path: Path) -> int:
    return int(file_checksum(path), 16)
