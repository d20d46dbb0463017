"""Standardisation whose numbers are its weights and nothing else."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("morphtools")
class Standardize(layers.Layer):
    """(x − mean) / standard deviation, by weights that do not train.

    `keras.layers.Normalization` computes with copies that it makes when it is adapted or its own file is loaded:
    `set_weights`, `clone_model` and HDF5 files change its weights and not what it gives. The weights, their names and
    the arithmetic are the same here, so that files written by either are read by the other.
    """

    def build(self, input_shape):
        """Mean 0 and variance 1 for each of the last axis' entries."""
        width = (input_shape[-1],)
        self.mean = self.add_weight(name="mean", shape=width, initializer="zeros", trainable=False)
        self.variance = self.add_weight(name="variance", shape=width, initializer="ones", trainable=False)
        # unused, but files of `Normalization` have it
        self.count = self.add_weight(name="count", shape=(), dtype="int", initializer="zeros", trainable=False)
        self.built = True

    def adapt(self, data) -> None:
        """Takes mean and variance from data.

        Args:
            data: (N, …, D) NumPy array.
        """
        if not self.built:
            self.build(data.shape)
        axes = tuple(range(data.ndim - 1))
        self.mean.assign(data.mean(axis=axes))
        self.variance.assign(data.var(axis=axes))

    def call(self, inputs):
        """The shape stays."""
        deviation = ops.maximum(ops.sqrt(self.variance), keras.config.epsilon())
        return ops.divide(ops.subtract(inputs, self.mean), deviation)

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape
