import keras
import numpy as np
import pytest
from scipy.ndimage import correlate
from scipy.special import erf

from morphtools.models.encoders import build_encoder, encoder_blocks, unfreeze

pytestmark = pytest.mark.any_backend


def numpy(x):
    return keras.ops.convert_to_numpy(x).astype(float)


def randomised(encoder, seed=0):
    rng = np.random.default_rng(seed)
    for weight in encoder.weights:
        if len(weight.shape) == 1:
            weight.assign(rng.uniform(0.2, 1.0, weight.shape))
    return encoder


def normalized(x, layer):
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6) * numpy(layer.gamma) + numpy(layer.beta)


@pytest.mark.parametrize(
    ("name", "parameters"),
    # timm's convnext_pico (9,045,672) and torchvision's tiny, small and base, each without its classifier of D × 1000
    # + 1000 numbers
    [
        ("convnext_pico", 9_045_672 - 513_000),
        ("convnext_tiny", 28_589_128 - 769_000),
        ("convnext_small", 50_223_688 - 769_000),
        ("convnext_base", 88_591_464 - 1_025_000),
    ],
)
def test_it_has_the_published_number_of_parameters(name, parameters):
    assert build_encoder(name, (64, 64, 3)).count_params() == parameters


def test_a_block_is_what_numpy_and_scipy_make_of_its_weights():
    encoder = randomised(build_encoder("convnext_pico", (None, None, 3)))
    block = {x.name.removeprefix("block2_1_"): x for x in encoder.layers if x.name.startswith("block2_1_")}
    x = np.random.default_rng(1).normal(size=(9, 8, 128))
    kernel = numpy(block["dwconv"].kernel)[..., 0]
    y = np.stack([correlate(x[..., c], kernel[..., c], mode="constant") for c in range(128)], axis=-1)
    y = normalized(y + numpy(block["dwconv"].bias), block["norm"])
    y = y @ numpy(block["expand_conv"].kernel)[0, 0] + numpy(block["expand_conv"].bias)
    y = y * (1 + erf(y / np.sqrt(2))) / 2
    y = y @ numpy(block["project_conv"].kernel)[0, 0] + numpy(block["project_conv"].bias)
    part = keras.Model(block["dwconv"].input, block["add"].output)
    got = numpy(part(x[None].astype("float32")))[0]
    np.testing.assert_allclose(got, x + y * numpy(block["scale"].gamma), atol=1e-4)


def test_the_representation_is_the_normalised_mean_of_the_last_maps():
    encoder = randomised(build_encoder("convnext_pico", (64, 64, 2)))
    x = np.random.default_rng(0).uniform(size=(2, 64, 64, 2)).astype("float32")
    maps = numpy(keras.Model(encoder.input, encoder.get_layer("block4_2_add").output)(x))
    expected = normalized(maps.mean(axis=(1, 2)), encoder.get_layer("block4_norm"))
    np.testing.assert_allclose(numpy(encoder(x)), expected, atol=1e-4)


def test_the_last_stage_can_be_trained_alone():
    encoder = build_encoder("convnext_pico", (32, 32, 3))
    assert len(encoder_blocks(encoder)) == 5
    unfreeze(encoder, 1)
    assert {w.path.split("_")[0] for w in encoder.trainable_weights} == {"block4"}


def test_stochastic_depth_rises_linearly_from_zero_to_the_last_block():
    encoder = build_encoder("convnext_pico", (32, 32, 3), drop=0.22)
    rates = [x.rate for x in encoder.layers if isinstance(x, keras.layers.Dropout)]
    np.testing.assert_allclose(rates, np.linspace(0, 0.22, 12)[1:])
