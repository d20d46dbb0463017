"""Arguments shared by the commands that train: typed, checked once, passed on whole, and flat in `config.yaml`."""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from morphtools.models.cards import Card, find_card
from morphtools.models.encoders import ENCODERS, FLUX
from tfrecords_builder.listing import catalog_of
from tfrecords_builder.naming import check_known, unknown

METHODS = {  # of learning without labels, and the fields of `LearnerSettings` that each uses
    "moco": ("dimension", "queue", "momentum", "temperature"),
    "byol": ("dimension", "hidden", "momentum"),
    "simclr": ("dimension", "temperature"),
}


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The galaxies to train on: records, or a catalogue with images; with neither, a simulated sky.

    Attributes:
        catalog: Path of a table, or of a folder or zip archive of images.
        images: Path of its images; None for the catalogue's folder.
        records: Folder of records, instead of both.
    """

    catalog: str | Path | None
    images: str | Path | None
    records: str | Path | None

    @property
    def simulated(self) -> bool:
        """Whether no galaxies are given."""
        return not self.catalog and not self.images and not self.records

    def checked(self) -> "Inputs":
        """Returns the inputs with absolute paths.

        Raises:
            ValueError: They contradict each other.
        """
        if self.records and (self.catalog or self.images):
            raise ValueError("give either records or a catalog with images, not both")
        catalog = catalog_of(self.catalog, self.images)
        if self.images and not catalog:
            raise ValueError("images need a catalog that lists them")
        paths = (catalog, self.images, self.records)
        return Inputs(*(path and Path(path).expanduser().absolute() for path in paths))


@dataclasses.dataclass(frozen=True)
class Start:
    """The encoder that training starts from, and the images that it is shown.

    Attributes:
        weights: Pretrained weights; `random`, or None, for a new encoder.
        encoder: Architecture of a new encoder; None for that of the weights, or `resnet18`.
        image_size: Side in pixels; None for that of the weights, or of the images where the encoder is new.
        stretch: How flux becomes a picture; None for that of the weights.
        small_images: Whether a new encoder has the first layers for small images.
        view_size: Side in pixels of the middle that the encoder sees, if it does not see all of an image.
        flux: What a new encoder does with flux first (see `build_encoder`); None for `asinh`.
    """

    weights: str | Path | None
    encoder: str | None
    image_size: int | None
    stretch: str | None = None
    small_images: bool = False
    view_size: int | None = None
    flux: str | None = None

    @property
    def pretrained(self) -> bool:
        """Whether the weights are pretrained."""
        return self.weights is not None and self.weights != "random"

    @property
    def card(self) -> Card:
        """The card of the weights."""
        return Card.open(find_card(self.weights or "random"))

    @property
    def architecture(self) -> str:
        """The name of the encoder, for `build_encoder`."""
        return self.card.encoder["name"] if self.pretrained else self.encoder or "resnet18"

    def built(self, noise: tuple[float, ...] | None) -> dict[str, Any]:
        """Arguments of `build_encoder`, except `input_shape`, for a new encoder of images with this noise.

        Raises:
            ValueError: `flux` is given, and the images are pictures (they have no noise).
        """
        if self.flux is not None and noise is None:
            raise ValueError(f"flux is about images in flux: pictures have none, so leave out flux={self.flux!r}")
        options = {"small_images": self.small_images, "noise": noise, "flux": self.flux}
        return {"name": self.architecture} | {name: value for name, value in options.items() if value is not None}

    def check_view(self, height: int, width: int) -> None:
        """Raises ValueError if the view is larger than the images, in pixels, that it is cut from."""
        if self.view_size is not None and self.view_size > min(height, width):
            raise ValueError(f"views of {self.view_size} pixels cannot be cut from images of {height} × {width}")

    def checked(self) -> "Start":
        """Returns the start with an absolute path to the weights, if they have one.

        Raises:
            ValueError: There are no such weights, or no such architecture.
            FileNotFoundError: There is no card.
        """
        check_known("encoder", self.architecture, ENCODERS)
        if self.flux is not None and self.pretrained:
            raise ValueError("flux is for a new encoder: weights take it as in their training")
        if self.flux is not None and self.flux not in FLUX:
            raise ValueError(unknown("flux", self.flux, FLUX))
        return dataclasses.replace(self, weights=name_or_path(self.weights))


@dataclasses.dataclass(frozen=True)
class LearnerSettings:
    """How to learn without labels; None stands for the default of the method.

    Attributes:
        method: `moco`, `byol` or `simclr`; None if nothing is learned without labels.
        dimension: Dimension of the projection.
        hidden: Width of BYOL's hidden layers.
        momentum: Momentum of the second network of MoCo and BYOL.
        queue: Number of keys in MoCo's queue.
        temperature: Temperature of MoCo and SimCLR.
    """

    method: str | None
    dimension: int | None = None
    hidden: int | None = None
    momentum: float | None = None
    queue: int | None = None
    temperature: float | None = None


@dataclasses.dataclass(frozen=True)
class Optimization:
    """How the weights are optimised.

    Attributes:
        epochs: Passes over the galaxies.
        batch_size: Galaxies per step, on all devices together.
        learning_rate: The highest.
        weight_decay: Decoupled for `adamw`, added to the gradient for `sgd`.
        average: Momentum of the running average of the weights; None or 0 for none.
        warmup_epochs: Epochs in which the learning rate rises from 0; None for the default of the command.
        clip: Maximum norm of the gradients of all weights together; None for the default of the command.
        optimizer: `adam`, `adamw` or `sgd`.
        schedule: `cosine` or `constant`.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    average: float | None
    warmup_epochs: float | None
    clip: float | None
    optimizer: str = "adamw"
    schedule: str = "cosine"


def name_or_path(value: Any) -> Any:
    """An existing path as absolute text; names, lists and None unchanged."""
    if value is None or isinstance(value, list):
        return value
    path = Path(value).expanduser()
    return str(path.absolute() if path.exists() else value)


def flat(settings: Any) -> dict[str, Any]:
    """The values of settings by name, including those of nested settings."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        values |= flat(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return values


def check_numbers(settings: Any) -> None:
    """Raises ValueError if a count is below 1, or the seed is out of range."""
    for field in dataclasses.fields(settings):
        value, counts = getattr(settings, field.name), "float" not in str(field.type)
        if dataclasses.is_dataclass(value):
            check_numbers(value)
        elif field.name == "seed":
            if not 0 <= value < 2**32:
                raise ValueError(f"seed must be from 0 to 2³²-1, got {value}")
        elif type(value) is int and value < 1 and counts:
            raise ValueError(f"{field.name} must be at least 1, got {value}")


def config_of(settings: Any, verb: Callable) -> dict[str, Any]:
    """The arguments of a command that decide its result, as in `config.yaml`, in order: numbers, text, lists, None."""
    plain: dict[type, Callable] = {tuple: list, type(Path()): str}
    values = {name: plain.get(type(value), lambda same: same)(value) for name, value in flat(settings).items()}
    return {name: values[name] for name in inspect.signature(verb).parameters if name not in ("out", "executor")}
