"""Which galaxies are rated first, when nothing is known of the rater's interest."""

from collections.abc import Callable

import numpy as np

_ROWS = 65536


def drawn(total: int, taken: np.ndarray, n: int, seed: int) -> np.ndarray:
    """At most n rows at random that are not taken, in a time that does not depend on how many there are."""
    rows = np.random.default_rng(seed).choice(total, min(n + len(taken), total), replace=False)
    return rows[~np.isin(rows, taken)][:n]


def _free(taken: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The rows with these places among those that are not taken, of which there may be hundreds of millions."""
    before = np.sort(taken) - np.arange(len(taken))
    return places + np.searchsorted(before, places, side="right")


def _random(candidates: np.ndarray, taken: np.ndarray, n: int, seed: int) -> np.ndarray:
    return _free(taken, np.random.default_rng(seed).choice(len(candidates) - len(taken), n, replace=False))


def _spacing(candidates: np.ndarray, taken: np.ndarray, n: int, seed: int) -> np.ndarray:
    first = np.array(candidates[:, 0])
    first[taken] = np.inf
    along = np.argsort(first, kind="stable")[: len(first) - len(taken)]
    return along[np.linspace(0, len(along) - 1, n).round().astype(int)]


def _outliers(candidates: np.ndarray, taken: np.ndarray, n: int, seed: int) -> np.ndarray:
    from sklearn.ensemble import IsolationForest

    number = len(candidates) - len(taken)
    sample = np.random.default_rng(seed).choice(number, min(number, _ROWS), replace=False)
    forest = IsolationForest(random_state=seed).fit(candidates[_free(taken, np.sort(sample))])
    rows, scores = np.array([], int), np.array([])
    for start in range(0, len(candidates), _ROWS):
        block = np.arange(start, min(start + _ROWS, len(candidates)))
        block = block[~np.isin(block, taken)]
        if len(block):
            rows = np.concatenate([rows, block])
            scores = np.concatenate([scores, forest.score_samples(candidates[block])])
            best = np.argsort(scores, kind="stable")[:n]
            rows, scores = rows[best], scores[best]
    return rows


# (N, D) candidates, rows that are taken, each once, how many are wanted (at most as many as are free), seed → rows
STARTS: dict[str, Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]] = {
    "random": _random,
    "spacing": _spacing,
    "outliers": _outliers,
}
