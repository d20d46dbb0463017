import numpy as np
import pytest
from astropy.modeling.models import Gaussian2D

from morphtools.studies.photometry import SHARES, aperture_fluxes, aperture_noise, asinh_magnitude
from morphtools.studies.photometry import magnitudes_and_colours as measure
from morphtools.survey.extinction import transmission

Y, X = np.mgrid[:64, :64] - 31.5


def source(flux=1.0, sigma=4.0):
    return Gaussian2D(flux / (2 * np.pi * sigma**2), 0, 0, sigma, sigma)(X, Y)


def test_the_flux_of_a_gaussian_in_a_circle_is_the_closed_form():
    radius = 64 * np.array(SHARES)
    expected = 3 * (1 - np.exp(-(radius**2) / (2 * 4**2)))
    np.testing.assert_allclose(aperture_fluxes(source(3.0)[..., np.newaxis])[:, 0], expected, rtol=5e-3)


def test_missing_pixels_are_as_bright_as_the_rest_of_the_aperture():
    flat = np.ones((64, 64, 2))
    flat[20:34, 30:, 1] = np.nan
    fluxes = aperture_fluxes(flat)
    np.testing.assert_allclose(fluxes[:, 1], fluxes[:, 0])
    assert np.isnan(aperture_fluxes(np.full((32, 32, 1), np.nan))).all()


def test_the_noise_of_an_aperture_is_that_of_its_pixels_together():
    rng = np.random.default_rng(0)
    fluxes = np.array([aperture_fluxes(rng.normal(0, (0.1, 0.3), (32, 32, 2))) for _ in range(2000)])
    # pixels that are cut count less than whole ones
    np.testing.assert_allclose(fluxes.std(axis=0), aperture_noise((32, 32, 2), (0.1, 0.3)), rtol=0.12)


def test_asinh_magnitudes_equal_pogsons_for_bright_sources_and_exist_for_negative_flux():
    assert asinh_magnitude(100.0, 0.01) == pytest.approx(22.5 - 2.5 * 2, abs=1e-6)
    faint = asinh_magnitude(np.array([0.02, 0.0, -0.02]), 0.01)
    assert np.isfinite(faint).all() and np.all(np.diff(faint) > 0)
    # Lupton et al. 1999: μ(0) = m0 − 2.5 log b
    assert faint[1] == pytest.approx(22.5 - 2.5 * np.log10(0.01))


def test_columns_are_a_magnitude_and_the_colours_of_every_aperture():
    flux = 10.0 ** (-0.4 * (np.array([20.0, 19.0, 18.5]) - 22.5)) * np.ones((2, 3, 3))
    features = measure(flux, np.full((3, 3), 1e-4))
    np.testing.assert_allclose(features, [[19.0, 1.0, 0.5] * 3] * 2, atol=1e-6)


def test_dust_is_corrected_by_the_coefficients_of_the_survey():
    flux = np.ones((2, 1, 5))
    ebv = np.array([0.1, np.nan])
    reddened = flux * transmission([0.1, 0.0], bands="ugriz", survey="sdss")[:, np.newaxis]
    options = {"bands": "ugriz", "survey": "sdss"}
    cleaned = measure(reddened, np.full((1, 5), 1e-3), ebv=ebv, **options)
    np.testing.assert_allclose(cleaned, measure(flux, np.full((1, 5), 1e-3)))
