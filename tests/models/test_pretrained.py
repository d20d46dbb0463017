import dataclasses
import functools
import http.server
import json
import threading

import keras
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from morphtools.models import cards
from morphtools.models.cards import Card, cite, find_card, list_pretrained, sha256_of, write_card
from morphtools.models.encoders import any_way_up, build_encoder, settle_batch_norm
from morphtools.models.heads import classification_head
from morphtools.models.pretrained import load_pretrained
from morphtools.sky.simulate import simulate_galaxies
from morphtools.survey.stretch import sdss_rgb

CARD = Card(
    name="tiny",
    kind="classes",
    encoder={"name": "resnet10_half"},
    bands=("r", "g", "b"),
    range="picture",
    image_size=(32, 32),
    classes=("no ring", "ring"),
    surveys=("SDSS",),
    data="40 galaxies",
    licence="CC-BY-4.0",
    citation="Nobody 2026",
)


def images(n=4, size=32, bands=3, seed=0):
    return np.random.default_rng(seed).uniform(size=(n, size, size, bands)).astype("float32")


def shown(model, x):
    if keras.backend.backend() == "jax":  # which compiles one layer after the other otherwise
        return model.predict(x, verbose=0)
    return keras.ops.convert_to_numpy(model(x))  # `predict` would compile every one of these networks for one call


def save(folder, name="tiny", encoder=None, card=CARD, ending=".weights.h5"):
    """A model with its weights and card in `folder`."""
    keras.utils.set_random_seed(1)
    encoder = encoder or build_encoder(input_shape=card.input_shape, **card.encoder)
    seen = images(16, card.image_size[0], len(card.bands))
    settle_batch_norm(encoder, seen)
    head = classification_head(len(card.classes), seed=0)
    model = keras.Sequential([keras.Input(card.input_shape), *any_way_up(encoder), head])
    head.standardize.adapt(shown(encoder, seen))
    path = folder / (name + ending)
    model.save(path) if ending == ".keras" else model.save_weights(path)
    write_card(dataclasses.replace(card, name=name), path)
    return model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return folder, save(folder)


@pytest.mark.any_backend
def test_a_model_comes_back_with_and_without_its_top(tiny):
    folder, model = tiny
    x = images()
    whole = load_pretrained(folder, include_top=True)
    np.testing.assert_allclose(shown(whole, x), shown(model, x), atol=1e-5)
    averaged = load_pretrained(folder / "tiny.weights.h5", orientations=8)
    turned = np.rot90(x, axes=(1, 2))
    np.testing.assert_allclose(shown(averaged, x), shown(averaged, turned), atol=1e-4)
    encoder = load_pretrained(folder / "tiny.json")
    np.testing.assert_allclose(shown(encoder, x), shown(model.layers[1], x), atol=1e-5)
    assert isinstance(encoder, keras.Model) and encoder.output_shape == (None, 256)


@pytest.mark.any_backend
def test_a_run_folder_is_loaded_from_the_numbers_in_its_model_file(tmp_path):
    model = save(tmp_path, "model", ending=".keras")
    (tmp_path / "metrics.json").write_text("{}")
    assert find_card(tmp_path) == find_card(tmp_path / "model.keras") == tmp_path / "card.json"
    got = load_pretrained(tmp_path, include_top=True)
    np.testing.assert_allclose(shown(got, images()), shown(model, images()), atol=1e-5)


@pytest.mark.any_backend
def test_in_mixed_precision_only_the_encoder_computes_in_half(tiny):
    x, before = images(), keras.config.dtype_policy()
    exact, half = (load_pretrained(tiny[0], include_top=True, mixed_precision=mixed) for mixed in (False, True))
    np.testing.assert_allclose(shown(half, x), shown(exact, x), rtol=0.1)
    _, encoder, mean, head = half.layers
    assert encoder.get_layer("stem_conv").compute_dtype == "bfloat16" == encoder.outputs[0].dtype
    assert mean.compute_dtype == "float32" == head.compute_dtype and half.outputs[0].dtype == "float32"
    assert {weight.dtype for weight in encoder.trainable_weights} == {"float32"}
    for one, other in zip(half.weights, exact.weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other))
    assert keras.config.dtype_policy() == before


@pytest.mark.any_backend
def test_pooling_is_that_of_the_feature_maps(tiny):
    x = images(size=64)
    maps, mean, largest = (
        shown(load_pretrained(tiny[0], pooling=p, input_shape=(64, 64, 3)), x) for p in (None, "avg", "max")
    )
    assert maps.shape == (4, 2, 2, 256)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), mean, atol=1e-5)
    np.testing.assert_allclose(maps.max(axis=(1, 2)), largest, atol=1e-5)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("name", "bands"), [("resnet10_half", 1), pytest.param("efficientnet_b0", 5, marks=pytest.mark.slow)]
)
def test_images_equal_in_all_bands_give_the_same_with_any_number_of_bands(tmp_path, name, bands):
    card = dataclasses.replace(CARD, encoder={"name": name})
    save(tmp_path, card=card)
    grey = images(bands=1)
    expected = shown(load_pretrained(tmp_path), grey.repeat(3, axis=-1))
    got = shown(load_pretrained(tmp_path, input_shape=(32, 32, bands)), grey.repeat(bands, axis=-1))
    assert expected.std() > 0.01
    np.testing.assert_allclose(got, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.any_backend
def test_images_of_any_size_can_be_shown(tiny):
    x, free = images(), load_pretrained(tiny[0], input_shape=(None, None, 3))
    np.testing.assert_allclose(shown(free, x), shown(tiny[1].layers[1], x), atol=1e-5)
    assert free.output_shape == (None, 256)


@pytest.mark.any_backend
def test_flux_encoders_take_the_noise_of_another_survey(tmp_path):
    card = dataclasses.replace(
        CARD, encoder={"name": "resnet10_half", "noise": [0.1] * 3}, range="flux", bands=tuple("grz")
    )
    save(tmp_path, card=card)
    x = images()
    same, other = load_pretrained(tmp_path), load_pretrained(tmp_path, noise=(0.2,) * 3)
    np.testing.assert_allclose(shown(other, 2 * x), shown(same, x), atol=1e-4)
    assert load_pretrained(tmp_path, input_shape=(32, 32, 5), noise=(0.2,) * 5).input_shape == (None, 32, 32, 5)
    with pytest.raises(ValueError, match="with 5 bands it needs the noise of each"):
        load_pretrained(tmp_path, input_shape=(32, 32, 5))


@pytest.mark.any_backend
def test_encoders_without_a_head_and_random_ones_have_no_top(tmp_path):
    encoder = build_encoder("resnet10_half", (32, 32, 3))
    encoder.save_weights(tmp_path / "body.weights.h5")
    write_card(dataclasses.replace(CARD, kind="encoder", classes=None), tmp_path / "body.weights.h5")
    np.testing.assert_allclose(shown(load_pretrained(tmp_path), images()), shown(encoder, images()), atol=1e-5)
    with pytest.raises(ValueError, match="an encoder without a head"):
        load_pretrained(tmp_path, include_top=True)
    assert load_pretrained(None, encoder="resnet10_half").output_shape == (None, 256)
    for options in ({"weights": None}, {"weights": tmp_path, "pooling": None}):
        with pytest.raises(ValueError, match="include_top needs"):
            load_pretrained(**options, include_top=True)
    with pytest.raises(ValueError, match="'avg', 'max' or None, got 'mean'"):
        load_pretrained(tmp_path, pooling="mean")
    with pytest.raises(ValueError, match="have no mean"):
        load_pretrained(tmp_path, pooling=None, orientations=8)


def copied(tiny, tmp_path):
    for path in tiny[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / "tiny.weights.h5", tmp_path / "tiny.json"


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_truncated_weights_are_refused(tiny, tmp_path, keep):
    weights, _ = copied(tiny, tmp_path)
    whole = weights.read_bytes()
    weights.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(ValueError, match=r"tiny\.weights\.h5 is damaged .*the sha256 differs") as error:
        load_pretrained(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"no h5 file", b"PK\x03\x04 no zip file"],
)
@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_files_that_are_no_weights_are_refused_even_with_the_right_hash(tmp_path, content, ending):
    (tmp_path / f"x{ending}").write_bytes(content)
    write_card(CARD, tmp_path / f"x{ending}")
    with pytest.raises(ValueError, match="do not fit the model that their card describes") as error:
        load_pretrained(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": {"name": "resnet18"}},
        {"encoder": {"name": "resnet10_half", "layers": 5}},
        {"classes": ["a", "b", "c"]},
        {"kind": "encoder"},
    ],
)
def test_weights_of_another_model_than_the_cards_are_refused(tiny, tmp_path, changes):
    _, card = copied(tiny, tmp_path)
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))
    with pytest.raises(ValueError, match="do not fit the model that their card describes") as error:
        load_pretrained(tmp_path)
    assert "\n" not in str(error.value)


def test_nothing_in_a_model_file_is_executed(tmp_path):
    """A `.keras` file whose own description runs code gives its numbers and nothing else."""
    inputs = keras.Input((32, 32, 3))
    evil = keras.layers.Lambda(lambda x: print("executed") or x)
    keras.Model(inputs, evil(inputs)).save(tmp_path / "model.keras")
    write_card(CARD, tmp_path / "model.keras")
    with pytest.raises(ValueError, match="do not fit the model"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"tiny\.json is not a valid model card: Expecting"),
        ("[]", "is not a valid model card"),
        ('{"name": "x"}', r"is not a valid model card: .*missing 5 required .*'kind'"),
        (json.dumps(dataclasses.asdict(CARD) | {"sume": 1}), "unexpected keyword argument 'sume'"),
        (json.dumps(dataclasses.asdict(CARD) | {"kind": "clases"}), "unknown kind 'clases'.*did you mean 'classes'"),
        (json.dumps(dataclasses.asdict(CARD) | {"classes": None}), "a card of kind 'classes' needs 'classes'"),
    ],
)
def test_a_damaged_card_is_named_with_the_reason(tiny, tmp_path, text, message):
    _, card = copied(tiny, tmp_path)
    card.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_pretrained(tmp_path)


def test_weights_that_are_no_longer_shipped_name_their_successor():
    with pytest.raises(ValueError, match="resnet18_gz2 is no longer shipped: use efficientnet_lite0_gz2"):
        load_pretrained("resnet18_gz2")


def test_missing_names_are_reported_with_the_available_ones(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "WEIGHTS", tiny[0])
    with pytest.raises(
        ValueError, match=r"unknown pretrained model 'tini'; .*did you mean 'tiny'\?\); and .* such file or folder"
    ):
        load_pretrained("tini")
    with pytest.raises(ValueError, match="need the name of their encoder, such as efficientnet_lite0_imagenet"):
        cards.find_card("imagenet")
    with pytest.raises(FileNotFoundError, match="there is no model card at"):
        load_pretrained(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ValueError, match="neither a model card"):
        load_pretrained(tmp_path / "notes.txt")
    weights, card = copied(tiny, tmp_path)
    (tmp_path / "other.json").write_text(card.read_text())
    (tmp_path / "other.weights.h5").write_bytes(b"")
    with pytest.raises(ValueError, match=r"several model cards \(other\.json, tiny\.json\)"):
        load_pretrained(tmp_path)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"no weights beside .*tiny\.json"):
        load_pretrained(card)


def test_weights_of_the_package_are_listed_loaded_by_name_and_cited(tiny, monkeypatch):
    monkeypatch.setattr(cards, "WEIGHTS", tiny[0])
    (card,) = list_pretrained()
    assert card == dataclasses.replace(CARD, sha256=sha256_of(tiny[0] / "tiny.weights.h5"))
    np.testing.assert_allclose(shown(load_pretrained("tiny"), images()), shown(tiny[1].layers[1], images()), atol=1e-5)
    assert "tiny (CC-BY-4.0): Nobody 2026" in cite("tiny") and cite() == cite("tiny") and "morphtools" in cite()


@pytest.mark.parametrize(
    "name",
    ["efficientnet_lite0_gz2"]
    + [pytest.param(c.name, marks=pytest.mark.slow) for c in list_pretrained() if c.name != "efficientnet_lite0_gz2"],
)
def test_turning_a_galaxy_moves_it_less_in_shipped_representations_than_in_random_ones(name):
    path = find_card(name)
    card = Card.open(path)
    assert cards.weights_beside(path).stat().st_size <= 20e6  # more belongs on the web
    assert card.surveys and card.data and card.scores and card.licence and card.citation
    sky = {"image_size": card.image_size[0], "bands": "gri", "field_radii": 12.0, "magnitude_limit": 16.5}
    galaxies = sdss_rgb(simulate_galaxies(20, seed=3, **sky)[1]).astype("float32")

    def moved(encoder):
        """Median distance of a galaxy from itself, turned, over that of two galaxies."""
        distances = cdist(shown(encoder, np.rot90(galaxies, axes=(1, 2))), shown(encoder, galaxies))
        return np.median(np.diag(distances)) / np.median(distances)

    random = build_encoder(input_shape=card.input_shape, **card.encoder)
    settle_batch_norm(random, galaxies)
    assert moved(load_pretrained(name)) < 0.9 * moved(random)


@pytest.fixture
def server(tiny):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=tiny[0])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def test_large_weights_are_fetched_once_and_checked(tiny, server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path / "cache"), raising=False)
    card = tmp_path / "far.json"
    fields = json.loads((tiny[0] / "tiny.json").read_text()) | {"url": f"{server}/tiny.weights.h5"}
    card.write_text(json.dumps(fields))
    got = load_pretrained(card)
    np.testing.assert_allclose(shown(got, images()), shown(tiny[1].layers[1], images()), atol=1e-5)
    capsys.readouterr()
    load_pretrained(card)
    assert "Downloading" not in capsys.readouterr().out
    card.write_text(json.dumps(fields | {"sha256": "0" * 64}))
    with pytest.raises(ValueError, match="has another sha256 than the card of tiny"):
        load_pretrained(card)
    for url, message in (("/nothing.weights.h5", "cannot fetch the weights of tiny: .*404"), ("", "404")):
        card.write_text(json.dumps(fields | {"url": f"{server}{url or '/no'}", "sha256": "1" * 64}))
        with pytest.raises(OSError, match=message):
            load_pretrained(card)
    card.write_text(json.dumps(fields | {"url": "file:///etc/passwd"}))
    with pytest.raises(ValueError, match="not on the web"):
        load_pretrained(card)
