import numpy as np
import pytest

from morphtools.data.batches import read_batches
from morphtools.training import feeding
from morphtools.training.feeding import feed, labels_of
from tfrecords_builder.build import build_records

pytestmark = pytest.mark.any_backend


@pytest.fixture
def records(galaxies, tmp_path):
    catalog, folder = galaxies
    return build_records(catalog.drop(columns=["survey"]), tmp_path / "records", images=folder)


def fed(batches):
    """Images (N, H, W, C) and labels (N, L) of an epoch, from arrays or from a `tf.data.Dataset`."""
    batches = list(batches)
    x, y = zip(*((np.asarray(images), np.asarray(labels)) for images, labels in batches), strict=True)
    return np.concatenate(x), np.concatenate(y)


def feed_of(records, tmp_path, **options):
    options = {"batch_size": 8, "seed": 3, "in_memory": False, "state": tmp_path / "state"} | options
    (tmp_path / "state").mkdir(exist_ok=True)
    return feed(None, records, {"image_size": records.shape[:2]}, options.pop("columns", ("ring",)), **options)


@pytest.mark.parametrize("remainder", [False, True])
def test_an_epoch_has_each_galaxy_once_in_its_own_order(records, tmp_path, remainder):
    batches, validation = feed_of(records, tmp_path, remainder=remainder)
    epochs = [fed(batches(number)) for number in (0, 1, 0)]
    there = np.concatenate([b["image"] for b in read_batches(records, "train", batch_size=8)])
    whole = len(there) if remainder else len(there) // 8 * 8
    assert all(len(x) == whole for x, _ in epochs)
    sums = [np.sort(x.sum(axis=(1, 2, 3))) for x, _ in epochs]
    if remainder:
        np.testing.assert_allclose(sums[0], np.sort(there.sum(axis=(1, 2, 3))), rtol=1e-5)
    np.testing.assert_array_equal(epochs[0][0], epochs[2][0])
    assert not np.array_equal(epochs[0][0], epochs[1][0])
    assert len(fed(validation())[0]) == records.splits["val"]


def test_both_ways_from_files_give_the_same_labels(records, tmp_path):
    ways = feeding._from_files, feeding._dealt
    if "tensorflow" != feeding.keras.backend.backend():
        pytest.skip("only TensorFlow has datasets")
    (x, y), (images, labels) = (fed(way(records, "val", ("ring", "ring"), 8)) for way in ways)
    np.testing.assert_allclose(x, images, atol=1e-5)
    np.testing.assert_array_equal(y, labels)


def test_an_unknown_label_is_nan():
    rows = {"yes": [3.0, np.nan, np.inf], "no": [1, 2, 3]}
    np.testing.assert_array_equal(labels_of(rows, ("yes", "no")), [[3, 1], [np.nan, 2], [np.nan, 3]])
