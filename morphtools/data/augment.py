"""Augmentations: what may change in the picture of a galaxy without changing the galaxy."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("morphtools")
class RandomView(keras.layers.Layer):
    """Any rotation, flips, a little zoom and shift of every galaxy, as *one* affine resampling.

    Composing the four before touching a pixel blurs once instead of four times. Acts only when `training`; use it
    inside a model, or in `tf.data` as `load_dataset(..., augment=RandomView())`.

    Args:
        rotation: Largest turn in either direction, in units of a full turn; 0.5 is any angle.
        flip: Whether to mirror half of the galaxies (together with the rotation: about any axis).
        zoom: Scale is drawn log-uniformly from [1/(1+zoom), 1+zoom].
        shift: Largest shift along each axis, as a fraction of the side.
        fill_mode: What lies beyond the border, as in `keras.ops.image.affine_transform`.
        seed: Seed of the drawn views.
        training: Value of `training` where none is given, so that the layer works in `tf.data`.

    Input and output: (B, H, W, C) float32, any number of bands.
    """

    def __init__(
        self,
        *,
        rotation: float = 0.5,
        flip: bool = True,
        zoom: float = 0.1,
        shift: float = 0.04,
        fill_mode: str = "reflect",
        seed: int | None = None,
        **kwargs,
    ):
        kwargs.setdefault("dtype", "float32")  # geometry in half precision would move pixels
        super().__init__(**kwargs)
        self.rotation, self.flip, self.zoom, self.shift = rotation, flip, zoom, shift
        self.fill_mode, self.seed = fill_mode, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=True):
        """Resamples every image through its own random affine map."""
        if not training:
            return images
        return ops.image.affine_transform(
            images,
            self.draw(*ops.shape(images)[:3]),
            interpolation="bilinear",
            fill_mode=self.fill_mode,
            data_format="channels_last",
        )

    def draw(self, n, height: int, width: int):
        """Draws `n` affine maps from output to input pixels.

        Args:
            n: Number of maps.
            height: Rows of the images.
            width: Columns of the images.

        Returns:
            (n, 8): rows `a0 a1 a2 b0 b1 b2 0 0` with x_in = a0·x + a1·y + a2 and y_in = b0·x + b1·y + b2.
        """
        u = keras.random.uniform((5, n), -1.0, 1.0, seed=self.seed_generator)
        angle = 2 * math.pi * self.rotation * u[0]
        mirror = ops.where(u[1] < 0, -1.0, 1.0) if self.flip else ops.ones_like(u[1])
        scale = ops.exp(-math.log1p(self.zoom) * u[2])  # input pixels per output pixel
        cos, sin = scale * ops.cos(angle), scale * ops.sin(angle)
        a0, a1, b0, b1 = cos * mirror, -sin, sin * mirror, cos
        # The map turns about the centre of the image, then shifts.
        x, y = (width - 1) / 2, (height - 1) / 2
        a2 = x - a0 * x - a1 * y + self.shift * width * u[3]
        b2 = y - b0 * x - b1 * y + self.shift * height * u[4]
        zero = ops.zeros_like(a0)
        return ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape

    def get_config(self):
        """The arguments of the constructor."""
        names = ("rotation", "flip", "zoom", "shift", "fill_mode", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
