"""The space in which a learner compares views, kept as separate weights."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np

from morphtools.models import guarded
from morphtools.models.cards import Card, write_card
from morphtools.models.encoders import build_encoder, settle_batch_norm
from morphtools.training.learner import Prepared
from tfrecords_builder.files import write_whole


def keep_projection(
    learner: keras.Model, prepared: Prepared, card: Card, folder: Path, batches: list[np.ndarray]
) -> None:
    """Writes encoder and projection as one model, with a card, to a folder that can be used as any weights.

    Args:
        learner: `MoCo`, `BYOL` or `SimCLR`, trained.
        prepared: What it was trained on.
        card: Card of its encoder.
        folder: Made if it is not there.
        batches: Images to settle batch normalisation with, if the weights were averaged; else empty.
    """
    first, *between, last = learner.projection.layers
    sizes: dict[str, Any] = {"outputs": last.units, "hidden": first.units}
    sizes["batch_norm"] = any(isinstance(layer, keras.layers.BatchNormalization) for layer in between)
    arguments = prepared.encoder | {"projection": sizes}
    model = build_encoder(input_shape=prepared.shape, **arguments)
    model.set_weights(learner.encoder.get_weights() + learner.projection.get_weights())
    if batches:
        settle_batch_norm(model, *batches)
    model = guarded.Functional(model.input, model.output, name=model.name)
    folder.mkdir(exist_ok=True)
    write_whole(folder / "model.keras", model.save)
    data = f"{card.data}; with its projection to {last.units} dimensions"
    card = dataclasses.replace(card, name=f"{card.name}_projection", encoder=arguments, data=data, scores={})
    write_card(card, folder / "model.keras")
