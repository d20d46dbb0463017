"""Measures how many images per second the shipped encoders represent, each at its own size, in turns.

    python benchmarks/encoders.py WEIGHTS [WEIGHTS ...] [--seconds 5] [--turns 3]

One orientation, batches as `represent` chooses them, the encoder alone: no images are read. The others are compared
with the first of the weights.
"""

import argparse
import time

import numpy as np
import tensorflow as tf

import morphtools
from morphtools.inference.stream import galaxies_per_batch


def prepared(weights):
    """A function that represents a batch, and the size of the batch."""
    encoder = morphtools.load_pretrained(weights)
    shape = encoder.input_shape[1:]
    batch = galaxies_per_batch(encoder, 1)
    images = tf.constant(np.random.default_rng(0).uniform(size=(batch, *shape)).astype("float32"))
    step = tf.function(lambda: encoder(images, training=False))
    step()
    return step, batch, shape


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    steps, rates = {name: prepared(name) for name in args.weights}, {name: [] for name in args.weights}
    for _ in range(args.turns):
        for name, (step, batch, _) in steps.items():
            images, start = 0, time.perf_counter()
            while time.perf_counter() - start < args.seconds:
                step()
                images += batch
            rates[name].append(images / (time.perf_counter() - start))
    first = np.median(rates[args.weights[0]])
    print(f"{'weights':<32}{'size':>6}{'images/s, by turn':>28}{'median':>9}{'ratio':>7}")
    for name, (_, _, shape) in steps.items():
        turns, median = ", ".join(f"{rate:.0f}" for rate in rates[name]), np.median(rates[name])
        print(f"{name:<32}{shape[0]:>6}{turns:>28}{median:>9.0f}{median / first:>7.2f}")


if __name__ == "__main__":
    main()
