"""What the tensors of PyTorch encoders are called, and which weight of ours each of them is."""

import re
from typing import NamedTuple

import keras
from keras import layers

from morphtools.models.convnext import LayerScale
from morphtools.models.standardize import Standardize


class Tensor(NamedTuple):
    """A tensor of a PyTorch encoder and its place in ours.

    Attributes:
        weight: Of our encoder.
        axes: Order in which the axes of theirs make those of ours; None if they are the same.
    """

    weight: keras.Variable
    axes: tuple[int, ...] | None = None


def torch_tensors(encoder: keras.Model, style: str = "timm") -> dict[str, Tensor]:
    """All weights of an encoder by their names in PyTorch.

    Args:
        encoder: A model of `build_encoder`.
        style: `timm`, whose ResNets are named as those of torchvision; or `efficientnet_pytorch`, as the networks of
            the packages `efficientnet-pytorch` and `efficientnet-lite-pytorch` are.

    Returns:
        By name, in the order of our layers.

    Raises:
        ValueError: The encoder has no counterpart with such names.
    """
    names = _names(encoder, style)
    return {name: tensor for layer, prefix in names.items() for name, tensor in _tensors(layer, prefix).items()}


def _names(encoder: keras.Model, style: str) -> dict[layers.Layer, str]:
    """What the layers with weights are called there."""
    weighted = [x for x in encoder.layers if x.weights and not isinstance(x, (Standardize, layers.Dropout))]
    family = encoder.name.split("_")[0]
    if style == "efficientnet_pytorch" and family == "efficientnet":
        blocks = list(dict.fromkeys(m[0] for x in weighted if (m := re.match(r"block\d+[a-z]", x.name))))
        return {x: _efficientnet_pytorch(x.name, blocks) for x in weighted}
    namers = {"resnet": _resnet, "efficientnet": _efficientnet, "convnext": _convnext}
    family = re.sub(r"\d+$", "", family)
    if style != "timm" or family not in namers:
        raise ValueError(f"{encoder.name} has no counterpart in PyTorch with the names of {style}")
    return {x: namers[family](x.name) for x in weighted}


def _tensors(layer: layers.Layer, prefix: str) -> dict[str, Tensor]:
    """The tensors of a layer that is called `prefix` there."""
    if isinstance(layer, LayerScale):
        return {prefix: Tensor(layer.gamma)}
    if isinstance(layer, layers.BatchNormalization):
        ours = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        return {f"{prefix}.{theirs}": Tensor(getattr(layer, name)) for theirs, name in ours.items()}
    if isinstance(layer, layers.LayerNormalization):
        return {f"{prefix}.weight": Tensor(layer.gamma), f"{prefix}.bias": Tensor(layer.beta)}
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    kernel = Tensor(layer.kernel, (2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    return {f"{prefix}.weight": kernel} | ({f"{prefix}.bias": Tensor(layer.bias)} if layer.use_bias else {})


def _parts(pattern: str, layer: str) -> tuple[str, ...]:
    """What the groups of a pattern match in the name of a layer."""
    match = re.fullmatch(pattern, layer)
    if match is None:
        raise ValueError(f"the layer {layer!r} has no counterpart in PyTorch")
    return match.groups()


def _resnet(layer: str) -> str:
    if layer in ("stem_conv", "stem_bn"):
        return {"stem_conv": "conv1", "stem_bn": "bn1"}[layer]
    group, block, part, kind = _parts(r"block(\d)_(\d+)_(\d|shortcut)_(conv|bn)", layer)
    where = f"layer{group}.{int(block) - 1}"
    return f"{where}.downsample.{0 if kind == 'conv' else 1}" if part == "shortcut" else f"{where}.{kind}{part}"


_EXCITATION = {"se_reduce": "se.conv_reduce", "se_expand": "se.conv_expand"}
_FIRST = {"dwconv": "conv_dw", "bn": "bn1", "project_conv": "conv_pw", "project_bn": "bn2", **_EXCITATION}
_WIDENED = {"expand_conv": "conv_pw", "expand_bn": "bn1", "dwconv": "conv_dw", "bn": "bn2", **_EXCITATION}
_WIDENED |= {"project_conv": "conv_pwl", "project_bn": "bn3"}


def _efficientnet(layer: str) -> str:
    ends = {"stem_conv": "conv_stem", "stem_bn": "bn1", "top_conv": "conv_head", "top_bn": "bn2"}
    if layer in ends:
        return ends[layer]
    group, block, part = _parts(r"block(\d)([a-z])_(\w+)", layer)
    part = (_FIRST if group == "1" else _WIDENED)[part]
    return f"blocks.{int(group) - 1}.{ord(block) - ord('a')}.{part}"


def _efficientnet_pytorch(layer: str, blocks: list[str]) -> str:
    ends = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
    if layer in ends:
        return ends[layer]
    block, part = layer.split("_", 1)
    parts = {"expand_bn": "_bn0", "bn": "_bn1", "project_bn": "_bn2", "dwconv": "_depthwise_conv"}
    return f"_blocks.{blocks.index(block)}.{parts.get(part, f'_{part}')}"


def _convnext(layer: str) -> str:
    ends = {"stem_conv": "stem.0", "stem_norm": "stem.1", "block4_norm": "head.norm"}
    if layer in ends:
        return ends[layer]
    if match := re.fullmatch(r"block(\d)_downsample_(norm|conv)", layer):
        return f"stages.{int(match[1]) - 1}.downsample.{0 if match[2] == 'norm' else 1}"
    stage, block, part = _parts(r"block(\d)_(\d+)_(\w+)", layer)
    parts = {"dwconv": "conv_dw", "norm": "norm", "expand_conv": "mlp.fc1", "project_conv": "mlp.fc2", "scale": "gamma"}
    return f"stages.{int(stage) - 1}.blocks.{int(block) - 1}.{parts[part]}"
