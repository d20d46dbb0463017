"""What a PyTorch encoder is and how images are prepared for it: from its `config.json`, or from what is given."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from tfrecords_builder.naming import check_known

ARCHITECTURES: dict[str, dict[str, Any]] = {  # names of timm, and what they are here
    "convnext_base": {"name": "convnext_base"},
    "convnext_nano": {"name": "convnext_nano"},
    "convnext_pico": {"name": "convnext_pico"},
    "convnext_small": {"name": "convnext_small"},
    "convnext_tiny": {"name": "convnext_tiny"},
    "efficientnet_b0": {"name": "efficientnet_b0", "torch": True},
    "efficientnet_lite0": {"name": "efficientnet_lite0", "torch": True},
    "resnet18": {"name": "resnet18"},
    "resnet50": {"name": "resnet50"},
    "resnet101": {"name": "resnet101"},
    "tf_efficientnet_b0": {"name": "efficientnet_b0"},
    "tf_efficientnet_lite0": {"name": "efficientnet_lite0"},
    "tf_efficientnet_lite2": {"name": "efficientnet_lite2"},
}

_HARMLESS = ("in_chans", "num_classes")  # told by the tensors, or no part of an encoder


class Described(NamedTuple):
    """A PyTorch encoder.

    Attributes:
        architecture: Its name in timm.
        mean: What is taken from pictures 0–1, per band or once for all.
        deviation: What they are divided by then.
        image_size: (H, W) in pixels.
        interpolation: By which images were resized for it, if that is known.
        licence: If it is known.
    """

    architecture: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    image_size: tuple[int, int]
    interpolation: str = ""
    licence: str = ""


def describe(folder: Path | None, given: dict) -> Described:
    """Puts together what the files in a folder say and what was given, which counts more.

    Args:
        folder: With `config.json` as timm writes it, and perhaps `README.md`; None for a file without.
        given: `architecture`, `mean`, `deviation`, `image_size`, each None if it was not given.

    Raises:
        ValueError: Something is missing, or of a kind that is not known here.
    """
    fields = _from_config(folder / "config.json") if folder and (folder / "config.json").is_file() else {}
    fields |= {name: value for name, value in given.items() if value is not None}
    missing = [name for name in ("architecture", "mean", "deviation", "image_size") if name not in fields]
    if missing:
        raise ValueError(
            f"the files do not describe the encoder and its pictures: give {', '.join(missing)} (for instance "
            "architecture=resnet50, mean=0.485,0.456,0.406 and deviation=0.229,0.224,0.225 as for ImageNet, or mean=0 "
            "and deviation=1 for pictures 0–1 as they are, image_size=224)"
        )
    fields["architecture"] = str(fields["architecture"]).split(".")[0]  # behind the dot timm has the training
    check_known("architecture", fields["architecture"], ARCHITECTURES)
    size = fields["image_size"]
    fields["image_size"] = (size, size) if isinstance(size, int) else tuple(size)
    if len(fields["image_size"]) != 2 or min(fields["image_size"]) < 32:
        raise ValueError(f"image_size is a side, or (H, W), of at least 32 pixels, got {size}")
    for name in ("mean", "deviation"):
        values = fields[name] if isinstance(fields[name], (list, tuple)) else (fields[name],)
        fields[name] = tuple(float(x) for x in values)
    return Described(**{"licence": _licence(folder)} | fields)


def _from_config(path: Path) -> dict:
    """The fields of `Described` in a `config.json`."""
    try:
        config = json.loads(path.read_text())
        cfg = config.get("pretrained_cfg", config)
        fields = {"architecture": config.get("architecture") or cfg.get("architecture")}
        fields |= {"mean": cfg.get("mean"), "deviation": cfg.get("std"), "interpolation": cfg.get("interpolation")}
        size = cfg.get("input_size") or [None, None, None]
        fields |= {"image_size": tuple(size[1:]) if None not in size else None, "licence": cfg.get("license")}
        arguments = config.get("model_args") or {}
        other = {k: v for k, v in arguments.items() if k not in _HARMLESS and not k.startswith("drop_")}
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is damaged or not as timm writes it: {error}") from error
    if other:
        raise ValueError(f"{path} changes the architecture by {other}, which is not known here")
    if config.get("global_pool", "avg") not in ("avg", ""):
        raise ValueError(
            f"{path}: representations are means over the image here, not global_pool {config['global_pool']!r}"
        )
    return {name: value for name, value in fields.items() if value is not None}


def _licence(folder: Path | None) -> str:
    """That in the first lines of a `README.md` of the Hub."""
    readme = folder / "README.md" if folder else None
    if readme is None or not readme.is_file():
        return ""
    lines = readme.read_text(errors="replace").splitlines()
    if not lines or lines[0].strip() != "---":
        return ""
    head = lines[1 : next((i for i, line in enumerate(lines[1:], 1) if line.strip() == "---"), 1)]
    return next((line.split(":", 1)[1].strip() for line in head if line.startswith("license:")), "")
