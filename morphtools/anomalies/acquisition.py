"""Chooses which galaxies to rate next: fast, numerically safe acquisition functions, as a query strategy for modAL."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import erfcx, ndtr

from morphtools.anomalies.gaussian_process import Posterior
from tfrecords_builder.naming import check_known

_POOL = 1000  # candidates that set the mark for the others, and those among which a batch is made diverse
_BLOCK = 2**17  # candidates at a time
_FEW = 32  # ratings that bound a deviation closely enough: about one candidate in a hundred passes


def log_expected_improvement(mean, deviation, best, tradeoff) -> np.ndarray:
    """Logarithm of the expected improvement: E[max(f − best − tradeoff, 0)] for f ~ N(mean, deviation²).

    The logarithm keeps the order of hopeless galaxies, while the plain formula is 0 for all of them beyond z = −38. For
    a deviation of 0 it is the logarithm of max(mean − best − tradeoff, 0).

    Args:
        mean: (N,) ratings.
        deviation: (N,) or one, in ratings.
        best: Highest rating so far.
        tradeoff: ε, the improvement to ignore, in ratings.

    Returns:
        (N,) float64.

    Reference:
        Jones, Schonlau & Welch 1998, doi:10.1023/A:1008306431147; Ament et al. 2023, arXiv:2310.20708 (logarithm).
    """
    mean, deviation = np.broadcast_arrays(np.asarray(mean, float), np.asarray(deviation, float))
    gain = mean - best - tradeoff
    with np.errstate(divide="ignore", invalid="ignore"):
        z = gain / deviation
        density = -(z**2) / 2 - np.log(2 * np.pi) / 2
        near = np.log(np.exp(density) + z * ndtr(z))
        # below 1/(z² + 3) the difference is only rounding
        ratio = np.maximum(1 - np.sqrt(np.pi / 2) * np.abs(z) * erfcx(np.abs(z) / np.sqrt(2)), 1 / (z**2 + 3))
        far = density + np.log(ratio)
        value = np.log(deviation) + np.where(z > -1, near, far)
        return np.where(deviation > 0, value, np.log(np.maximum(gain, 0)))


# Each grows with the mean and with the deviation: `most_promising` relies on it.
ACQUISITIONS: dict[str, Callable] = {
    "expected_improvement": log_expected_improvement,
    "upper_bound": lambda mean, deviation, best, tradeoff: mean + 2 * deviation,
    "mean": lambda mean, deviation, best, tradeoff: mean + 0 * deviation,
}

# The rating assumed for galaxies of the batch until they are rated, from (expected rating, lowest rating).
DIVERSITIES: dict[str, Callable | None] = {
    "none": None,
    "believer": lambda expected, lowest: expected,
    "liar": lambda expected, lowest: lowest,
}


def most_promising(
    learner,
    candidates: np.ndarray,
    n_instances: int = 10,
    *,
    acquisition: str = "expected_improvement",
    tradeoff: float = 0.5,
    diversity: str = "none",
    asked: Sequence[int] | np.ndarray = (),
    start: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The galaxies with the highest acquisition, as a query strategy for modAL.

    Candidates are read block by block, and only the best so far are kept. Deviations cost as much as means, but are
    never larger than they would be with fewer ratings, and an acquisition with that deviation is an upper bound. So a
    galaxy whose bound is below what the best so far reach need not be computed exactly. The result is the same as
    without this.

    Args:
        learner: modAL's optimizer, of `rating_learner.fit_learner`.
        candidates: (N, D), possibly memory-mapped.
        n_instances: Number of galaxies.
        acquisition: One of `ACQUISITIONS`.
        tradeoff: ε of the expected improvement, in ratings.
        diversity: One of `DIVERSITIES`.
        asked: Rows that may not be chosen.
        start: (N,) ratings from which the learner starts; by default 0.

    Returns:
        Rows, best first, and their acquisitions when they were chosen.

    Reference:
        Ginsbourger, Le Riche & Carraro 2010, doi:10.1007/978-3-642-10701-6_6 (kriging believer, constant liar).
    """
    for kind, name, known in (("acquisition", acquisition, ACQUISITIONS), ("diversity", diversity, DIVERSITIES)):
        check_known(kind, name, known)

    def value(mean, deviation):
        return ACQUISITIONS[acquisition](mean, deviation, learner.y_max, tradeoff)

    posterior, asked, believe = Posterior(learner.estimator, start), np.asarray(asked, int), DIVERSITIES[diversity]
    wanted = n_instances if believe is None else _POOL
    rows, reached = np.array([], int), np.array([])
    for first in range(0, len(candidates), _BLOCK):
        block = np.arange(first, min(first + _BLOCK, len(candidates)))
        refused = asked[(asked >= first) & (asked <= block[-1])] - first
        mark = reached[wanted - 1] if len(reached) >= wanted else None
        more = block[_promising(posterior, candidates, block, refused, value, mark, wanted)]
        rows = np.concatenate([rows, more])
        reached = np.concatenate([reached, value(*posterior.predict(candidates, more))])
        best = largest(reached, wanted)
        rows, reached = rows[best], reached[best]
    if believe is None or not len(rows):
        return rows, reached
    before = 0 if start is None else start[rows]
    best, reached = _one_after_another(learner, candidates[rows], before, n_instances, value, believe)
    return rows[best], reached


def _promising(
    posterior: Posterior,
    candidates: np.ndarray,
    block: np.ndarray,
    refused: np.ndarray,
    value: Callable,
    mark: float | None,
    wanted: int,
) -> np.ndarray:
    """Where in a block of rows (n,) galaxies may be among the `wanted` best of all, if so many reach `mark` already.

    Without a mark, the galaxies of the block with the highest means set one.
    """
    mean, deviation = posterior.predict(candidates, block, ratings=_FEW)
    mean[refused] = -np.inf
    if mark is not None:
        return np.flatnonzero(mean >= _least_mean(value, mark, deviation))
    first = largest(mean, max(_POOL, wanted))
    if len(first) < wanted:
        return np.sort(first)
    reached = value(*posterior.predict(candidates, block[first]))
    mark = np.sort(reached)[-wanted]
    promising = mean >= _least_mean(value, mark, deviation)
    promising[first[reached >= mark]] = True  # in another batch the same mean is rounded differently
    return np.flatnonzero(promising)


def _least_mean(value: Callable, mark: float, deviation: np.ndarray) -> np.ndarray:
    """(N,) means below which an acquisition of `mark` is out of reach with these deviations.

    Found by bisection for a hundred deviations; those of the galaxies are rounded up to them.
    """
    steps = np.linspace(0, deviation.max(), 101)
    low, high = np.full((2, len(steps)), [[-1e3], [1e3]])
    for _ in range(50):
        middle = (low + high) / 2
        reached = value(middle, steps) >= mark
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return low[np.searchsorted(steps, deviation).clip(max=100)]


def largest(values: np.ndarray, n: int) -> np.ndarray:
    """Indices of the n largest finite values, largest first; ties in order."""
    places = np.flatnonzero(values > -np.inf)
    if len(places) > n:
        least = np.partition(values[places], -n)[-n]
        places = places[values[places] >= least]
    return places[np.argsort(-values[places], kind="stable")][:n]


def _one_after_another(learner, pool: np.ndarray, start, n: int, value: Callable, believe: Callable):
    """Chooses n of the pool one by one, as if those before had already been rated as `believe` assumes."""
    mean, covariance = learner.predict(pool.astype(float), return_cov=True)
    mean, lowest, chosen, values = mean + start, learner.y_training.min(), [], []
    for _ in range(min(n, len(pool))):
        reached = value(mean, np.sqrt(np.maximum(covariance.diagonal(), 0)))
        reached[chosen] = -np.inf
        one = int(np.argmax(reached))
        chosen.append(one)
        values.append(reached[one])
        # Conditioning on one rating. The covariance of a galaxy with itself includes white noise: that of ratings.
        gain = covariance[one] / covariance[one, one]
        mean = mean + gain * (believe(mean[one], lowest) - mean[one])
        covariance = covariance - np.outer(gain, covariance[one])
    return chosen, np.array(values)
