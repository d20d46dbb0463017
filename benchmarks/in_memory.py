"""Compares training fed from the host, from the memory of the device, and by a plain loop over the same layers.

    python benchmarks/in_memory.py                                        # TensorFlow
    KERAS_BACKEND=jax python benchmarks/in_memory.py --encoder efficientnet_lite0 --size 128 --galaxies 20000

Galaxies per second of whole epochs with views, after one that compiles; the ways take turns. The aim: from memory at
least 0.8 of the plain loop, and no slower than from the host.
"""

import argparse
import io
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from PIL import Image

from morphtools.data.augment import RandomView
from morphtools.data.augment_light import RandomDisplay
from morphtools.data.batches import read_batches
from morphtools.models.encoders import build_encoder
from morphtools.training.devices import has_accelerator
from morphtools.training.fitting import train_epoch
from morphtools.training.on_device import Resident
from tfrecords_builder.build import build_records
from tfrecords_builder.images import Image as Stored


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--encoder", default="resnet10_half")
    for name, default in (("size", 64), ("galaxies", 1024), ("batch", 64), ("epochs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        records = pictures(Path(folder), options.galaxies, options.size)
        ways = {"from the host": host(records, options), "from memory": memory(records, options)}
        ways["plain loop"] = plain(records, options)
        seconds = {name: [] for name in ways}
        for epoch in range(options.epochs + 1):
            for name, way in ways.items():
                began = time.perf_counter()
                way(epoch)
                seconds[name].append(time.perf_counter() - began)
    galaxies = records.splits["train"] // options.batch * options.batch
    rates = {name: galaxies / min(each[1:]) for name, each in seconds.items()}
    print(f"{keras.backend.backend()}, {'an accelerator' if has_accelerator() else 'a processor'}, {options}")
    for name, rate in rates.items():
        print(f"{name:<15}{rate:>9.0f} galaxies/s   {rate / rates['plain loop']:.2f} of the plain loop")


def pictures(folder: Path, galaxies: int, size: int):
    """Records of JPEGs of blurred noise, all for training."""
    rng, blobs = np.random.default_rng(0), []
    for _ in range(min(galaxies, 200)):
        small, jpeg = Image.fromarray(rng.integers(0, 255, (size // 4, size // 4, 3), "uint8")), io.BytesIO()
        small.resize((size, size), Image.BICUBIC).save(jpeg, "JPEG", quality=90)
        blobs.append(jpeg.getvalue())
    names = np.arange(galaxies).astype(str)
    catalog = pd.DataFrame({"id_str": names, "file_loc": names, "label": np.arange(galaxies) % 2, "split": "train"})
    source = lambda name: Stored(blobs[int(name) % len(blobs)], (size, size, 3))  # noqa: E731
    return build_records(catalog, folder / "records", images=source)


def network(options) -> keras.Model:
    keras.utils.set_random_seed(0)
    shape = (options.size, options.size, 3)
    views = [RandomView(zoom=0.25, shift=0.05, seed=1), RandomDisplay(brightness=0.05, contrast=0.2, grey=0.3, seed=2)]
    head = keras.layers.Dense(2, "softmax")
    model = keras.Sequential([keras.Input(shape), *views, build_encoder(options.encoder, shape), head])
    model.compile(keras.optimizers.AdamW(1e-3), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    return model


def host(records, options):
    model, reading = network(options), {"batch_size": options.batch, "shuffle": True, "drop_remainder": True}
    if keras.backend.backend() == "tensorflow":
        from morphtools.data.dataset import load_dataset

        return lambda epoch: train_epoch(
            model, load_dataset(records, "train", seed=epoch, **reading).map(lambda b: (b["image"], b["label"]))
        )
    return lambda epoch: train_epoch(
        model, ((b["image"], b["label"]) for b in read_batches(records, "train", seed=epoch, **reading))
    )


def memory(records, options):
    model, data = network(options), Resident(records, "train", {}, lambda batch: batch["label"])
    return lambda epoch: data.train(model, options.batch, epoch)


def plain(records, options):
    """What somebody would write who has only these layers and all images in one array."""
    model, batches = network(options), list(read_batches(records, "train", batch_size=256))
    images = np.concatenate([np.rint(b["image"] * 255).astype("uint8") for b in batches])
    labels = np.concatenate([b["label"] for b in batches])
    loop = {"tensorflow": plain_tensorflow, "jax": plain_jax}[keras.backend.backend()](model, images, labels)

    def epoch(number):
        steps = len(images) // options.batch
        rows = np.random.default_rng(number).permutation(len(images))[: steps * options.batch]
        loop(rows.reshape(steps, options.batch).astype("int32"))

    return epoch


def plain_tensorflow(model, images, labels):
    import tensorflow as tf

    images, labels = tf.Variable(images), tf.constant(labels)

    @tf.function
    def step(rows):
        with tf.GradientTape() as tape:
            answers = model(tf.cast(tf.gather(images, rows), tf.float32) / 255, training=True)
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(tf.gather(labels, rows), answers))
        model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    def loop(order):
        for rows in order:
            step(tf.constant(rows))

    return loop


def plain_jax(model, images, labels):
    import jax

    images, labels = jax.numpy.asarray(images), jax.numpy.asarray(labels)

    def loss_of(trained, other, x, y):
        answers, other = model.stateless_call(trained, other, x, training=True)
        return keras.losses.sparse_categorical_crossentropy(y, answers).mean(), other

    def step(state, rows, images, labels):
        trained, other, moments = state
        x, y = images[rows].astype("float32") / 255, labels[rows]
        (_, other), gradients = jax.value_and_grad(loss_of, has_aux=True)(trained, other, x, y)
        trained, moments = model.optimizer.stateless_apply(moments, gradients, trained)
        return trained, other, moments

    if has_accelerator():
        scan = jax.lax.scan
        epoch = jax.jit(
            lambda state, order, *arrays: scan(lambda s, rows: (step(s, rows, *arrays), None), state, order)[0]
        )
    else:  # a loop inside of XLA runs convolutions on one core
        one = jax.jit(step)

        def epoch(state, order, *arrays):
            for rows in order:
                state = one(state, rows, *arrays)
            return state

    kinds = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
    kept = {"state": tuple([v.value for v in kind] for kind in kinds)}

    def loop(order):
        kept["state"] = jax.block_until_ready(epoch(kept["state"], jax.numpy.asarray(order), images, labels))

    return loop


if __name__ == "__main__":
    main()
