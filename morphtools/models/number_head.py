"""Numbers: a normal distribution for each, and the likelihood of the measured values."""

import keras
from keras import ops

from morphtools.models.heads import DenseHead


def number_loss(number, outputs):
    """−log of the density of the numbers, without its constant, one per galaxy: Σ (y − μ)² / 2σ² + ln σ.

    Unknown numbers cost nothing.

    Args:
        number: (B, M), or (B,) of one number; NaN where unknown.
        outputs: (B, 2M): M means and M logarithms of standard deviations, in the units of the numbers.

    Returns:
        (B,) float32.

    Reference:
        Nix & Weigend 1994, "Estimating the mean and variance of the target probability distribution".
    """
    mean, log_sigma = ops.split(ops.cast(outputs, "float32"), 2, axis=-1)
    number = ops.reshape(ops.cast(number, "float32"), ops.shape(mean))
    known = ops.isfinite(number)
    off = (ops.where(known, number, mean) - mean) * ops.exp(-log_sigma)
    return ops.sum(ops.where(known, off**2 / 2 + log_sigma, 0.0), axis=-1)


@keras.saving.register_keras_serializable("morphtools")
class NumberHead(DenseHead):
    """Means and logarithms of standard deviations of M numbers, in their units.

    Args:
        centre: (M,) of each number: what a mean is counted from.
        scale: (M,) of each number: the unit of its weights.
        **kwargs: As for `DenseHead`.
    """

    def __init__(self, centre, scale, **kwargs):
        super().__init__(2 * len(centre), "linear", **kwargs)
        self.centre, self.scale = [float(x) for x in centre], [float(x) for x in scale]

    def call(self, representation, training=False):
        """(B, D) → (B, 2M)."""
        mean, log_sigma = ops.split(super().call(representation, training=training), 2, axis=-1)
        scale = ops.convert_to_tensor(self.scale, "float32")
        # between a millionth and a million times the spread: beyond, a likelihood overflows
        log_sigma = ops.clip(log_sigma, -13.8, 13.8) + ops.log(scale)
        return ops.concatenate([mean * scale + ops.convert_to_tensor(self.centre, "float32"), log_sigma], axis=-1)

    def get_config(self):
        """The arguments of the constructor."""
        inherited = {k: v for k, v in super().get_config().items() if k not in ("outputs", "activation")}
        return {**inherited, "centre": self.centre, "scale": self.scale}
