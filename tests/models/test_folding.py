"""Folded models give what the plain ones give, in fewer layers."""

import keras
import numpy as np
import pytest
from keras import layers

from morphtools.models.convnext import LayerScale
from morphtools.models.encoders import any_way_up, build_encoder
from morphtools.models.folding import folded
from morphtools.models.heads import DenseHead


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def randomised(model):
    """With numbers that a training might end with: none is 0 or 1, and variances are positive."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape) * rng.choice([-1, 1], weight.shape))
        if "variance" in weight.path:
            weight.assign(abs(numpy(weight)))
    return model


def images(side, bands=3, number=3):
    return np.random.default_rng(1).uniform(size=(number, side, side, bands)).astype("float32")


def agree(model, x):
    """Checks that the folded model gives the same, that the first did not change, and returns the folded one."""
    before, weights = numpy(model(x, training=False)), [numpy(weight).copy() for weight in model.weights]
    small = folded(model)
    scale = abs(before).max()
    np.testing.assert_allclose(numpy(small(x, training=False)) / scale, before / scale, atol=2e-5)
    np.testing.assert_array_equal(numpy(model(x, training=False)), before)
    assert all(np.array_equal(numpy(a), b) for a, b in zip(model.weights, weights, strict=True))
    np.testing.assert_array_equal(numpy(folded(model)(x, training=False)), numpy(small(x, training=False)))
    return small


@pytest.mark.parametrize(
    ("name", "side", "options"),
    [
        ("resnet10_half", 33, {"noise": (1.0, 1.0, 1.0)}),
        ("efficientnet_lite0", 32, {}),
        ("efficientnet_b0", 33, {}),
        ("mobilenet_v3_small", 32, {}),
        ("convnext_pico", 32, {"drop": 0.1}),
    ],
)
def test_every_kind_of_encoder_gives_the_same_without_what_only_scales(name, side, options):
    small = agree(randomised(build_encoder(name, (side, side, 3), **options)), images(side))
    assert not any(isinstance(layer, layers.BatchNormalization | LayerScale) for layer in small.layers)


def test_zeros_around_images_of_mobilenet_become_padding_and_those_of_pytorch_stay():
    small = folded(build_encoder("mobilenet_v3_small", (32, 32, 3)))
    assert not any(isinstance(layer, layers.ZeroPadding2D) for layer in small.layers)
    torch = folded(build_encoder("efficientnet_b0", (32, 32, 3), torch=True))  # symmetric, where "same" is not
    assert sum(isinstance(layer, layers.ZeroPadding2D) for layer in torch.layers) == 5


def test_images_of_any_size_and_whole_models_with_orientations_and_a_head():
    encoder = randomised(build_encoder("mobilenet_v3_small", (None, None, 2)))
    x = images(40, bands=2)
    agree(encoder, x)
    agree(keras.Sequential([keras.Input((40, 40, 2)), *any_way_up(encoder, 8), DenseHead(3, activation="softmax")]), x)


@pytest.mark.any_backend
def test_only_what_nobody_else_uses_is_folded():
    inputs = keras.Input((8, 8, 3))
    shared = layers.Conv2D(4, 3, padding="same")
    x = layers.BatchNormalization()(shared(inputs))  # the convolution has a second call
    seen = layers.Conv2D(3, 3, padding="same", use_bias=False)(x)  # and this one is seen by others
    y = layers.Add()([layers.BatchNormalization()(seen), seen, layers.BatchNormalization()(inputs)])
    curved = layers.Conv2D(4, 3, activation="relu")(y)  # and here something stands between
    z = layers.BatchNormalization()(curved)
    model = randomised(keras.Model(inputs, layers.GlobalAveragePooling2D()(z) + keras.ops.mean(shared(y), axis=(1, 2))))
    small = agree(model, images(8))
    assert sum(isinstance(layer, layers.BatchNormalization) for layer in small.layers) == 4


@pytest.mark.any_backend
@pytest.mark.parametrize("options", [{"groups": 2}, {"dilation_rate": 2}, {"strides": 2}, {"activation": "gelu"}])
@pytest.mark.parametrize("kernel", [1, 3])
def test_convolutions_of_every_form_stay_what_they_are(kernel, options):
    if kernel == 1 and "dilation_rate" in options:
        options = {}
    inputs = keras.Input((9, 9, 4))
    x = layers.ZeroPadding2D(1)(inputs)
    x = layers.Conv2D(6, kernel, **options)(x)
    x = layers.BatchNormalization(center=False)(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)(x)
    x = layers.BatchNormalization(scale=False)(x)
    agree(randomised(keras.Model(inputs, layers.Flatten()(x))), images(9, bands=4))


@pytest.mark.any_backend
def test_in_mixed_precision_kernels_are_stored_as_they_are_used_and_the_results_are_the_same():
    keras.utils.set_random_seed(0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        inputs = keras.Input((9, 9, 3))
        x = layers.Conv2D(16, 3, activation="relu")(inputs)
        x = layers.LayerNormalization(epsilon=1e-5)(layers.DepthwiseConv2D(3)(x))
        model = randomised(keras.Model(inputs, layers.Conv2D(4, 1)(x)))
    finally:
        keras.config.set_dtype_policy(before)
    small, x = folded(model), images(9)
    difference = abs(numpy(small(x)).astype("float32") - numpy(model(x)).astype("float32"))
    assert difference.max() <= 2**-7 * abs(numpy(model(x)).astype("float32")).max()  # the last of its eight bits
    stored = {keras.backend.standardize_dtype(weight.dtype) for weight in small.weights if len(weight.shape) > 1}
    assert stored == {"bfloat16"} and small.dtype_policy.name != "bfloat16"


def test_a_model_that_is_no_graph_of_layers_is_returned_as_it_is():
    class Own(keras.Model):
        def call(self, x):
            return x

    model = Own()
    assert folded(model) is model
