"""Intervals of scores: the percentile bootstrap over galaxies."""

from collections.abc import Callable

import numpy as np


def with_intervals(
    scores: Callable[[np.ndarray], dict[str, float]],
    galaxies: int,
    *,
    resamples: int = 1000,
    coverage: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Scores of all galaxies, with percentile-bootstrap intervals.

    Args:
        scores: From rows (R,) of galaxies, repeated ones among them, to scores by name.
        galaxies: How many there are.
        resamples: Number of bootstrap samples.
        coverage: Coverage of the interval.
        seed: Seed of the samples.

    Returns:
        `{name: {"value", "low", "high"}}`; NaN where a score is not defined.

    Reference:
        Efron 1979, Annals of Statistics 7, 1.
    """
    value = scores(np.arange(galaxies))
    if not galaxies:
        return {name: dict.fromkeys(("value", "low", "high"), float("nan")) for name in value}
    rng = np.random.default_rng(seed)
    samples = [scores(rng.integers(galaxies, size=galaxies)) for _ in range(resamples)]
    result = {}
    for name in value:
        sample = np.array([each[name] for each in samples])
        sample = sample[np.isfinite(sample)]
        low, high = (
            np.percentile(sample, (50 * (1 - coverage), 50 * (1 + coverage))) if len(sample) else (np.nan, np.nan)
        )
        result[name] = {"value": float(value[name]), "low": float(low), "high": float(high)}
    return result
