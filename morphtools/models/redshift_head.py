"""Redshifts: a probability for every bin of a range, and the likelihood of the spectroscopic redshift."""

import keras
from keras import ops

from morphtools.models.heads import DenseHead
from tfrecords_builder.naming import check_known


def redshift_loss(redshift, probability, low, high):
    """−log of the probability of the bin that holds the redshift, one number per galaxy.

    Args:
        redshift: (B,) or (B, 1); beyond the range the outermost bin counts.
        probability: (B, bins) of equal bins between `low` and `high`.
        low: Lower end of the range.
        high: Upper end of the range.

    Returns:
        (B,) float32.

    Reference:
        Pasquet et al. 2019, arXiv:1806.06607, section 4.1: redshift as a classification into bins.
    """
    p = ops.cast(probability, "float32")
    bins = p.shape[-1]
    place = (ops.reshape(ops.cast(redshift, "float32"), (-1,)) - low) / (high - low) * bins
    which = ops.cast(ops.clip(ops.floor(place), 0, bins - 1), "int32")
    # not clipped at 1e-7 as in Keras: a galaxy far off must still have a gradient
    return -ops.log(ops.sum(ops.one_hot(which, bins) * p, axis=-1) + 1e-30)


@keras.saving.register_keras_serializable("morphtools")
class RedshiftLoss(keras.losses.Loss):
    """`redshift_loss` for `compile`: redshifts (B,) and probabilities (B, bins) to a mean over galaxies.

    Args:
        low: Lower end of the range.
        high: Upper end of the range.
    """

    def __init__(self, low: float, high: float, name="redshift", **kwargs):
        super().__init__(name=name, **kwargs)
        self.low, self.high = float(low), float(high)

    def call(self, y_true, y_pred):
        """(B,) redshifts and (B, bins) probabilities → (B,)."""
        return redshift_loss(y_true, y_pred, self.low, self.high)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "low": self.low, "high": self.high}


@keras.saving.register_keras_serializable("morphtools")
class MixtureHead(DenseHead):
    """A mixture of Gaussians over redshift, evaluated at the middles of equal bins and normalised over them.

    So it is cut off at the ends of the range, and whatever takes probabilities of bins takes it. No Gaussian is
    narrower than a bin: between two middles it could not be seen.

    Args:
        bins: How many.
        low: Lower end of the range.
        high: Upper end of the range.
        components: Number of Gaussians.
        **kwargs: As for `DenseHead`.

    Reference:
        Bishop 1994, "Mixture density networks"; for galaxies D'Isanto & Polsterer 2018, arXiv:1706.02467.
    """

    def __init__(self, bins: int, low: float, high: float, *, components: int = 5, **kwargs):
        super().__init__(3 * components, "linear", **kwargs)
        self.bins, self.low, self.high, self.components = bins, float(low), float(high), components

    def mixture(self, representation, training=False):
        """(B, D) → logarithms of the weights, means and standard deviations, (B, components) each."""
        x = ops.reshape(super().call(representation, training=training), (-1, 3, self.components))
        span = self.high - self.low
        start = (ops.arange(self.components, dtype="float32") + 0.5) / self.components  # of the means, over the range
        mean = self.low + span * (start + 0.1 * x[:, 1])
        width = span * (1 / self.bins + 0.1 * ops.softplus(x[:, 2]))
        return ops.log_softmax(x[:, 0]), mean, width

    def call(self, representation, training=False):
        """(B, D) → (B, bins) probabilities."""
        log_weight, mean, width = (each[:, :, None] for each in self.mixture(representation, training))
        middle = self.low + (self.high - self.low) * (ops.arange(self.bins, dtype="float32") + 0.5) / self.bins
        log_density = log_weight - ops.log(width) - ((middle - mean) / width) ** 2 / 2  # (B, components, bins)
        return ops.softmax(ops.logsumexp(log_density, axis=1))

    def compute_output_shape(self, input_shape):
        """(B, D) → (B, bins)."""
        return (input_shape[0], self.bins)

    def get_config(self):
        """The arguments of the constructor."""
        inherited = {k: v for k, v in super().get_config().items() if k not in ("outputs", "activation")}
        return {**inherited, **{name: getattr(self, name) for name in ("bins", "low", "high", "components")}}


def _softmax(bins, low, high, **kwargs):
    return DenseHead(bins, "softmax", **kwargs)


PDFS = {"softmax": _softmax, "mixture": MixtureHead}


def redshift_head(bins: int, redshift_range, pdf: str = "softmax", seed: int | None = None) -> DenseHead:
    """A head with a probability per redshift bin, (B, D) → (B, bins), straight from the representation.

    Args:
        bins: Number of equal bins.
        redshift_range: Their (low, high).
        pdf: `softmax`: bins free of each other; `mixture`: five Gaussians, smooth, better with few labels.
        seed: Seed of the first weights.

    Returns:
        The layer.

    Raises:
        ValueError: No such kind of PDF.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, section 3.3 and appendix E.2: 180 bins over 0 < z < 0.4.
    """
    check_known("pdf", pdf, PDFS)
    return PDFS[pdf](bins, *redshift_range, hidden=(), seed=seed, name="redshift")
