"""Encoders: from the image of a galaxy to its representation."""

import math
import re
from collections.abc import Callable
from functools import partial

import keras
from keras import layers, ops

from morphtools.models.batch_norm import in_training
from morphtools.models.convnext import build_convnext
from morphtools.models.efficientnet import build_efficientnet
from morphtools.models.heads import projection_head
from morphtools.models.inputs import AsinhStretch, FluxScale, PictureRange
from morphtools.models.resnet import build_resnet
from morphtools.models.standardize import Standardize
from tfrecords_builder.naming import check_known

ENCODERS = (
    "convnext_base",
    "convnext_nano",
    "convnext_pico",
    "convnext_small",
    "convnext_tiny",
    "efficientnet_b0",
    "efficientnet_lite0",
    "efficientnet_lite2",
    "mobilenet_v3_small",
    "resnet10_half",
    "resnet18",
    "resnet50",
    "resnet101",
)
FLUX: dict[str, Callable[..., layers.Layer]] = {
    "asinh": AsinhStretch,
    "linear": FluxScale,
    "maximum": partial(FluxScale, maximum=True),
}
_WITH = {  # options that only some networks have, and which: by the beginning of their names
    "small_images": ("resnet",),
    "drop": ("convnext", "efficientnet_lite"),
    "torch": ("efficientnet",),
}


def build_encoder(
    name: str,
    input_shape: tuple[int | None, int | None, int],
    *,
    small_images: bool = False,
    noise: tuple[float, ...] | None = None,
    drop: float = 0.0,
    torch: bool = False,
    mean: tuple[float, ...] | None = None,
    deviation: tuple[float, ...] | None = None,
    grey: bool = False,
    flux: str = "asinh",
    projection: dict | None = None,
) -> keras.Model:
    """Builds an encoder with random weights.

    Args:
        name: `efficientnet_b0`, `efficientnet_lite0`, `efficientnet_lite2` (1280-d), `mobilenet_v3_small` (576-d),
            `resnet18` (512-d), `resnet50`, `resnet101` (2048-d), `resnet10_half` (256-d), for small images on a laptop;
            `convnext_pico` (512-d), `convnext_nano` (640-d), `convnext_tiny`, `convnext_small` (768-d) or
            `convnext_base` (1024-d).
        input_shape: (H, W, C): any number of bands; H and W may be None.
        small_images: Stride-1 stem without max-pooling, for images of about 64 pixels (residual networks only).
        noise: Per band, the sky noise of flux images. None for images that are 0–1 already.
        drop: Stochastic depth (EfficientNet-Lite and ConvNeXt): the rate at which the last block is skipped in
            training. It changes neither the weights nor what the trained encoder gives.
        torch: Padding and batch normalisation as in EfficientNets trained with PyTorch.
        mean: Per band, what is subtracted from images 0–1 instead of the range of the network itself, for weights
            that were trained so (see `PictureRange`).
        deviation: Per band, what they are divided by then.
        grey: Whether the network takes one band, the luminance of images in colour; with `mean` and `deviation`.
        flux: What comes first, for flux: `asinh` (see `AsinhStretch`), `linear` or `maximum` (see `FluxScale`).
        projection: Arguments of `projection_head` but for `width`: the model then gives the direction of a contrastive
            projection (B, outputs), of length 1, instead of the representation.

    Returns:
        A model (B, H, W, C) → (B, D).

    Raises:
        ValueError: No such encoder, or an option that does not apply to it.
    """
    check_keras()
    check_known("encoder", name, ENCODERS)
    for option, value in (("small_images", small_images), ("drop", drop), ("torch", torch)):
        if value and not name.startswith(_WITH[option]):
            raise ValueError(f"{option} is for {', '.join(_WITH[option])} networks; {name!r} has none")
    if not 0 <= drop < 1:
        raise ValueError(f"drop must be a rate from 0 to below 1, got {drop}")
    if (mean is None) != (deviation is None) or (grey and mean is None):
        raise ValueError("give mean and deviation together; grey needs both")
    inputs = keras.Input(input_shape, name="image")
    check_known("flux", flux, FLUX)
    x = inputs if noise is None else FLUX[flux](noise, name="stretch")(inputs)
    if mean is not None:
        x = PictureRange(mean, deviation, grey, name="range")(x)
    elif name in _RANGES:
        x = layers.Rescaling(*_RANGES[name], name="range")(x)
    x = _network(name, x, small_images=small_images, drop=drop, torch=torch)
    if projection is not None:
        for layer in projection_head(x.shape[-1], **projection).layers:
            x = layer(x)
        x = layers.UnitNormalization(name="direction")(x)
    encoder = keras.Model(inputs, x, name=name)
    return _with_plain_weights(encoder) if name == "efficientnet_b0" and not torch else encoder


_RANGES = {  # factor and offset from images 0–1 to the range of a network itself
    "efficientnet_lite0": (255 / 128, -127 / 128),
    "efficientnet_lite2": (255 / 128, -127 / 128),
    "mobilenet_v3_small": (2.0, -1.0),
}


def check_keras() -> None:
    """Raises ValueError if Keras has settings (in `keras.json`, or by a call) that our networks do not support."""
    settings = {"image_data_format": keras.config.image_data_format(), "floatx": keras.config.floatx()}
    for name, value in {"image_data_format": "channels_last", "floatx": "float32"}.items():
        if settings[name] != value:
            raise ValueError(
                f"Keras has {name} {settings[name]!r}, but morphtools needs {value!r}: change it in "
                f"~/.keras/keras.json (or KERAS_HOME), or call keras.config.set_{name}({value!r})"
            )


def _with_plain_weights(network: keras.Model) -> keras.Model:
    """The network with our standardisation instead of Keras' own, whose copies do not use its weights."""

    def ours(layer):
        plain = Standardize(name=layer.name) if isinstance(layer, layers.Normalization) else None
        return plain or layer.__class__.from_config(layer.get_config())

    copy = keras.models.clone_model(network, clone_function=ours)
    copy.set_weights(network.get_weights())
    return copy


def _network(name: str, x, *, small_images: bool, drop: float, torch: bool):
    """The representation (B, D) of images in the range that the network takes."""
    if name.startswith("resnet"):
        return build_resnet(name, x, small_images=small_images)
    if name.startswith("convnext"):
        return build_convnext(name, x, drop=drop)
    if name.startswith("efficientnet_lite") or torch:
        return build_efficientnet(name, x, drop=drop, torch=torch)
    options = {"include_top": False, "weights": None, "pooling": "avg"}
    if name == "efficientnet_b0":  # this network divides by 255 itself
        x = layers.Rescaling(255.0, name="levels")(x)
        return keras.applications.EfficientNetB0(input_tensor=x, **options).output
    network = keras.applications.MobileNetV3Small(input_tensor=x, include_preprocessing=False, **options)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.99  # its 0.999 lags thousands of steps behind the weights
    return network.output


@keras.saving.register_keras_serializable("morphtools")
class Orientations(layers.Layer):
    """Shows every image in its eight orientations: four quarter-turns, and their mirror images; no interpolation.

    `OrientationMean` after the encoder averages them. A galaxy has no up or down: after averaging, its representation
    does not depend on how the camera was oriented. In training, where views are random, neither layer does anything.

    Args:
        count: 8, 4 (both flips, for images that are not square), 2 (one flip) or 1 (as it is).
    """

    def __init__(self, count: int = 8, **kwargs):
        super().__init__(**kwargs)
        if count not in (1, 2, 4, 8):
            raise ValueError(f"orientations must be 8, 4, 2 or 1, got {count}")
        self.count = count

    def call(self, images, training=False):
        """(B, H, W, C) → (count·B, H, W, C), orientation by orientation."""
        if training:
            return images
        if self.count == 8:
            images = ops.concatenate([images, ops.transpose(images, (0, 2, 1, 3))], axis=0)
        for axis in {8: (1, 2), 4: (1, 2), 2: (2,), 1: ()}[self.count]:
            images = ops.concatenate([images, ops.flip(images, axis=axis)], axis=0)
        return images

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "count": self.count}

    def compute_output_shape(self, input_shape):
        """The shape of the input: only the batch grows."""
        return (None, *input_shape[1:])


@keras.saving.register_keras_serializable("morphtools")
class OrientationMean(layers.Layer):
    """The mean representation of the eight (of `count`) orientations made by `Orientations`."""

    def __init__(self, count: int = 8, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def call(self, representations, training=False):
        """(8B, D) → (B, D)."""
        if training:
            return representations
        width = representations.shape[-1]
        return ops.mean(ops.reshape(representations, (self.count, -1, width)), axis=0)

    def compute_output_shape(self, input_shape):
        """The shape of the input: only the batch shrinks."""
        return (None, *input_shape[1:])

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "count": self.count}


def any_way_up(encoder: keras.Model, count: int = 8) -> list[layers.Layer]:
    """The layers that represent an image as the mean over its orientations, for a `keras.Sequential`.

    Args:
        encoder: (B, H, W, C) → (B, D).
        count: Number of orientations: 8, 4, 2 or 1; at most 4 where H ≠ W.
    """
    height, width = encoder.input_shape[1:3]
    count = count if height == width else min(count, 4)
    return [Orientations(count), encoder, OrientationMean(count)]


def settle_batch_norm(encoder: keras.Model, *batches) -> None:
    """Gives the batch normalisation of an encoder the statistics of real images under its present weights.

    A new network's moving averages are 0 and 1, which fits no layer: frozen in this state, EfficientNetB0's
    representations of different galaxies agree to a millionth, and nothing can be learned from them. Averaged weights
    do not fit the moving averages of their training either. One pass in training mode sets every average to its mean
    over the batches.

    Args:
        encoder: Changed in place; only moving means and variances.
        batches: (B, H, W, C) images as the encoder will see them; about 64 or more each.

    Reference:
        Izmailov et al. 2018, arXiv:1803.05407, section 3.2, for averaged weights.
    """
    norms = [layer for layer in encoder.layers if isinstance(layer, layers.BatchNormalization)]
    changed = [(layer, "momentum") for layer in norms]
    changed += [(layer, "rate") for layer in encoder.layers if isinstance(layer, layers.Dropout)]
    before = [getattr(layer, name) for layer, name in changed]
    for layer, name in changed:
        setattr(layer, name, 0.0)
    averages = [average for layer in norms for average in (layer.moving_mean, layer.moving_variance)]
    compiled, seen = in_training(encoder), []
    for images in batches:
        if math.prod(images.shape) > _WORTH_COMPILING:
            compiled(images)
        else:
            encoder(images, training=True)
        seen.append([average + 0.0 for average in averages])  # a number, not the variable
    for average, *values in zip(averages, *seen, strict=True):
        average.assign(sum(values) / len(values))
    for (layer, name), value in zip(changed, before, strict=True):
        setattr(layer, name, value)


# Numbers in a batch, as of 64 images of 104 pixels in colour. Compiling takes a second; layer by layer, all that the
# layers give is kept until the end: twice the memory at 128 pixels.
_WORTH_COMPILING = 2**21


def encoder_blocks(encoder: keras.Model) -> list[list[layers.Layer]]:
    """The encoder's layers in blocks, from the top (next to the head) down to the stem.

    Args:
        encoder: A model of `build_encoder`: its blocks are named `block1…` or `expanded_conv…`, `expanded_conv_1…`.

    Returns:
        Lists of layers: what comes after the last numbered block ("top", if it has weights), the blocks from the
        highest number to 1, the stem.
    """
    groups: dict[int, list] = {}
    block = 0
    for layer in encoder.layers:
        match = re.match(r"block(\d+)|expanded_conv(?:_(\d+))?(?=_[a-z])", layer.name)
        if match:
            block = int(match[1] or int(match[2] or 0) + 1)
        elif block and layer.name.startswith(("top", "conv_1")):
            block = 10**6
        groups.setdefault(block, []).append(layer)
    return [groups[key] for key in sorted(groups, reverse=True)]


def unfreeze(encoder: keras.Model, depth: int | str, *, batch_norm: bool = False) -> None:
    """Makes the top of an encoder trainable, and only that; compile the model again afterwards.

    Batch normalisation stays frozen, in inference mode, as is right for a pretrained encoder: a few hundred galaxies
    would only blur its statistics. Random weights have none worth keeping: they need `batch_norm`.

    Args:
        encoder: Changed in place.
        depth: `head` (nothing), a number of blocks from the top, or `all`.
        batch_norm: Whether batch normalisation is trained where the rest is.

    Raises:
        ValueError: The encoder has fewer blocks than `depth`, or `depth` is none of these.

    Reference:
        Walmsley et al. 2022, arXiv:2110.12735, section 4.
    """
    blocks = encoder_blocks(encoder)
    number = {"head": 0, "all": len(blocks)}.get(str(depth), depth)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= len(blocks):
        raise ValueError(f"depth must be 'head', 'all' or a number of blocks from 1 to {len(blocks)}, got {depth!r}")
    encoder.trainable = True  # the container's own flag would override its layers'
    for i, block in enumerate(blocks):
        for layer in block:
            layer.trainable = i < number and (batch_norm or not isinstance(layer, layers.BatchNormalization))
