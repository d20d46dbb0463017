"""An encoder as timm and the Hugging Face Hub have it: `model.safetensors`, `config.json` and `README.md`."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from morphtools.models.cards import Card
from morphtools.models.import_config import ARCHITECTURES
from morphtools.models.import_weights import import_weights
from morphtools.models.inputs import PictureRange
from morphtools.models.pretrained import load_pretrained
from morphtools.models.safetensors import write_safetensors
from morphtools.models.torch_names import torch_tensors
from tfrecords_builder.files import write_whole

_DENSE = (
    "convnext_tiny",
    "convnext_small",
    "convnext_base",
)  # whose convolutions of one pixel are dense layers in timm


def write_hub(encoder: keras.Model, out: Path, card: Card) -> None:
    """Writes the three files.

    Args:
        encoder: The bare encoder.
        out: An existing folder.
        card: Card of its weights.

    Raises:
        ValueError: timm has no such network.
    """
    name, torch = card.encoder["name"], card.encoder.get("torch", False)
    own = [
        theirs for theirs, ours in ARCHITECTURES.items() if ours == {"name": name} | ({"torch": True} if torch else {})
    ]
    if not own or any(card.encoder.get(option) for option in ("small_images", "noise", "projection")):
        raise ValueError(f"safetensors is for networks that timm has: {card.encoder} is none of them")
    tensors = {key: _theirs(key, place, own[0]) for key, place in torch_tensors(encoder).items()}
    write_safetensors(tensors, out / "model.safetensors", {"format": "pt"})
    channels = next(iter(tensors.values())).shape[1]
    mean, deviation = _preparation(encoder, channels)
    height, width = card.image_size
    config = {
        "architecture": own[0],
        "num_classes": 0,
        "num_features": encoder.output_shape[-1],
        "global_pool": "avg",
        "model_args": {} if channels == 3 else {"in_chans": channels},
        "pretrained_cfg": {
            "input_size": [channels, height, width],
            "mean": mean,
            "std": deviation,
            "interpolation": "bilinear",
            "num_classes": 0,
            "license": card.licence,
        },
    }
    write_whole(out / "config.json", json.dumps(config, indent=2) + "\n")
    write_whole(out / "README.md", _readme(card, own[0]))


def _theirs(key: str, place, architecture: str) -> np.ndarray:
    """A weight of ours as a tensor of theirs."""
    values = keras.ops.convert_to_numpy(place.weight)
    if place.axes is None:
        return values
    values = values.transpose(np.argsort(place.axes))
    return values[:, :, 0, 0] if architecture in _DENSE and ".mlp." in key else values


def _preparation(encoder: keras.Model, channels: int) -> tuple[list[float], list[float]]:
    """What timm takes from pictures 0–1 and divides by, for the network to see what it sees here."""
    first = next((x for x in encoder.layers if x.name == "range"), None)
    if isinstance(first, PictureRange):
        return list(first.mean), list(first.deviation)
    if first is None:
        return [0.0] * channels, [1.0] * channels
    return [-first.offset / first.scale] * channels, [1 / first.scale] * channels


def _readme(card: Card, architecture: str) -> str:
    head = ["---", "library_name: timm", "tags: [astronomy, galaxies, image-feature-extraction]"]
    head += [f"license: {card.licence.lower()}"] if card.licence else []
    scores = [f"| {name} | {value} |" for name, value in card.scores.items()]
    table = ["", "| score on held-out galaxies | |", "|---|---|", *scores] if scores else []
    height, width = card.image_size
    lines = [
        *head,
        "---",
        f"# {card.name}",
        "",
        f"An encoder for images of galaxies ({architecture}), trained on: {card.data}",
    ]
    lines += [
        "",
        f"Images: bands {', '.join(card.bands)}, values 0–1, {height} × {width} pixels; then `mean` and `std` of",
    ]
    lines += ["`config.json`. Written by morphtools, which takes it back by `morphtools import-weights`.", *table, ""]
    return "\n".join(lines + ([f"Cite: {card.citation}", ""] if card.citation else []))


def read_hub(out: Path, card: Card) -> Callable:
    """The encoder in these files, as `import_weights` reads it."""
    with tempfile.TemporaryDirectory() as folder:
        bands = None if set(card.bands) == {"r", "g", "b"} or card.encoder.get("grey") else card.bands
        encoder = load_pretrained(import_weights(out, Path(folder) / "imported", bands=bands))
    return lambda images: encoder.predict(images, verbose=0)
