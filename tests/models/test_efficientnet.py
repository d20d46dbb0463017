import keras
import numpy as np
import pytest

from morphtools.models.encoders import build_encoder, encoder_blocks, settle_batch_norm, unfreeze

pytestmark = pytest.mark.any_backend


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def images(n=4, size=32, bands=3, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, size, size, bands)).astype("float32")


def random_statistics(encoder, seed=0):
    """Weights like those of a trained network: no mean is 0 and no variance 1."""
    rng = np.random.default_rng(seed)
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.gamma.shape[0]
            layer.set_weights(
                [rng.uniform(0.5, 1.5, n), rng.normal(size=n), rng.normal(size=n), rng.uniform(0.5, 2, n)]
            )
    return encoder


def padded(x, kernel, stride):
    """TensorFlow's SAME: ⌈n/stride⌉ outputs, and of an odd number of zeros the greater part at the end."""
    for axis in (0, 1):
        n = x.shape[axis]
        total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
        widths = [(0, 0)] * x.ndim
        widths[axis] = (total // 2, total - total // 2)
        x = np.pad(x, widths)
    return x


def depthwise(x, kernel, stride):
    """(H, W, C), (k, k, C, 1) → (h, w, C), pixel by pixel."""
    k, x = kernel.shape[0], padded(x, kernel.shape[0], stride)
    rows, cols = (range(0, n - k + 1, stride) for n in x.shape[:2])
    return np.array([[np.einsum("ijc,ijc->c", x[i : i + k, j : j + k], kernel[..., 0]) for j in cols] for i in rows])


def normalized(x, layer, top=np.inf):
    gamma, beta, mean, variance = (numpy(w).astype(float) for w in layer.weights)
    y = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    return y if top == np.inf else np.clip(y, 0, top)


@pytest.mark.parametrize(
    ("name", "published"),
    # 4,652,008 and 6,092,072 (timm's tf_efficientnet_lite0 and lite2), without the classifier of 1280 × 1000 + 1000
    [("efficientnet_lite0", 4_652_008 - 1_281_000), ("efficientnet_lite2", 6_092_072 - 1_281_000)],
)
def test_it_has_the_published_number_of_parameters(name, published):
    encoder = build_encoder(name, (32, 32, 3))
    assert sum(int(np.prod(w.shape)) for w in encoder.trainable_weights) == published
    assert encoder.output_shape == (None, 1280)


@pytest.mark.parametrize(("block", "size", "stride"), [("block2a_", 9, 2), ("block3a_", 6, 2), ("block3b_", 5, 1)])
def test_a_block_is_what_numpy_makes_of_its_weights(block, size, stride):
    encoder = random_statistics(build_encoder("efficientnet_lite0", (None, None, 3)))
    first = encoder.get_layer(f"{block}expand_conv")
    last = next(layer for layer in encoder.layers[::-1] if layer.name.startswith(block))
    x = np.random.default_rng(1).normal(size=(1, size, size, first.input.shape[-1])).astype("float32")
    got = numpy(keras.Model(first.input, last.output)(x))[0]
    weights = {layer.name.removeprefix(block): layer for layer in encoder.layers if layer.name.startswith(block)}
    y = x[0].astype(float) @ numpy(weights["expand_conv"].kernel)[0, 0].astype(float)
    y = normalized(y, weights["expand_bn"], top=6)
    y = normalized(depthwise(y, numpy(weights["dwconv"].kernel).astype(float), stride), weights["bn"], top=6)
    y = normalized(y @ numpy(weights["project_conv"].kernel)[0, 0].astype(float), weights["project_bn"])
    np.testing.assert_allclose(got, y + x[0] if stride == 1 else y, atol=1e-4)


def test_the_stem_takes_pictures_from_0_to_1_as_the_published_weights_do():
    """They were trained on (pixel − 127) / 128, and zeros around it."""
    encoder = build_encoder("efficientnet_lite0", (7, 7, 1))
    x = images(1, 7, 1)
    levels = padded((np.round(x[0] * 255) - 127) / 128, 3, 2)
    kernel = numpy(encoder.get_layer("stem_conv").kernel)
    windows = [[levels[i : i + 3, j : j + 3] for j in range(0, 7, 2)] for i in range(0, 7, 2)]
    got = numpy(keras.Model(encoder.input, encoder.get_layer("stem_conv").output)(np.round(x * 255) / 255))
    np.testing.assert_allclose(got[0], np.einsum("hwijc,ijcf->hwf", windows, kernel), atol=1e-5)


@pytest.mark.parametrize("shape", [(33, 47, 1), (64, 64, 5), (None, None, 3)])
def test_it_takes_any_size_and_any_number_of_bands(shape):
    encoder = build_encoder("efficientnet_lite0", shape)
    x = images(2, 64, shape[2])[:, : shape[0], : shape[1]]
    assert np.isfinite(numpy(encoder(x))).all()
    assert encoder(x).shape == (2, 1280)


def test_the_blocks_are_a_stem_seven_groups_and_a_top_and_one_can_be_trained_alone():
    encoder = build_encoder("efficientnet_lite2", (32, 32, 3))
    assert len(encoder_blocks(encoder)) == 9
    unfreeze(encoder, 2)
    prefixes = {w.path.split("/")[0].split("_")[0] for w in encoder.trainable_weights}
    assert prefixes == {"top", "block7a"}


def test_stochastic_depth_skips_whole_blocks_of_a_galaxy_in_training_and_nothing_afterwards():
    encoder = build_encoder("efficientnet_lite0", (32, 32, 3), drop=0.5)
    rates = [layer.rate for layer in encoder.layers if isinstance(layer, keras.layers.Dropout)]
    # 16 blocks; the nine with a residual are, counted from 0, these:
    np.testing.assert_allclose(rates, [0.5 * i / 16 for i in (2, 4, 6, 7, 9, 10, 12, 13, 14)])
    layer = encoder.get_layer("block6d_drop")
    x = np.ones((400, 2, 2, 3), "float32")
    y = numpy(layer(x, training=True)).reshape(400, -1)
    assert set(np.unique(y.round(4))) == {0.0, np.float32(round(1 / (1 - layer.rate), 4))}
    assert (y == y[:, :1]).all()
    assert abs((y[:, 0] == 0).mean() - layer.rate) < 0.1
    plain = build_encoder("efficientnet_lite0", (32, 32, 3))
    for old, new in zip([w for w in encoder.weights if "seed" not in w.path], plain.weights, strict=True):
        new.assign(old)
    np.testing.assert_allclose(numpy(encoder(images())), numpy(plain(images())), atol=1e-6)


def test_weights_are_the_same_file_with_and_without_stochastic_depth(tmp_path):
    with_drop, without = (random_statistics(build_encoder("efficientnet_lite0", (32, 32, 3), drop=d)) for d in (0.2, 0))
    for one, other in ((with_drop, without), (without, with_drop)):
        one.get_layer("top_bn").beta.assign(np.full(1280, 2.0))
        one.save_weights(tmp_path / "a.weights.h5")
        other.load_weights(tmp_path / "a.weights.h5")
        np.testing.assert_allclose(numpy(one(images())), numpy(other(images())), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "drop"), [("resnet18", 0.1), ("efficientnet_lite0", 1.0), ("efficientnet_lite0", -0.1)]
)
def test_stochastic_depth_that_cannot_be_is_refused(name, drop):
    with pytest.raises(ValueError, match="drop"):
        build_encoder(name, (32, 32, 3), drop=drop)


def test_settled_batch_norm_ignores_stochastic_depth():
    x = images(32)
    keras.utils.set_random_seed(0)
    encoders = [build_encoder("efficientnet_lite0", (32, 32, 3), drop=d) for d in (0.9, 0.0)]
    encoders[1].set_weights([numpy(w) for w in encoders[0].weights if "seed" not in w.path])
    for encoder in encoders:
        settle_batch_norm(encoder, x)
    np.testing.assert_allclose(numpy(encoders[0](x)), numpy(encoders[1](x)), atol=1e-4)


def test_padding_as_in_pytorch_is_the_same_on_all_sides():
    encoder = build_encoder("efficientnet_lite0", (None, None, 3), torch=True)
    stem = encoder.get_layer("stem_conv")
    x = images(1, 8)
    got = numpy(keras.Model(encoder.input, stem.output)(x))[0]
    levels = np.pad((x[0] * 255 - 127) / 128, ((1, 1), (1, 1), (0, 0)))
    windows = [[levels[i : i + 3, j : j + 3] for j in range(0, 8, 2)] for i in range(0, 8, 2)]
    np.testing.assert_allclose(got, np.einsum("hwijc,ijcf->hwf", windows, numpy(stem.kernel)), atol=1e-5)
    assert encoder.get_layer("stem_bn").epsilon == 1e-5


def test_b0_of_our_own_is_that_of_keras_but_for_padding_and_epsilon():
    """At odd sizes, where padding is the same on all sides, and with the same epsilon."""
    keras_own, own = (build_encoder("efficientnet_b0", (33, 33, 3), torch=torch) for torch in (False, True))
    random_statistics(keras_own)
    for layer in own.layers:
        if layer.weights:
            layer.set_weights(keras_own.get_layer(layer.name).get_weights())
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = 1e-3
    x = images(2, 33)
    np.testing.assert_allclose(numpy(own(x)), numpy(keras_own(x)), atol=1e-4)
