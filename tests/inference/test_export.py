import json
import sys

import keras
import numpy as np
import pytest

from morphtools.inference import export as module
from morphtools.inference.export import export
from morphtools.models.cards import Card, find_card, write_card
from morphtools.models.encoders import any_way_up, build_encoder, settle_batch_norm
from morphtools.models.heads import classification_head
from morphtools.models.import_weights import import_weights
from morphtools.models.pretrained import load_pretrained


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def images(bands=3, seed=0, n=3):
    return np.random.default_rng(seed).uniform(size=(n, 32, 32, bands)).astype("float32")


def saved(folder, kind="encoder", bands=("r", "g", "b"), settled=True, **encoder):
    """Weights with a card."""
    encoder = {"name": "resnet18"} | encoder
    card = {"name": "tiny", "kind": kind, "encoder": encoder, "bands": bands, "image_size": (32, 32)}
    card |= {"range": "flux" if encoder.get("noise") else "picture", "licence": "CC-BY-4.0", "data": "three galaxies"}
    body = build_encoder(input_shape=(32, 32, len(bands)), **encoder)
    if settled:
        settle_batch_norm(body, images(len(bands), n=64))
    model = body
    if kind == "classes":
        card["classes"] = ("no ring", "ring")
        head = classification_head(2, seed=0)
        model = keras.Sequential([keras.Input((32, 32, len(bands))), *any_way_up(body), head])
        head.standardize.adapt(numpy(body(images(len(bands)))))
    folder.mkdir()
    model.save_weights(folder / "tiny.weights.h5")
    write_card(Card(scores={"AUC": 0.8}, **card), folder / "tiny.weights.h5")
    return folder


def test_a_model_with_its_head_and_orientations_goes_to_keras_and_back(tmp_path):
    weights = saved(tmp_path / "weights", "classes", name="resnet10_half")
    out = export(weights, tmp_path / "out", format="keras")
    got = keras.saving.load_model(out / "model.keras")
    np.testing.assert_allclose(
        numpy(got(images())), numpy(load_pretrained(weights, include_top=True)(images())), atol=1e-5
    )
    np.testing.assert_allclose(
        numpy(load_pretrained(out)(images())), numpy(load_pretrained(weights)(images())), atol=1e-5
    )


def test_a_saved_model_gives_what_keras_gives(tmp_path):
    import tensorflow as tf

    weights = saved(tmp_path / "weights", "classes", name="resnet10_half")
    out = export(weights, tmp_path / "out", format="saved-model")
    loaded = tf.saved_model.load(str(out / "model"))
    got = loaded.serve(images())
    np.testing.assert_allclose(got, numpy(load_pretrained(weights, include_top=True)(images())), atol=1e-4)
    assert json.loads((out / "card.json").read_text())["classes"] == ["no ring", "ring"]


@pytest.mark.parametrize(
    "encoder",
    [
        {"name": "resnet18"},
        pytest.param({"name": "efficientnet_lite0"}, marks=pytest.mark.slow),
        pytest.param(
            {"name": "efficientnet_b0", "torch": True, "mean": (0.4, 0.5, 0.6), "deviation": (0.2, 0.3, 0.1)},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"name": "convnext_pico", "mean": (0.4,), "deviation": (0.2,), "grey": True}, marks=pytest.mark.slow
        ),
    ],
    ids=lambda e: e["name"],
)
def test_an_encoder_comes_back_from_a_folder_for_the_hub_as_it_was(tmp_path, encoder):
    weights = saved(tmp_path / "weights", **encoder)
    out = export(weights, tmp_path / "out", format="safetensors")
    assert {"README.md", "config.json", "model.safetensors", "card.json"} <= {p.name for p in out.iterdir()}
    again = import_weights(out, tmp_path / "again")
    x, before = images(), load_pretrained(weights)
    np.testing.assert_allclose(numpy(load_pretrained(again)(x)), numpy(before(x)), atol=1e-4)
    assert Card.open(find_card(again)).licence == "CC-BY-4.0"
    config = json.loads((out / "config.json").read_text())
    assert config["num_features"] == before.output_shape[-1]
    assert "three galaxies" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    "encoder",
    [{"name": "mobilenet_v3_small"}, {"name": "resnet10_half"}, {"small_images": True}, {"noise": (0.1,) * 3}],
)
def test_a_network_that_timm_does_not_have_is_refused_and_nothing_is_left(tmp_path, encoder):
    bands = ("g", "r", "z") if encoder.get("noise") else ("r", "g", "b")
    with pytest.raises(ValueError, match="networks that timm has"):
        export(
            saved(tmp_path / "weights", bands=bands, settled=False, **encoder), tmp_path / "out", format="safetensors"
        )
    assert not (tmp_path / "out").exists()


def test_what_gives_other_numbers_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    write, run = module._WAYS["keras"]
    wrong = lambda out, card: lambda x: run(out, card)(x) * 1.01  # noqa: E731
    monkeypatch.setitem(module._WAYS, "keras", (write, wrong))
    with pytest.raises(ValueError, match=r"gives other numbers than Keras.*not kept"):
        export(saved(tmp_path / "weights", name="resnet10_half"), tmp_path / "out", format="keras")
    assert not (tmp_path / "out").exists()


def test_flux_is_shown_as_flux(tmp_path, monkeypatch):
    seen = []
    write, run = module._WAYS["keras"]
    monkeypatch.setitem(
        module._WAYS, "keras", (write, lambda out, card: lambda x: (seen.append(x), run(out, card)(x))[1])
    )
    bands = ("g", "r", "i", "z", "y")
    export(
        saved(tmp_path / "weights", bands=bands, name="resnet10_half", noise=(0.1,) * 5),
        tmp_path / "out",
        format="keras",
    )
    assert seen[0].shape == (16, 32, 32, 5) and seen[0].min() < 0


def test_without_the_packages_for_onnx_one_sentence_tells_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"pip install 'morphtools\[onnx\]'"):
        export(saved(tmp_path / "weights", name="resnet10_half"), tmp_path / "out")


def test_an_unknown_format_is_named_with_those_that_are_known(tmp_path):
    with pytest.raises(ValueError, match=r"unknown format 'onx'.*did you mean 'onnx'"):
        export(tmp_path, tmp_path / "out", format="onx")
    with pytest.raises(ValueError, match="holds the bare encoder"):
        export(saved(tmp_path / "weights", "classes"), tmp_path / "out", format="safetensors", include_top=True)


def test_onnx_gives_what_keras_gives(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    weights = saved(tmp_path / "weights", "classes", name="resnet10_half")
    out = export(weights, tmp_path / "out", format="onnx")
    session = onnxruntime.InferenceSession(str(out / "model.onnx"))
    (got,) = session.run(None, {session.get_inputs()[0].name: images()})
    np.testing.assert_allclose(got, numpy(load_pretrained(weights, include_top=True)(images())), atol=1e-4)
