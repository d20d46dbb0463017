"""Models that warn once if images have another range than in training.

Their classes have the names of Keras' own, because Keras files use these names to locate the weights of nested models.
"""

import warnings

import keras

from morphtools.models.inputs import AsinhStretch, FluxScale
from tfrecords_builder.prepare import like_picture

_LOOKED_AT = 16  # images of a batch
_DARK = 1.01 / 255  # a picture divided by 255 twice has nothing brighter
_FAR = 1000.0  # in units of the noise: half of the pixels of a galaxy's image never exceed this


def beyond_picture(images) -> bool:
    """Whether images cannot be pictures from 0 to 1.

    Args:
        images: An array of NumPy, of any shape, without missing values.
    """
    low, high = float(images.min()), float(images.max())
    return bool(not -0.5 <= low <= high <= 1.5 or 0 < high < _DARK or (images < 0).mean() > 0.25)


def _beyond_flux(images, good, noise: tuple[float, ...]) -> bool:
    """Whether images (N, H, W, C) cannot be flux in units in which the sky has this noise."""
    levels = (abs(images) / noise)[good]
    levels.sort()
    wrong_unit = levels[len(levels) // 2] > _FAR or 0 < levels[-1] < 0.1
    return bool(wrong_unit or any(like_picture(image) for image in images))


class _Guard:
    """Checks images before they reach the compiled network, which sees no numbers. Not active in training."""

    layers: list
    _warned = _looked_into = False

    def __call__(self, *args, **kwargs):
        if args and not kwargs.get("training"):
            self._look(args[0])
        return super().__call__(*args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """Like `keras.Model.predict`, with a warning if `x` has another range than the training images."""
        if not self._warned:
            self._look(self._first_batch(x))
        return super().predict(x, *args, **kwargs)

    def predict_on_batch(self, x):
        """Like `keras.Model.predict_on_batch`, with the warning of `predict`."""
        self._look(x)
        return super().predict_on_batch(x)

    def _first_batch(self, x):
        """The first batch of a dataset, which is started an extra time for this, once per model."""
        if isinstance(x, keras.utils.PyDataset) or hasattr(x, "element_spec"):
            if self._looked_into:
                return None
            self._looked_into = True
            return x[0] if isinstance(x, keras.utils.PyDataset) else next(iter(x.take(1)), None)
        return x

    def _look(self, x) -> None:
        if self._warned:
            return
        arrays = (array for array in keras.tree.flatten(x) if len(getattr(array, "shape", ())) == 4)
        try:
            images = keras.ops.convert_to_numpy(next(arrays)[:_LOOKED_AT]).astype("float32")
        except Exception:  # a symbol of a compiled function, or nothing to look at
            return
        good, noise = abs(images) < float("inf"), _noise(self)
        known = images[good]
        if not known.size or not (beyond_picture(known) if noise is None else _beyond_flux(images, good, noise)):
            return
        for model in (self, *self.layers):
            if isinstance(model, _Guard):
                model._warned = True
        expected = "pictures with values from 0 to 1" if noise is None else f"flux whose sky has a noise of {noise}"
        warnings.warn(
            f"the images have values from {known.min():.4g} to {known.max():.4g}, but this model was trained on "
            f"{expected}: prepare them with morphtools.prepare_images",
            stacklevel=3,
        )


def _noise(model) -> tuple[float, ...] | None:
    """Of the sky of the flux that a model takes; None if it takes pictures."""
    layers = [layer for part in (model, *model.layers) for layer in getattr(part, "layers", [])]
    return next((layer.noise for layer in layers if isinstance(layer, AsinhStretch | FluxScale)), None)


@keras.saving.register_keras_serializable("morphtools")
class Functional(_Guard, keras.Model):
    """A functional `keras.Model` that warns once about images in another range than it was trained on."""


@keras.saving.register_keras_serializable("morphtools")
class Sequential(_Guard, keras.Sequential):
    """A `keras.Sequential` that warns once about images in another range than it was trained on."""
