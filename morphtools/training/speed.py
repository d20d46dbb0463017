"""How fast an encoder is on this machine, in both precisions."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from morphtools.models.cards import Card, find_card
from morphtools.models.encoders import build_encoder
from morphtools.training.devices import precision

_BATCH, _SECONDS = 32, 1.5


def images_per_second(weights: str | Path) -> dict[str, float]:
    """Measures the encoder of some weights, at its own size; random weights are as fast.

    Args:
        weights: As for `load_pretrained`.

    Returns:
        Images per second: `predict float32`, `train float32`, `predict bfloat16`, `train bfloat16`.
    """
    card, rates = Card.open(find_card(weights)), {}
    images = np.random.default_rng(0).uniform(size=(_BATCH, *card.input_shape)).astype("float32")
    for kind in ("float32", "bfloat16"):
        with precision(kind == "bfloat16"):
            encoder = build_encoder(input_shape=card.input_shape, **card.encoder)
        encoder.compile(keras.optimizers.SGD(1e-6), "mse")
        nothing = np.zeros((_BATCH, encoder.output_shape[-1]), "float32")
        rates[f"predict {kind}"] = _rate(encoder.predict_on_batch, images)
        rates[f"train {kind}"] = _rate(encoder.train_on_batch, images, nothing)
    return rates


def _rate(call: Callable, *batch: np.ndarray) -> float:
    """Images per second: the median over calls, after one that compiles."""
    call(*batch)
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) < _SECONDS:
        start = time.perf_counter()
        call(*batch)
        seconds.append(time.perf_counter() - start)
    return _BATCH / statistics.median(seconds)
