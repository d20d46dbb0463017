"""Recalibrates redshift PDFs on validation galaxies, so that their width is right.

If a PDF is right, its CDF at the true redshift (PIT) is uniform between 0 and 1. If the PITs of validation galaxies
have the CDF R instead, then R(F(z)) is a CDF whose PIT is uniform. R is fitted as a broken line through quantiles on
the scale of normal deviates, g = Φ⁻¹ ∘ R ∘ Φ, where a straight line corrects normal PDFs that are shifted, too narrow
or too wide, and also the tails, which have no validation galaxies.
"""

import dataclasses

import numpy as np
from scipy.special import ndtr, ndtri

from morphtools.answers.redshifts import Redshifts

_PER_KNOT, _MOST_KNOTS, _FEWEST = 40, 50, 200


def fit_pit(validation: Redshifts) -> np.ndarray:
    """The map of normal deviates that makes the PITs of validation galaxies uniform.

    Args:
        validation: Galaxies with spectra that the PDFs were not fitted to, and that are not tested on.

    Returns:
        (2, K): where knots are and where they are mapped to, ascending; one per forty galaxies, at most fifty.

    Raises:
        ValueError: There are fewer than two hundred galaxies, or all PITs are the same. N galaxies make PITs uniform to
            about 0.9/√N (Kolmogorov–Smirnov distance), and PDFs that are calibrated already get worse by that.

    Reference:
        Bordoloi, Lilly & Amara 2010, arXiv:0910.5735 (there on the scale of the PIT itself).
    """
    known = np.isfinite(validation.redshift)
    pit = validation.cdf_at(validation.redshift)[known]
    number = min(len(pit) // _PER_KNOT, _MOST_KNOTS)
    if len(pit) < _FEWEST:
        raise ValueError(
            f"{len(pit)} validation galaxies with a redshift are too few, at least {_FEWEST} are needed (of the labels "
            f"of finetune an eighth validates: those of {8 * _FEWEST} labels)"
        )
    levels = (np.arange(number) + 0.5) / number
    knots = ndtri(np.clip(np.quantile(pit, levels), 1e-9, 1 - 1e-9))
    _, first = np.unique(knots, return_index=True)  # many PITs of exactly 0 or 1 give the same knot
    if len(first) < 2:
        raise ValueError("the validation galaxies have all the same PIT: these PDFs cannot be recalibrated")
    return np.stack([knots[first], ndtri(levels)[first]])


def recalibrate_redshifts(redshifts: Redshifts, knots: np.ndarray) -> Redshifts:
    """Replaces the CDF F(z) of PDFs by R(F(z)), which ascends where F does; impossible redshifts stay impossible.

    Args:
        redshifts: By the same model as the validation galaxies.
        knots: (2, K) of `fit_pit`.
    """
    cdf = np.cumsum(redshifts.pdf, axis=1, dtype=float)
    cdf = ndtr(_broken_line(ndtri(np.clip(cdf / cdf[:, -1:], 0, 1)), *knots))
    cdf[:, -1] = 1
    pdf = np.diff(np.maximum.accumulate(cdf, axis=1), axis=1, prepend=0)  # whose last digits may fall
    provenance = redshifts.provenance | {"recalibrated": "PIT of validation galaxies"}
    return dataclasses.replace(redshifts, pdf=pdf, provenance=provenance)


def _broken_line(x: np.ndarray, knots: np.ndarray, to: np.ndarray) -> np.ndarray:
    """A straight line between knots, and beyond them one with the slope from the first to the last."""
    slope = (to[-1] - to[0]) / (knots[-1] - knots[0])
    beyond = slope * (np.minimum(x - knots[0], 0) + np.maximum(x - knots[-1], 0))
    return np.interp(x, knots, to) + beyond
