"""Residual networks for any number of bands, with the stem for small images of Hayat et al. (2021)."""

import keras
from keras import layers

from morphtools.models.batch_norm import BatchNormalization

_BLOCKS = {  # kind of block, blocks in each group, width of the first
    "resnet10_half": ("basic", (1, 1, 1, 1), 32),
    "resnet18": ("basic", (2, 2, 2, 2), 64),
    "resnet50": ("bottleneck", (3, 4, 6, 3), 64),
    "resnet101": ("bottleneck", (3, 4, 23, 3), 64),
}


def build_resnet(name: str, inputs, *, small_images: bool = False):
    """The graph of a residual network up to its pooled representation.

    Layers are named `stem_…` and `block1_…` to `block4_…`, one prefix per group of equal resolution.

    Args:
        name: `resnet18` (512-d), `resnet50`, `resnet101` (2048-d) or `resnet10_half` (256-d): one block in each group,
            half as wide, a sixth of the time of `resnet18` on a processor.
        inputs: (B, H, W, C) Keras tensor.
        small_images: Stem with stride 1 and without max-pooling, for images of about 64 pixels.

    Returns:
        (B, D) Keras tensor.

    Reference:
        He et al. 2016, arXiv:1512.03385, table 1, with the stride on the 3×3 convolution of a bottleneck (as in
        PyTorch); stem: Hayat et al. 2021, arXiv:2012.13083, appendix E.1.
    """
    kind, repeats, width = _BLOCKS[name]
    x = _conv(inputs, width, 7, 1 if small_images else 2, "stem")
    x = layers.ReLU(name="stem_relu")(x)
    if not small_images:
        x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
        x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    for group, repeat in enumerate(repeats, start=1):
        for i in range(repeat):
            stride = 2 if group > 1 and i == 0 else 1
            x = _residual(x, width * 2 ** (group - 1), stride, kind, f"block{group}_{i + 1}")
    return layers.GlobalAveragePooling2D(name="avg_pool")(x)


def _residual(x, width: int, stride: int, kind: str, name: str):
    if kind == "basic":
        shapes = [(width, 3, stride), (width, 3, 1)]
    else:
        shapes = [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)]
    y = x
    for i, (filters, kernel, step) in enumerate(shapes, start=1):
        y = _conv(y, filters, kernel, step, f"{name}_{i}")
        if i < len(shapes):
            y = layers.ReLU(name=f"{name}_{i}_relu")(y)
    if x.shape != y.shape:
        x = _conv(x, shapes[-1][0], 1, stride, f"{name}_shortcut")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def _conv(x, filters: int, kernel: int, stride: int, name: str):
    if kernel > 1 and stride > 1:  # symmetric padding: here "same" would shift the grid
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    options = {"use_bias": False, "kernel_initializer": keras.initializers.HeNormal(), "name": f"{name}_conv"}
    x = layers.Conv2D(filters, kernel, stride, "same" if stride == 1 else "valid", **options)(x)
    return BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
