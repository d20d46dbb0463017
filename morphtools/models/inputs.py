"""First layers of encoders: from what images hold to what networks take."""

import keras
from keras import layers, ops

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow and torchvision


@keras.saving.register_keras_serializable("morphtools")
class AsinhStretch(layers.Layer):
    """Brings flux to display range: linear at the noise, logarithmic in the core; 0 stays 0.

    asinh(x / noise) / asinh(1000): the noise lies at about 0.1, a pixel 1000 times brighter than it at 1.

    Args:
        noise: Per band, the standard deviation of the sky, in the units of the pixels.

    Reference:
        Lupton, Gunn & Szalay 1999, arXiv:astro-ph/9903081.
    """

    def __init__(self, noise, **kwargs):
        kwargs.setdefault("dtype", "float32")  # flux spans more than half precision can hold
        super().__init__(**kwargs)
        self.noise = _positive(noise)

    def call(self, images):
        """(B, H, W, C) flux → (B, H, W, C), about 0–1."""
        return ops.arcsinh(images / ops.convert_to_tensor(self.noise, "float32")) / ops.arcsinh(1000.0)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "noise": self.noise}


@keras.saving.register_keras_serializable("morphtools")
class FluxScale(layers.Layer):
    """Scales flux without stretching it: a galaxy twice as bright has numbers twice as large.

    x / (100 noise), so that most galaxies lie between 0 and about 10; the batch normalisation after the first
    convolution does the rest. With `maximum` an image is divided by the brightest of its x / noise in any band, at
    least 1: shape and colour remain, brightness does not.

    Args:
        noise: Per band, the standard deviation of the sky, in the units of the pixels.
        maximum: Whether every image is divided by its own maximum.
    """

    def __init__(self, noise, maximum=False, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.noise, self.maximum = _positive(noise), maximum

    def call(self, images):
        """(B, H, W, C) flux → (B, H, W, C), linear in it."""
        images = images / ops.convert_to_tensor(self.noise, "float32")
        if not self.maximum:
            return images / 100.0
        return images / ops.maximum(ops.max(images, axis=(1, 2, 3), keepdims=True), 1.0)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "noise": self.noise, "maximum": self.maximum}


def _positive(noise) -> tuple[float, ...]:
    """The noise of every band, as numbers; ValueError if one is not positive."""
    noise = tuple(float(x) for x in noise)
    if not all(x > 0 for x in noise):
        raise ValueError(f"the noise of every band must be positive, got {noise}")
    return noise


@keras.saving.register_keras_serializable("morphtools")
class PictureRange(layers.Layer):
    """(x − mean) / deviation in every band, as most networks trained elsewhere take pictures; before that perhaps grey.

    An image of one band, shown to a network of several, is standardised for each of them: exactly what the network
    would see of a picture that is grey. Of another number of bands all have the mean over the known ones.

    Args:
        mean: Per band, of pictures 0–1.
        deviation: Per band, the standard deviation.
        grey: Whether the network takes one band: colours become their luminance (ITU-R BT.601).
    """

    def __init__(self, mean, deviation, grey=False, **kwargs):
        super().__init__(**kwargs)
        self.mean, self.deviation = (tuple(float(x) for x in values) for values in (mean, deviation))
        self.grey = grey
        if len(self.mean) != len(self.deviation) or (grey and len(self.mean) != 1):
            raise ValueError(
                f"one mean and one deviation for each band (one if grey), got {self.mean} and {self.deviation}"
            )
        if not all(x > 0 for x in self.deviation):
            raise ValueError(f"the deviation of every band must be positive, got {self.deviation}")

    def call(self, images):
        """(B, H, W, C) → (B, H, W, C), or another number of bands (see above)."""
        bands = images.shape[-1]
        if self.grey and bands == 3:
            images = ops.sum(images * ops.cast(_LUMA, images.dtype), axis=-1, keepdims=True)
        mean, deviation = (ops.cast(values, images.dtype) for values in (self.mean, self.deviation))
        if bands not in (1, len(self.mean)):
            mean, deviation = ops.mean(mean), ops.mean(deviation)
        return (images - mean) / deviation

    def compute_output_shape(self, input_shape):
        """The bands of the network."""
        bands = input_shape[-1]
        if self.grey:
            return (*input_shape[:-1], 1 if bands == 3 else bands)
        return (*input_shape[:-1], len(self.mean) if bands == 1 else bands)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "mean": self.mean, "deviation": self.deviation, "grey": self.grey}
