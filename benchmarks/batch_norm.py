"""Measures training steps of a residual network with our batch normalisation and with the layer of Keras, in turns.

    python benchmarks/batch_norm.py --encoder resnet18 --sides 64 96 128

Both networks are the same but for that layer. Prints images per second, and the ratio.
"""

import argparse
import time

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

import morphtools.models.resnet as resnet
from morphtools.data.dataset import steady
from morphtools.models.batch_norm import BatchNormalization
from morphtools.models.encoders import build_encoder
from morphtools.models.precision import precision


def trainer(kind, encoder: str, side: int, batch_size: int, bfloat16: bool) -> keras.Model:
    """A network with this kind of batch normalisation and a loss, compiled."""
    resnet.BatchNormalization = kind
    with precision(bfloat16):
        body = build_encoder(encoder, (side, side, 3))
    model = keras.Sequential([keras.Input((side, side, 3)), body, keras.layers.Dense(10, dtype="float32")])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="resnet18", choices=("resnet10_half", "resnet18", "resnet50"))
    parser.add_argument("--sides", type=int, nargs="+", default=[64])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for side in options.sides:
        batch = np.random.default_rng(0).uniform(size=(options.batch_size, side, side, 3)).astype("float32")
        wanted = np.zeros((options.batch_size, 10), "float32")
        many = steady(tf.data.Dataset.from_tensors((batch, wanted)).repeat(options.steps))
        for bfloat16 in (False, True):
            kinds = {"ours": BatchNormalization, "Keras": keras.layers.BatchNormalization}
            common = (options.encoder, side, options.batch_size, bfloat16)
            models = {name: trainer(kind, *common) for name, kind in kinds.items()}
            for model in models.values():
                model.fit(many, verbose=0)
            rates = {name: [] for name in models}
            for _ in range(options.turns):
                for name, model in models.items():
                    start = time.perf_counter()
                    model.fit(many, verbose=0)
                    rates[name].append(options.steps * options.batch_size / (time.perf_counter() - start))
            row = {"side": side, "bfloat16": bfloat16} | {name: np.median(rate) for name, rate in rates.items()}
            rows.append(row | {"ratio": np.median(np.divide(rates["ours"], rates["Keras"]))})
            print(rows[-1], flush=True)
    print(f"\n{options.encoder}, images/s, medians of {options.turns} turns")
    print(pd.DataFrame(rows).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
