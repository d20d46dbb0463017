"""A copy of a model gives the same outputs, however it was copied; files of earlier versions are read as before."""

import keras
import numpy as np
import pytest
from keras import layers

from morphtools.models.encoders import any_way_up, build_encoder
from morphtools.models.heads import DenseHead, classification_head
from morphtools.models.redshift_head import redshift_head
from morphtools.models.standardize import Standardize

pytestmark = pytest.mark.any_backend
X = np.random.default_rng(0).normal(5, 3, (64, 7)).astype("f4")


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def whole(head):
    """An encoder with its head, whose standardisation is far from mean 0 and variance 1."""
    encoder = build_encoder("resnet10_half", (32, 32, 3), small_images=True)
    head.build((None, 256))
    head.standardize.adapt(np.random.default_rng(1).normal(2, 5, (50, 256)).astype("f4"))
    return keras.Sequential([keras.Input((32, 32, 3)), *any_way_up(encoder, 2), head])


def clone(model, folder):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def through(ending):
    def save_and_load(model, folder):
        model.save(folder / f"model{ending}")
        return keras.models.load_model(folder / f"model{ending}")

    return save_and_load


def weights_only(model, folder):
    model.save_weights(folder / "m.weights.h5")
    copy = keras.models.clone_model(model)
    copy.load_weights(folder / "m.weights.h5")
    return copy


@pytest.mark.filterwarnings("ignore")  # Keras calls HDF5 a legacy format
@pytest.mark.parametrize("copy", [clone, through(".h5"), through(".keras"), weights_only])
@pytest.mark.parametrize("head", [classification_head, lambda n: redshift_head(n, (0, 1), "mixture")])
def test_a_copy_of_a_model_gives_what_the_model_gives(head, copy, tmp_path):
    model = whole(head(3))
    images = np.random.default_rng(2).uniform(size=(4, 32, 32, 3)).astype("f4")
    np.testing.assert_array_equal(numpy(copy(model, tmp_path)(images)), numpy(model(images)))


def test_a_copy_of_an_encoder_follows_its_weights():
    encoder = build_encoder("efficientnet_b0", (32, 32, 3))
    (norm,) = (layer for layer in encoder.layers if layer.name.startswith("normalization"))
    norm.set_weights([np.array([0.4, 0.5, 0.6]), np.array([0.1, 0.2, 0.3]), np.array(0)])
    images = np.random.default_rng(2).uniform(size=(2, 32, 32, 3)).astype("f4")
    changed = numpy(encoder(images))
    assert not np.array_equal(changed, numpy(build_encoder("efficientnet_b0", (32, 32, 3))(images)))
    np.testing.assert_array_equal(numpy(clone(encoder, None)(images)), changed)


def test_it_is_the_mean_and_deviation_of_the_data():
    layer = Standardize()
    layer.adapt(X)
    np.testing.assert_allclose(numpy(layer(X)), (X - X.mean(axis=0)) / X.std(axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_files_written_with_the_layer_of_keras_give_the_same(ending, tmp_path):
    """As earlier versions made them: `keras.layers.Normalization` in the place of ours."""
    old = classification_head(3, seed=1)
    old.standardize = layers.Normalization(name="standardize")
    old.standardize.adapt(X)
    model = keras.Sequential([keras.Input((7,)), old])
    expected, path = numpy(model(X)), tmp_path / f"old{ending}"
    if ending == ".keras":
        model.save(path)
        new = keras.models.load_model(path)
    else:
        model.save_weights(path)
        new = keras.Sequential([keras.Input((7,)), classification_head(3)])
        new.load_weights(path)
    assert isinstance(new.layers[-1], DenseHead) and isinstance(new.layers[-1].standardize, Standardize)
    np.testing.assert_array_equal(numpy(new(X)), expected)
