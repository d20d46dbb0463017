"""Heads: from a representation to an answer."""

import keras
from keras import layers

from morphtools.models.standardize import Standardize


@keras.saving.register_keras_serializable("morphtools")
class DenseHead(layers.Layer):
    """Standardisation, small dense layers with strong dropout, and an output layer.

    Call `standardize.adapt(representations)` once before training: the dimensions of a representation differ in
    scale by orders of magnitude.

    Args:
        outputs: Number of outputs.
        activation: Activation of the output layer.
        hidden: Widths of the hidden layers.
        dropout: Rate after each hidden layer.
        seed: Seed of the first weights and of the dropout.

    Reference:
        Walmsley et al. 2022, arXiv:2110.12735, section 4: two Dense(64), dropout 0.75, sigmoid.
    """

    def __init__(self, outputs, activation, *, hidden=(64, 64), dropout=0.75, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.outputs, self.activation, self.hidden = outputs, activation, tuple(hidden)
        self.dropout, self.seed = dropout, seed
        seeds = [None if seed is None else seed + i for i in range(2 * len(hidden) + 1)]
        self.standardize = Standardize(name="standardize")
        self.dense = [
            layers.Dense(
                width,
                "relu",
                kernel_initializer=keras.initializers.HeNormal(seeds[2 * i]),
                name=f"dense_{i + 1}",
            )
            for i, width in enumerate(self.hidden)
        ]
        self.drop = [layers.Dropout(dropout, seed=seeds[2 * i + 1]) for i in range(len(self.hidden))]
        self.out = layers.Dense(
            outputs,
            activation,
            kernel_initializer=keras.initializers.GlorotUniform(seeds[-1]),
            dtype="float32",  # losses sum logarithms, which half precision cannot do
            name="out",
        )

    def build(self, input_shape):
        """Builds every layer for representations of shape (B, D)."""
        if not self.standardize.built:  # adapt() has built it already
            self.standardize.build(input_shape)
        for layer, width in zip((*self.dense, self.out), (input_shape[-1], *self.hidden), strict=True):
            layer.build((None, width))
        self.built = True

    def call(self, representation, training=False):
        """(B, D) → (B, outputs)."""
        x = self.standardize(representation)
        for dense, drop in zip(self.dense, self.drop, strict=True):
            x = drop(dense(x), training=training)
        return self.out(x)

    def compute_output_shape(self, input_shape):
        """(B, D) → (B, outputs)."""
        return (input_shape[0], self.outputs)

    def get_config(self):
        """The arguments of the constructor."""
        names = ("outputs", "activation", "hidden", "dropout", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def classification_head(classes: int, **kwargs) -> DenseHead:
    """A head with one probability per class.

    Args:
        classes: How many.
        **kwargs: As for `DenseHead`: `hidden`, `dropout`, `seed`.

    Returns:
        A layer (B, D) → (B, classes).
    """
    return DenseHead(classes, "softmax", name="classification", **kwargs)


def regression_head(outputs: int = 1, **kwargs) -> DenseHead:
    """A head with real-valued outputs.

    Args:
        outputs: How many.
        **kwargs: As for `DenseHead`: `hidden`, `dropout`, `seed`.

    Returns:
        A layer (B, D) → (B, outputs).
    """
    return DenseHead(outputs, "linear", name="regression", **kwargs)


def projection_head(width: int, outputs: int, *, hidden: int, batch_norm: bool = False, seed: int | None = None):
    """Two dense layers from a representation to the space in which a contrastive loss compares views.

    Args:
        width: D, of the representation.
        outputs: Outputs of the projection.
        hidden: Width of the hidden layer.
        batch_norm: Whether it is normalised, as in BYOL and SimCLR but not in MoCo.
        seed: Seed of the first weights.

    Returns:
        A `keras.Sequential` (B, width) → (B, outputs).
    """
    first, second = (keras.initializers.HeNormal(None if seed is None else seed + i) for i in (1, 2))
    normalize = [layers.BatchNormalization(momentum=0.9, epsilon=1e-5)] if batch_norm else []
    return keras.Sequential(
        [
            keras.Input((width,)),
            layers.Dense(hidden, use_bias=not batch_norm, kernel_initializer=first),
            *normalize,
            layers.ReLU(),
            layers.Dense(outputs, kernel_initializer=second),
        ]
    )
