"""EfficientNet-Lite: EfficientNet without what is slow outside a data centre, for any number of bands."""

import math

from keras import layers

from morphtools.models.batch_norm import BatchNormalization

_SCALES = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite2": (1.1, 1.2)}  # of width and depth
_GROUPS = (  # repeats, kernel, stride of the first, expansion, filters
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def build_efficientnet_lite(name: str, inputs, *, drop: float = 0.0):
    """The graph of an EfficientNet-Lite up to its pooled representation.

    It has ReLU6 instead of swish, no squeeze-and-excitation, and a stem and a top that do not grow with the network.
    Layers are named as those of `keras.applications.EfficientNetB0`: `stem_…`, `block1a_…` to `block7a_…`, `top_…`.

    Args:
        name: `efficientnet_lite0` or `efficientnet_lite2` (both 1280-d).
        inputs: (B, H, W, C) Keras tensor, 0–1.
        drop: Stochastic depth: the rate at which the last residual block is skipped in training; of the blocks before
            it, in proportion to how deep they lie.

    Returns:
        (B, 1280) Keras tensor.

    Reference:
        Tan & Le 2019, arXiv:1905.11946, table 1; the changes of Lite: github.com/tensorflow/tpu,
        models/official/efficientnet/lite; stochastic depth: Huang et al. 2016, arXiv:1603.09382.
    """
    width, depth = _SCALES[name]
    x = layers.Rescaling(255 / 128, -127 / 128, name="range")(inputs)
    x = _normalized(layers.Conv2D(32, 3, 2, "same", use_bias=False, name="stem_conv")(x), "stem_")
    repeats = [n if group in (0, 6) else math.ceil(n * depth) for group, (n, *_) in enumerate(_GROUPS)]
    before = 0
    for group, (repeat, (_, kernel, stride, expansion, filters)) in enumerate(zip(repeats, _GROUPS, strict=True)):
        for i in range(repeat):
            block = f"block{group + 1}{'abcdefgh'[i]}_"
            rate = drop * before / sum(repeats)
            x = _block(x, kernel, stride if i == 0 else 1, expansion, _rounded(filters * width), rate, block)
            before += 1
    x = _normalized(layers.Conv2D(1280, 1, use_bias=False, name="top_conv")(x), "top_")
    return layers.GlobalAveragePooling2D(name="avg_pool")(x)


def _rounded(filters: float) -> int:
    """The nearest multiple of 8 that is not less than nine tenths of it."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * filters else nearest


def _block(x, kernel: int, stride: int, expansion: int, filters: int, rate: float, block: str):
    """A mobile inverted bottleneck: wider, filtered channel by channel, narrower again, and added to what came in."""
    inputs, bands = x, x.shape[-1]
    if expansion > 1:
        x = layers.Conv2D(expansion * bands, 1, use_bias=False, name=f"{block}expand_conv")(x)
        x = _normalized(x, f"{block}expand_")
    x = layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False, name=f"{block}dwconv")(x)
    x = _normalized(x, block)
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{block}project_conv")(x)
    x = _batch_norm(f"{block}project_bn")(x)
    if stride > 1 or filters != bands:
        return x
    if rate:
        x = layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{block}drop")(x)
    return layers.Add(name=f"{block}add")([x, inputs])


def _batch_norm(name: str):
    return BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)


def _normalized(x, prefix: str):
    return layers.ReLU(max_value=6.0, name=f"{prefix}activation")(_batch_norm(f"{prefix}bn")(x))
