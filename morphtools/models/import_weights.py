"""Encoders from elsewhere: what was trained with PyTorch, as an encoder of ours with a card."""

import logging
from pathlib import Path

import keras
import numpy as np

from morphtools.models.cards import Card, sha256_of, write_card
from morphtools.models.encoders import build_encoder
from morphtools.models.hub import fetch_encoder, is_hub_name
from morphtools.models.import_config import ARCHITECTURES, Described, describe
from morphtools.models.safetensors import read_safetensors
from morphtools.models.torch_files import read_torch
from morphtools.models.torch_names import Tensor, torch_tensors
from tfrecords_builder.claims import claim
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import some

log = logging.getLogger(__name__)

_FILES = ("model.safetensors", "pytorch_model.bin")  # in a folder, the better first
_CLASSIFIERS = ("fc.", "classifier.", "head.fc.", "_fc.")


def import_weights(
    source: str | Path,
    out: str | Path,
    *,
    architecture: str | None = None,
    mean: float | tuple[float, ...] | None = None,
    deviation: float | tuple[float, ...] | None = None,
    image_size: int | tuple[int, int] | None = None,
    bands: tuple[str, ...] | None = None,
    prefix: str | None = None,
    name: str | None = None,
    licence: str | None = None,
    citation: str = "",
    data: str | None = None,
) -> Path:
    """Imports an encoder trained with PyTorch, exactly, for everything that takes weights.

    `load_pretrained(out)`, `represent`, `finetune` and all others work with it from then on, without PyTorch. Known are
    ResNet-18, -50 and -101, EfficientNet-B0, EfficientNet-Lite and ConvNeXt (pico to base) as they are in timm, which
    are those of zoobot's published encoders; ResNets of torchvision; and EfficientNet-Lite of
    `efficientnet-lite-pytorch`. Nothing in the files is executed: pickles that hold more than tensors are refused.

    An encoder of one band takes pictures in colour, too: their luminance.

    Args:
        source: A folder with `model.safetensors` or `pytorch_model.bin` and `config.json`, as the Hugging Face Hub has
            it; a file (`.safetensors`, `.pth`, `.pt`, `.bin`, Zoobot's `.ckpt`), with `config.json` beside it or the
            next four arguments; or a name on the Hub, `OWNER/NAME` or `OWNER/NAME@REVISION`, which needs the network.
        out: Folder for weights and card.
        architecture: Its name in timm, such as `convnext_nano` or `tf_efficientnet_b0`; by default that of
            `config.json`, like the next three.
        mean: What is taken from pictures 0–1 before they are shown, per band or one for all.
        deviation: What they are divided by then.
        image_size: Side, or (H, W), in pixels.
        bands: Names of the bands; by default r, g, b.
        prefix: What stands before the names of the tensors, where a file holds several encoders.
        name: Name of the weights; by default that of the architecture.
        licence: Licence of the weights; by default that in the files.
        citation: What to cite.
        data: What it was trained on, in words; by default where it comes from.

    Returns:
        The folder.

    Raises:
        ValueError: The file is damaged or dangerous, or the encoder is not known; the message names the remedy.
        FileNotFoundError: The file does not exist.
        FileExistsError: `out` contains something else.
        OSError: The Hub could not be reached.
    """
    file, folder = _file(source)
    given = {"architecture": architecture, "mean": mean, "deviation": deviation, "image_size": image_size}
    described = describe(folder, given)
    name = name or described.architecture
    settings = described._asdict() | {"bands": bands, "prefix": prefix, "name": name}
    weights = Path(out) / f"{name}.weights.h5"
    with claim(out, "import-weights", settings, {"source": sha256_of(file)}):
        if weights.with_name(f"{name}.json").exists():
            log.info("%s holds these weights already", out)
            return Path(out)
        try:
            tensors = read_safetensors(file) if file.suffix == ".safetensors" else read_torch(file)
            encoder, arguments = _encoder(described, tensors, bands, prefix)
        except ValueError as error:
            raise ValueError(str(error) if str(file) in str(error) else f"{file}: {error}") from error
        card = Card(
            name=name,
            kind="encoder",
            encoder=arguments,
            bands=bands or ("r", "g", "b"),
            range="picture",
            image_size=described.image_size,
            data=data or _words(described, source),
            licence=described.licence if licence is None else licence,
            citation=citation,
        )
        write_whole(weights, encoder.save_weights)
        write_card(card, weights)
    if "zoobot" in str(source).lower() and mean is None:
        log.warning(
            "zoobot itself passes pixel values 0–1 unchanged unless told to standardise them, whatever config.json "
            "says: if this encoder was trained that way, import it with mean=0 and deviation=1"
        )
    log.info("%s: %d numbers in %s; %s", name, encoder.count_params(), weights, _shown(described))
    return Path(out)


def _file(source: str | Path) -> tuple[Path, Path]:
    """The file of weights, and the folder that may hold its configuration."""
    path = Path(source).expanduser()
    if not path.exists() and is_hub_name(str(source)):
        path = fetch_encoder(str(source))
    if path.is_file():
        return path, path.parent
    file = next((path / name for name in _FILES if (path / name).is_file()), None)
    if file is None:
        raise FileNotFoundError(
            f"there is no encoder at {path}: neither a file nor a folder with {' or '.join(_FILES)}"
        )
    return file, path


def _encoder(
    described: Described, tensors: dict[str, np.ndarray], bands: tuple[str, ...] | None, prefix: str | None
) -> tuple[keras.Model, dict]:
    """The encoder with its weights, and the arguments of `build_encoder` that make it."""
    arguments = dict(ARCHITECTURES[described.architecture])
    places, before = _places(build_encoder(input_shape=(*described.image_size, 3), **arguments), tensors, prefix)
    stem = tensors[before + next(iter(places))]
    channels = stem.shape[1] if stem.ndim == 4 else 0
    arguments |= _preparation(described, channels)
    seen = 3 if channels == 1 else channels
    if len(bands or ("r", "g", "b")) != seen:
        raise ValueError(f"this encoder takes {channels} bands: give the names of {seen} bands, got {bands}")
    encoder = build_encoder(input_shape=(*described.image_size, seen), **arguments)
    style = "efficientnet_pytorch" if next(iter(places)).startswith("_") else "timm"
    for name, place in torch_tensors(encoder, style).items():
        place.weight.assign(_values(name, tensors[before + name], place))
    return encoder, arguments


def _places(encoder: keras.Model, tensors: dict, prefix: str | None) -> tuple[dict[str, Tensor], str]:
    """The names of the encoder's tensors, in whichever style the file has them, and what stands before them there."""
    missing = {}
    for style in ("timm", "efficientnet_pytorch"):
        try:
            places = torch_tensors(encoder, style)
        except ValueError:
            continue
        first = next(iter(places))
        before = [key.removesuffix(first) for key in tensors if f".{key}".endswith(f".{first}")]
        before = [p for p in before if prefix is None or p == f"{prefix.rstrip('.')}." or p == prefix]
        missing |= {p: [name for name in places if p + name not in tensors] for p in before}
        complete = [p for p in before if not missing[p]]
        if len(complete) > 1:
            raise ValueError(f"the file holds several encoders: give prefix, one of {', '.join(map(repr, complete))}")
        if complete:
            _check_rest(encoder.name, complete[0], places, tensors)
            return places, complete[0]
    lacking = some(min(missing.values(), key=len)) if missing else some(torch_tensors(encoder))
    raise ValueError(f"the file does not hold a {encoder.name}: it lacks {lacking} and holds {some(tensors)}")


def _check_rest(name: str, prefix: str, places: dict, tensors: dict) -> None:
    """Reports the tensors that are left out, if they are not part of an encoder; refuses others."""
    rest = [
        key for key in tensors if key.removeprefix(prefix) not in places and not key.endswith("num_batches_tracked")
    ]
    inside = [key for key in rest if key.startswith(prefix) and not key.removeprefix(prefix).startswith(_CLASSIFIERS)]
    if inside:
        raise ValueError(f"the file holds another encoder than {name}, with {some(inside)}")
    if rest:
        log.info("left out, as no part of the encoder: %s", some(rest))


def _preparation(described: Described, channels: int) -> dict:
    """Arguments of `build_encoder` that show pictures 0–1 as the network knows them."""
    ranges = {}
    for name in ("mean", "deviation"):
        values = getattr(described, name)
        if channels == 1:
            values = (sum(values) / len(values),)
        if len(values) not in (1, channels):
            raise ValueError(f"{name} has {len(values)} numbers, but the encoder takes {channels} bands")
        ranges[name] = values * channels if len(values) == 1 else values
    return ranges | ({"grey": True} if channels == 1 else {})


def _values(name: str, values: np.ndarray, place: Tensor) -> np.ndarray:
    """A PyTorch tensor as one of our weights."""
    if place.axes is not None:
        values = values[:, :, None, None] if values.ndim == 2 else values  # a dense layer for every pixel
        values = values.transpose(place.axes) if values.ndim == 4 else values
    if values.shape != tuple(place.weight.shape):
        raise ValueError(f"{name} has the shape {values.shape}, where {tuple(place.weight.shape)} is needed (as here)")
    if not np.issubdtype(values.dtype, np.floating) or not np.isfinite(values).all():
        raise ValueError(f"{name} holds numbers that are not finite, or not floating-point numbers")
    return values.astype("float32")


def _words(described: Described, source: str | Path) -> str:
    resized = f"; images were resized by {described.interpolation} interpolation" if described.interpolation else ""
    return f"what {source} was trained on ({described.architecture}, imported from PyTorch{resized})"


def _shown(described: Described) -> str:
    height, width = described.image_size
    return f"pictures 0–1 of {height} × {width} pixels are shown as (x - {described.mean}) / {described.deviation}"
