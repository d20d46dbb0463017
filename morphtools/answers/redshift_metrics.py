"""How good photometric redshifts are: point estimates by Δz, PDFs by the spectra.

A PDF is given as probabilities (N, B) of B bins with the edges (B+1,); inside a bin its density is constant, so its CDF
is piecewise linear and everything below is exact. If a redshift is NaN, so are its scores.
"""

import numpy as np

from morphtools.answers.resampling import with_intervals

METRICS = ("bias", "sigma_mad", "outlier_fraction", "crps")


def delta_z(z, redshift):
    """Δz = (z − redshift) / (1 + redshift), of estimates and spectroscopic redshifts of the same shape."""
    redshift = np.asarray(redshift, float)
    return (np.asarray(z, float) - redshift) / (1 + redshift)


def bias(dz):
    """The mean of Δz."""
    return np.mean(dz)


def sigma_mad(dz):
    """1.4826 · median |Δz − median Δz|: the standard deviation, were Δz normal, that outliers do not move."""
    dz = np.asarray(dz, float)
    return 1.4826 * np.median(np.abs(dz - np.median(dz)))


def outlier_fraction(dz, threshold=0.05):
    """The share η, from 0 to 1, of galaxies with |Δz| > `threshold`."""
    return np.mean(np.abs(dz) > threshold)


def pit(pdf, edges, redshift):
    """Probability integral transform: the CDF at the redshift, (N,); uniform if the PDFs are calibrated.

    Args:
        pdf: (N, B) probabilities of the bins.
        edges: (B+1,) ascending.
        redshift: (N,) or one for all; 0 below the lowest edge, 1 above the highest.
    """
    return (pdf * _passed(edges, redshift)).sum(axis=1)


def crps(pdf, edges, redshift):
    """Continuous ranked probability score ∫ (F(z) − [z ≥ redshift])² dz, (N,), in units of redshift; 0 is best.

    It is the absolute error if the PDF is a single point, and rewards PDFs of the right width.

    Args:
        pdf: (N, B) probabilities of the bins.
        edges: (B+1,) ascending.
        redshift: (N,); outside the edges the distance to them is added.

    Reference:
        Gneiting & Raftery 2007, JASA 102, 359, equation 20.
    """
    pdf, edges, redshift = np.asarray(pdf, float), np.asarray(edges, float), np.asarray(redshift, float)
    width, passed = np.diff(edges), _passed(edges, redshift)
    right = np.cumsum(pdf, axis=1)
    left = right - pdf
    at = left + pdf * passed  # F at the redshift, in its bin
    before = passed * (left**2 + left * at + at**2)  # 3 ∫ F² of a straight line
    after = (1 - passed) * ((1 - at) ** 2 + (1 - at) * (1 - right) + (1 - right) ** 2)
    beyond = np.abs(redshift - np.clip(redshift, edges[0], edges[-1]))
    return ((before + after) * width).sum(axis=1) / 3 + beyond


def log_likelihood(pdf, edges, redshift):
    """Logarithm of the probability density at the redshift, (N,); −∞ outside the edges.

    Args:
        pdf: (N, B) probabilities of the bins.
        edges: (B+1,) ascending.
        redshift: (N,).
    """
    edges, redshift = np.asarray(edges, float), np.asarray(redshift, float)
    which = np.clip(np.searchsorted(edges, redshift, side="right") - 1, 0, len(edges) - 2)
    density = np.asarray(pdf, float)[np.arange(len(redshift)), which] / np.diff(edges)[which]
    outside = (redshift < edges[0]) | (redshift > edges[-1])
    with np.errstate(divide="ignore"):
        return np.where(np.isnan(redshift), np.nan, np.log(np.where(outside, 0.0, density)))


def photoz_metrics(redshifts, *, threshold=0.05, resamples=1000, seed=0):
    """Scores of photometric redshifts with 95% percentile-bootstrap intervals over the galaxies with a spectrum.

    Args:
        redshifts: `Redshifts`.
        threshold: |Δz| of an outlier.
        resamples: Number of bootstrap samples.
        seed: Seed of the samples.

    Returns:
        `{metric: {"value", "low", "high"}}` for every one of `METRICS`; NaN without any spectrum.
    """
    known = np.isfinite(redshifts.redshift)
    dz = delta_z(redshifts.z(), redshifts.redshift)[known]
    ranked = crps(redshifts.pdf[known], redshifts.edges, redshifts.redshift[known])

    def scores(rows):
        if not len(rows):
            return dict.fromkeys(METRICS, np.nan)
        off = dz[rows]
        values = bias(off), sigma_mad(off), outlier_fraction(off, threshold), ranked[rows].mean()
        return dict(zip(METRICS, values, strict=True))

    return with_intervals(scores, len(dz), resamples=resamples, seed=seed)


def _passed(edges, redshift):
    """The fraction of every bin below the redshift, (N, B) or (1, B)."""
    edges = np.asarray(edges, float)
    return np.clip((np.atleast_1d(redshift)[:, np.newaxis] - edges[:-1]) / np.diff(edges), 0.0, 1.0)
