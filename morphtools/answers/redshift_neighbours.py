"""Redshift PDFs from galaxies whose redshifts are known: from all of them, or from those that are nearest.

Every network has to be better than these. A PDF is given as probabilities (n, B) of bins with the edges (B+1,).
"""

import numpy as np
from scipy.special import ndtr

from morphtools.answers.redshift_metrics import log_likelihood

NUMBERS = (5, 10, 20, 40, 80, 160)  # of neighbours to choose from
_ROWS = 512  # galaxies at a time


def training_pdf(redshift, edges) -> np.ndarray:
    """(B,) distribution of redshifts, with one more galaxy spread evenly over the bins, so that no bin is impossible.

    Args:
        redshift: (N,) known redshifts; those outside the edges do not count.
        edges: (B+1,).
    """
    counts, _ = np.histogram(redshift, edges)
    return (counts + np.diff(edges) / (edges[-1] - edges[0])) / (counts.sum() + 1)


def kernel_pdf(values, edges, prior, weight) -> np.ndarray:
    """PDFs from a few redshifts each: a Gaussian kernel around each of them, and a little of the prior.

    The kernels of a galaxy follow Silverman's rule, and are at least half a bin wide.

    Args:
        values: (n, k) redshifts for each galaxy.
        edges: (B+1,).
        prior: (B,) such as `training_pdf`, so that nothing is impossible.
        weight: Weight of the prior, 0 to 1.

    Returns:
        (n, B).

    Reference:
        Silverman 1986, Density Estimation for Statistics and Data Analysis, equation 3.31.
    """
    values, edges = np.asarray(values, float), np.asarray(edges, float)
    low, high = np.percentile(values, (25, 75), axis=1)
    spread = values.std(axis=1)
    spread = np.where(high > low, np.minimum(spread, (high - low) / 1.34), spread)
    width = np.maximum(0.9 * spread * values.shape[1] ** -0.2, np.diff(edges).min() / 2)[:, np.newaxis]
    pdf = np.empty((len(values), len(edges) - 1))
    for start in range(0, len(values), _ROWS):
        rows = slice(start, start + _ROWS)
        inside = np.clip(values[rows], edges[0], edges[-1])[..., np.newaxis]
        pdf[rows] = np.diff(ndtr((edges - inside) / width[rows, np.newaxis]).mean(axis=1), axis=1)
    pdf /= pdf.sum(axis=1, keepdims=True)  # what was beyond the edges
    return (1 - weight) * pdf + weight * np.asarray(prior)


def nearest_rows(known, asked, number: int) -> np.ndarray:
    """(n, k) rows of the `number` of `known` (N, D) nearest to each of `asked` (n, D), the nearest first."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(number, len(known))).fit(known)
    return search.kneighbors(asked, return_distance=False)


def neighbour_pdf(known, redshift, asked, edges, *, validation, validation_redshift) -> np.ndarray:
    """PDFs from the redshifts of nearest neighbours, whose number, one of `NUMBERS`, is best for validation galaxies.

    Args:
        known: (N, D) features of galaxies with known redshifts.
        redshift: (N,) these.
        asked: (n, D) features of others.
        edges: (B+1,).
        validation: (V, D) features of galaxies that decide how many neighbours are best, by the log-likelihood (the
            CRPS is too lenient with the certainty of a few neighbours).
        validation_redshift: (V,) their redshifts.

    Returns:
        (n, B); the distribution of all redshifts counts as much as one galaxy among N + 1.
    """
    prior, weight = training_pdf(redshift, edges), 1 / (len(redshift) + 1)
    numbers = [k for k in NUMBERS if k < len(known)] or [len(known)]
    near = np.asarray(redshift)[nearest_rows(known, validation, numbers[-1])]
    pdfs = (kernel_pdf(near[:, :k], edges, prior, weight) for k in numbers)
    gains = [np.maximum(log_likelihood(pdf, edges, validation_redshift), -10).mean() for pdf in pdfs]
    best = numbers[int(np.argmax(gains))]
    return kernel_pdf(np.asarray(redshift)[nearest_rows(known, asked, best)], edges, prior, weight)
