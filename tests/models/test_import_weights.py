import functools
import json
import logging

import keras
import numpy as np
import pytest

from morphtools.models.cards import Card, find_card
from morphtools.models.encoders import build_encoder
from morphtools.models.import_config import describe
from morphtools.models.import_weights import import_weights
from morphtools.models.pretrained import load_pretrained
from morphtools.models.safetensors import write_safetensors
from morphtools.models.torch_names import torch_tensors

pytestmark = pytest.mark.any_backend
CONFIG = {
    "architecture": "resnet18",
    "num_classes": 0,
    "pretrained_cfg": {
        "input_size": [3, 64, 48],
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "interpolation": "bicubic",
    },
}
AS_IT_IS = {"mean": (0.0,) * 3, "deviation": (1.0,) * 3}  # the range in which a network takes images


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def images(size=(64, 48), bands=3, seed=0):
    return np.random.default_rng(seed).uniform(size=(3, *size, bands)).astype("float32")


@functools.cache  # building and initialising takes longer than most of what is tested; nobody changes either
def theirs(name="resnet18", channels=3, style="timm", seed=0, **options):
    """An encoder with random weights, and its state as PyTorch would have it: axes turned by hand."""
    keras.utils.set_random_seed(seed)
    encoder = build_encoder(name, (None, None, channels), **options)
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(np.random.default_rng(seed).normal(0, 0.1, layer.moving_mean.shape))
    state = {}
    for key, (weight, axes) in torch_tensors(encoder, style).items():
        values = numpy(weight)
        if axes is not None:  # kernels: (k, k, in, out) → (out, in, k, k)
            values = np.moveaxis(values, (0, 1), (2, 3))
            values = values if "dw" in key or "depthwise" in key else values.swapaxes(0, 1)
        state[key] = np.ascontiguousarray(values)
        if key.endswith("running_var"):
            state[key.replace("running_var", "num_batches_tracked")] = np.array(5, "int64")
    return encoder, state


def folder_with(path, state, config=CONFIG):
    path.mkdir()
    write_safetensors(state, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.fixture(scope="module")
def resnet():
    return theirs()


def test_the_encoder_gives_what_it_gave_there_for_standardised_pictures(tmp_path, resnet):
    encoder, state = resnet
    out = import_weights(folder_with(tmp_path / "hub", state), tmp_path / "out")
    x = images()
    expected = numpy(encoder(((x - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).astype("float32")))
    np.testing.assert_allclose(numpy(load_pretrained(out)(x)), expected, atol=1e-4)
    card = Card.open(find_card(out))
    assert (card.image_size, card.range, card.bands, card.kind) == ((64, 48), "picture", ("r", "g", "b"), "encoder")
    assert "model.safetensors" not in card.licence and "bicubic" in card.data


@pytest.mark.parametrize(("before", "legacy"), [("", True), ("module.", False), ("model.encoder.", True)])
def test_files_of_pytorch_work_whatever_stands_before_the_names(tmp_path, torch_save, resnet, before, legacy):
    encoder, state = resnet
    content = {before + key: values for key, values in state.items()}
    content = {"epoch": 3, "state_dict": content, "lr": 0.1} if legacy else content
    file = torch_save(content, tmp_path / "a.pth", legacy)
    given = {"architecture": "resnet18", "mean": 0, "deviation": 1, "image_size": 64}
    out = import_weights(file, tmp_path / "out", **given)
    x = images((64, 64))
    np.testing.assert_allclose(numpy(load_pretrained(out)(x)), numpy(encoder(x)), atol=1e-4)


@pytest.mark.parametrize(
    ("architecture", "name", "options", "style"),
    [
        ("efficientnet_b0", "efficientnet_b0", {"torch": True}, "timm"),
        ("tf_efficientnet_lite0", "efficientnet_lite0", {}, "efficientnet_pytorch"),
        ("convnext_pico", "convnext_pico", {}, "timm"),
    ],
)
def test_other_architectures_come_in_too(tmp_path, architecture, name, options, style):
    encoder, state = theirs(name, style=style, **AS_IT_IS, **options)
    write_safetensors(state, tmp_path / "a.safetensors")
    given = {"architecture": architecture, "mean": 0, "deviation": 1, "image_size": 32}
    out = import_weights(tmp_path / "a.safetensors", tmp_path / "out", **given)
    x = images((32, 32))
    np.testing.assert_allclose(numpy(load_pretrained(out)(x)), numpy(encoder(x)), atol=1e-4)


def test_dense_layers_of_larger_convnexts_are_convolutions_of_one_pixel(tmp_path):
    encoder, state = theirs("convnext_pico", style="timm", **AS_IT_IS)
    state = {key: v[:, :, 0, 0] if ".mlp." in key and v.ndim == 4 else v for key, v in state.items()}
    write_safetensors(state, tmp_path / "a.safetensors")
    given = {"architecture": "convnext_pico", "mean": 0, "deviation": 1, "image_size": 32}
    out = import_weights(tmp_path / "a.safetensors", tmp_path / "out", **given)
    x = images((32, 32))
    np.testing.assert_allclose(numpy(load_pretrained(out)(x)), numpy(encoder(x)), atol=1e-4)


def test_a_grey_encoder_takes_colours_and_grey_pictures(tmp_path):
    encoder, state = theirs(channels=1)
    out = import_weights(folder_with(tmp_path / "hub", state), tmp_path / "out")
    x, mean, deviation = images(bands=1), np.mean([0.485, 0.456, 0.406]), np.mean([0.229, 0.224, 0.225])
    expected = numpy(encoder(((x - mean) / deviation).astype("float32")))
    np.testing.assert_allclose(numpy(load_pretrained(out)(x.repeat(3, axis=-1))), expected, atol=1e-4)
    one = load_pretrained(out, input_shape=(64, 48, 1))
    np.testing.assert_allclose(numpy(one(x)), expected, atol=1e-4)


def test_the_classifier_is_left_out_and_that_is_reported(tmp_path, resnet, caplog):
    state = resnet[1] | {"fc.weight": np.zeros((10, 512), "float32"), "fc.bias": np.zeros(10, "float32")}
    with caplog.at_level(logging.INFO, logger="morphtools"):
        import_weights(folder_with(tmp_path / "hub", state), tmp_path / "out")
    assert "left out, as no part of the encoder: fc.weight, fc.bias" in caplog.text


def test_of_several_encoders_in_a_file_one_must_be_named(tmp_path, resnet):
    encoder, first = resnet
    second = {key: values + values.dtype.type(1) for key, values in first.items()}
    state = {f"q.{key}": v for key, v in first.items()} | {f"k.{key}": v for key, v in second.items()}
    folder = folder_with(tmp_path / "hub", state)
    with pytest.raises(ValueError, match=r"several encoders: give prefix, one of 'q\.', 'k\.'"):
        import_weights(folder, tmp_path / "out")
    out = import_weights(folder, tmp_path / "out", prefix="q", mean=0, deviation=1)
    np.testing.assert_allclose(numpy(load_pretrained(out)(images())), numpy(encoder(images())), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s.pop("layer3.0.conv1.weight"), r"does not hold a resnet18: it lacks layer3\.0\.conv1\.weight"),
        (lambda s: s.update({"layer4.2.conv1.weight": s["layer4.1.conv1.weight"]}), "another encoder than resnet18"),
        (lambda s: s.update({"bn1.bias": np.zeros(63, "float32")}), r"bn1\.bias has the shape \(63,\)"),
        (lambda s: s.update({"bn1.bias": np.full(64, np.nan, "float32")}), "not finite"),
        (lambda s: s.clear(), "does not hold a resnet18"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_left_behind(tmp_path, resnet, change, reason):
    state = dict(resnet[1])
    change(state)
    with pytest.raises(ValueError, match=rf"model\.safetensors: .*{reason}"):
        import_weights(folder_with(tmp_path / "hub", state), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_was_dropped_in_training_does_not_change_an_encoder(tmp_path):
    arguments = {"drop_rate": 0.2, "drop_path_rate": 0.4, "in_chans": 1}  # as those of zoobot
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"model_args": arguments}))
    assert describe(tmp_path, {}).architecture == "resnet18"


def test_what_is_not_known_of_a_file_must_be_given(tmp_path, resnet):
    write_safetensors(resnet[1], tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="give mean, deviation, image_size"):
        import_weights(tmp_path / "a.safetensors", tmp_path / "out", architecture="resnet18")
    with pytest.raises(ValueError, match=r"unknown architecture 'resnet19'.*did you mean 'resnet18'"):
        import_weights(
            tmp_path / "a.safetensors", tmp_path / "out", architecture="resnet19", mean=0, deviation=1, image_size=64
        )


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_args": {"stem_width": 32}}, "changes the architecture"),
        ({"global_pool": "max"}, "means over the image"),
        ({"architecture": "vit_base"}, "unknown architecture"),
    ],
)
def test_a_config_of_something_else_is_refused(tmp_path, resnet, config, reason):
    with pytest.raises(ValueError, match=reason):
        import_weights(folder_with(tmp_path / "hub", resnet[1], CONFIG | config), tmp_path / "out")


def test_a_folder_that_is_taken_is_left_alone(tmp_path, resnet):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="choose another out"):
        import_weights(folder_with(tmp_path / "hub", resnet[1]), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_missing_file_is_reported_as_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither a file nor a folder"):
        import_weights(tmp_path / "nothing", tmp_path / "out")


def test_the_licence_on_the_hub_goes_into_the_card(tmp_path, resnet):
    folder = folder_with(tmp_path / "hub", resnet[1])
    (folder / "README.md").write_text("---\ntags:\n- galaxy\nlicense: apache-2.0\n---\n# Model card\nlicense: none\n")
    out = import_weights(folder, tmp_path / "out", citation="Walmsley et al. 2023")
    card = Card.open(find_card(out))
    assert (card.licence, card.citation) == ("apache-2.0", "Walmsley et al. 2023")
