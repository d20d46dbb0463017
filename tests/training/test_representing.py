import itertools

import keras
import numpy as np
import pytest

from morphtools.data.dataset import load_dataset
from morphtools.training.representing import represent_split
from tfrecords_builder.build import build_records


@pytest.fixture
def records(galaxies, tmp_path):
    catalog, folder = galaxies
    return build_records(catalog, tmp_path / "records", images=folder)


class Mean(keras.layers.Layer):
    """The mean of each band."""

    def call(self, images):
        return keras.ops.mean(images, axis=(1, 2))


def model():
    return keras.Sequential([keras.Input((32, 32, 3)), Mean()])


def expected(records):
    return np.concatenate([b["image"].numpy().mean(axis=(1, 2)) for b in load_dataset(records, "train")])


def test_every_galaxy_is_represented_in_the_order_of_the_shards(records, tmp_path):
    got = represent_split(model(), records, "train", tmp_path / "r.npy", batch_size=4)
    np.testing.assert_allclose(got, expected(records), rtol=1e-5)
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), got)


@pytest.mark.parametrize("batches", [1, 3])
def test_it_goes_on_after_a_kill(records, tmp_path, batches, monkeypatch):
    class Killed(Exception):
        pass

    dying, seen = model(), []
    monkeypatch.setattr("time.monotonic", itertools.count(step=10).__next__)  # every batch is noted

    def predict(images, really=dying.predict_on_batch):
        seen.append(len(images))
        if len(seen) > batches:
            raise Killed
        return really(images)

    monkeypatch.setattr(dying, "predict_on_batch", predict)
    with pytest.raises(Killed):
        represent_split(dying, records, "train", tmp_path / "r.npy", batch_size=4)
    resumed = model()
    counted = []
    really = resumed.predict_on_batch
    monkeypatch.setattr(resumed, "predict_on_batch", lambda images: counted.append(len(images)) or really(images))
    got = represent_split(resumed, records, "train", tmp_path / "r.npy", batch_size=4)
    np.testing.assert_allclose(got, expected(records), rtol=1e-5)
    assert sum(counted) == records.splits["train"] - 4 * batches  # nothing is computed twice
