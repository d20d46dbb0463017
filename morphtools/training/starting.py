"""The encoder that training starts from: pretrained or random."""

import dataclasses
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from morphtools.data.batches import read_batches
from morphtools.models.cards import Card
from morphtools.models.encoders import build_encoder, settle_batch_norm
from morphtools.models.preparation import Preparation, pixel_scale_of, prepare
from morphtools.models.pretrained import load_pretrained
from morphtools.training.settings import Start
from tfrecords_builder.files import write_whole
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)


def starting_encoder(
    chosen: Records, start: Start, seed: int, state: Path, survey: str | None = None
) -> tuple[keras.Model, Card, dict]:
    """Builds the encoder that training starts from.

    Args:
        chosen: The galaxies to train on.
        start: The encoder, and how it is shown images.
        seed: Seed of the initial weights.
        state: Folder for what must not change when an interrupted run resumes.
        survey: Survey of the bands, if images are to be dereddened.

    Returns:
        The encoder; its card, describing the images as they are used; how to read the records for it.
    """
    keras.utils.set_random_seed(seed)
    options: dict[str, Any] = {"stretch": start.stretch, "image_size": start.image_size, "survey": survey}
    card = card_of(start, chosen)
    options["stretch"] = None if card.range == "flux" else options["stretch"]
    view, size = start.view_size, start.image_size
    if view is not None:
        whole = (size, size) if size else chosen.shape[:2]
        start.check_view(*whole)
        card = dataclasses.replace(card, image_size=(view, view), middle_of=whole)
        options["image_size"] = None
    one = len(chosen.bands) == 1  # adapting a network to a single band is exact
    reading, loading = prepare(card, chosen, **options, adapt_bands=one)
    if start.pretrained:
        encoder = load_pretrained(start.weights, **loading)
    else:
        encoder = build_encoder(input_shape=loading["input_shape"], **card.encoder)
        _settle(encoder, chosen, reading, state / "encoder.weights.h5")
    card = dataclasses.replace(
        card,
        image_size=loading["input_shape"][:2],
        middle_of=reading["image_size"] if "crop" in reading else None,
        stretch=reading["stretch"],
        dereddened=reading.get("dereddened"),
        pixel_scale=pixel_scale_of(chosen, reading),
    )
    return encoder, card, reading


def random_encoder(
    records: Records, card: Card, prepared: Preparation, seed: int, *, split: str = "train"
) -> keras.Model:
    """Builds an encoder with random weights, whose batch normalisation has the statistics of the galaxies.

    Args:
        records: The galaxies.
        card: Card with the architecture.
        prepared: How they are shown to it (see `prepare`).
        seed: Seed of the weights.
        split: The split whose statistics batch normalisation gets.
    """
    keras.utils.set_random_seed(seed)
    encoder = build_encoder(input_shape=prepared.loading["input_shape"], **card.encoder)
    settle_batch_norm(encoder, next(read_batches(records, split, batch_size=64, **prepared.reading))["image"])
    return encoder


def some_images(chosen: Records, reading: dict, seed: int = 0) -> Iterator[np.ndarray]:
    """About 3000 galaxies without augmentation, in batches of 64."""
    whole = chosen.splits["train"] >= 64
    options: dict[str, Any] = {"shuffle": True, "drop_remainder": whole, "seed": seed}
    for batch in itertools.islice(read_batches(chosen, "train", batch_size=64, **options, **reading), 48):
        yield batch["image"]


def card_of(start: Start, chosen: Records) -> Card:
    """The card of the weights; or of a new encoder, which takes pictures, or flux if there is no stretch."""
    if start.pretrained:
        return start.card
    flux = chosen.encoding != "encoded" and start.stretch is None
    return Card(
        name="random",
        kind="encoder",
        encoder=start.built(chosen.noise if flux else None),
        bands=chosen.bands if flux or chosen.encoding == "encoded" else ("r", "g", "b"),
        range="flux" if flux else "picture",
        image_size=chosen.shape[:2],
        stretch=start.stretch,
    )


def _settle(encoder: keras.Model, chosen: Records, reading: dict, weights: Path) -> None:
    if weights.exists():
        encoder.load_weights(weights)
    else:
        log.info("giving its batch normalisation the statistics of galaxies …")
        batch = next(read_batches(chosen, "train", batch_size=64, **reading))
        settle_batch_norm(encoder, batch["image"])
        write_whole(weights, encoder.save_weights)
