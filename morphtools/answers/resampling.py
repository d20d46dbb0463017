"""Intervals of scores: the percentile bootstrap over galaxies."""

from collections.abc import Callable

import numpy as np

_PERCENTILES = 50 * (1 - 0.95), 50 * (1 + 0.95)


def with_intervals(
    scores: Callable[[np.ndarray], dict[str, float]],
    galaxies: int,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Scores of all galaxies, with 95% percentile-bootstrap intervals.

    Args:
        scores: From rows (R,) of galaxies, repeated ones among them, to scores by name.
        galaxies: How many there are.
        resamples: Number of bootstrap samples.
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
    return {name: interval(value[name], np.array([each[name] for each in samples])) for name in value}


def interval(value: float, sample: np.ndarray) -> dict[str, float]:
    """A score with the 95% interval of its bootstrap sample (R,), of which what is not defined does not count."""
    sample = sample[np.isfinite(sample)]
    low, high = np.percentile(sample, _PERCENTILES) if len(sample) else (np.nan, np.nan)
    return {"value": float(value), "low": float(low), "high": float(high)}
