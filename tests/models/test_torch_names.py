import pytest

from morphtools.models.encoders import build_encoder
from morphtools.models.torch_names import torch_tensors

pytestmark = pytest.mark.any_backend
NORM = ("weight", "bias", "running_mean", "running_var")


def normalized(conv, norm):
    return [f"{conv}.weight", *(f"{norm}.{x}" for x in NORM)]


def resnet(blocks, convolutions, projected):
    names = normalized("conv1", "bn1")
    for group, count in enumerate(blocks, 1):
        for block in range(count):
            where = f"layer{group}.{block}"
            for i in range(1, convolutions + 1):
                names += normalized(f"{where}.conv{i}", f"{where}.bn{i}")
            if block == 0 and group in projected:
                names += normalized(f"{where}.downsample.0", f"{where}.downsample.1")
    return names


def efficientnet(repeats, excited):
    names = normalized("conv_stem", "bn1") + normalized("conv_head", "bn2")
    for group, count in enumerate(repeats):
        for block in range(count):
            where = f"blocks.{group}.{block}"
            convolutions = ("conv_dw", "conv_pw") if group == 0 else ("conv_pw", "conv_dw", "conv_pwl")
            for i, convolution in enumerate(convolutions, 1):
                names += normalized(f"{where}.{convolution}", f"{where}.bn{i}")
            parts = ("conv_reduce", "conv_expand") if excited else ()
            names += [f"{where}.se.{part}.{x}" for part in parts for x in ("weight", "bias")]
    return names


def efficientnet_pytorch(blocks):
    names = normalized("_conv_stem", "_bn0") + normalized("_conv_head", "_bn1")
    for i in range(blocks):
        where = f"_blocks.{i}."
        names += normalized(f"{where}_expand_conv", f"{where}_bn0") if i else []
        names += normalized(f"{where}_depthwise_conv", f"{where}_bn1")
        names += normalized(f"{where}_project_conv", f"{where}_bn2")
    return names


def convnext(depths):
    layers = ["stem.0", "stem.1", "head.norm"]
    scales = []
    for stage, count in enumerate(depths):
        layers += [f"stages.{stage}.downsample.{i}" for i in (0, 1) if stage]
        for block in range(count):
            where = f"stages.{stage}.blocks.{block}"
            layers += [f"{where}.{x}" for x in ("conv_dw", "norm", "mlp.fc1", "mlp.fc2")]
            scales.append(f"{where}.gamma")
    return scales + [f"{layer}.{x}" for layer in layers for x in ("weight", "bias")]


@pytest.mark.parametrize(
    ("name", "options", "style", "names"),
    [
        ("resnet18", {}, "timm", resnet((2, 2, 2, 2), 2, (2, 3, 4))),
        ("resnet50", {}, "timm", resnet((3, 4, 6, 3), 3, (1, 2, 3, 4))),
        ("resnet101", {}, "timm", resnet((3, 4, 23, 3), 3, (1, 2, 3, 4))),
        ("efficientnet_b0", {"torch": True}, "timm", efficientnet((1, 2, 2, 3, 3, 4, 1), True)),
        ("efficientnet_b0", {}, "timm", efficientnet((1, 2, 2, 3, 3, 4, 1), True)),
        ("efficientnet_lite0", {"drop": 0.2}, "timm", efficientnet((1, 2, 2, 3, 3, 4, 1), False)),
        ("efficientnet_lite2", {}, "timm", efficientnet((1, 3, 3, 4, 4, 5, 1), False)),
        ("efficientnet_lite0", {}, "efficientnet_pytorch", efficientnet_pytorch(16)),
        ("efficientnet_lite2", {}, "efficientnet_pytorch", efficientnet_pytorch(21)),
        ("convnext_pico", {}, "timm", convnext((2, 2, 6, 2))),
        ("convnext_nano", {}, "timm", convnext((2, 2, 8, 2))),
        ("convnext_small", {}, "timm", convnext((3, 3, 27, 3))),
    ],
)
def test_every_tensor_has_one_weight_and_every_weight_one_tensor(name, options, style, names):
    encoder = build_encoder(name, (64, 64, 3), **options)
    tensors = torch_tensors(encoder, style)
    assert sorted(tensors) == sorted(names)
    ours = [w for w in encoder.weights if "seed" not in w.path and not w.path.startswith("normalization")]
    assert sorted(id(tensor.weight) for tensor in tensors.values()) == sorted(map(id, ours))


@pytest.mark.parametrize(("name", "style"), [("mobilenet_v3_small", "timm"), ("resnet18", "efficientnet_pytorch")])
def test_an_encoder_without_a_counterpart_is_named(name, style):
    with pytest.raises(ValueError, match=f"{name} has no counterpart"):
        torch_tensors(build_encoder(name, (64, 64, 3)), style)
