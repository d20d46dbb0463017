import keras
import numpy as np
import pytest
from PIL import Image

from morphtools.models.encoders import build_encoder
from morphtools.models.inputs import FluxScale, PictureRange

pytestmark = pytest.mark.any_backend
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def images(bands=3, seed=0):
    return np.random.default_rng(seed).uniform(size=(2, 40, 40, bands)).astype("float32")


def test_every_band_is_standardised_by_its_own_numbers():
    x = images()
    np.testing.assert_allclose(numpy(PictureRange(MEAN, DEVIATION)(x)), (x - MEAN) / DEVIATION, rtol=1e-5, atol=1e-6)


def test_one_band_is_seen_as_a_grey_picture():
    x, layer = images(1), PictureRange(MEAN, DEVIATION)
    np.testing.assert_allclose(numpy(layer(x)), numpy(layer(x.repeat(3, axis=-1))), atol=1e-6)
    assert layer.compute_output_shape((None, 40, 40, 1)) == (None, 40, 40, 3)


def test_a_grey_network_sees_the_luminance_that_pillow_gives():
    levels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype="uint8")
    grey = np.asarray(Image.fromarray(levels).convert("L"), float) / 255
    layer = PictureRange((0.3,), (0.2,), grey=True)
    got = numpy(layer((levels / 255)[None].astype("float32")))[0, ..., 0]
    np.testing.assert_allclose(got, (grey - 0.3) / 0.2, atol=0.5 / 255 / 0.2 + 1e-4)
    np.testing.assert_allclose(numpy(layer(images(1))), (images(1) - 0.3) / 0.2, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "efficientnet_lite0", "convnext_pico"])
def test_an_encoder_shown_one_band_gives_what_it_gives_for_the_same_in_three(name):
    options = {"mean": MEAN, "deviation": DEVIATION}
    three, one = (build_encoder(name, (40, 40, bands), **options) for bands in (3, 1))
    for old, new in zip(three.weights, one.weights, strict=True):
        new.assign(old)
    np.testing.assert_allclose(numpy(one(images(1))), numpy(three(images(1).repeat(3, axis=-1))), atol=1e-5)


def test_it_survives_saving(tmp_path):
    encoder = build_encoder("resnet10_half", (40, 40, 3), mean=(0.3,), deviation=(0.2,), grey=True)
    encoder.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_allclose(numpy(loaded(images())), numpy(encoder(images())), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"mean": MEAN}, "mean and deviation together"),
        ({"grey": True}, "grey needs both"),
        ({"mean": MEAN, "deviation": (1.0,)}, "one mean and one deviation"),
        ({"mean": (0.5,), "deviation": (0.0,)}, "positive"),
        ({"mean": MEAN, "deviation": DEVIATION, "grey": True}, "one if grey"),
    ],
)
def test_what_does_not_belong_together_is_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        build_encoder("resnet10_half", (40, 40, 3), **arguments)


def flux(seed=0):
    return np.random.default_rng(seed).normal(size=(2, 8, 8, 2)).astype("float32") * (1, 30) + (0, 5)


def test_linear_flux_is_twice_as_large_for_a_galaxy_twice_as_bright():
    layer = FluxScale((0.5, 2.0))
    np.testing.assert_allclose(numpy(layer(flux())), flux() / (50, 200), rtol=1e-5)
    np.testing.assert_allclose(numpy(layer(2 * flux())), 2 * numpy(layer(flux())), rtol=1e-5)


def test_divided_by_its_maximum_an_image_keeps_shape_and_colour_and_no_brightness():
    x, layer = flux(), FluxScale((0.5, 2.0), maximum=True)
    got = numpy(layer(x * np.float32([1, 40]).reshape(2, 1, 1, 1)))  # one of two galaxies is brighter
    np.testing.assert_allclose(got, numpy(layer(x)), rtol=1e-5)
    np.testing.assert_allclose(got.max(axis=(1, 2, 3)), 1, rtol=1e-6)
    np.testing.assert_allclose(got[0, ..., 0] / got[0, ..., 1], x[0, ..., 0] / x[0, ..., 1] * 4, rtol=1e-4)
    assert np.isfinite(numpy(layer(np.zeros((1, 8, 8, 2), "float32")))).all()


@pytest.mark.parametrize("kind", ["linear", "maximum"])
def test_an_encoder_of_unstretched_flux_survives_saving(kind, tmp_path):
    encoder = build_encoder("resnet10_half", (8, 8, 2), noise=(0.5, 2.0), flux=kind)
    encoder.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_allclose(numpy(loaded(flux())), numpy(encoder(flux())), rtol=1e-5, atol=1e-6)


def test_other_ways_to_take_flux_are_refused():
    with pytest.raises(ValueError, match=r"flux 'log'.*asinh, linear"):
        build_encoder("resnet10_half", (8, 8, 2), noise=(1.0, 1.0), flux="log")
