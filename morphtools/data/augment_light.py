"""Augmentations of brightness and sharpness: dust, seeing, noise, and the display of a picture.

Every layer draws new numbers for each galaxy, takes (B, H, W, C) float32 with any number of bands and acts when
`training`, which is the default, as in `tf.data`.
"""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("morphtools")
class RandomExtinction(keras.layers.Layer):
    """Dims every band as a random column of Galactic dust would.

    Args:
        coefficients: A_b / E(B−V) of every band (see `morphtools.survey.extinction`).
        ebv: E(B−V) is drawn uniformly from (low, high), in magnitudes on the SFD98 scale.
        lognormal: Instead, (shape, location, scale) of the E(B−V) found over a survey, as SciPy names them: an image is
            dereddened by one draw and reddened by another.
        seed: Seed of the draws.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, section 2; flux·10^(−0.4·A·E(B−V)).
    """

    def __init__(self, coefficients=None, *, ebv=(0.0, 0.5), lognormal=None, seed=None, **kwargs):
        kwargs.setdefault("dtype", "float32")  # flux spans more than half precision can hold
        super().__init__(**kwargs)
        if coefficients is None:
            raise ValueError(
                "the coefficients of extinction of every band are needed, and no known camera has these bands: build "
                "the records with the names of their bands (--bands g,r,z), or choose augmentations without it"
            )
        self.coefficients, self.ebv, self.lognormal, self.seed = tuple(coefficients), tuple(ebv), lognormal, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=True):
        """Flux → reddened flux."""
        return images * self.draw(ops.shape(images)[0])[:, None, None] if training else images

    def draw(self, n):
        """Transmissions (n, C)."""
        if self.lognormal is None:
            ebv = keras.random.uniform((n, 1), *self.ebv, seed=self.seed_generator)
        else:
            levels = _lognormal((2, n, 1), self.lognormal, self.seed_generator)
            ebv = levels[0] - levels[1]
        return ops.power(10.0, -0.4 * ebv * ops.convert_to_tensor(self.coefficients, "float32"))

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape

    def get_config(self):
        """The arguments of the constructor."""
        names = ("coefficients", "ebv", "lognormal", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("morphtools")
class RandomBlur(keras.layers.Layer):
    """Blurs every galaxy with a Gaussian that is wider in the blue, like atmospheric seeing.

    The true Gaussian transfer function, applied in the cosine basis: the border is mirrored, no flux is lost, and blurs
    of much less than a pixel are right too.

    Args:
        sigma: Standard deviation in pixels in the reference band: |N(0, sigma)|, or uniform from (low, high).
        wavelengths: Of every band, in any unit: σ_b = σ (λ_b/λ_reference)^−0.3. None for the same in all bands.
        reference: Which band `sigma` belongs to.
        lognormal: Instead of `sigma`, for every band (shape, location, scale) of the widths found over a survey, as
            SciPy names them: an image of one drawn seeing is brought to another drawn one if that is worse.
        pixels: Pixels of standard deviation per unit of these widths.
        chance: Fraction of galaxies that are blurred.
        seed: Seed of the draws.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, section 2; Xin et al. 2018, arXiv:1805.02667 (λ^−0.3).
    """

    def __init__(
        self,
        *,
        sigma=0.13,
        wavelengths=None,
        reference=0,
        lognormal=None,
        pixels=1.0,
        chance=1.0,
        seed=None,
        **kwargs,
    ):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.sigma, self.reference, self.lognormal = sigma, reference, lognormal
        self.wavelengths = None if wavelengths is None else tuple(wavelengths)
        self.pixels, self.chance, self.seed = pixels, chance, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=True):
        """Images → blurred images."""
        if not training:
            return images
        n, height, width, bands = ops.shape(images)
        sigma = self.draw(n, bands)
        down, across = _cosines(height), _cosines(width)
        spectrum = ops.einsum("uh,bhwc,vw->buvc", down, images, across)
        spectrum = spectrum * _transfer(height, sigma)[:, :, None] * _transfer(width, sigma)[:, None]
        return ops.einsum("uh,buvc,vw->bhwc", down, spectrum, across)

    def draw(self, n, bands: int):
        """Standard deviations (n, bands) in pixels, 0 where nothing is blurred."""
        if self.lognormal is not None:
            sigma = self.pixels * _excess(n, self.lognormal, self.seed_generator)
        elif isinstance(self.sigma, int | float):
            sigma = ops.abs(keras.random.normal((n, 1), 0.0, self.sigma, seed=self.seed_generator))
        else:
            sigma = keras.random.uniform((n, 1), *self.sigma, seed=self.seed_generator)
        blurred = keras.random.uniform((n, 1), seed=self.seed_generator) < self.chance
        scale = [1.0] * bands
        if self.wavelengths is not None:
            scale = [(each / self.wavelengths[self.reference]) ** -0.3 for each in self.wavelengths]
        return ops.where(blurred, sigma, 0.0) * ops.convert_to_tensor(scale, "float32")

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape

    def get_config(self):
        """The arguments of the constructor."""
        names = ("sigma", "wavelengths", "reference", "lognormal", "pixels", "chance", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("morphtools")
class RandomNoise(keras.layers.Layer):
    """Adds Gaussian noise in proportion to the sky noise of every band.

    Args:
        noise: Standard deviation of the sky in every band (`Records.noise`), in the units of the pixels.
        scale: One factor for all bands of a galaxy is drawn uniformly from (low, high).
        lognormal: Instead of both, for every band (shape, location, scale) of the noise found over a survey, as SciPy
            names them: an image of one drawn noise is brought to another drawn one if that is worse.
        seed: Seed of the draws.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, section 2: N(0, γ_c) with γ_c = U(1, 3) × the band's MAD.
    """

    def __init__(self, noise=None, *, scale=(1.0, 3.0), lognormal=None, seed=None, **kwargs):
        kwargs.setdefault("dtype", "float32")  # the noise of a band may be below what half precision resolves
        super().__init__(**kwargs)
        if noise is None and lognormal is None:
            raise ValueError("the noise of every band is needed, in the units of the pixels: pictures have none")
        self.noise = None if noise is None else tuple(noise)
        self.scale, self.lognormal, self.seed = tuple(scale), lognormal, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=True):
        """Flux → noisier flux."""
        if not training:
            return images
        sigma = self.draw(ops.shape(images)[0])[:, None, None]
        return images + sigma * keras.random.normal(ops.shape(images), seed=self.seed_generator)

    def draw(self, n):
        """Standard deviations (n, C) of what is added."""
        if self.lognormal is not None:
            return _excess(n, self.lognormal, self.seed_generator)
        scale = keras.random.uniform((n, 1), *self.scale, seed=self.seed_generator)
        return scale * ops.convert_to_tensor(self.noise, "float32")

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape

    def get_config(self):
        """The arguments of the constructor."""
        names = ("noise", "scale", "lognormal", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("morphtools")
class RandomDisplay(keras.layers.Layer):
    """Changes how pictures in 0–1 are displayed: brightness, contrast, grey instead of colour.

    Args:
        brightness: Largest change of level, as a fraction of the range.
        contrast: Differences from the picture's mean are multiplied by a factor from [1−contrast, 1+contrast].
        grey: Fraction of the galaxies shown as the mean of their bands.
        chance: Fraction of the galaxies whose brightness and contrast change.
        seed: Seed of the draws.

    Reference:
        Chen et al. 2020, arXiv:2002.05709, appendix A (there also hue and saturation, which the colour of a galaxy is
        better not made blind to).
    """

    def __init__(self, *, brightness=0.2, contrast=0.2, grey=0.0, chance=1.0, seed=None, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.brightness, self.contrast, self.grey, self.chance, self.seed = brightness, contrast, grey, chance, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=True):
        """Pictures in 0–1 → pictures in 0–1."""
        if not training:
            return images
        level, factor, grey = self.draw(ops.shape(images)[0])
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        changed = ops.where(grey, ops.mean(images, axis=-1, keepdims=True), images)
        return ops.clip((changed - mean) * factor + mean + level, 0.0, 1.0)

    def draw(self, n):
        """Added level, factor and whether grey, each (n, 1, 1, 1)."""
        u = keras.random.uniform((4, n, 1, 1, 1), seed=self.seed_generator)
        changed = ops.cast(u[0] < self.chance, "float32")
        level = self.brightness * (2 * u[1] - 1) * changed
        return level, 1 + self.contrast * (2 * u[2] - 1) * changed, u[3] < self.grey

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape

    def get_config(self):
        """The arguments of the constructor."""
        names = ("brightness", "contrast", "grey", "chance", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _cosines(n: int):
    """The orthonormal cosine basis (DCT-II) as a matrix (frequency, pixel): it mirrors an image at its borders."""
    pixel, frequency = ops.arange(n, dtype="float32"), ops.arange(n, dtype="float32")[:, None]
    basis = ops.cos(math.pi / n * frequency * (pixel + 0.5)) * math.sqrt(2 / n)
    return ops.where(frequency == 0, math.sqrt(1 / n), basis)


def _transfer(n: int, sigma):
    """Transfer function of a Gaussian at the frequencies of `_cosines`: (B, C) σ → (B, n, C)."""
    frequency = ops.arange(n, dtype="float32")[:, None] * (math.pi / n)
    return ops.exp(-0.5 * ops.square(sigma[:, None] * frequency))


def _lognormal(shape, parameters, seed):
    """Draws from log-normal distributions; `parameters` (…, 3) are shape, location and scale as in SciPy."""
    spread, location, scale = ops.moveaxis(ops.convert_to_tensor(parameters, "float32"), -1, 0)
    return location + scale * ops.exp(spread * keras.random.normal(shape, seed=seed))


def _excess(n, parameters, seed):
    """What to add in quadrature, (n, C), to bring one drawn level to another; 0 where that is lower."""
    present, wanted = _lognormal((2, n, len(parameters)), parameters, seed)
    return ops.sqrt(ops.maximum(ops.square(wanted) - ops.square(present), 0.0))
