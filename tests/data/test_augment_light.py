import keras
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from morphtools.data.augment_light import RandomBlur, RandomDisplay, RandomExtinction, RandomNoise
from morphtools.survey.extinction import COEFFICIENTS, transmission

pytestmark = pytest.mark.any_backend

UGRIZ = tuple(COEFFICIENTS["sdss"][band] for band in "ugriz")
LAYERS = [
    RandomExtinction((2.0, 1.5, 1.0), seed=1),
    RandomBlur(sigma=(0.5, 1.5), wavelengths=(4770, 6420, 9170), reference=1, seed=1),
    RandomNoise((0.1, 0.2, 0.3), seed=1),
    RandomDisplay(seed=1),
]


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def noise_image(n=4, side=32, bands=3):
    return np.random.default_rng(0).uniform(size=(n, side, side, bands)).astype("float32")


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_a_layer_draws_for_each_galaxy_by_its_seed_in_training_only_and_survives_saving(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    images = np.stack([noise_image()[0]] * 4)
    fresh = type(layer).from_config(layer.get_config())
    first, second = numpy(again(images)), numpy(fresh(images))
    np.testing.assert_array_equal(first, second)
    assert first.shape == images.shape and not np.allclose(first[0], first[1], atol=1e-3)
    np.testing.assert_array_equal(numpy(layer(images, training=False)), images)


def test_extinction_is_that_of_the_survey_at_the_drawn_reddening():
    # SDSS transmission at E(B-V) = 0.1 from Schlafly & Finkbeiner 2011, table 6: .67677 .73770 .81021 .85522 .89018
    layer = RandomExtinction(UGRIZ, ebv=(0.1, 0.1 + 1e-9))
    np.testing.assert_allclose(numpy(layer.draw(2))[0], [0.67677, 0.73770, 0.81021, 0.85522, 0.89018], atol=2e-5)
    images = noise_image(bands=5)
    light = numpy(RandomExtinction(UGRIZ, seed=2)(images)) / images
    ebv = -2.5 * np.log10(light[:, 0, 0, 0]) / UGRIZ[0]
    np.testing.assert_allclose(light[:, 5, 7], transmission(ebv, bands="ugriz", survey="sdss"), rtol=1e-4)


def test_reddening_is_drawn_uniformly_or_as_the_difference_of_two_lognormal_draws():
    ebv = -2.5 * np.log10(numpy(RandomExtinction((3.0,), ebv=(0.0, 0.5), seed=3).draw(4000))[:, 0]) / 3.0
    counts = np.histogram(ebv, 10, (0, 0.5))[0]
    assert counts.sum() == 4000 and np.abs(counts - 400).max() < 5 * np.sqrt(400)
    from scipy.stats import lognorm

    found = (0.67306, 0.001146, 0.03338)
    ebv = -2.5 * np.log10(numpy(RandomExtinction((3.0,), lognormal=found, seed=3).draw(20000))[:, 0]) / 3.0
    expected = np.sqrt(2) * lognorm(*found).std()
    assert abs(ebv.mean()) < 4 * expected / np.sqrt(20000) and ebv.std() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("shape", [(32, 32), (20, 31)])
def test_a_blur_is_that_of_scipy_with_mirrored_borders_and_loses_no_flux(shape):
    image = np.random.default_rng(1).uniform(size=(1, *shape, 2)).astype("float32")
    layer = RandomBlur(sigma=(1.5, 1.5 + 1e-6))
    blurred = numpy(layer(image))
    for band in range(2):
        expected = gaussian_filter(image[0, ..., band].astype(float), 1.5, mode="reflect", truncate=8)
        np.testing.assert_allclose(blurred[0, ..., band], expected, atol=2e-5)
    np.testing.assert_allclose(blurred.sum(axis=(1, 2)), image.sum(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("sigma", [0.13, 0.5, 2.0])
def test_a_blur_adds_its_variance_even_when_it_is_narrower_than_a_pixel(sigma):
    y, x = np.mgrid[:65, :65] - 32.0
    star = np.exp(-(x**2 + y**2) / (2 * 2.0**2)).astype("float32")[None, ..., None]
    blurred = numpy(RandomBlur(sigma=(sigma, sigma + 1e-6))(star))[0, ..., 0].astype(float)
    variance = (blurred * x**2).sum() / blurred.sum()
    assert variance == pytest.approx(4 + sigma**2, abs=2e-3)


def test_seeing_is_worse_in_the_blue_by_a_power_of_minus_three_tenths():
    sigma = numpy(RandomBlur(wavelengths=(3551, 4686, 6166, 7480, 8932), reference=2, seed=4).draw(4000, 5))
    expected = (np.array([3551, 4686, 6166, 7480, 8932]) / 6166) ** -0.3
    np.testing.assert_allclose(sigma / sigma[:, 2:3], np.tile(expected, (4000, 1)), rtol=1e-4)
    # |N(0, s)| has the mean s·sqrt(2/pi)
    assert sigma[:, 2].mean() == pytest.approx(0.13 * np.sqrt(2 / np.pi), rel=0.05) and sigma.min() >= 0


def test_seeing_of_a_survey_is_only_ever_made_worse():
    layer = RandomBlur(lognormal=[[0.2, 1.0, 1.3], [0.3, 1.2, 0.9]], pixels=1.6, seed=4)
    sigma = numpy(layer.draw(4000, 2))
    # the second of two draws from one distribution is the worse one half of the time; bands are independent
    for band in range(2):
        assert abs((sigma[:, band] > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    assert abs((sigma > 0).all(axis=1).mean() - 0.25) < 4 * 0.5 / np.sqrt(4000)


def test_the_requested_share_is_blurred():
    sigma = numpy(RandomBlur(sigma=(0.5, 2.0), chance=0.3, seed=4).draw(4000, 1))[:, 0]
    assert abs((sigma > 0).mean() - 0.3) < 4 * 0.5 / np.sqrt(4000)
    drawn = sigma[sigma > 0]
    assert drawn.min() >= 0.5 and drawn.max() <= 2.0 and abs(drawn.mean() - 1.25) < 4 * 1.5 / np.sqrt(12 * len(drawn))


def test_noise_has_one_random_factor_for_all_bands_and_keeps_their_ratio():
    layer = RandomNoise((0.1, 0.5), scale=(1.0, 3.0), seed=5)
    added = numpy(layer(np.zeros((300, 32, 32, 2), "float32"))).std(axis=(1, 2))
    assert np.abs(added[:, 1] / added[:, 0] - 5).max() < 5 * 5 / 32
    factor = added[:, 0] / 0.1
    assert factor.min() > 0.9 and factor.max() < 3.1 and abs(factor.mean() - 2) < 4 * 2 / np.sqrt(12 * 300)


def test_noise_is_gaussian_white_and_adds_no_flux():
    from scipy.stats import kstest

    added = numpy(RandomNoise((1.0,), scale=(2.0, 2.0 + 1e-6), seed=6)(np.zeros((2, 64, 64, 1), "float32")))
    assert kstest(added.ravel() / 2, "norm").pvalue > 1e-3
    assert abs(added.mean()) < 4 * 2 / np.sqrt(added.size)
    assert abs((added[:, 1:] * added[:, :-1]).mean()) < 4 * 4 / np.sqrt(added.size)


def test_brightness_and_contrast_change_the_mean_and_the_spread_as_drawn():
    images = 0.4 + 0.2 * noise_image(n=400)
    shown = numpy(RandomDisplay(brightness=0.1, contrast=0.3, seed=7)(images))
    moved = shown.mean(axis=(1, 2, 3)) - images.mean(axis=(1, 2, 3))
    factor = shown.std(axis=(1, 2, 3)) / images.std(axis=(1, 2, 3))
    assert np.abs(moved).max() <= 0.1 + 1e-5 and abs(moved.mean()) < 4 * 0.2 / np.sqrt(12 * 400)
    assert factor.min() > 0.69 and factor.max() < 1.31 and abs(factor.mean() - 1) < 4 * 0.6 / np.sqrt(12 * 400)
    bright = numpy(RandomDisplay(brightness=1.0, seed=7)(images))
    assert bright.min() >= 0 and bright.max() <= 1


def test_the_requested_share_is_grey():
    shown = numpy(RandomDisplay(brightness=0, contrast=0, grey=0.25, seed=8)(noise_image(n=2000, side=4)))
    grey = np.ptp(shown, axis=-1).max(axis=(1, 2)) < 1e-6
    assert abs(grey.mean() - 0.25) < 4 * 0.5 / np.sqrt(2000)
    np.testing.assert_allclose(shown[grey][..., 0], noise_image(n=2000, side=4)[grey].mean(axis=-1), atol=1e-6)


def test_a_layer_without_its_survey_is_an_error_that_asks_for_it():
    with pytest.raises(ValueError, match="noise of every band is needed"):
        RandomNoise()
    with pytest.raises(ValueError, match="coefficients of extinction"):
        RandomExtinction()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data runs TensorFlow's operations")
def test_they_run_in_tf_data():
    import tensorflow as tf

    for layer in LAYERS:
        dataset = tf.data.Dataset.from_tensor_slices(noise_image()).batch(4, drop_remainder=True).map(layer)
        assert np.isfinite(next(iter(dataset)).numpy()).all()
