"""Training on all devices of a machine."""

import contextlib
import functools
import os

import keras


def all_devices():
    """Returns a context for building a model that trains on all accelerators of this machine, and their number.

    The context is a `MirroredStrategy` on TensorFlow, a `DataParallel` distribution on JAX, and empty if there is one
    device. Batches are global: every device gets its share.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        names = [device.name for device in tf.config.list_logical_devices("GPU")]
        names = names or [device.name for device in tf.config.list_logical_devices("CPU")]
        return (_mirrored(*names).scope(), len(names)) if len(names) > 1 else _one()
    names = keras.distribution.list_devices() if keras.backend.backend() == "jax" else []
    if len(names) > 1:
        return keras.distribution.DataParallel(devices=names).scope(), len(names)
    return _one()


@functools.cache
def _mirrored(*names: str):
    """One strategy per process: two number their messages between devices alike, and a second training would fail."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(names)


def has_accelerator() -> bool:
    """Whether models run on a GPU or TPU."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_logical_devices("GPU"))
    return keras.backend.backend() == "jax" and not keras.distribution.list_devices()[0].startswith("cpu")


def device_memory() -> int:
    """The memory in bytes of the device that models run on."""
    if not has_accelerator():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.client import device_lib  # no public function reports how much memory there is

        return min(d.memory_limit for d in device_lib.list_local_devices() if d.device_type == "GPU")
    import jax

    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0)


def _one():
    return contextlib.nullcontext(), 1
