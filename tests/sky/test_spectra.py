import numpy as np
import pytest

from morphtools.sky.spectra import (
    component_fluxes,
    k_correction,
    kpc_per_arcsec,
    redshift_at,
    spectrum,
)
from morphtools.survey.instruments import SDSS


def colours(age, redshift=0.0):
    magnitudes = spectrum(np.array([age]), np.array([SDSS.wavelengths]) / (1 + redshift))[0]
    return -np.diff(magnitudes)


def test_nearby_populations_have_the_published_colours():
    # Fukugita, Shimasaku & Ichikawa 1995, table 3, u-g, g-r and r-i of E, Sbc and Im galaxies at z = 0.
    published = {0: (1.77, 0.77, 0.39), 1: (1.30, 0.56, 0.29), 2: (0.86, 0.30, 0.13)}
    for age, colour in published.items():
        np.testing.assert_allclose(colours(age)[:3], colour, atol=0.15)


def test_old_galaxies_redden_in_g_minus_r_as_the_break_moves_through_g():
    g_r = [colours(0, z)[1] for z in (0, 0.1, 0.2, 0.3, 0.35)]
    assert (np.diff(g_r) > 0.05).all()
    # Luminous red galaxies of SDSS have g - r about 1.0 at z = 0.1 and 1.6 at 0.35 (Eisenstein et al. 2001).
    assert g_r[1] == pytest.approx(1.0, abs=0.1) and g_r[4] == pytest.approx(1.6, abs=0.2)


def test_mixtures_lie_between_their_populations():
    np.testing.assert_allclose(colours(0.5), (colours(0) + colours(1)) / 2)


def test_the_k_correction_is_zero_at_redshift_zero_and_larger_for_old_galaxies():
    assert k_correction(np.array([0.0, 2.0]), np.zeros(2), 6166.0) == pytest.approx(0)
    old, young = k_correction(np.array([0.0, 2.0]), np.full(2, 0.1), 6166.0)
    # About z for ellipticals in r (Fukugita et al. 1995, table 7: 0.11 at z = 0.1), little for irregulars.
    assert old == pytest.approx(0.11, abs=0.05) and abs(young) < 0.06


def test_components_add_up_to_the_magnitude_in_the_reference_band():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(4), 10)
    magnitude, z = rng.uniform(14, 18, 10), rng.uniform(0, 0.3, 10)
    flux = component_fluxes(rng.uniform(0, 3, (10, 4)), shares, z, SDSS.wavelengths, 6166.0, magnitude)
    assert flux.shape == (10, 5, 4)
    np.testing.assert_allclose(flux[:, 2].sum(axis=1), 10 ** (-0.4 * (magnitude - 22.5)))
    np.testing.assert_allclose(flux[:, 2], shares * flux[:, 2].sum(axis=1, keepdims=True))


def test_distances_invert_and_match_astropy():
    from astropy.cosmology import FlatLambdaCDM

    cosmology, z = FlatLambdaCDM(H0=70, Om0=0.3), np.array([0.01, 0.07, 0.3, 1.0])
    np.testing.assert_allclose(redshift_at(cosmology.distmod(z).value), z, rtol=2e-4)
    np.testing.assert_allclose(kpc_per_arcsec(z), cosmology.kpc_proper_per_arcmin(z).value / 60, rtol=2e-4)
