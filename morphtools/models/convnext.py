"""ConvNeXt, for any number of bands."""

import keras
from keras import layers

_SIZES = {  # blocks and width of each stage
    "convnext_pico": ((2, 2, 6, 2), (64, 128, 256, 512)),
    "convnext_nano": ((2, 2, 8, 2), (80, 160, 320, 640)),
    "convnext_tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "convnext_small": ((3, 3, 27, 3), (96, 192, 384, 768)),
    "convnext_base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
}


def build_convnext(name: str, inputs, *, drop: float = 0.0):
    """The graph of a ConvNeXt up to its pooled and normalised representation.

    Layers are named `stem_…` and `block1_…` to `block4_…`, one prefix per stage of equal resolution; the normalisation
    after pooling belongs to the last.

    Args:
        name: `convnext_pico` (512-d), `convnext_nano` (640-d), `convnext_tiny`, `convnext_small` (768-d) or
            `convnext_base` (1024-d).
        inputs: (B, H, W, C) Keras tensor.
        drop: Stochastic depth: the rate at which the blocks of the last stage are skipped in training, up to the last;
            it rises linearly from zero at the first.

    Returns:
        (B, D) Keras tensor.

    Reference:
        Liu et al. 2022, arXiv:2201.03545; pico and nano: the `timm` package, R. Wightman.
    """
    depths, widths = _SIZES[name]
    x = layers.Conv2D(widths[0], 4, 4, kernel_initializer=_initializer(), name="stem_conv")(inputs)
    x = _normalized(x, "stem_norm")
    before = 0
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
        if stage > 1:
            x = _normalized(x, f"block{stage}_downsample_norm")
            options = {"kernel_initializer": _initializer(), "name": f"block{stage}_downsample_conv"}
            x = layers.Conv2D(width, 2, 2, **options)(x)
        for i in range(1, depth + 1):
            x = _block(x, drop * before / (sum(depths) - 1), f"block{stage}_{i}_")
            before += 1
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return _normalized(x, "block4_norm")


def _block(x, rate: float, block: str):
    """A depthwise 7×7 convolution, then two dense layers at every pixel, added to the input."""
    width = x.shape[-1]
    y = layers.DepthwiseConv2D(7, padding="same", depthwise_initializer=_initializer(), name=f"{block}dwconv")(x)
    y = _normalized(y, f"{block}norm")
    y = layers.Conv2D(4 * width, 1, activation="gelu", kernel_initializer=_initializer(), name=f"{block}expand_conv")(y)
    y = layers.Conv2D(width, 1, kernel_initializer=_initializer(), name=f"{block}project_conv")(y)
    y = LayerScale(name=f"{block}scale")(y)
    if rate:
        y = layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{block}drop")(y)
    return layers.Add(name=f"{block}add")([x, y])


def _initializer():
    return keras.initializers.TruncatedNormal(stddev=0.02)


def _normalized(x, name: str):
    return layers.LayerNormalization(epsilon=1e-6, name=name)(x)


@keras.saving.register_keras_serializable("morphtools")
class LayerScale(layers.Layer):
    """Multiplies every channel by its own factor, initially 10⁻⁶: a new block does almost nothing at first.

    Reference:
        Touvron et al. 2021, arXiv:2103.17239, section 2.
    """

    def build(self, input_shape):
        """One number for each channel."""
        self.gamma = self.add_weight(
            shape=(input_shape[-1],), initializer=keras.initializers.Constant(1e-6), name="gamma"
        )

    def call(self, inputs):
        """(…, C) → (…, C)."""
        return inputs * self.gamma

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape
