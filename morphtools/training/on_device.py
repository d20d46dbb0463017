"""Trains on images in the memory of the device: nothing is decoded or fed from the host.

Images are decoded once. Batches and views are drawn on the device, and an accelerator runs many steps per call. The
arrays are arguments of the compiled program, because captured arrays would become constants of it.
"""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np

from morphtools.data.batches import read_batches
from morphtools.training.devices import all_devices, device_memory, has_accelerator
from tfrecords_builder.files import write_whole
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)

SHARE = 0.5  # of the device's memory that images may take; the rest is for the network and its activations
_STEPS = 32  # per call, on an accelerator


def keep_on_device(records: Records, splits: list[str], reading: dict, wanted: bool | None, state: Path) -> bool:
    """Decides whether a run keeps its images in the device's memory, and logs the decision; a resumed run keeps to it.

    They are kept there if they take no more than half of it (`SHARE`), and there is an accelerator, or no TensorFlow to
    feed them from the host. Several devices are always fed from the host, which splits every batch among them.

    Args:
        records: The galaxies.
        splits: The splits to keep.
        reading: Keyword arguments of `load_dataset`.
        wanted: True or False to decide; None for the rule above.
        state: Folder with what a run needs to resume.

    Raises:
        ValueError: `wanted` is true, but there are several devices.
    """
    devices, before = all_devices()[1], state / "in_memory.json"
    if wanted and devices > 1:
        raise ValueError(f"in_memory is for one device, this machine has {devices}: leave it out")
    if before.exists():
        return json.loads(before.read_text())
    shape, kind = stored_as(records, reading)
    galaxies, memory = sum(records.splits.get(split, 0) for split in splits), device_memory()
    size = galaxies * int(np.prod(shape)) * kind.itemsize
    if wanted is None:
        begun = any(state.glob("*.npz"))  # by an earlier version, which always fed from the host
        useful = not begun and (has_accelerator() or keras.backend.backend() != "tensorflow")
        wanted = useful and devices == 1 and size <= SHARE * memory
    log.info(
        "%d images of %s, %s, %.2f GB of %.0f GB of %s memory: %s",
        galaxies,
        " × ".join(map(str, shape)),
        kind,
        size / 1e9,
        memory / 1e9,
        "the accelerator's" if has_accelerator() else "the machine's",
        "kept there" if wanted else "read again in every epoch",
    )
    write_whole(before, json.dumps(bool(wanted)))
    return bool(wanted)


def stored_as(records: Records, reading: dict) -> tuple[tuple[int, int, int], np.dtype]:
    """Shape (H, W, C) and type in which images are kept: 8 bits for encoded pictures, else as they are stored."""
    size = reading.get("crop") or reading.get("image_size") or records.shape[:2]
    size = (size, size) if isinstance(size, int) else tuple(size)
    if records.encoding == "encoded":
        return (*size, records.shape[2]), np.dtype("uint8")
    if reading.get("stretch") is not None:  # a picture in 0–1, which half precision resolves to 1/2048 or better
        return (*size, 3), np.dtype("float16")
    half = records.encoding == "float16" and reading.get("dereddened") is None
    return (*size, records.shape[2]), np.dtype("float16" if half else "float32")


class Resident:
    """The images of a split, and the labels to learn, in the memory of the device.

    Args:
        records: The galaxies.
        split: Which of them.
        reading: Keyword arguments of `load_dataset`.
        labels: A function from a batch of `read_batches` to the labels (B, …) to learn; None for images alone.
    """

    def __init__(self, records: Records, split: str, reading: dict, labels: Callable[[dict], np.ndarray] | None = None):
        shape, kind = stored_as(records, reading)
        images, label_batches, at = np.empty((records.splits[split], *shape), kind), [], 0
        with progress_bar(total=len(images), desc=f"decoding {split}", unit="galaxy") as bar:
            for batch in read_batches(records, split, batch_size=64, **reading):
                picture = batch["image"]
                images[at : at + len(picture)] = np.rint(picture * 255) if kind == np.uint8 else picture
                at += len(picture)
                if labels is not None:
                    label_batches.append(labels(batch))
                bar.update(len(picture))
        self.arrays = [_put(images)] + ([_put(np.concatenate(label_batches))] if label_batches else [])
        self.galaxies = at

    def train(self, model: keras.Model, batch_size: int, seed, *, remainder: bool = False) -> float:
        """Trains a compiled model for one epoch, in the order of `seed`, and returns the mean loss.

        Args:
            model: Its optimizer is built.
            batch_size: Galaxies per step.
            seed: Seed of `numpy.random.default_rng`.
            remainder: Whether galaxies left over at the end form a smaller batch.
        """
        rows = np.random.default_rng(seed).permutation(self.galaxies)
        whole = len(rows) if remainder else len(rows) // batch_size * batch_size
        return self._run(model, "train", rows[:whole], batch_size)

    def test(self, model: keras.Model, batch_size: int) -> float:
        """Returns the mean loss over all galaxies."""
        return self._run(model, "test", np.arange(self.galaxies), batch_size)

    def _run(self, model: keras.Model, which: str, rows: np.ndarray, batch_size: int) -> float:
        if not model.built:  # learners are already built
            model.build((None, *self.arrays[0].shape[1:]))
        model.reset_metrics()
        steps, run = len(rows) // batch_size, _runner(model, which)
        whole = rows[: steps * batch_size].reshape(steps, batch_size).astype("int32")
        with progress_bar(total=-(-len(rows) // batch_size), desc="epoch", unit="step", leave=False) as bar:
            run(self.arrays, _calls(whole, _STEPS if has_accelerator() else 1), bar)
            if len(rows) > steps * batch_size:
                run(self.arrays, [rows[None, steps * batch_size :].astype("int32")], bar)
        return float(model.get_metrics_result()["loss"])


def _calls(order: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Splits batches (steps, B) into calls of at most `most` steps."""
    return (order[i : i + most] for i in range(0, len(order), most))


def _put(array: np.ndarray):
    """Copies an array to the device."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.Variable(array, trainable=False)  # on GPUs, TensorFlow gathers 8-bit numbers from variables only
    return keras.ops.convert_to_tensor(array)


def _batch(arrays: list, rows):
    """Images of some rows as floats, 0–1 if they are kept in 8 bits, and their labels."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        images, *labels = (tf.gather(array, rows) for array in arrays)
    else:
        images, *labels = (array[rows] for array in arrays)
    eight_bits = keras.backend.standardize_dtype(images.dtype) == "uint8"
    images = keras.ops.cast(images, "float32")
    return (images / 255.0 if eight_bits else images, *labels)


def _runner(model: keras.Model, which: str) -> Callable:
    """Returns a function `(arrays, calls, bar)` that runs steps of a model, compiled once per compiled model."""
    kept = model.__dict__.setdefault("_on_device", {})
    key = (which, id(model.optimizer))
    if key not in kept:
        kept[key] = {"tensorflow": _on_tensorflow, "jax": _on_jax}[keras.backend.backend()](model, which)
    return kept[key]


def _on_tensorflow(model: keras.Model, which: str) -> Callable:
    import tensorflow as tf

    step = tf.autograph.experimental.do_not_convert(model.train_step if which == "train" else model.test_step)
    if model.jit_compile:
        step = tf.function(step, jit_compile=True)

    @tf.function(reduce_retracing=True)
    def several(arrays, order):
        for rows in order:
            step(_batch(arrays, rows))

    def run(arrays, calls, bar):
        for order in calls:
            several(arrays, tf.constant(order))
            bar.update(len(order))

    return run


def _on_jax(model: keras.Model, which: str) -> Callable:
    import jax

    kinds = ["trainable_variables", "non_trainable_variables", "metrics_variables"]
    if which == "train":
        kinds.insert(2, "optimizer_variables")
    step = model.train_step if which == "train" else model.test_step

    def one(state, arrays, rows):
        return step(state, _batch(arrays, rows))[1]

    # On processors, XLA runs convolutions inside a loop on one core, so every step is a separate call there.
    single = jax.jit(lambda state, arrays, order: one(state, arrays, order[0]), donate_argnums=0)
    several = jax.jit(
        lambda state, arrays, order: jax.lax.scan(lambda s, rows: (one(s, arrays, rows), None), state, order)[0],
        donate_argnums=0,
    )

    def run(arrays, calls, bar):
        optimizer = {"optimizer_variables": model.optimizer.variables} if which == "train" else {}
        variables = [list(optimizer.get(kind) or getattr(model, kind)) for kind in kinds]
        state = tuple(
            [jax.numpy.copy(v.value) for v in each] for each in variables
        )  # copies, which survive an interrupt
        for order in calls:
            state = (single if len(order) == 1 else several)(state, arrays, jax.numpy.asarray(order))
            bar.update(len(order))
        for each, values in zip(variables, state, strict=True):
            for variable, value in zip(each, values, strict=True):
                variable.assign(value)

    return run
