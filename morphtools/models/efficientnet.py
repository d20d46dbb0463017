"""EfficientNet and EfficientNet-Lite, built by ourselves for any number of bands."""

import math

from keras import layers

from morphtools.models.batch_norm import BatchNormalization

_SCALES = {  # of width and depth
    "efficientnet_b0": (1.0, 1.0),
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite2": (1.1, 1.2),
}
_GROUPS = (  # repeats, kernel, stride of the first, expansion, filters
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def build_efficientnet(name: str, inputs, *, drop: float = 0.0, torch: bool = False):
    """The graph of an EfficientNet up to its pooled representation.

    Lite has ReLU6 instead of swish, no squeeze-and-excitation, and a stem and a top that do not grow with the network.
    Layers are named as those of `keras.applications.EfficientNetB0`: `stem_…`, `block1a_…` to `block7a_…`, `top_…`.

    Args:
        name: `efficientnet_b0`, `efficientnet_lite0` or `efficientnet_lite2` (all 1280-d).
        inputs: (B, H, W, C) Keras tensor in the range that the network takes.
        drop: Stochastic depth: the rate at which the last residual block is skipped in training; of the blocks before
            it, in proportion to how deep they lie.
        torch: As networks trained with PyTorch have it: padding that is the same on all sides, and an ε of 1e-5 in
            batch normalisation; otherwise TensorFlow's padding, and 1e-3.

    Returns:
        (B, 1280) Keras tensor.

    Reference:
        Tan & Le 2019, arXiv:1905.11946, table 1; the changes of Lite: github.com/tensorflow/tpu,
        models/official/efficientnet/lite; stochastic depth: Huang et al. 2016, arXiv:1603.09382.
    """
    width, depth = _SCALES[name]
    style = {"lite": "lite" in name, "torch": torch}
    x = _normalized(_conv(inputs, 32, 3, 2, "stem_conv", torch), "stem_", **style)
    repeats = [n if group in (0, 6) else math.ceil(n * depth) for group, (n, *_) in enumerate(_GROUPS)]
    before = 0
    for group, (repeat, (_, kernel, stride, expansion, filters)) in enumerate(zip(repeats, _GROUPS, strict=True)):
        for i in range(repeat):
            shape = (kernel, stride if i == 0 else 1, expansion, _rounded(filters * width))
            x = _block(x, shape, drop * before / sum(repeats), f"block{group + 1}{'abcdefgh'[i]}_", **style)
            before += 1
    x = _normalized(_conv(x, 1280, 1, 1, "top_conv", torch), "top_", **style)
    return layers.GlobalAveragePooling2D(name="avg_pool")(x)


def _rounded(filters: float) -> int:
    """The nearest multiple of 8, but at least 90% of the number."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * filters else nearest


def _block(x, shape: tuple[int, int, int, int], rate: float, block: str, *, lite: bool, torch: bool):
    """A mobile inverted bottleneck: expansion, depthwise convolution, projection, added to the input."""
    kernel, stride, expansion, filters = shape
    style = {"lite": lite, "torch": torch}
    inputs, bands = x, x.shape[-1]
    if expansion > 1:
        x = _normalized(_conv(x, expansion * bands, 1, 1, f"{block}expand_conv", torch), f"{block}expand_", **style)
    x = _normalized(_conv(x, None, kernel, stride, f"{block}dwconv", torch), block, **style)
    if not lite:
        x = _excited(x, max(1, bands // 4), f"{block}se_")
    x = _batch_norm(f"{block}project_bn", torch)(_conv(x, filters, 1, 1, f"{block}project_conv", torch))
    if stride > 1 or filters != bands:
        return x
    if rate:
        x = layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{block}drop")(x)
    return layers.Add(name=f"{block}add")([x, inputs])


def _excited(x, reduced: int, prefix: str):
    """Squeeze-and-excitation: every channel is multiplied by a number from 0 to 1 that depends on the means of all."""
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{prefix}squeeze")(x)
    y = layers.Conv2D(reduced, 1, activation="silu", name=f"{prefix}reduce")(y)
    y = layers.Conv2D(x.shape[-1], 1, activation="sigmoid", name=f"{prefix}expand")(y)
    return layers.Multiply(name=f"{prefix}excite")([x, y])


def _conv(x, filters: int | None, kernel: int, stride: int, name: str, torch: bool):
    """A convolution without bias; depthwise if `filters` is None."""
    padding = "same"
    if torch and stride > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=name.replace("conv", "pad"))(x)
        padding = "valid"
    if filters is None:
        return layers.DepthwiseConv2D(kernel, stride, padding, use_bias=False, name=name)(x)
    return layers.Conv2D(filters, kernel, stride, padding, use_bias=False, name=name)(x)


def _batch_norm(name: str, torch: bool):
    return BatchNormalization(momentum=0.9 if torch else 0.99, epsilon=1e-5 if torch else 1e-3, name=name)


def _normalized(x, prefix: str, *, lite: bool, torch: bool):
    x = _batch_norm(f"{prefix}bn", torch)(x)
    if lite:
        return layers.ReLU(max_value=6.0, name=f"{prefix}activation")(x)
    return layers.Activation("silu", name=f"{prefix}activation")(x)
