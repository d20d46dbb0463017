import io

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morphtools.inference import filling
from morphtools.inference.filling import compiled, fill
from morphtools.inference.parts import all_parts, read_part
from morphtools.inference.representations import Representations
from morphtools.inference.stream import all_computed, galaxies_per_shard
from morphtools.models.encoders import any_way_up, build_encoder
from tfrecords_builder.build import build_records
from tfrecords_builder.images import Image as Stored


def pictures(broken):
    """A source of uniformly grey pictures, some of which look fine until they are decoded."""

    def read(file_loc):
        content = io.BytesIO()
        Image.fromarray(np.full((16, 16, 3), 5 * int(file_loc), "uint8")).save(content, "png")
        content = content.getvalue()
        return Stored(content[:60] + content[-12:] if int(file_loc) in broken else content, (16, 16, 3))

    return read


@pytest.mark.parametrize("broken", [set(), {0, 3}, set(range(30))])
def test_shards_are_done_even_where_their_last_pictures_cannot_be_decoded(tmp_path, broken):
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(30)], "file_loc": range(30)}).assign(split="train")
    whole = build_records(catalog, tmp_path / "sound", images=pictures(set()))
    order = whole.index()["id_str"].tolist()
    broken = {int(order[-1 - place][1:]) for place in broken}  # places from the end of the shard
    records = build_records(catalog, tmp_path / "records", images=pictures(broken))
    store = Representations.create(tmp_path / "store", 3, {})
    sizes = galaxies_per_shard(records, ["train"])

    def step(images):
        return np.asarray(images).mean(axis=(1, 2))

    fill(step, (3,), records, store.folder, store.table, sizes, {"batch_size": 4})
    assert all_computed(records, store.folder, ["train"])
    ((part,),) = all_parts(store.folder).values()
    expected = [name for name in order if int(name[1:]) not in broken]
    assert part[:2] == (0, 30) and read_part(part[2])["id_str"].to_pylist() == expected
    np.testing.assert_allclose(store.values()[:, 0], [5 * int(name[1:]) / 255 for name in expected], rtol=1e-5)


@pytest.mark.parametrize("epsilon", [1e-6, 1e-4, 1e-1])
def test_compiled_layer_normalisation_adds_its_own_epsilon_to_the_variance(epsilon):
    # TensorFlow's kernel adds 0.001 whatever the graph says: at a deviation of 0.02 that would be a factor of 0.53
    images = np.random.default_rng(0).normal(scale=0.02, size=(2, 5, 5, 64)).astype("float32")
    inputs = keras.Input((5, 5, 64))
    step = compiled(keras.Model(inputs, keras.layers.LayerNormalization(epsilon=epsilon)(inputs)), 2)
    exact = images.astype("float64") - images.mean(axis=-1, keepdims=True, dtype="float64")
    exact /= np.sqrt((exact**2).mean(axis=-1, keepdims=True) + epsilon)
    np.testing.assert_allclose(step(images), exact, atol=1e-5)


@pytest.mark.parametrize("constants", [0, 10**9])
def test_the_compiled_pass_gives_what_the_model_gives_whether_or_not_its_weights_are_constants(monkeypatch, constants):
    monkeypatch.setattr(filling, "_CONSTANTS", constants)
    encoder = build_encoder("resnet10_half", (16, 16, 3), small_images=True)
    rng = np.random.default_rng(0)
    for weight in encoder.weights:  # as after a training: no average is 0 or 1
        if len(weight.shape) == 1:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    model = keras.Sequential([keras.Input((16, 16, 3)), *any_way_up(encoder, 2)])
    step = compiled(model, 4)
    for number in (4, 3):
        images = rng.uniform(size=(number, 16, 16, 3)).astype("float32")
        expected = keras.ops.convert_to_numpy(model(images, training=False))
        np.testing.assert_allclose(step(images), expected, atol=1e-5 * abs(expected).max())
