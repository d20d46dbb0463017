"""Training on several devices at once: what one replica must know of the others.

On TensorFlow a replica of a `tf.distribute` strategy sees its share of the batch only. On JAX a step sees the whole
batch whatever the devices, so there is nothing to do.
"""

import keras


def gather(x):
    """Puts the shares of all replicas together along the first axis, in their order; differentiable.

    Args:
        x: (B, …), as many on every replica.

    Returns:
        (replicas·B, …), and where in it the part of this replica begins.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            rank = context.replica_id_in_sync_group
            return context.all_gather(x, axis=0), rank * tf.shape(x)[0]
    return x, 0


def synchronize_batch_norm(model: keras.Model, wanted: bool = True) -> None:
    """Lets batch normalisation use the statistics of the global batch instead of each replica's share.

    Only TensorFlow has, and needs, such a switch. Without it, two replicas learn something different from one, and in a
    contrastive loss the statistics of a small share give away which galaxies are in it.

    Args:
        model: Changed in place; weights stay what they are.
        wanted: False to undo it before saving: other backends refuse to load such a layer.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = wanted and keras.backend.backend() == "tensorflow"
