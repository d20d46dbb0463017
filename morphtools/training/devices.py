"""Training on all devices of a machine."""

import contextlib

import keras


def all_devices():
    """A context in which a model is built to be trained on all accelerators of this machine, and how many these are.

    On TensorFlow a `MirroredStrategy`, on JAX a `DataParallel` distribution; nothing where there is one device. Batches
    are global: every device gets its share.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        names = [device.name for device in tf.config.list_logical_devices("GPU")]
        names = names or [device.name for device in tf.config.list_logical_devices("CPU")]
        return (tf.distribute.MirroredStrategy(names).scope(), len(names)) if len(names) > 1 else _one()
    names = keras.distribution.list_devices() if keras.backend.backend() == "jax" else []
    if len(names) > 1:
        return keras.distribution.DataParallel(devices=names).scope(), len(names)
    return _one()


def _one():
    return contextlib.nullcontext(), 1


@contextlib.contextmanager
def precision(mixed: bool):
    """A context in which layers are made that compute in bfloat16, if `mixed`, and keep their weights in float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else before)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
