import functools

import keras
import numpy as np
import pytest

from morphtools.models import encoders
from morphtools.models.encoders import (
    ENCODERS,
    AsinhStretch,
    any_way_up,
    build_encoder,
    encoder_blocks,
    settle_batch_norm,
    unfreeze,
)

pytestmark = pytest.mark.any_backend
BATCH_NORM = keras.layers.BatchNormalization


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def images(n=4, size=32, bands=3, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, size, size, bands)).astype("float32")


@functools.cache
def built(name):
    """For tests that do not change the weights of the encoder."""
    return build_encoder(name, (32, 32, 3))


@pytest.mark.parametrize(
    ("name", "bands", "width"),
    [("efficientnet_b0", 5, 1280), ("resnet10_half", 1, 256), ("resnet18", 5, 512), ("resnet50", 1, 2048)],
)
def test_any_number_of_bands_gives_the_representation_of_the_papers(name, bands, width):
    assert build_encoder(name, (32, 32, bands)).output_shape == (None, width)


@pytest.mark.parametrize(
    ("name", "parameters"),
    # torchvision's resnet18 and resnet50 with fc removed (11,689,512 − 513,000 and 25,557,032 − 2,049,000), each
    # counted with the running means and variances of its batch normalisations (2 × 4,800 and 2 × 26,560).
    # resnet101: 44,549,160 − 2,049,000 and 2 × 52,672
    [("resnet18", 11_176_512 + 9_600), ("resnet50", 23_508_032 + 53_120), ("resnet101", 42_500_160 + 105_344)],
)
def test_residual_networks_have_the_published_number_of_parameters(name, parameters):
    assert built(name).count_params() == parameters


def test_the_smallest_residual_network_has_one_block_of_half_the_width_in_each_group():
    stem, first = 7 * 7 * 3 * 32, 2 * 9 * 32 * 32
    others = sum(9 * n // 2 * n + 9 * n * n + n // 2 * n for n in (64, 128, 256))  # two convolutions and a shortcut
    normalised = 3 * 32 + 3 * (64 + 128 + 256)  # channels, each with four numbers
    assert built("resnet10_half").count_params() == stem + first + others + 4 * normalised


def test_small_images_keep_their_resolution_in_the_stem():
    """Hayat et al. 2021: first convolution with stride 1, no max-pool; so 64 px leave the last block at 8, not 2."""
    small, usual = (build_encoder("resnet18", (64, 64, 5), small_images=s) for s in (True, False))
    assert [m.get_layer("block4_2_relu").output.shape[1] for m in (small, usual)] == [8, 2]
    assert small.count_params() == usual.count_params()
    with pytest.raises(ValueError, match="has none"):
        build_encoder("efficientnet_b0", (64, 64, 3), small_images=True)


def test_unknown_encoders_come_with_the_nearest():
    with pytest.raises(ValueError, match=r"unknown encoder 'resnet5'.*did you mean"):
        build_encoder("resnet5", (64, 64, 3))


def test_stretch_is_linear_at_the_noise_and_one_at_a_thousand_times_it():
    noise = np.array([0.5, 2.0], "float32")
    flux = np.array([0.0, 0.01, 1000.0, -1000.0])[:, None, None, None] * noise
    got = numpy(AsinhStretch(noise)(flux.astype("float32")))[:, 0, 0]
    expected = np.array([0, 0.01 / np.arcsinh(1000), 1, -1])[:, None].repeat(2, 1)
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    with pytest.raises(ValueError, match="positive"):
        AsinhStretch([1.0, 0.0])


def test_batch_norm_settles_on_the_mean_over_batches():
    encoder = build_encoder("resnet18", (16, 16, 3), small_images=True)
    stem = next(layer for layer in encoder.layers if isinstance(layer, keras.layers.BatchNormalization))
    before = keras.Model(encoder.input, stem.input)
    batches = images(32)[:, :16, :16].reshape(2, 16, 16, 16, 3)
    seen = [keras.ops.convert_to_numpy(before(batch)).reshape(-1, 64) for batch in batches]
    momentum = stem.momentum
    settle_batch_norm(encoder, *batches)
    np.testing.assert_allclose(stem.moving_mean, np.mean([x.mean(axis=0) for x in seen], axis=0), atol=1e-5)
    np.testing.assert_allclose(stem.moving_variance, np.mean([x.var(axis=0) for x in seen], axis=0), rtol=1e-3)
    assert stem.momentum == momentum


def test_large_batches_settle_batch_norm_as_small_ones_do(monkeypatch):
    small, large = (build_encoder("resnet10_half", (16, 16, 3)) for _ in range(2))
    large.set_weights([numpy(w) for w in small.weights])
    settle_batch_norm(small, *np.split(images(32, size=16), 2))
    monkeypatch.setattr(encoders, "_WORTH_COMPILING", 0)
    settle_batch_norm(large, *np.split(images(32, size=16), 2))
    assert any(not np.allclose(w, 0) for w in map(numpy, large.non_trainable_weights[::2]))
    for a, b in zip(small.weights, large.weights, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet18"])
def test_settled_batch_norm_lets_different_galaxies_differ(name):
    keras.utils.set_random_seed(0)
    encoder, x = build_encoder(name, (32, 32, 3)), images(64)
    before = [numpy(w) for w in encoder.trainable_weights]
    settings = [layer.get_config() for layer in encoder.layers]
    settle_batch_norm(encoder, x)
    assert [layer.get_config() for layer in encoder.layers] == settings
    for old, new in zip(before, encoder.trainable_weights, strict=True):
        np.testing.assert_array_equal(old, numpy(new))
    assert numpy(encoder(x)).std(axis=0).mean() > 0.01
    norms = [layer for layer in encoder.layers if isinstance(layer, BATCH_NORM)]
    for layer in (norms[0], norms[-1]):  # in inference mode, the mean over this batch is now that of training, β
        y = numpy(keras.Model(encoder.input, layer.output)(x)).reshape(-1, layer.output.shape[-1])
        np.testing.assert_allclose(y.mean(axis=0), numpy(layer.beta), atol=0.01)


@pytest.mark.parametrize("size", [(32, 32), (24, 32)])
def test_the_mean_over_orientations_does_not_depend_on_the_orientation(size):
    encoder = build_encoder("resnet10_half", (*size, 3))
    settle_batch_norm(encoder, images(16)[:, : size[0], : size[1]])
    model = keras.Sequential([keras.Input((*size, 3)), *any_way_up(encoder)])
    x = images(3)[:, : size[0], : size[1]]
    turned = np.rot90(x, 1 if size[0] == size[1] else 2, axes=(1, 2))
    np.testing.assert_allclose(numpy(model(turned)), numpy(model(x)), atol=1e-4)
    np.testing.assert_allclose(numpy(model(x[:, :, ::-1])), numpy(model(x)), atol=1e-4)
    slow = np.mean([numpy(encoder(v)) for v in orientations(x)], axis=0)
    np.testing.assert_allclose(numpy(model(x)), slow, atol=1e-4)


def orientations(x):
    turns = range(4) if x.shape[1] == x.shape[2] else (0, 2)
    for k in turns:
        for mirror in (False, True):
            turned = np.rot90(x, k, axes=(1, 2))
            yield turned[:, :, ::-1] if mirror else turned


@pytest.mark.parametrize(
    "name", sorted({*ENCODERS} - {"convnext_base", "convnext_small", "convnext_tiny", "resnet101"})
)
def test_blocks_run_from_the_top_to_the_stem_and_hold_every_layer_once(name):
    encoder = built(name)
    blocks = encoder_blocks(encoder)
    assert sorted(layer.name for block in blocks for layer in block) == sorted(layer.name for layer in encoder.layers)
    last = encoder.layers.index(blocks[0][-1])
    for block in blocks:
        assert encoder.layers.index(block[-1]) <= last
        last = encoder.layers.index(block[0])
    efficient = dict.fromkeys(("efficientnet_b0", "efficientnet_lite0", "efficientnet_lite2"), 9)
    assert len(blocks) == (efficient | {"mobilenet_v3_small": 13}).get(name, 5)  # residual: stem and four


@pytest.mark.parametrize(
    ("depth", "prefixes"),
    [("head", ()), (1, ("top",)), (2, ("top", "block7")), (3, ("top", "block7", "block6"))],
)
def test_only_the_requested_blocks_are_trainable_and_batch_norm_never(depth, prefixes):
    encoder = built("efficientnet_b0")
    unfreeze(encoder, depth)
    trainable = {w.path for layer in encoder.layers for w in layer.trainable_weights}
    assert {w.path for w in encoder.trainable_weights} == trainable
    expected = {
        w.path
        for layer in encoder.layers
        for w in layer.weights
        if layer.name.startswith(prefixes) and not isinstance(layer, BATCH_NORM) and "seed" not in w.path
    }
    assert trainable == (expected if prefixes else set())


def test_all_means_everything_but_batch_norm_and_head_freezes_it_again():
    encoder = build_encoder("resnet18", (32, 32, 3))
    unfreeze(encoder, "all")
    assert len(encoder.trainable_weights) == 20  # 17 convolutions and 3 shortcuts, without biases
    unfreeze(encoder, "head")
    assert not encoder.trainable_weights


@pytest.mark.parametrize("depth", [6, -1, "some", 1.5, True])
def test_impossible_depths_are_refused(depth):
    with pytest.raises(ValueError, match="a number of blocks from 1 to 5"):
        unfreeze(built("resnet18"), depth)


def test_training_an_unfrozen_block_moves_it_and_nothing_else():
    encoder = build_encoder("resnet18", (32, 32, 3))
    settle_batch_norm(encoder, images(16))
    unfreeze(encoder, 1)
    model = keras.Sequential([keras.Input((32, 32, 3)), *any_way_up(encoder), keras.layers.Dense(2, "softmax")])
    before = {w.path: numpy(w).copy() for w in encoder.weights}
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    model.train_on_batch(images(8), np.arange(8) % 2)
    for w in encoder.weights:
        moved = not np.array_equal(before[w.path], numpy(w))
        assert moved == (w.path.startswith("block4") and "_bn" not in w.path), w.path


def test_an_encoder_with_its_layers_survives_saving(tmp_path):
    encoder = build_encoder("resnet10_half", (32, 32, 2), noise=(0.1, 0.2))
    model = keras.Sequential([keras.Input((32, 32, 2)), *any_way_up(encoder)])
    model.save(tmp_path / "model.keras")
    x = images(2, bands=2)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(x)), numpy(model(x)), rtol=1e-5, atol=1e-5)
