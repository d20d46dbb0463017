import dataclasses

import keras
import numpy as np
import pandas as pd
import PIL.Image
import pytest

from morphtools.data.dataset import load_dataset
from morphtools.explore.pca import reduce_representations, represent_image
from morphtools.explore.pictures import Pictures
from morphtools.inference.represent import represent
from morphtools.models.cards import Card, write_card
from morphtools.models.pretrained import load_pretrained
from tfrecords_builder.build import build_records

CARD = Card("tiny", "encoder", {"name": "tiny"}, ("r", "g", "b"), "picture", (24, 24), stretch="dr2_rgb")


def tiny_encoder(name, input_shape, noise=None):
    """One convolution: quick to build."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(6, 5, activation="relu", name="block1_conv")(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="avg_pool")(x), name=name)


@pytest.fixture(scope="module", autouse=True)
def quick_encoders():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("morphtools.models.pretrained.build_encoder", tiny_encoder)
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for seed, name in enumerate(("tiny", "other")):
        keras.utils.set_random_seed(seed)
        tiny_encoder(input_shape=CARD.input_shape, **CARD.encoder).save_weights(folder / f"{name}.weights.h5")
        write_card(dataclasses.replace(CARD, name=name), folder / f"{name}.weights.h5")
    return folder


@pytest.fixture
def flux(tmp_path):
    """Records of 20 galaxies of 32 pixels in nanomaggies."""
    pixels = np.random.default_rng(0).exponential(0.05, (20, 32, 32, 3)).astype("float32")
    np.save(tmp_path / "stack.npy", pixels)
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(20)], "file_loc": range(20)})
    return build_records(catalog, tmp_path / "records", images=tmp_path / "stack.npy", bands=("g", "r", "z"))


def test_representations_are_those_of_the_weights_for_images_prepared_as_they_want(weights, flux, tmp_path):
    store = represent(weights / "tiny.json", tmp_path / "out", records=flux, orientations=2)
    model = load_pretrained(weights / "tiny.json", orientations=2)
    rows = {}
    for split in flux.splits:
        for batch in load_dataset(flux, split, image_size=24, stretch="dr2_rgb"):
            values = model.predict(batch["image"].numpy(), verbose=0)
            rows |= dict(zip([name.decode() for name in batch["id_str"].numpy()], values, strict=True))
    assert set(store.id_str) == set(rows) and len(store) == 20
    np.testing.assert_allclose(store.values(), [rows[name] for name in store.id_str], atol=1e-4)
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_an_image_file_is_represented_in_the_space_of_a_store_and_of_a_reduced_one(weights, tmp_path):
    images = tmp_path / "images, new"
    images.mkdir()
    for i in range(8):
        pixels = np.random.default_rng(i).integers(0, 256, (24, 24, 3), "uint8")
        PIL.Image.fromarray(pixels).save(images / f"g{i}.png")
    store = represent(weights / "tiny.json", tmp_path / "store", catalog=images, orientations=2)
    few = reduce_representations(store, tmp_path / "few", components=3)
    for where in (store, few):
        found = represent_image(images / "g3.png", weights / "tiny.json", where.folder)
        np.testing.assert_allclose(found, where.values()[list(where.id_str).index("g3")][None], atol=1e-5)
    with pytest.raises(ValueError, match="another weights"):
        represent_image(images / "g3.png", weights / "other.json", store)


def test_a_crop_represents_the_middle_and_pictures_of_the_store_show_it(weights, flux, tmp_path):
    store = represent(weights / "tiny.json", tmp_path / "out", records=flux, crop=24)
    pixels = np.load(tmp_path / "stack.npy")[:, 4:28, 4:28]
    np.save(tmp_path / "middle.npy", pixels)
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(20)], "file_loc": range(20)})
    cut = build_records(catalog, tmp_path / "cut", images=tmp_path / "middle.npy", bands=("g", "r", "z"))
    theirs = represent(weights / "tiny.json", tmp_path / "theirs", records=cut)
    np.testing.assert_allclose(store.values(), theirs.values(), atol=1e-5)
    np.testing.assert_array_equal(
        Pictures(records=flux, store=store).middle(np.load(tmp_path / "stack.npy")[0]), pixels[0]
    )
    assert Pictures(records=cut, store=theirs).middle(pixels[0]).shape == (24, 24, 3)
    with pytest.raises(ValueError, match="crop"):
        represent(weights / "tiny.json", tmp_path / "out", records=flux)


def test_other_weights_orientations_or_records_are_refused(weights, flux, galaxies, tmp_path):
    out = tmp_path / "out"
    represent(weights / "tiny.json", out, records=flux, orientations=1, split="test")
    for path, options, other in (
        ("other.json", {"records": flux, "orientations": 1}, "weights"),
        ("tiny.json", {"records": flux, "orientations": 2}, "orientations"),
        ("tiny.json", {"records": flux, "orientations": 1, "mixed_precision": True}, "mixed_precision"),
        ("tiny.json", {"catalog": tmp_path / "catalog.csv", "images": galaxies[1], "orientations": 1}, "catalog"),
    ):
        with pytest.raises(
            (ValueError, FileExistsError), match=rf"(holds representations with another |changed: .*){other}"
        ):
            represent(weights / path, out, **options)
    assert len(represent(weights / "tiny.json", out, records=flux, orientations=1)) == 20  # other splits join


def test_representations_in_mixed_precision_are_the_same_to_eight_bits(weights, flux, tmp_path):
    stores = [
        represent(weights / "tiny.json", tmp_path / f"{orientations}-{mixed}", records=flux, **options)
        for orientations in (1, 2)
        for mixed in (False, True)
        if (options := {"orientations": orientations, "mixed_precision": mixed})
    ]
    for exact, half in (stores[:2], stores[2:]):
        assert half.provenance == exact.provenance | {"mixed_precision": "True"}
        one, other = exact.values(), half.values()
        assert 0 < abs(one - other).max() < 2**-6 * abs(one).max() and other.dtype == "float32"


def test_a_catalogue_leaves_a_store_and_nothing_else(weights, galaxies, tmp_path):
    options = {"catalog": tmp_path / "catalog.csv", "images": galaxies[1], "orientations": 1}
    for _ in range(2):  # the second time everything exists already
        store = represent(weights / "tiny.json", tmp_path / "out", **options)
        assert len(store) == 40 and not (tmp_path / "out" / "state").exists()
