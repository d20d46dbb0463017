"""Sets of augmentations, as data: by name, as a list, or from a YAML file."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

from morphtools.data.augment import RandomErase, RandomView
from morphtools.data.augment_light import RandomBlur, RandomDisplay, RandomExtinction, RandomNoise
from morphtools.survey.extinction import COEFFICIENTS
from morphtools.survey.instruments import camera_for
from tfrecords_builder.naming import check_known, unknown
from tfrecords_builder.yaml_files import read_yaml

LAYERS = {
    layer.__name__: layer
    for layer in (RandomView, RandomErase, RandomExtinction, RandomBlur, RandomNoise, RandomDisplay)
}
_MAD = 1 / 1.4826  # the records' noise is the standard deviation, the paper's unit the median absolute deviation
# What moves nothing in `RandomView`.
_STILL = {"rotation": 0.0, "flip": False, "zoom": 0.0, "shift": 0.0, "jitter": 0, "crop": 1.0, "shear": 0.0}

PRESETS: dict[str, list[dict]] = {
    # Hayat et al. 2021, arXiv:2012.13083, section 2: the best set has no blur. On flux of 107 px, views of 64 px.
    "hayat2021": [
        {"RandomExtinction": {"ebv": [0.0, 0.5]}},
        {"RandomView": {"rotation": 0.5, "flip": False, "zoom": 0.0, "shift": 0.0, "jitter": 7}},
        {"RandomNoise": {"scale": [1.0 * _MAD, 3.0 * _MAD]}},
    ],
    # The same, blurred as by a point spread function, which its appendix D tries and leaves out. Ours: the widths.
    "hayat2021_blur": [
        {"RandomExtinction": {"ebv": [0.0, 0.5]}},
        {"RandomView": {"rotation": 0.5, "flip": False, "zoom": 0.0, "shift": 0.0, "jitter": 7}},
        {"RandomBlur": {"sigma": [0.5, 1.5]}},
        {"RandomNoise": {"scale": [1.0 * _MAD, 3.0 * _MAD]}},
    ],
    # Mohale & Lochner 2023, arXiv:2311.14157: pictures of 300 px. Ours, which the paper does not give: the width of the
    # blur (that of SimCLR, for smaller pictures) and the aspect of the crops (that of torchvision).
    "mohale2023": [
        {"RandomView": {"rotation": 0.5, "zoom": 0.0, "shift": 0.0, "crop": 0.7, "aspect": 4 / 3, "chance": 0.7}},
        {"RandomBlur": {"sigma": [0.1, 2.0], "chance": 0.5}},
    ],
    # Stein et al. 2022, arXiv:2110.00023, and their published code: flux in grz of 152 px, views of 96 px. The spreads
    # are those of the Legacy Surveys: E(B-V), FWHM in arcsec (0.262 arcsec a pixel), noise in nanomaggies.
    "stein2022": [
        {"RandomExtinction": {"lognormal": [0.67306, 0.001146, 0.03338]}},
        {"RandomView": {"rotation": 0.5, "zoom": [0.9, 1.1], "shift": 0.0, "jitter": 7, "fill_mode": "constant"}},
        {
            "RandomBlur": {
                "lognormal": [[0.2110, 1.0807, 1.3153], [0.3008, 1.2394, 0.9165], [0.3471, 1.1928, 0.8234]],
                "pixels": 1 / (0.262 * 2.3548),
                "wavelengths": None,
            }
        },
        {
            "RandomNoise": {
                "lognormal": [[0.2265, -0.00067, 0.00376], [0.2431, -0.00237, 0.00674], [0.1335, -0.01434, 0.02608]]
            }
        },
    ],
    # Zoobot 2.9 with galaxy-datasets 0.0.25, `default_view_config`: pictures of 224 px.
    "zoobot": [
        {"RandomView": {"rotation": 0.25, "zoom": [1.2, 1.4], "shift": 0.1, "shear": 20.0, "fill_mode": "constant"}},
        {"RandomErase": {"patches": 5, "area": [0.002, 0.007], "aspect": 2.0}},
    ],
    # Pictures that have already been stretched.
    "rgb": [
        {"RandomView": {"zoom": 0.2, "crop": 0.6, "shift": 0.0}},
        {"RandomDisplay": {"brightness": 0.1, "contrast": 0.3, "grey": 0.1, "chance": 0.8}},
        {"RandomBlur": {"sigma": [0.1, 1.5], "chance": 0.5, "wavelengths": None}},
    ],
}


def build_augmentations(
    augmentations: str | Path | Sequence[Mapping],
    *,
    bands: Sequence[str] = (),
    noise: Sequence[float] | None = None,
    size: int | None = None,
    without: str | None = None,
    seed: int = 0,
) -> keras.Sequential:
    """Makes the layers of a set of augmentations for images of these bands.

    A list has one entry per layer, its name and its arguments: `RandomView: {rotation: 0.5}`. A name is one of ours
    (`LAYERS`) or that of any preprocessing layer of `keras.layers` or `keras_cv.layers`, as
    `keras.layers.RandomContrast`. What an entry does not say and a layer of ours needs to know of the survey
    (coefficients of extinction, wavelengths, noise, size of the views) is filled in.

    Args:
        augmentations: A preset, a YAML file (`.yaml`) with such a list, or the list.
        bands: Names of the bands, in order.
        noise: Sky noise per band, for flux; None for pictures.
        size: Side in pixels of the views; by default that of the images.
        without: A part to leave out (see `parts_of`), or several, joined by `+`.
        seed: Seed of the views; every layer has its own from it.

    Returns:
        A model (B, H, W, C) → (B, size, size, C). Call it with `training=True`.

    Raises:
        ValueError: An unknown preset, layer or argument, or a layer that needs to know more about the survey.
        FileNotFoundError: The file does not exist.
    """
    known = {"noise": noise, "size": size, **facts_of(bands)}
    made = []
    for i, (name, arguments) in enumerate(read_augmentations(augmentations, without)):
        kind = _layer(name)
        takes = inspect.signature(kind).parameters
        if name in LAYERS:
            wrong = [key for key in arguments if key not in takes]
            if wrong:
                raise ValueError(f"{name}: {unknown('argument', wrong[0], [k for k in takes if k != 'kwargs'])}")
            arguments = {key: known[key] for key in known if key in takes and known[key] is not None} | arguments
        try:
            made.append(kind(**{"seed": seed + i} | arguments))
        except (TypeError, ValueError) as error:
            raise ValueError(f"the augmentation {name} cannot be made: {error}") from None
    return keras.Sequential(made, name="views")


def parts_of(augmentations: str | Path | Sequence[Mapping]) -> list[str]:
    """The parts that can be left out of a set: layers, and parts of the view such as `RandomView.rotation`."""
    parts = []
    for name, arguments in read_augmentations(augmentations):
        if name == "RandomView":
            default = {key: each.default for key, each in inspect.signature(RandomView).parameters.items()}
            moving = [key for key, still in _STILL.items() if arguments.get(key, default[key]) != still]
            parts += [f"RandomView.{key}" for key in moving]
        elif name not in parts:
            parts.append(name)
    return parts


def read_augmentations(
    augmentations: str | Path | Sequence[Mapping], without: str | None = None
) -> list[tuple[str, dict]]:
    """The names and arguments of a preset, a file or a list, checked for their form, but for the parts `without`."""
    entries = _entries(augmentations)
    for part in () if without is None else (each.strip() for each in without.split("+")):
        known = parts_of(augmentations)
        check_known("part", part, known)
        layer, _, key = part.partition("RandomView.")
        if key:
            still = {key: _STILL[key]}
            entries = [(name, given | (still if name == "RandomView" else {})) for name, given in entries]
        else:
            entries = [entry for entry in entries if entry[0] != layer]
    return entries


def _entries(augmentations: str | Path | Sequence[Mapping]) -> list[tuple[str, dict]]:
    if isinstance(augmentations, str | Path):
        path = Path(augmentations)
        if str(augmentations) in PRESETS:
            augmentations = PRESETS[str(augmentations)]
        elif path.suffix in (".yaml", ".yml"):
            augmentations = _read(path)
        else:
            raise ValueError(f"{unknown('preset', str(augmentations), PRESETS)}; or give a .yaml file")
    entries = [{entry: {}} if isinstance(entry, str) else entry for entry in augmentations]
    for entry in entries:
        sound = isinstance(entry, Mapping) and len(entry) == 1
        if not sound or not isinstance(next(iter(entry.values())) or {}, Mapping):
            raise ValueError(f"an augmentation is one layer's name with its arguments, got {entry!r}")
    return [(name, dict(arguments or {})) for entry in entries for name, arguments in entry.items()]


def _read(path: Path) -> list:
    content = read_yaml(path)
    if not isinstance(content, list):
        raise ValueError(f"{path} must contain a list of layers: '- RandomView: {{rotation: 0.5}}'")
    return content


def _layer(name: str) -> type:
    """The class of a layer by its name."""
    if name in LAYERS:
        return LAYERS[name]
    package, _, kind = name.rpartition(".")
    if package == "keras.layers":
        layer = getattr(keras.layers, kind, None)
    elif package == "keras_cv.layers":
        try:
            import keras_cv
        except ImportError:
            raise ValueError(f"{name} needs the package keras-cv: pip install 'morphtools[keras-cv]'") from None
        layer = getattr(keras_cv.layers, kind, None)
    else:
        raise ValueError(f"{unknown('augmentation', name, LAYERS)}; or give keras.layers.NAME or keras_cv.layers.NAME")
    rooms = {"preprocessing", "regularization"}  # of Keras: the layers that draw, and none that runs what it is given
    if not isinstance(layer, type) or not rooms & set(layer.__module__.split(".")):
        raise ValueError(f"{package} has no layer {kind!r} that could be an augmentation")
    return layer


def facts_of(bands: Sequence[str]) -> dict:
    """What the layers need to know of the survey; nothing where no known camera has these bands."""
    try:
        camera = camera_for(tuple(bands))
    except ValueError:
        return {}
    return {
        "coefficients": tuple(COEFFICIENTS[camera.survey][band] for band in bands),
        "wavelengths": tuple(camera.wavelengths[i] for i in camera.indices(bands)),
        "reference": list(bands).index("r") if "r" in bands else 0,
    }
