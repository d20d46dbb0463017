"""Exact search for the nearest of many representations, in memory or as a store is read."""

import numpy as np

from morphtools.inference.representations import Representations
from tfrecords_builder.progress import progress_bar

_FEW = 4  # up to this many queries, one pass for each is faster than scikit-learn


def unit_length(values: np.ndarray) -> None:
    """Gives the rows of (N, D) float32 length 1, in place; rows of zeros stay."""
    for start in range(0, len(values), 65536):
        part = values[start : start + 65536]
        part /= np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-30)


def exact(values: np.ndarray, queries: np.ndarray, n: int, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The `n` rows of `values` (N, D) nearest to each of `queries` (Q, D), and their distances.

    For the cosine both must have length 1.
    """
    try:
        import faiss
    except ImportError:
        if len(queries) > _FEW or metric == "manhattan":
            return _by_scikit_learn(values, queries, n, metric)
        rows, distances = zip(*(_nearest_to(values, query, n, metric) for query in queries), strict=True)
        return np.array(rows), np.array(distances)
    kinds = {"cosine": faiss.METRIC_INNER_PRODUCT, "euclidean": faiss.METRIC_L2, "manhattan": faiss.METRIC_L1}
    distances, rows = faiss.knn(queries, values, n, metric=kinds[metric])
    return rows, as_distance(distances, metric)


def as_distance(found: np.ndarray, metric: str) -> np.ndarray:
    """Converts faiss's distances: the inner product, and the squared Euclidean distance."""
    if metric == "cosine":
        return np.clip(1 - found, 0, 2)
    return np.sqrt(np.maximum(found, 0)) if metric == "euclidean" else found


def _nearest_to(values: np.ndarray, query: np.ndarray, n: int, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The `n` rows nearest to one query (D,), and their distances.

    One pass in single precision gives −2 v·q (+ |v|²) with an error of at most about D ε (|v| + |q|)²; all rows that
    this leaves among the nearest are measured again in double precision.

    Reference:
        Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1.
    """
    apart, lengths = np.empty((2, len(values)), np.float32)
    step = max(1, 2**19 // len(query))  # rows that stay in the cache for both passes
    for start in range(0, len(values), step):  # by einsum: the threads of a matrix library wait for each other here
        block, part = values[start : start + step], slice(start, start + step)
        lengths[part] = 1 if metric == "cosine" else np.einsum("ij,ij->i", block, block)
        apart[part] = -2 * np.einsum("ij,j->i", block, query)
    wrong = (len(query) + 4) * np.finfo(np.float32).eps * (np.sqrt(lengths) + np.linalg.norm(query)) ** 2
    if metric == "euclidean":
        apart += lengths
    rows = np.flatnonzero(apart - wrong <= np.partition(apart + wrong, n - 1)[n - 1])
    candidates, query = values[rows].astype(float), query.astype(float)
    exact = 1 - candidates @ query if metric == "cosine" else np.linalg.norm(candidates - query, axis=1)
    order = np.argsort(exact, kind="stable")[:n]
    return rows[order], np.maximum(exact[order], 0).astype(np.float32)


def _by_scikit_learn(values, queries, n, metric):
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=n, algorithm="brute", metric=metric).fit(values).kneighbors(queries)
    return nearest[1], nearest[0].astype(np.float32)


def values_of(store: Representations, rows: np.ndarray, metric: str) -> np.ndarray:
    """(n, D) float32 values of some rows of a store, of length 1 for the cosine."""
    values, start = np.empty((len(rows), store.dimension), np.float32), 0
    for names, batch in store.batches() if len(rows) else ():
        here = np.flatnonzero((rows >= start) & (rows < start + len(names)))
        values[here] = batch[rows[here] - start]
        start += len(names)
    if metric == "cosine":
        unit_length(values)
    return values


def nearest_in(
    store: Representations, query: np.ndarray, n: int, metric: str, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As `exact`, while a store is read: memory holds a batch and the nearest so far.

    Args:
        store: Among which to search.
        query: (1, D), of length 1 for the cosine.
        n: How many.
        metric: As for `exact`.
        allowed: (N,) bool: which may be found.

    Returns:
        Rows and distances (n,).
    """
    rows, distances, start = np.array([], np.int64), np.array([], np.float32), 0
    with progress_bar(total=len(allowed), desc="searching", unit="galaxy", delay=2) as bar:
        for names, batch in store.batches():
            here = np.flatnonzero(allowed[start : start + len(names)])
            if len(here):
                values = batch[here]
                if metric == "cosine":
                    unit_length(values)
                (found,), (away,) = exact(values, query, min(n, len(here)), metric)
                rows, distances = np.concatenate([rows, start + here[found]]), np.concatenate([distances, away])
                best = np.argsort(distances, kind="stable")[:n]
                rows, distances = rows[best], distances[best]
            start += len(names)
            bar.update(len(names))
    return rows, distances
