"""Nearest-neighbour search: exact by default, approximate for tens of millions of representations."""

import functools
import hashlib
import logging
from pathlib import Path

import numpy as np

from morphtools.explore.exact_search import as_distance, exact, unit_length, values_of
from morphtools.explore.search_index import nearest_by, open_index
from morphtools.inference.representations import Representations
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import check_known, some
from tfrecords_builder.progress import progress_bar

log = logging.getLogger(__name__)

METRICS = ("cosine", "euclidean", "manhattan")
_QUERIES = 4096  # at a time


class Neighbours:
    """Representations in memory (4 N D bytes), ready to be searched.

    Searched by faiss where it is installed (`pip install "morphtools[faiss]"`), else by scikit-learn, with the same
    results.

    Args:
        representations: The store or its folder.
        metric: `cosine`, `euclidean` or `manhattan`.
        keep: (N,) bool: search only among these.
        approximate: Whether to search only the cells of a k-means partition that are nearest to a query (faiss's
            IVF; 4 N D bytes more, and minutes to build, which pays for many queries among tens of millions). `recall`
            measures what it misses.
        seed: Seed of the partition.
        cache: Folder in which to keep `values` as they are searched. They are mapped into memory from there, so that
            the next start is immediate and more galaxies can be searched than memory holds.
        index: Folder of an index on disk, for up to hundreds of millions (see `open_index`), which is made if it is not
            there. What it proposes is ranked by exact distances.
        streamed: Whether `find_similar` shall read the store for every search, so that memory holds a few at a time.

    Attributes:
        id_str: (N,) names.
        values: (N, D) float32; of length 1 for the cosine. Empty where they are `streamed`.
    """

    def __init__(
        self,
        representations,
        *,
        metric: str = "cosine",
        keep=None,
        approximate: bool = False,
        seed: int = 0,
        cache: str | Path | None = None,
        index: str | Path | None = None,
        streamed: bool = False,
    ):
        check_known("metric", metric, METRICS)
        self.store, self._keep, self.metric = Representations.open(representations), keep, metric
        self.indexed, self.streamed, self._cells = index is not None, streamed, None
        if index is not None:
            if keep is not None or approximate or cache is not None:
                raise ValueError("an index searches all galaxies: give it without keep, approximate and cache")
            inputs = {"values": _digest(self.store, metric)}
            values = functools.partial(_kept_values, self.store, metric, Path(index))
            self._cells, self.values = open_index(index, values, metric, inputs, seed, exact)
        elif cache is not None:
            self.values = _kept_values(self.store, metric, Path(cache))
        elif streamed:
            self.values = np.empty((0, self.store.dimension), np.float32)
        else:
            self.values = self.store.values()
        if keep is not None:
            self.values = self.values[keep]
        self._number = len(self.store) if streamed else len(self.values)
        if not len(self):
            raise ValueError(f"there are no galaxies to search in {self.store.folder}")
        if streamed:
            _check_spread(next(self.store.batches(1000))[1], self.store)
        elif cache is None and index is None:
            _check_spread(self.values[:: max(1, len(self) // 1000)], self.store)
            if metric == "cosine":
                unit_length(self.values)
        if approximate:
            self._cells = _partition(self.values, metric, seed)

    def __len__(self) -> int:
        return self._number

    @functools.cached_property
    def id_str(self) -> np.ndarray:
        """(N,) names, read when they are first asked for: millions of them may take more memory than all else."""
        names = self.store.id_str
        return names if self._keep is None else names[self._keep]

    def rows(self, ids) -> np.ndarray:
        """The rows of galaxies in `id_str`.

        Args:
            ids: (n,) names.

        Returns:
            (n,) rows.

        Raises:
            ValueError: Some have no representation; the message names them.
        """
        ids = [str(name) for name in ids]
        rows = self.of_store(self.store.rows_of(ids))
        if (rows < 0).any():
            strange = [name for name, row in zip(ids, rows, strict=True) if row < 0]
            like = self.names([0])[0]
            raise ValueError(f"there is no representation of {some(strange)} (id_str are like {like!r})")
        return rows

    def of_store(self, rows: np.ndarray) -> np.ndarray:
        """Rows of the store as rows here.

        Args:
            rows: (n,) rows, −1 for none.

        Returns:
            (n,) rows, −1 for galaxies that are not searched.
        """
        if self._keep is None:
            return rows
        kept = np.asarray(self._keep, bool)
        return np.where((rows >= 0) & kept[rows], np.cumsum(kept)[rows] - 1, -1)

    def at(self, rows: np.ndarray) -> np.ndarray:
        """The `values` of some galaxies, also where they are streamed.

        Args:
            rows: (n,) rows.

        Returns:
            (n, D) float32.
        """
        return values_of(self.store, rows, self.metric) if self.streamed else self.values[rows]

    def names(self, rows) -> np.ndarray:
        """The names of some galaxies, for which not all have to be read.

        Args:
            rows: (n,) rows.

        Returns:
            (n,) of `id_str`.
        """
        rows = np.asarray(rows, np.int64)
        return self.store.names_of(rows if self._keep is None else np.flatnonzero(self._keep)[rows])

    def nearest(self, queries: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The galaxies nearest to each query.

        Args:
            queries: (Q, D).
            n: How many.

        Returns:
            Rows (Q, n) and distances (Q, n), the nearest first: 1 − cosine, Euclidean or Manhattan. With
            `approximate` or an index, rows are −1 where too few were found.
        """
        queries = self.as_values(queries)
        n = min(n, len(self))
        answers = [self._search(queries[i : i + _QUERIES], n) for i in range(0, len(queries), _QUERIES)]
        rows, distances = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        return rows, distances

    def as_values(self, representations: np.ndarray) -> np.ndarray:
        """Representations as in `values`: of length 1 if the metric is `cosine`.

        Args:
            representations: (D,) or (n, D).

        Returns:
            (n, D) float32.
        """
        queries = np.array(representations, np.float32, ndmin=2)
        if queries.shape[1] != self.store.dimension:
            raise ValueError(f"queries have {queries.shape[1]} dimensions, representations {self.store.dimension}")
        if self.metric == "cosine":
            unit_length(queries)
        return queries

    def _search(self, queries: np.ndarray, n: int):
        if self._cells is None:
            return exact(self.values, queries, n, self.metric)
        if self.indexed:
            return nearest_by(self._cells, self.values, queries, n, self.metric, exact)
        distances, rows = self._cells.search(queries, n)
        return rows, as_distance(distances, self.metric)

    def recall(self, n: int = 10, queries: int = 200, seed: int = 0) -> float:
        """Measures an approximate search with some galaxies as queries.

        Args:
            n: Number of neighbours.
            queries: How many galaxies to ask for.
            seed: Seed of their draw.

        Returns:
            Fraction of the true `n` nearest that are found: 1 for an exact search.
        """
        some_rows = np.random.default_rng(seed).choice(len(self), min(queries, len(self)), replace=False)
        approximate, _ = self.nearest(self.values[some_rows], n)
        true, _ = exact(self.values, self.values[some_rows], min(n, len(self)), self.metric)
        return float(np.mean([np.isin(t, f).mean() for t, f in zip(true, approximate, strict=True)]))


def _kept_values(store: Representations, metric: str, folder: Path) -> np.ndarray:
    """The values of a store as they are searched, mapped into memory from a file that is written first."""
    path = folder / f"values-{_digest(store, metric)}.npy"
    shape = (len(store), store.dimension)

    def write(new: Path) -> None:  # not through a memory map: a full disk would end the process
        with new.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            with progress_bar(total=len(store), desc="copying", unit="galaxy", delay=2) as bar:
                for number, (_, values) in enumerate(store.batches()):
                    if number == 0:
                        _check_spread(values[:: max(1, len(values) // 1000)], store)
                    values = np.array(values, "<f4")
                    if metric == "cosine":
                        unit_length(values)
                    file.write(values.tobytes())
                    bar.update(len(values))

    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, write)
        for old in folder.glob("values-*.npy"):  # of the store before it grew
            if old != path:
                old.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")


def _digest(store: Representations, metric: str) -> str:
    parts = [f"{path.name} {path.stat().st_size}" for path in store.parts]
    return hashlib.sha256("\n".join([metric, str(store.dimension), *parts]).encode()).hexdigest()[:16]


def _check_spread(values: np.ndarray, store: Representations) -> None:
    """Warns of an encoder that gives every galaxy the same representation."""
    spread, length = np.linalg.norm(values.std(axis=0)), np.linalg.norm(values, axis=1).mean()
    if len(values) > 1 and spread < 1e-3 * length:
        log.warning(
            "the representations in %s differ by only %.1g of their length: were the weights trained, and are "
            "the images in the range that they expect?",
            store.folder,
            spread / length,
        )


def _partition(values: np.ndarray, metric: str, seed: int):
    """An index of about 4 √N cells, of which 1/32 are searched."""
    try:
        import faiss
    except ImportError:
        raise ValueError('approximate search needs faiss: pip install "morphtools[faiss]"') from None
    if metric == "manhattan":
        raise ValueError("approximate search is for the cosine and the Euclidean distance")
    cells = max(1, min(int(4 * np.sqrt(len(values))), len(values) // 39))
    flat = faiss.IndexFlatIP if metric == "cosine" else faiss.IndexFlatL2
    kind = faiss.METRIC_INNER_PRODUCT if metric == "cosine" else faiss.METRIC_L2
    quantizer = flat(values.shape[1])
    index = faiss.IndexIVFFlat(quantizer, values.shape[1], cells, kind)
    index.cp.seed, index.cp.max_points_per_centroid = seed + 1, 128
    index.train(values)
    index.add(values)
    index.nprobe = max(1, cells // 32)
    return index
