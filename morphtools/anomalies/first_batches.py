"""Which galaxies are rated first, when nothing is known of the rater's interest."""

import numpy as np

_ROWS = 65536


def drawn(total: int, taken: np.ndarray, n: int, seed: int) -> np.ndarray:
    """At most n rows at random that are not taken, in a time that does not depend on how many there are."""
    rows = np.random.default_rng(seed).choice(total, min(n + len(taken), total), replace=False)
    return rows[~np.isin(rows, taken)][:n]


def _random(candidates, free, n, seed):
    return np.random.default_rng(seed).choice(free, n, replace=False)


def _spacing(candidates, free, n, seed):
    along = free[np.argsort(candidates[free, 0], kind="stable")]
    return along[np.linspace(0, len(along) - 1, n).round().astype(int)]


def _outliers(candidates, free, n, seed):
    from sklearn.ensemble import IsolationForest

    sample = np.sort(np.random.default_rng(seed).permutation(free)[:_ROWS])
    forest = IsolationForest(random_state=seed).fit(candidates[sample])
    scores = [forest.score_samples(candidates[free[i : i + _ROWS]]) for i in range(0, len(free), _ROWS)]
    return free[np.argsort(np.concatenate(scores), kind="stable")[:n]]


# (N, D) candidates, rows that are free, how many, seed → rows
STARTS = {"random": _random, "spacing": _spacing, "outliers": _outliers}
