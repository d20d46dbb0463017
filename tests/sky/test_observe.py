import numpy as np
import pytest
from astropy.modeling.fitting import LevMarLSQFitter
from astropy.modeling.models import Moffat2D

from morphtools.sky.galaxies import draw_galaxies
from morphtools.sky.observe import Conditions, add_noise, draw_conditions, expose, moffat_transfer
from morphtools.sky.sources import Blobs
from morphtools.survey.instruments import DECAM, SDSS, camera_for

GAMMA = 1 / (2 * np.sqrt(2 ** (1 / 3.5) - 1))  # Moffat radius of unit FWHM for beta = 3.5
CAMERAS = {"sdss": SDSS, "decals": DECAM}


def quiet(galaxies, camera, noise=1.0):
    """Conditions without background."""
    shape = (galaxies, len(camera.bands))
    return Conditions(np.ones(shape), np.full(shape, noise), np.zeros((*shape, 3)))


def all_bands(camera):
    return camera.indices(camera.bands)


def shoot(g, galaxies, *, camera=SDSS, bands="ugriz", size=64, fwhm=1.4, crowding=0.0):
    n = len(galaxies)
    return expose(
        g,
        0,
        galaxies,
        camera=camera,
        bands=camera.indices(bands),
        size=size,
        scale=np.full(n, camera.pixel_scale),
        fwhm=np.full((n, len(bands)), fwhm),
        crowding=crowding,
    )


def test_the_point_spread_function_is_astropys_moffat():
    image = np.fft.fftshift(np.fft.irfft2(moffat_transfer(128, 5.0), s=(128, 128)))
    steps = np.arange(128) - 64
    judge = Moffat2D(1, 0, 0, gamma=5 * GAMMA, alpha=3.5)(*np.meshgrid(steps, steps))
    judge /= np.pi * (5 * GAMMA) ** 2 / 2.5  # its integral: pi gamma^2 / (beta - 1)
    np.testing.assert_allclose(image, judge, atol=3e-3 * judge.max())


@pytest.mark.parametrize("fwhm", [3.3, 4.5, 6.0])
def test_a_star_has_the_width_and_the_place_and_the_flux_it_was_given(fwhm):
    # Widths as SDSS and the Legacy Surveys have them in their own pixels; the soft cut adds 2% at most.
    star = Blobs(np.array([[0.33]]), np.array([[-0.21]]), np.zeros((1, 1)), np.full((1, 1, 1), 50.0))
    image = np.fft.irfft2(star.spectrum(64, np.ones(1)) * moffat_transfer(64, fwhm), s=(64, 64))[0, 0]
    assert image.sum() == pytest.approx(50, rel=1e-4)
    x, y = np.meshgrid(*[np.arange(64) - 31.5] * 2)
    fit = LevMarLSQFitter()(Moffat2D(image.max(), 0, 0, fwhm * GAMMA, 3.5, fixed={"alpha": True}), x, y, image)
    assert (fit.x_0.value, fit.y_0.value) == pytest.approx((0.33, -0.21), abs=0.01)
    assert fit.fwhm == pytest.approx(fwhm, rel=0.03)


def test_exposing_conserves_flux():
    g = draw_galaxies(1, range(4), fractions={"smooth": 1.0})
    g |= {"bulge_radius": np.full(4, 1.2), "bulge_sersic": np.ones(4), "ebv": np.zeros(4)}
    images = shoot(g, range(4), size=128)
    # The r magnitude is the galaxy's total (zero point 22.5); 128 pixels hold 20 effective radii.
    np.testing.assert_allclose(images[:, 2].sum(axis=(1, 2)), 10 ** (-0.4 * (g["magnitude"] - 22.5)), rtol=0.01)


def test_galactic_dust_dims_each_band_by_its_published_share():
    g = draw_galaxies(1, range(3))
    clear = shoot(g | {"ebv": np.zeros(3)}, range(3)).sum(axis=(2, 3))
    dusty = shoot(g | {"ebv": np.full(3, 0.1)}, range(3)).sum(axis=(2, 3))
    # Schlafly & Finkbeiner 2011, table 6, at E(B-V) = 0.1.
    np.testing.assert_allclose(dusty / clear, [[0.67677, 0.73770, 0.81021, 0.85522, 0.89018]] * 3, rtol=1e-4)


def test_a_galaxys_own_dust_reddens_it():
    g = draw_galaxies(1, range(40), fractions={"edge_on": 1.0})
    clear = shoot(g | {"dust": np.zeros(40)}, range(40)).sum(axis=(2, 3))
    through = shoot(g, range(40)).sum(axis=(2, 3)) / clear
    assert (np.diff(through, axis=1)[g["dust"] > 0.2] > 0).all()


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_an_empty_sky_has_the_requested_mad_in_every_band(camera):
    galaxies, bands = range(6), all_bands(camera)
    scale = np.full(6, camera.pixel_scale)
    conditions = quiet(6, camera, 0.03)
    images = np.zeros((6, len(bands), 128, 128), np.float32)
    add_noise(images, 3, galaxies, camera=camera, bands=bands, scale=scale, conditions=conditions)
    mad = 1.4826 * np.median(np.abs(images), axis=(0, 2, 3))
    np.testing.assert_allclose(mad, 0.03, rtol=0.01)


def test_resampled_noise_is_correlated_as_its_kernel_and_unresampled_noise_is_white():
    for camera in (SDSS, DECAM):
        a, bands = camera.correlation, all_bands(camera)
        image = np.zeros((1, len(bands), 400, 400), np.float32)
        scale = np.array([camera.pixel_scale])
        add_noise(image, 1, [0], camera=camera, bands=bands, scale=scale, conditions=quiet(1, camera))
        found = (image[..., 1:] * image[..., :-1]).mean(axis=(0, 2, 3))
        # (a, 1, a) against itself shifted by one: 2 a of 1 + 2 a^2.
        np.testing.assert_allclose(found, 2 * a / (1 + 2 * a * a), atol=0.01)


def test_bright_pixels_have_the_photon_noise_of_their_counts():
    # As bright as twice the sky: three times the sky's variance.
    sky = 10 ** (-0.4 * (np.array(SDSS.sky) - 22.5)) * SDSS.pixel_scale**2
    flat = np.broadcast_to(2 * sky[None, :, None, None], (1, 5, 300, 300))
    image = flat.astype(np.float32)
    scale = np.array([SDSS.pixel_scale])
    add_noise(image, 1, [0], camera=SDSS, bands=all_bands(SDSS), scale=scale, conditions=quiet(1, SDSS, 0.05))
    np.testing.assert_allclose((image - flat).std(axis=(0, 2, 3)), 0.05 * np.sqrt(3), rtol=0.02)


def test_a_deeper_survey_and_smaller_pixels_have_less_noise():
    def level(**changes):
        settings = {
            "camera": SDSS,
            "bands": all_bands(SDSS),
            "scale": np.full(5, 0.396),
            "depth": 1.0,
        } | changes
        return draw_conditions(4, range(5), **settings).noise

    np.testing.assert_allclose(level(depth=2.0), level() / 2)
    # Counts of the sky grow with a pixel's area, their noise with its side.
    np.testing.assert_allclose(level(scale=np.full(5, 0.792)), level() * 2)


def test_a_band_looks_the_same_alone_and_among_others():
    g = draw_galaxies(7, range(4))
    together = shoot(g, range(4), bands="ugriz", crowding=1.0)
    alone = shoot(g, range(4), bands="r", crowding=1.0)
    np.testing.assert_allclose(alone[:, 0], together[:, 2], atol=1e-5 * together.max())


def test_the_camera_follows_from_the_bands():
    assert camera_for("grz") is DECAM and camera_for("ugriz") is SDSS and camera_for("gri") is SDSS
    for wrong in ("", "gy", "grr"):
        with pytest.raises(ValueError, match="no camera takes bands"):
            camera_for(wrong)


def test_a_bright_star_in_coarse_pixels_does_not_ring():
    """A star of 13 mag in pixels as wide as the seeing: far from it, nothing that a sky's noise (0.01) would show."""
    star = Blobs(np.full((1, 1), 7.37), np.full((1, 1), -11.21), np.zeros((1, 1)), np.full((1, 1, 1), 6300.0))
    transfer = star.spectrum(80, np.ones(1)) * moffat_transfer(80, np.full((1, 1), 1.4))
    image = np.fft.irfft2(transfer, s=(80, 80))[0, 0]
    y, x = np.mgrid[:80, :80] - 39.5
    far = np.hypot(x - 7.37, y + 11.21)[1:-1, 1:-1] > 15
    for bend in (image[1:-1, 2:] - 2 * image[1:-1, 1:-1] + image[1:-1, :-2], np.diff(image, 2, axis=0)[:, 1:-1]):
        assert np.abs(bend[far]).max() < 0.01
