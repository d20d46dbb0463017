"""Galactic extinction: how much the dust of the Milky Way dims each band."""

import numpy as np

# A_b / E(B-V) for R_V = 3.1 and E(B-V) from SFD98 maps. Schlafly & Finkbeiner 2011 (ApJ 737, 103), table 6;
# "decals" are the DECam values the Legacy Surveys use.
COEFFICIENTS = {
    "sdss": {"u": 4.239, "g": 3.303, "r": 2.285, "i": 1.698, "z": 1.263},
    "decals": {"u": 3.995, "g": 3.214, "r": 2.165, "i": 1.592, "z": 1.211, "Y": 1.064},
    "des": {"g": 3.237, "r": 2.176, "i": 1.595, "z": 1.217, "Y": 1.058},
    "ps1": {"g": 3.172, "r": 2.271, "i": 1.682, "z": 1.322, "y": 1.087},
}


def transmission(ebv, *, bands, survey):
    """The fraction of light transmitted by the Galaxy's dust.

    Args:
        ebv: E(B-V) in magnitudes on the SFD98 scale, any shape (...,).
        bands: Names of the C bands.
        survey: Which filters, a key of `COEFFICIENTS`.

    Returns:
        Fractions of shape (..., C): multiply to redden a flux, divide to deredden it.

    Raises:
        ValueError: An unknown survey, or a band that it does not have.

    Reference:
        Schlafly & Finkbeiner 2011, table 6: flux_observed = flux * 10^(-0.4 A_b), A_b = k_b E(B-V).
    """
    if survey not in COEFFICIENTS:
        raise ValueError(f"unknown survey {survey!r}; known surveys: {', '.join(COEFFICIENTS)}")
    known = COEFFICIENTS[survey]
    missing = [b for b in bands if b not in known]
    if missing:
        raise ValueError(f"survey {survey!r} has no band {missing[0]!r}; its bands: {''.join(known)}")
    k = np.array([known[b] for b in bands])
    return 10 ** (-0.4 * np.asarray(ebv, float)[..., None] * k)
