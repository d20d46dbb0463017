"""Fast batch normalisation of images: the same as in Keras, but with TensorFlow's fused kernel.

In this room, only `replicas.py`, `dirichlet.py` and this file refer to a specific backend.
"""

from collections.abc import Callable

import keras


@keras.saving.register_keras_serializable("morphtools")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` of (B, H, W, C), in fewer passes over memory; the same numbers.

    Keras composes it of moments and arithmetic in float32. By the kernel a training step of ResNet-18 at 64 px is 1.08
    times as fast on a processor, in bfloat16 1.21 times (`benchmarks/batch_norm.py`). Whatever the kernel cannot do
    (other backends, the statistics of several replicas, masks) goes Keras' way. It has Keras' name: weights are kept
    under it.

    Reference:
        Ioffe & Szegedy 2015, arXiv:1502.03167, algorithm 1.
    """

    def call(self, inputs, training=None, mask=None):
        """(B, H, W, C) → (B, H, W, C), of any kind of float."""
        if keras.backend.backend() != "tensorflow" or self.synchronized or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        learning = bool(training and self.trainable)
        known = [tf.zeros(0)] * 2 if learning else [self.moving_mean.value, self.moving_variance.value]
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=known[0],
            variance=known[1],
            epsilon=self.epsilon,
            is_training=learning,
        )
        if learning:
            number = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], "float32")
            variance *= (number - 1) / number  # the kernel divides by number − 1, Keras and its saved averages do not
            for average, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
                average.assign(average * self.momentum + new * (1 - self.momentum))
        return outputs


def in_training(model: keras.Model) -> Callable:
    """The model in training mode; on TensorFlow compiled, so that what a layer gives is freed once it has been used."""

    def call(images):
        return model(images, training=True)

    if keras.backend.backend() != "tensorflow":
        return call
    import tensorflow as tf

    return tf.function(call)
