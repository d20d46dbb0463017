"""Colours and distances of mock galaxies: stellar populations seen through redshifted bands."""

from functools import lru_cache

import numpy as np

# AB magnitudes relative to 6166 A of four stellar populations, at rest wavelengths in Angstrom. The first
# three follow the redshift-zero colours of E, Sbc and Im galaxies (Fukugita, Shimasaku & Ichikawa 1995, table
# 3; Coleman, Wu & Weedman 1980); the last is a star-forming region a few million years old, H-alpha smoothed
# into r.
_NODES = np.array([2000.0, 2500, 3000, 3551, 3900, 4150, 4686, 5400, 6166, 7480, 8932, 11000])
_MAGNITUDES = np.array(
    [
        [5.3, 4.2, 3.25, 2.43, 1.79, 1.36, 0.79, 0.34, 0.0, -0.38, -0.66, -0.92],
        [3.2, 2.75, 2.28, 1.80, 1.32, 0.97, 0.56, 0.25, 0.0, -0.28, -0.47, -0.65],
        [1.55, 1.42, 1.32, 1.19, 0.88, 0.56, 0.30, 0.13, 0.0, -0.14, -0.20, -0.28],
        [0.15, 0.25, 0.38, 0.46, 0.32, 0.10, 0.0, 0.06, 0.0, 0.18, 0.25, 0.30],
    ]
)


def spectrum(age, wavelengths):
    """AB magnitudes of a stellar population relative to its own at 6166 A.

    Args:
        age: 0 old, 1 intermediate, 2 young, 3 just born, and mixtures in between; shape (...,).
        wavelengths: Rest wavelengths in Angstrom, shape broadcastable to (..., 1) on the left: (..., B).

    Returns:
        Magnitudes (..., B), linear in `age` and in the logarithm of the wavelength.
    """
    age = np.clip(np.asarray(age, float), 0, 3)[..., None]
    age, wavelengths = np.broadcast_arrays(age, wavelengths)
    place = np.interp(np.log(wavelengths), np.log(_NODES), np.arange(len(_NODES)))
    node = np.minimum(place.astype(int), len(_NODES) - 2)
    older = np.minimum(age.astype(int), 2)
    t, s = age - older, place - node
    table = _MAGNITUDES
    left = (1 - t) * table[older, node] + t * table[older + 1, node]
    right = (1 - t) * table[older, node + 1] + t * table[older + 1, node + 1]
    return (1 - s) * left + s * right


def k_correction(age, redshift, wavelength):
    """K(z) in magnitudes in one band: m = M + DM + K.

    Reference:
        Hogg et al. 2002 (astro-ph/0210394), for a flux density per unit frequency.
    """
    redshift = np.asarray(redshift, float)
    emitted = spectrum(age, (wavelength / (1 + redshift))[..., None])[..., 0]
    observed = spectrum(age, np.full((*redshift.shape, 1), wavelength))[..., 0]
    return emitted - observed - 2.5 * np.log10(1 + redshift)


def component_fluxes(ages, shares, redshift, wavelengths, reference, magnitude):
    """Flux of every component in every band.

    Args:
        ages: (N, K) stellar populations of K components.
        shares: (N, K) shares of the light at `reference` (observed frame), summing to 1.
        redshift: (N,)
        wavelengths: (B,) effective wavelengths of the bands, Angstrom.
        reference: Wavelength in Angstrom at which `magnitude` and `shares` hold.
        magnitude: (N,) total apparent AB magnitude at `reference`.

    Returns:
        (N, B, K) in nanomaggies (AB zero point 22.5).
    """
    stretch = (1 + np.asarray(redshift, float))[:, None, None]
    colour = spectrum(ages, np.asarray(wavelengths) / stretch) - spectrum(ages, np.array([reference]) / stretch)
    total = 10 ** (-0.4 * (np.asarray(magnitude) - 22.5))
    return np.swapaxes(total[:, None, None] * shares[..., None] * 10 ** (-0.4 * colour), 1, 2)


@lru_cache(maxsize=1)
def _distances():
    """Tables of redshift, distance modulus (mag) and angular scale (kpc per arcsec)."""
    from astropy.cosmology import FlatLambdaCDM

    cosmology = FlatLambdaCDM(H0=70, Om0=0.3)
    redshift = np.geomspace(1e-4, 2.0, 600)
    kpc = cosmology.angular_diameter_distance(redshift).to_value("kpc") / 206264.806
    return redshift, cosmology.distmod(redshift).to_value("mag"), kpc


def redshift_at(distance_modulus):
    """Redshift at a distance modulus in magnitudes, in a flat universe with H0 = 70, Omega_m = 0.3."""
    redshift, modulus, _ = _distances()
    return np.interp(distance_modulus, modulus, redshift)


def kpc_per_arcsec(redshift):
    """Physical size of an arcsec at a redshift; the angular-diameter distance carries the dimming."""
    table, _, kpc = _distances()
    return np.interp(redshift, table, kpc)
