"""Images in another range than those of the training are noticed, once, whichever way they are given to a model."""

import warnings

import keras
import numpy as np
import pytest
from PIL import Image

from morphtools.models import guarded
from morphtools.models.encoders import any_way_up, build_encoder
from morphtools.models.heads import classification_head
from morphtools.models.pretrained import load_pretrained

pytestmark = pytest.mark.any_backend
NOISE = (0.01, 0.02, 0.03)


def levels(seed=0):
    """(2, 16, 16, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (2, 16, 16, 3)).astype("uint8")


def flux(sky=0.0, unit=1.0, seed=0):
    """(2, 16, 16, 3) of a galaxy over a sky of `NOISE`."""
    y, x = np.mgrid[-8:8, -8:8]
    galaxy = 3 * np.exp(-np.hypot(x, y) / 3)[..., np.newaxis]
    return (np.random.default_rng(seed).normal(galaxy, NOISE, (2, 16, 16, 3)) + sky).astype("float32") * unit


def network(noise=None, flux="asinh"):
    encoder = build_encoder("resnet10_half", (16, 16, 3), small_images=True, noise=noise, flux=flux)
    return guarded.Sequential([keras.Input((16, 16, 3)), *any_way_up(encoder, 2), classification_head(2)])


@pytest.fixture(scope="module")
def pictures():
    return network()


@pytest.fixture(scope="module", params=["asinh", "linear", "maximum"])
def measured(request):
    return network(NOISE, request.param)


def warned(model, images, call="predict") -> list[str]:
    """The warnings when images are given to a model that has not warned before."""
    model._warned = model._looked_into = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model(images) if call == "call" else getattr(model, call)(images)
    return [str(w.message) for w in caught if "morphtools" in str(w.message)]


@pytest.mark.parametrize("call", ["predict", "predict_on_batch", "call"])
def test_levels_from_0_to_255_are_noticed_by_a_network_of_pictures_however_it_is_called(call, pictures):
    pil = np.stack([np.asarray(Image.fromarray(image)) for image in levels()])
    for images in (pil, pil.astype("float32"), keras.ops.convert_to_tensor(pil, "float32")):
        (sentence,) = warned(pictures, images, call)
        assert "values from 0 to 255" in sentence or "values from 1 to 255" in sentence
        assert "0 to 1" in sentence and "prepare_images" in sentence
    assert not warned(pictures, pil / np.float32(255), call)


@pytest.mark.parametrize(
    "images",
    [
        levels() / np.float32(127.5) - 1,  # as many networks take them
        (levels() / np.float32(255) - 0.45) / 0.22,  # standardised
        levels() / np.float32(255) / 255,  # divided twice
        levels().astype("uint16") * 257,
        flux() - 0.2,  # no picture has a sky below zero
    ],
)
def test_what_no_picture_holds_is_noticed(images, pictures):
    assert len(warned(pictures, images)) == 1


@pytest.mark.parametrize(
    "images", [np.zeros((2, 16, 16, 3)), np.full((1, 16, 16, 3), np.nan), np.ones((2, 16, 16, 3), "u1")]
)
def test_blank_images_are_nobodys_mistake_of_range(images, pictures):
    assert not warned(pictures, images)


@pytest.mark.parametrize(
    "images", [levels(), levels() / np.float32(255), flux(sky=100.0), flux(unit=1e-5), flux(unit=1e4)]
)
def test_pictures_and_other_units_are_noticed_by_a_network_of_flux(images, measured):
    (sentence,) = warned(measured, images)
    assert "flux" in sentence and "0.01" in sentence
    assert not warned(measured, flux())
    assert not warned(measured, np.maximum(flux() - 0.1, 0))  # a map cut at three sigma


def test_a_model_warns_once_and_no_more_than_once(pictures):
    assert len(warned(pictures, levels() / np.float32(255))) == 0
    assert len(warned(pictures, levels())) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.predict(levels(), verbose=0)
        pictures(levels())


def test_training_images_are_not_checked(pictures):
    pictures._warned = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures(levels(), training=True)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of tf.data")
def test_the_first_batch_of_a_dataset_is_checked(pictures):
    import tensorflow as tf

    images = tf.data.Dataset.from_tensor_slices((levels().astype("float32"), [0, 1])).batch(2)
    assert len(warned(pictures, images)) == 1
    assert not warned(pictures, images.map(lambda image, label: (image / 255, label)))


def test_loaded_weights_and_saved_models_warn_and_copies_give_the_same(tmp_path, pictures):
    assert isinstance(load_pretrained(None, encoder="resnet10_half", input_shape=(16, 16, 3)), guarded.Functional)
    good = levels() / np.float32(255)
    expected = pictures.predict(good, verbose=0)
    pictures.save(tmp_path / "a.keras")
    copies = [keras.models.load_model(tmp_path / "a.keras"), guarded.Sequential.from_config(pictures.get_config())]
    copies[1].set_weights(pictures.get_weights())
    for copy in copies:
        np.testing.assert_allclose(copy.predict(good, verbose=0), expected, atol=1e-6)
        assert len(warned(copy, levels())) == 1
    clone = keras.models.clone_model(pictures)
    clone.set_weights(pictures.get_weights())
    np.testing.assert_allclose(clone.predict(good, verbose=0), expected, atol=1e-6)


def test_an_encoder_inside_another_model_warns_when_that_is_called():
    encoder = load_pretrained(None, encoder="resnet10_half", input_shape=(16, 16, 3))
    model = keras.Sequential([keras.Input((16, 16, 3)), encoder, keras.layers.Dense(1)])
    with pytest.warns(UserWarning, match="0 to 1"):
        model(levels())


def test_weights_of_a_model_inside_another_are_where_keras_has_them(tmp_path):
    plain = build_encoder("resnet10_half", (16, 16, 3), small_images=True)
    ours = guarded.Functional(plain.input, plain.output, name=plain.name)
    theirs, mine = (
        keras.Sequential([keras.Input((16, 16, 3)), encoder, keras.layers.Dense(1)])
        for encoder in (build_encoder("resnet10_half", (16, 16, 3), small_images=True), ours)
    )
    mine.save_weights(tmp_path / "a.weights.h5")
    theirs.load_weights(tmp_path / "a.weights.h5")
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
