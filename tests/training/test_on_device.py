import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from morphtools.data.augment import RandomView
from morphtools.data.batches import read_batches
from morphtools.training import on_device
from morphtools.training.fitting import fit
from morphtools.training.on_device import Resident, keep_on_device, stored_as
from tfrecords_builder.build import build_records

pytestmark = pytest.mark.any_backend


@pytest.fixture
def records(galaxies, tmp_path):
    catalog, folder = galaxies
    return build_records(catalog.drop(columns=["survey"]), tmp_path / "records", images=folder)


def model(*views, **optimizer):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 5, 4), keras.layers.BatchNormalization(), keras.layers.GlobalMaxPooling2D()]
    made = keras.Sequential([keras.Input((32, 32, 3)), *views, *layers, keras.layers.Dense(2, "softmax")])
    made.compile(keras.optimizers.SGD(0.1, momentum=0.9, **optimizer), "sparse_categorical_crossentropy")
    made.optimizer.build(made.trainable_variables)
    return made


def resident(records, split="train"):
    return Resident(records, split, {}, lambda batch: batch["ring"].astype("int32"))


def in_order(records, rows):
    batch = {"image": [], "ring": []}
    for each in read_batches(records, "train", batch_size=8):
        for name, values in batch.items():
            values.append(each[name])
    return (np.concatenate(values)[rows] for values in batch.values())


@pytest.mark.parametrize("steps_per_call", [1, 32])
def test_steps_on_the_device_are_those_of_keras_fed_from_the_host(records, monkeypatch, steps_per_call):
    monkeypatch.setattr(on_device, "has_accelerator", lambda: steps_per_call > 1)
    fed, kept = model(), model()
    images, rings = in_order(records, np.random.default_rng([3, 0]).permutation(records.splits["train"]))
    losses, sizes = [], []
    for i in range(0, len(images), 8):
        fed.reset_metrics()
        losses.append(float(fed.train_on_batch(images[i : i + 8], rings[i : i + 8])))
        sizes.append(len(images[i : i + 8]))
    loss = resident(records).train(kept, 8, [3, 0], remainder=True)
    assert loss == pytest.approx(np.average(losses, weights=sizes), rel=1e-4)
    for a, b in zip(fed.get_weights(), kept.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    x, y = (np.concatenate([b[name] for b in read_batches(records, "val", batch_size=8)]) for name in ("image", "ring"))
    assert resident(records, "val").test(kept, 3) == pytest.approx(fed.evaluate(x, y, verbose=0), rel=1e-4)


def test_an_interrupted_fit_ends_as_one_that_was_not(records, tmp_path, monkeypatch):
    def run(state, dies_at=None):
        made = model(RandomView(seed=0), use_ema=True, ema_momentum=0.5)
        train, val = resident(records), resident(records, "val")

        def epoch(number):
            if number == dies_at:
                raise KeyboardInterrupt
            return lambda: train.train(made, 8, [0, number])

        options = {"epochs": 3, "patience": 9, "stage": "test", "seed": 0, "checkpoint_seconds": 0}
        return fit(made, epoch, lambda: lambda: val.test(made, 8), state=state, **options), made.get_weights()

    history, weights = run(tmp_path / "whole.npz")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed.npz", dies_at=2)
    again, resumed = run(tmp_path / "killed.npz")
    assert again.equals(history)
    for a, b in zip(weights, resumed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_images_are_an_argument_of_the_program_not_a_constant(records):
    made, data, black = model(), resident(records), resident(records)
    seen = data.test(made, 8)
    program = made.__dict__["_on_device"]["test", id(made.optimizer)]
    black.arrays[0] = on_device._put(np.zeros((black.galaxies, 32, 32, 3), "uint8"))
    unseen = black.test(made, 8)
    assert program is made.__dict__["_on_device"]["test", id(made.optimizer)]
    assert unseen != pytest.approx(seen)  # the same program, other images
    assert data.test(made, 8) == pytest.approx(seen)


def test_what_is_kept_is_as_exact_as_what_is_stored():
    pictures = SimpleNamespace(encoding="encoded", shape=(32, 30, 3))
    flux = SimpleNamespace(encoding="float32", shape=(32, 30, 5))
    assert stored_as(pictures, {"image_size": 16}) == ((16, 16, 3), np.dtype("uint8"))
    assert stored_as(flux, {"image_size": (20, 20), "crop": (8, 9)}) == ((8, 9, 5), np.dtype("float32"))
    assert stored_as(flux, {"stretch": "dr2_rgb"}) == ((32, 30, 3), np.dtype("float16"))


@pytest.mark.parametrize(
    ("accelerator", "memory", "wanted", "kept"),
    [(True, 10**9, None, True), (True, 10**5, None, False), (True, 10**5, True, True), (True, 10**9, False, False)],
)
def test_images_are_kept_if_they_fit_into_half_of_the_memory(
    records, tmp_path, monkeypatch, accelerator, memory, wanted, kept
):
    monkeypatch.setattr(on_device, "has_accelerator", lambda: accelerator)
    monkeypatch.setattr(on_device, "device_memory", lambda: memory)
    assert keep_on_device(records, ["train", "val"], {}, wanted, tmp_path) is kept
    assert json.loads((tmp_path / "in_memory.json").read_text()) is kept
    monkeypatch.setattr(on_device, "device_memory", lambda: 10**9 if not kept else 1)
    assert keep_on_device(records, ["train", "val"], {}, wanted, tmp_path) is kept  # a run stays with what was chosen


def test_without_an_accelerator_tensorflow_reads_images_again_every_epoch(records, tmp_path):
    alone = keras.backend.backend() != "tensorflow"  # nothing else can feed them
    assert keep_on_device(records, ["train"], {}, None, tmp_path) is alone


def test_several_devices_are_fed_from_the_host(records, tmp_path, monkeypatch):
    monkeypatch.setattr(on_device, "all_devices", lambda: (None, 2))
    (tmp_path / "state").mkdir()
    assert not keep_on_device(records, ["train"], {}, None, tmp_path / "state")
    with pytest.raises(ValueError, match="in_memory is for one device, this machine has 2"):
        keep_on_device(records, ["train"], {}, True, tmp_path)
