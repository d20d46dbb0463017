import numpy as np
import pytest
from scipy.special import erf

from morphtools.sky.galaxies import draw_galaxies
from morphtools.sky.sources import Blobs, clumps, neighbours
from morphtools.survey.instruments import SDSS


def test_a_blob_is_the_gaussian_it_should_be_wherever_it_lies():
    place, width, flux = (3.7, -5.25), 1.8, 7.0
    blob = Blobs(*(np.array([[v]]) for v in (*place, width)), np.full((1, 1, 1), flux))
    image = np.fft.irfft2(blob.spectrum(48, np.ones(1)), s=(48, 48))[0, 0]
    edges = np.arange(49) - 24.0

    def integral(centre):  # of a unit Gaussian over each pixel
        return np.diff(erf((edges - centre) / (width * np.sqrt(2)))) / 2

    judge = flux * integral(place[1])[:, None] * integral(place[0])
    # A pixel is worth its centre, the judge its mean: they differ by the curvature, up to 2 / (24 sigma^2).
    np.testing.assert_allclose(image, judge, atol=judge.max() * 2 / (24 * width**2))


def test_blobs_add_up_whatever_their_number_and_the_size_of_the_image():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-20, 20, (2, 2, 90))
    many = Blobs(x, y, rng.uniform(0.8, 3, (2, 90)), rng.uniform(0, 9, (2, 3, 90)))
    whole = many.spectrum(90, np.ones(2))
    one_by_one = np.zeros_like(whole)
    for k in range(90):
        one = Blobs(x[:, [k]], y[:, [k]], many.sigma[:, [k]], many.flux[:, :, [k]])
        one_by_one += one.spectrum(90, np.ones(2))
    np.testing.assert_allclose(whole, one_by_one, rtol=2e-4, atol=2e-4 * np.abs(whole).max())
    # The transform at frequency zero is the sum over the image.
    np.testing.assert_allclose(whole[:, :, 0, 0].real, many.flux.sum(axis=2), rtol=1e-4)


def test_the_clumps_of_a_galaxy_hold_unit_flux_and_lie_within_its_disk():
    g = draw_galaxies(0, range(50), fractions={"spiral": 1.0})
    found = clumps(g, 0, range(50))
    np.testing.assert_allclose(found.flux.sum(axis=2), 1)
    away = np.hypot(found.x - g["offset_x"][:, None], found.y - g["offset_y"][:, None])
    assert (away <= 4.5 * g["scale_length"][:, None] + 1e-6).all()


def test_neighbours_are_as_many_as_their_density_and_grow_with_the_area():
    def mean_number(field):
        sources = neighbours(2, range(400), field=np.full(400, field), camera=SDSS, bands=np.array([2]))
        return (sources.flux[:, 0] > 1e-20).sum(axis=1).mean()

    # Per square arcmin 15 galaxies and 3.2 stars to r = 23.5, fewer to the camera's limit; four blobs each.
    expected = 4 * (15 * 10 ** (0.36 * (SDSS.limit - 23.5)) + 3.2 * 10 ** (0.18 * (SDSS.limit - 23.5)))
    assert mean_number(60.0) == pytest.approx(expected, rel=0.06)
    assert mean_number(30.0) == pytest.approx(expected / 4, rel=0.1)


def test_an_empty_field_has_no_neighbours():
    sources = neighbours(2, range(5), field=np.full(5, 60.0), camera=SDSS, bands=np.arange(5), crowding=0.0)
    assert sources.flux.sum() < 1e-20
