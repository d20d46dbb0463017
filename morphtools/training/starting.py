"""The encoder that a training starts from: pretrained, or random."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from morphtools.data.batches import read_batches
from morphtools.models.cards import Card, find_card
from morphtools.models.encoders import ENCODERS, build_encoder, settle_batch_norm
from morphtools.models.preparation import pixel_scale_of, prepare
from morphtools.models.pretrained import load_pretrained
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import unknown
from tfrecords_builder.records import Records


@dataclasses.dataclass(frozen=True)
class Start:
    """Which encoder a training starts from, and which images it is shown.

    Attributes:
        weights: Pretrained weights, or `random`.
        encoder: Architecture where these are `random`.
        image_size: Side in pixels; None for that of the weights, or of the images where these are `random`.
        stretch: What turns flux into pictures; None for that of the weights.
        seed: Seed of the first weights.
        small_images: Whether a random encoder has the stem for small images.
        view_size: Side in pixels of the middle that the encoder sees, if it does not see all of an image.
    """

    weights: str
    encoder: str
    image_size: int | None
    stretch: str | None
    seed: int
    small_images: bool = False
    view_size: int | None = None

    @classmethod
    def of(cls, arguments: dict) -> "Start":
        """From the arguments of a verb, which may have others too."""
        return cls(
            **{field.name: arguments[field.name] for field in dataclasses.fields(cls) if field.name in arguments}
        )


def checked_start(start: Start) -> str:
    """The architecture of `weights`, or `encoder` where these are `random`.

    Raises:
        ValueError: There are no such weights, or no such architecture.
        FileNotFoundError: There is no card.
    """
    if start.weights != "random":
        return Card.open(find_card(start.weights)).encoder["name"]
    if start.encoder not in ENCODERS:
        raise ValueError(unknown("encoder", start.encoder, ENCODERS))
    return start.encoder


def starting_encoder(
    chosen: Records, start: Start, state: Path, survey: str | None = None
) -> tuple[keras.Model, Card, dict]:
    """Makes the encoder that a training starts from.

    Args:
        chosen: The galaxies to train on.
        start: Which encoder, and which images.
        state: Folder for what must be the same when a killed run goes on.
        survey: Whose bands the records have, if they shall be dereddened.

    Returns:
        The encoder; its card, with the images as they are used; how to read the records for it.
    """
    keras.utils.set_random_seed(start.seed)
    options = {"stretch": start.stretch, "image_size": start.image_size, "survey": survey}
    card = Card.open(find_card(start.weights)) if start.weights != "random" else _random(chosen, start)
    options["stretch"] = None if card.range == "flux" else options["stretch"]
    view, size = start.view_size, start.image_size
    if view is not None:
        whole = (size, size) if size else chosen.shape[:2]
        if view > min(whole):
            raise ValueError(f"views of {view} pixels cannot be cut from images of {whole[0]} × {whole[1]}")
        card = dataclasses.replace(card, image_size=(view, view), middle_of=whole)
        options["image_size"] = None
    one = len(chosen.bands) == 1  # to show a grey picture to a network of colours is exact
    reading, loading = prepare(card, chosen, **options, adapt_bands=one)
    if start.weights != "random":
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


def some_images(chosen: Records, reading: dict, seed: int = 0) -> Iterator[np.ndarray]:
    """Some 3000 training galaxies as they are, without random views, a batch of 64 at a time."""
    whole = chosen.splits["train"] >= 64
    options = {"shuffle": True, "drop_remainder": whole, "seed": seed}
    for batch in itertools.islice(read_batches(chosen, "train", batch_size=64, **options, **reading), 48):
        yield batch["image"]


def _random(chosen: Records, start: Start) -> Card:
    """What an encoder without training takes: pictures, or flux as it is where there is no stretch."""
    flux = chosen.encoding != "encoded" and start.stretch is None
    small = {"small_images": True} if start.small_images else {}
    return Card(
        name="random",
        kind="encoder",
        encoder={"name": start.encoder, "noise": chosen.noise if flux else None} | small,
        bands=chosen.bands if flux or chosen.encoding == "encoded" else ("r", "g", "b"),
        range="flux" if flux else "picture",
        image_size=chosen.shape[:2],
        stretch=start.stretch,
        pixel_scale=chosen.pixel_scale,
    )


def _settle(encoder: keras.Model, chosen: Records, reading: dict, weights: Path) -> None:
    if weights.exists():
        encoder.load_weights(weights)
    else:
        batch = next(read_batches(chosen, "train", batch_size=64, **reading))
        settle_batch_norm(encoder, batch["image"])
        write_whole(weights, encoder.save_weights)
