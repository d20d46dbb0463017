"""Prepares images from any source as weights expect them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from keras import ops
from PIL import ImageOps

from morphtools.models.cards import Card, find_card
from morphtools.models.guarded import beyond_picture
from tfrecords_builder.encoded import DEEP
from tfrecords_builder.gaps import filled
from tfrecords_builder.image_files import decode
from tfrecords_builder.pixels import to_pixels


def prepare_images(weights: str | Path | Card, images) -> np.ndarray:
    """Prepares images as `load_pretrained(weights)` expects them: their range, bands and size.

    Args:
        weights: As for `load_pretrained`, or a card.
        images: A PIL image, a path (JPEG, PNG, FITS, npy) or an array (H, W) or (H, W, C); or several of these, in a
            list or as an array (N, H, W, C). Pictures are integers from 0 to 255 or numbers from 0 to 1; for weights
            that take flux, numbers in the units of the survey.

    Returns:
        (N, H, W, C) float32, to be given to the model.

    Raises:
        ValueError: An image has another number of bands or another range than the weights take.
    """
    card = weights if isinstance(weights, Card) else Card.open(find_card(weights))
    several = (isinstance(images, Sequence) and not isinstance(images, str)) or getattr(images, "ndim", 0) == 4
    return np.concatenate([_one(card, image, i) for i, image in enumerate(images if several else [images])])


def _one(card: Card, image, number: int) -> np.ndarray:
    if isinstance(image, str | Path):
        pixels = to_pixels(decode(str(image), Path(image).read_bytes()))
    else:
        grey = len(card.bands) == 1
        if hasattr(image, "convert"):
            image = ImageOps.exif_transpose(image)
            image = image if image.mode in DEEP else image.convert("L" if grey else "RGB")
        pixels = np.asarray(image)
        if pixels.dtype.kind in "ui" and card.range == "picture" and pixels.max(initial=0) <= 255:
            pixels = pixels / np.float32(255)
    pixels = np.asarray(pixels, np.float32)
    pixels = filled(pixels[..., np.newaxis] if pixels.ndim == 2 else pixels)
    bands = len(card.bands)
    if pixels.ndim != 3 or pixels.shape[2] not in (1, bands):
        raise ValueError(f"image {number} has shape {pixels.shape}; {card.name} takes (height, width, {bands})")
    low, high = float(pixels.min()), float(pixels.max())
    if card.range == "picture" and beyond_picture(pixels):
        raise ValueError(
            f"image {number} has values from {low:.4g} to {high:.4g}; {card.name} takes pictures: numbers from 0 to 1, "
            "or integers from 0 to 255"
        )
    pixels = np.repeat(pixels, bands, axis=2) if pixels.shape[2] < bands else pixels
    size = card.middle_of or card.image_size
    if pixels.shape[:2] != size:
        pixels = ops.convert_to_numpy(ops.image.resize(pixels, size, antialias=True, data_format="channels_last"))
    y, x = ((there - wanted) // 2 for there, wanted in zip(size, card.image_size, strict=True))
    return pixels[np.newaxis, y : y + card.image_size[0], x : x + card.image_size[1]]
