"""Geometric augmentations: changes of position, orientation and scale that leave the galaxy the same."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("morphtools")
class RandomView(keras.layers.Layer):
    """Any rotation, flips, zoom, shift, jitter and crop of every galaxy, as *one* affine resampling.

    Composing them before touching a pixel blurs once instead of many times. Acts only when `training`; use it
    inside a model, or in `tf.data` as `load_dataset(..., augment=RandomView())`.

    Args:
        rotation: Largest rotation in either direction, as a fraction of a full turn; 0.5 allows any angle.
        flip: Whether to mirror half of the galaxies along each axis.
        zoom: Magnification is drawn log-uniformly from [1/(1+zoom), 1+zoom], or uniformly from (low, high).
        shift: Largest shift along each axis, as a fraction of the side.
        jitter: Largest shift along each axis in whole pixels: on its own it resamples nothing.
        crop: Resized crop: smallest fraction of the image's area that a view shows; 1 shows all of it.
        aspect: Largest stretch of the window of a resized crop, along either axis.
        shear: Largest slant of either axis, in degrees, drawn from [0, shear].
        size: Side in pixels of the view: its middle is cut out at the scale of the image, or, with a resized crop,
            the window is scaled to it. By default the size of the image.
        chance: Fraction of the galaxies that are rotated, and share that are cropped, independently.
        fill_mode: What lies beyond the border, as in `keras.ops.image.affine_transform`.
        seed: Seed of the drawn views.

    Input: (B, H, W, C) float32, any number of bands. Output: (B, size, size, C).
    """

    def __init__(
        self,
        *,
        rotation: float = 0.5,
        flip: bool = True,
        zoom: float | tuple[float, float] = 0.1,
        shift: float = 0.04,
        jitter: int = 0,
        crop: float = 1.0,
        aspect: float = 1.0,
        shear: float = 0.0,
        size: int | None = None,
        chance: float = 1.0,
        fill_mode: str = "reflect",
        seed: int | None = None,
        **kwargs,
    ):
        kwargs.setdefault("dtype", "float32")  # geometry in half precision would move pixels
        super().__init__(**kwargs)
        self.rotation, self.flip, self.zoom, self.shift, self.jitter = rotation, flip, zoom, shift, jitter
        self.crop, self.aspect, self.shear, self.size, self.chance = crop, aspect, shear, size, chance
        self.fill_mode, self.seed = fill_mode, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        # XLA knows no projective transform of TensorFlow: on a GPU, where Keras compiles by it, a fit would fail
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def call(self, images, training=True):
        """Resamples every image through its own random affine map."""
        n, height, width = ops.shape(images)[:3]
        side = self.size
        if side is not None and side > min(height, width):
            raise ValueError(f"views of {side} pixels cannot be cut from images of {height} × {width}")
        if not training:
            return self._middle(images)
        views = ops.image.affine_transform(
            images,
            self.draw(n, height, width),
            interpolation="bilinear",
            fill_mode=self.fill_mode,
            data_format="channels_last",
        )
        return views if side is None else views[:, :side, :side]

    def _middle(self, images):
        """What the middle of the drawn views would be."""
        if self.size is None:
            return images
        if self.crop < 1:
            return ops.image.resize(images, (self.size, self.size), antialias=True, data_format="channels_last")
        y, x = ((extent - self.size) // 2 for extent in images.shape[1:3])
        return images[:, y : y + self.size, x : x + self.size]

    def draw(self, n, height: int, width: int):
        """Draws `n` affine maps from output to input pixels.

        Args:
            n: Number of maps.
            height: Rows of the images.
            width: Columns of the images.

        Returns:
            (n, 8): rows `a0 a1 a2 b0 b1 b2 0 0` with x_in = a0·x + a1·y + a2 and y_in = b0·x + b1·y + b2.
        """
        u = keras.random.uniform((16, n), -1.0, 1.0, seed=self.seed_generator)
        turned, cropped = (ops.cast((1 + u[i]) / 2 < self.chance, "float32") for i in (0, 1))
        a0, a1, b0, b1 = self._linear(u[2:8], turned)
        # A resized crop: a window of a random share of the area, anywhere on the image, fills the view.
        out_height, out_width = (self.size or height), (self.size or width)
        share = ops.sqrt(1 - cropped * (1 - self.crop) * (1 + u[10]) / 2)
        stretch = ops.exp(cropped * math.log(self.aspect) / 2 * u[11])
        wide, high = ops.minimum(share * stretch, 1.0), ops.minimum(share / stretch, 1.0)
        if self.crop < 1:
            wide_scale, high_scale = wide * width / out_width, high * height / out_height
            a0, a1, b0, b1 = a0 * wide_scale, a1 * high_scale, b0 * wide_scale, b1 * high_scale
        jitter_x, jitter_y = (ops.round((self.jitter + 0.4999) * u[i]) for i in (12, 13))
        slide_x, slide_y = width * (1 - wide) / 2 * u[14], height * (1 - high) / 2 * u[15]
        x_in = self._centre(width) + self.shift * width * u[8] + jitter_x + slide_x
        y_in = self._centre(height) + self.shift * height * u[9] + jitter_y + slide_y
        # The map turns about the centre of the image, then shifts.
        x, y = (out_width - 1) / 2, (out_height - 1) / 2
        zero = ops.zeros_like(a0)
        return ops.stack([a0, a1, x_in - a0 * x - a1 * y, b0, b1, y_in - b0 * x - b1 * y, zero, zero], axis=1)

    def _centre(self, extent: int) -> float:
        """Where the middle of the view lies on a side of the image: between two pixels only if it must."""
        if self.size is None or self.crop < 1:
            return (extent - 1) / 2
        return (extent - self.size) // 2 + (self.size - 1) / 2

    def _linear(self, u, turned):
        """Rotation, flips, zoom and shear of every galaxy, as `a0 a1 b0 b1`."""
        angle = 2 * math.pi * self.rotation * u[0] * turned
        mirror_x, mirror_y = (ops.where(u[i] < 0, -1.0, 1.0) if self.flip else ops.ones_like(u[0]) for i in (1, 2))
        if isinstance(self.zoom, int | float):
            scale = ops.exp(-math.log1p(self.zoom) * u[3])  # input pixels per output pixel
        else:
            low, high = self.zoom
            scale = 1 / (low + (high - low) * (1 + u[3]) / 2)
        cos, sin = scale * ops.cos(angle), scale * ops.sin(angle)
        slant_x, slant_y = (ops.tan(math.radians(self.shear) * (1 + u[i]) / 2) for i in (4, 5))
        return (
            (cos - sin * slant_y) * mirror_x,
            (cos * slant_x - sin) * mirror_y,
            (sin + cos * slant_y) * mirror_x,
            (sin * slant_x + cos) * mirror_y,
        )

    def compute_output_shape(self, input_shape):
        """(B, H, W, C) → (B, size, size, C)."""
        return input_shape if self.size is None else (input_shape[0], self.size, self.size, input_shape[3])

    def get_config(self):
        """The arguments of the constructor."""
        names = ("rotation", "flip", "zoom", "shift", "jitter", "crop", "aspect", "shear", "size", "chance")
        names += ("fill_mode", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("morphtools")
class RandomErase(keras.layers.Layer):
    """Hides small rectangles of every image, all of them in one pass.

    Args:
        patches: Rectangles per image.
        area: Fraction of the image's area that each hides is drawn uniformly from (low, high).
        aspect: Ratio of its sides is drawn log-uniformly from [1/aspect, aspect].
        fill: Value inside the rectangles.
        seed: Seed of the draws.

    Input and output: (B, H, W, C) float32.

    Reference:
        Zhong et al. 2017, arXiv:1708.04896.
    """

    def __init__(self, *, patches=5, area=(0.002, 0.007), aspect=2.0, fill=0.0, seed=None, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.patches, self.area, self.aspect, self.fill, self.seed = patches, tuple(area), aspect, fill, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=True):
        """Images → images with rectangles of `fill`."""
        if not training:
            return images
        n, height, width = ops.shape(images)[:3]
        u = keras.random.uniform((4, n, self.patches, 1), seed=self.seed_generator)
        area = self.area[0] + (self.area[1] - self.area[0]) * u[0]
        stretch = ops.exp(math.log(self.aspect) * (2 * u[1] - 1))
        high, wide = ops.sqrt(area / stretch) * height, ops.sqrt(area * stretch) * width
        rows = self._inside(height, high, (height - high) * u[2])
        columns = self._inside(width, wide, (width - wide) * u[3])
        hidden = ops.einsum("bph,bpw->bhw", rows, columns)[..., None] > 0.5
        return ops.where(hidden, self.fill, images)

    def _inside(self, extent: int, length, start):
        """Which pixels of an axis lie in each interval: (B, patches, extent), 0 or 1."""
        pixel = ops.arange(extent, dtype="float32") + 0.5
        return ops.cast((pixel >= start) & (pixel < start + length), "float32")

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape

    def get_config(self):
        """The arguments of the constructor."""
        names = ("patches", "area", "aspect", "fill", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
