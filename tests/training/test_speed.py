import time

import keras
import numpy as np
import pytest

from morphtools.models.cards import Card, write_card
from morphtools.models.encoders import build_encoder
from morphtools.training import speed


@pytest.fixture
def weights(tmp_path):
    encoder = build_encoder("resnet10_half", (16, 16, 3), small_images=True)
    encoder.save_weights(tmp_path / "tiny.weights.h5")
    options = {"name": "resnet10_half", "small_images": True}
    card = Card("tiny", "encoder", options, ("r", "g", "b"), "picture", (16, 16))
    write_card(card, tmp_path / "tiny.weights.h5")
    return tmp_path


@pytest.mark.slow
def test_an_encoder_is_measured_at_work_and_in_training_in_both_precisions(weights, monkeypatch):
    monkeypatch.setattr(speed, "_SECONDS", 0.0)
    start, before = time.perf_counter(), keras.config.dtype_policy().name
    rates = speed.images_per_second(weights)
    seconds = time.perf_counter() - start
    assert set(rates) == {f"{what} {kind}" for what in ("predict", "train") for kind in ("float32", "bfloat16")}
    assert all(rate > 2 * speed._BATCH / seconds for rate in rates.values())  # each was called three times meanwhile
    assert keras.config.dtype_policy().name == before


def test_a_disturbed_network_has_biases_and_variances_like_a_trained_one():
    encoder = build_encoder("resnet10_half", (16, 16, 3), small_images=True)
    kernels = [keras.ops.convert_to_numpy(weight) for weight in encoder.weights if len(weight.shape) > 1]
    speed.disturb(encoder)
    ones = [keras.ops.convert_to_numpy(weight) for weight in encoder.weights if len(weight.shape) == 1]
    assert ones and all(((each >= 0.5) & (each <= 1.5)).all() for each in ones)
    after = [keras.ops.convert_to_numpy(weight) for weight in encoder.weights if len(weight.shape) > 1]
    assert all(np.array_equal(a, b) for a, b in zip(kernels, after, strict=True))


def test_a_rate_is_the_median_over_calls_without_the_first(monkeypatch):
    monkeypatch.setattr(speed, "_SECONDS", 0.0)
    clock, sleeps = [0.0], iter([100.0, 1.0, 9.0, 2.0])

    def call(batch):
        clock[0] += next(sleeps)

    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])
    assert speed._rate(call, np.zeros(1)) == speed._BATCH / 2.0
