"""How good redshift PDFs are, with intervals, altogether and as a function of redshift or brightness."""

import dataclasses

import numpy as np
import pandas as pd
from scipy.stats import chisquare, kstest

from morphtools.answers.redshift_metrics import METRICS, log_likelihood, photoz_metrics
from morphtools.answers.redshifts import Redshifts

SCORES = (*METRICS, "log_likelihood")
_BLUNDER = 1e-3  # probability that a galaxy has any redshift at all


def photoz_scores(
    redshifts: Redshifts, *, threshold: float = 0.05, resamples: int = 1000, seed: int = 0
) -> dict[str, dict[str, float]]:
    """`photoz_metrics` and the mean logarithm of the probability density at the true redshifts.

    One impossible redshift would make that mean −∞. So the density is that of (1 − 10⁻³) PDF + 10⁻³ spread evenly over
    all bins, for all PDFs alike; redshifts outside the bins have only the second term.

    Args:
        redshifts: Redshifts of galaxies with spectra.
        threshold: |Δz| of an outlier.
        resamples: Number of bootstrap samples.
        seed: Seed of the samples.

    Returns:
        `{score: {"value", "low", "high"}}` for every one of `SCORES`, with 95% intervals.
    """
    known = redshifts.redshift[np.isfinite(redshifts.redshift)]
    if not len(known):
        raise ValueError("there are no galaxies with a redshift to compare with")
    scores = photoz_metrics(redshifts, threshold=threshold, resamples=resamples, seed=seed)
    with np.errstate(divide="ignore"):
        density = np.exp(log_likelihood(redshifts.pdf, redshifts.edges, redshifts.redshift))
    density = density[np.isfinite(redshifts.redshift)]
    logs = np.log((1 - _BLUNDER) * density + _BLUNDER / np.ptp(redshifts.edges))
    rng = np.random.default_rng(seed)
    means = [logs[rng.integers(len(logs), size=len(logs))].mean() for _ in range(resamples)]
    low, high = np.percentile(means, (2.5, 97.5))
    return scores | {"log_likelihood": {"value": float(logs.mean()), "low": float(low), "high": float(high)}}


def uniformity(pit: np.ndarray) -> dict[str, float]:
    """Whether probability integral transforms are uniform, as those of calibrated PDFs are.

    Args:
        pit: (N,) from 0 to 1, NaN where the redshift is unknown.

    Returns:
        `ks`, the greatest distance between their CDF and the uniform one, with its p-value `ks_p` (Kolmogorov–Smirnov),
        and the p-value `chi2_p` of their histogram, which is more sensitive at the ends:
        of twenty bins, or fewer, with at least ten galaxies in each.
    """
    pit = pit[np.isfinite(pit)]
    ks_test = kstest(pit, "uniform")
    bins = max(2, min(20, len(pit) // 10))
    counts, _ = np.histogram(pit, bins, (0, 1))
    return {"ks": float(ks_test.statistic), "ks_p": float(ks_test.pvalue), "chi2_p": float(chisquare(counts).pvalue)}


def scores_by(
    redshifts: Redshifts, values: np.ndarray, edges: np.ndarray, *, least: int = 30, **options
) -> pd.DataFrame:
    """`photoz_scores` of galaxies in bins of something.

    Args:
        redshifts: N galaxies.
        values: (N,) by which they are binned, NaN where unknown.
        edges: (K+1,) ascending; the last bin holds its upper edge.
        least: Minimum number of galaxies with a spectrum in a bin.
        options: Options of `photoz_scores`.

    Returns:
        A row per bin with as many galaxies: `low`, `high`, `middle` (their median), `galaxies`, and every score with
        `… low` and `… high`.
    """
    values = np.where(np.isfinite(redshifts.redshift), values, np.nan)
    which = np.searchsorted(edges, values, side="right") - 1
    which[values == edges[-1]] = len(edges) - 2
    rows = []
    for i in range(len(edges) - 1):
        chosen = (which == i) & np.isfinite(values)
        if chosen.sum() < max(least, 1):
            continue
        scores = photoz_scores(take(redshifts, chosen), **options)
        row = {"low": edges[i], "high": edges[i + 1], "middle": np.median(values[chosen]), "galaxies": chosen.sum()}
        rows.append(row | flat(scores))
    return pd.DataFrame(rows)


def flat(scores: dict[str, dict[str, float]]) -> dict[str, float]:
    """Scores with their intervals as `name`, `name low`, `name high`."""
    return {
        name if key == "value" else f"{name} {key}": number
        for name, found in scores.items()
        for key, number in found.items()
    }


def take(redshifts: Redshifts, rows: np.ndarray) -> Redshifts:
    """Some of the galaxies: `rows` (n,) numbers, or (N,) true or false."""
    arrays = {name: getattr(redshifts, name)[rows] for name in ("id_str", "pdf", "redshift")}
    return dataclasses.replace(redshifts, **arrays)
