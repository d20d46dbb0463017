"""Votes and views together: an encoder that learns from volunteers' answers and, without labels, from views."""

import keras
from keras import ops


class Hybrid(keras.Model):
    """A learner without labels whose encoder also answers the questions of a head.

    Galaxies are shown as the learner's views; every view the encoder is trained on has to answer like the volunteers.
    The loss is that of the answers, given to `compile`, plus `weight` times that of the learner.

    Args:
        learner: `MoCo`, `BYOL` or `SimCLR`, with its encoder and views.
        head: (B, D) → (B, A), built.
        weight: Weight of the learner's loss.

    Reference:
        Walmsley et al. 2022, arXiv:2206.11927, "Towards galaxy foundation models with hybrid contrastive learning".
    """

    def __init__(self, learner, head, *, weight: float = 1.0):
        super().__init__(name="hybrid", dtype="float32")
        self.learner, self.head = learner, head
        learner.weight = weight

    def build(self, images_shape):
        """Nothing to do: the networks are already built."""

    def call(self, images, training=False):
        """(B, H, W, C) → answers (B, views, A): of every view in training, else of the image."""
        representation = self.learner(images, training=training)  # (views·B, D), view by view
        answers = self.head(representation, training=training)
        if not training:
            self._clear_losses()  # of the last step
            return answers[:, None]
        return ops.stack(ops.split(answers, self.learner.trained_views), axis=1)
