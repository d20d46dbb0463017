"""Learning from unlabelled galaxies: MoCo, BYOL and SimCLR, each following its paper.

Batches are (B, H, W, C) images without labels. A model draws the views, adds its loss, and moves its second network
by `assign`, so that it trains with Keras' own `fit`, on any backend and on several replicas.

Batch normalisation. The second network (of the keys, or targets) always runs in inference mode, and its moving
averages follow the first network's like all other weights (Cai et al. 2021, arXiv:2101.08482). In training mode, as in
the papers, the statistics of a batch would tell a query which key came with it; the papers prevent that by shuffling
galaxies over several GPUs, which cannot work on one. Begin with settled averages (`settle_batch_norm`). On several
replicas call `synchronize_batch_norm`: then two learn exactly what one would from the whole batch.
"""

import math

import keras
from keras import ops

from morphtools.models.contrastive_losses import byol_regression, info_nce, nt_xent, unit
from morphtools.models.heads import projection_head
from morphtools.models.replicas import gather


class MoCo(keras.Model):
    """Momentum contrast, version 2: each galaxy's query must find its own key in a long queue.

    Args:
        encoder: (B, H, W, C) → (B, D); trained in place.
        views: Draws a view of every image: (B, H, W, C) → (B, H, W, C).
        dimension: Dimension of the projection.
        queue: Number of keys remembered, a multiple of the global batch.
        momentum: Momentum of the key network.
        temperature: Temperature of the softmax.
        seed: Seed of the projection and of the first queue.

    Reference:
        He et al. 2020, arXiv:1911.05722, algorithm 1; Chen et al. 2020, arXiv:2003.04297 (two-layer projection).
    """

    weight = 1.0  # of the loss (see `Hybrid`)
    trained_views = 1

    def __init__(self, encoder, views, *, dimension=128, queue=65536, momentum=0.999, temperature=0.1, seed=None):
        super().__init__(name="moco", dtype="float32")  # the second network moves in steps too small for half precision
        self.views, self.momentum, self.temperature = views, momentum, temperature
        self.encoder = encoder
        width = encoder.output_shape[-1]
        self.projection = projection_head(width, dimension, hidden=width, seed=seed)
        self.key_encoder, self.key_projection = _copy(encoder), _copy(self.projection)
        # Random directions until there are keys.
        start = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
        self.queue = self.add_weight(shape=(queue, dimension), initializer=start, trainable=False, **_QUEUE)
        self.queue.assign(unit(self.queue))

    def build(self, images_shape):
        """Nothing to do: the networks are already built."""

    def call(self, images, training=False):
        """(B, H, W, C) → representations (B, D); in training adds the loss."""
        if not training:
            return self.encoder(images)
        representation = self.encoder(self.views(images, training=True), training=True)  # (B, D)
        query = unit(self.projection(representation, training=True))  # (B, dimension)
        _follow(self.key_encoder, self.encoder, self.momentum)
        _follow(self.key_projection, self.projection, self.momentum)
        key = self.key_encoder(self.views(images, training=True), training=False)
        key = ops.stop_gradient(unit(self.key_projection(key, training=False)))  # (B, dimension)
        queue = ops.copy(self.queue)  # before these keys join it; PyTorch needs its earlier state for the gradient
        losses = info_nce(query, key, queue, temperature=self.temperature)
        self._remember(key)
        _set_loss(self, losses)
        return representation

    def _remember(self, key):
        """Puts the keys of the global batch at the front of the queue; the oldest ones leave it."""
        keys, _ = gather(key)
        length = self.queue.shape[0]
        if keys.shape[0] is not None and length % keys.shape[0]:
            raise ValueError(f"a queue of {length} keys is not a multiple of the batch of {keys.shape[0]} galaxies")
        self.queue.assign(ops.concatenate([keys, self.queue])[:length])


class BYOL(keras.Model):
    """Bootstrap your own latent: predict how a slowly updated copy of the network sees another view.

    Args:
        encoder: (B, H, W, C) → (B, D); trained in place.
        views: Draws a view of every image: (B, H, W, C) → (B, H, W, C).
        dimension: Dimension of the projection and of its prediction.
        hidden: Width of the hidden layer of both.
        momentum: Momentum of the target at the beginning.
        steps: Steps over which it rises to 1 as a cosine; None keeps it.
        seed: Seed of projection and predictor.

    Reference:
        Grill et al. 2020, arXiv:2006.07733, equations 1–2 and section 3.
    """

    weight = 1.0  # of the loss (see `Hybrid`)
    trained_views = 2

    def __init__(self, encoder, views, *, dimension=256, hidden=4096, momentum=0.996, steps=None, seed=None):
        super().__init__(name="byol", dtype="float32")  # the second network moves in steps too small for half precision
        self.views, self.momentum, self.steps = views, momentum, steps
        self.encoder = encoder
        sizes = {"hidden": hidden, "batch_norm": True}
        self.projection = projection_head(encoder.output_shape[-1], dimension, **sizes, seed=seed)
        self.predictor = projection_head(dimension, dimension, **sizes, seed=None if seed is None else seed + 10)
        self.target_encoder, self.target_projection = _copy(encoder), _copy(self.projection)
        self.step = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, **_QUEUE)

    def build(self, images_shape):
        """Nothing to do: the networks are already built."""

    def call(self, images, training=False):
        """(B, H, W, C) → representations (B, D); in training adds the loss and returns those of both views."""
        if not training:
            return self.encoder(images)
        views = [self.views(images, training=True), self.views(images, training=True)]
        representation = self.encoder(ops.concatenate(views), training=True)  # (2B, D)
        prediction = self.predictor(self.projection(representation, training=True), training=True)  # (2B, dimension)
        target = self.target_encoder(ops.concatenate(views[::-1]), training=False)  # each the other view
        target = ops.stop_gradient(self.target_projection(target, training=False))
        momentum = self._momentum()
        _follow(self.target_encoder, self.encoder, momentum)
        _follow(self.target_projection, self.projection, momentum)
        self.step.assign(self.step + 1)
        _set_loss(self, 2 * byol_regression(prediction, target))  # the sum of both directions
        return representation

    def _momentum(self):
        """1 − (1−τ)·(cos(πk/K) + 1)/2 at step k of K."""
        if self.steps is None:
            return self.momentum
        progress = ops.minimum(ops.cast(self.step, "float32") / self.steps, 1.0)
        return 1 - (1 - self.momentum) * (ops.cos(math.pi * progress) + 1) / 2


class SimCLR(keras.Model):
    """Two views of a galaxy must find each other among all views of the global batch.

    Args:
        encoder: (B, H, W, C) → (B, D); trained in place.
        views: Draws a view of every image: (B, H, W, C) → (B, H, W, C).
        dimension: Dimension of the projection.
        temperature: Temperature of the softmax.
        seed: Seed of the projection.

    Reference:
        Chen et al. 2020, arXiv:2002.05709, algorithm 1.
    """

    weight = 1.0  # of the loss (see `Hybrid`)
    trained_views = 2

    def __init__(self, encoder, views, *, dimension=128, temperature=0.1, seed=None):
        super().__init__(name="simclr", dtype="float32")
        self.views, self.temperature = views, temperature
        self.encoder = encoder
        width = encoder.output_shape[-1]
        self.projection = projection_head(width, dimension, hidden=width, batch_norm=True, seed=seed)

    def build(self, images_shape):
        """Nothing to do: the networks are already built."""

    def call(self, images, training=False):
        """(B, H, W, C) → representations (B, D); in training adds the loss and returns those of both views."""
        if not training:
            return self.encoder(images)
        views = ops.concatenate([self.views(images, training=True), self.views(images, training=True)])
        representation = self.encoder(views, training=True)  # (2B, D)
        first, second = ops.split(unit(self.projection(representation, training=True)), 2)  # (B, dimension) each
        everybody, position = gather(ops.stack([first, second], axis=1))  # (N, 2, dimension)
        others = ops.transpose(everybody, (1, 0, 2))
        _set_loss(self, nt_xent(first, second, others, position, temperature=self.temperature))
        return representation


_QUEUE = {"name": "queue", "aggregation": "only_first_replica"}  # all replicas have gathered the same


def _copy(network):
    """A copy of a network with its weights, not trained by gradients."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    copy.trainable = False
    return copy


def _set_loss(model, losses):
    """Makes the mean of (B,) the only loss of the model; must come last in a call.

    Replicas trace the call in turns, wherever they wait for each other, and keep their losses in one list.
    """
    model._clear_losses()
    model.add_loss(model.weight * ops.mean(losses))


def _follow(slow, network, momentum):
    """Moves every weight and moving average of the slow network a little towards those of the other."""
    for theirs, ours in zip(slow.weights, network.weights, strict=True):
        theirs.assign(momentum * theirs + (1 - momentum) * ours)
