"""How fast an encoder is on this machine, in both precisions."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from morphtools.inference.filling import compiled
from morphtools.models.cards import Card, find_card
from morphtools.models.encoders import build_encoder
from morphtools.models.precision import precision

_BATCH, _SECONDS = 32, 1.5


def images_per_second(weights: str | Path) -> dict[str, float]:
    """Measures the encoder of some weights, at its own size: the pass of `predict` and `represent`, and training.

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
        disturb(encoder)
        step = compiled(encoder, _BATCH)
        rates[f"predict {kind}"] = _rate(lambda batch, step=step: np.asarray(step(batch)), images)
        encoder.compile(keras.optimizers.SGD(1e-6), "mse")
        nothing = np.zeros((_BATCH, encoder.output_shape[-1]), "float32")
        rates[f"train {kind}"] = _rate(encoder.train_on_batch, images, nothing)
    return rates


def disturb(encoder: keras.Model) -> None:
    """Gives a new network biases like those of a trained one.

    A new one's are zero: TensorFlow leaves their additions out, and then does not fuse the activations that follow
    with the convolutions before, so that a new MobileNetV3 takes twice as long as a trained one.
    """
    rng = np.random.default_rng(0)
    for weight in encoder.weights:
        if len(weight.shape) == 1:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))


def _rate(call: Callable, *batch: np.ndarray) -> float:
    """Images per second: the median over calls, after one that compiles."""
    call(*batch)
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) < _SECONDS:
        start = time.perf_counter()
        call(*batch)
        seconds.append(time.perf_counter() - start)
    return _BATCH / statistics.median(seconds)
