"""Measures views per second and core: our one resampling, the same changes as separate Keras layers, torchvision.

    python benchmarks/augmentations.py --torch-python ENV/bin/python

`peers/torchvision_views.py` describes the peer's environment; it draws galaxy-datasets' default views, which our
preset `zoobot` follows. Without it only Keras is compared. All run on one thread.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

import pandas as pd


def separate(side: int):
    """The preset `zoobot`, except for the slant, as one Keras layer after the other."""
    import keras

    layers = keras.layers
    options = {"fill_mode": "constant", "interpolation": "bilinear"}
    return keras.Sequential(
        [
            layers.RandomRotation(0.25, **options, seed=0),
            layers.RandomTranslation(0.1, 0.1, **options, seed=1),
            layers.RandomZoom((-0.2857, -0.1667), **options, seed=2),
            layers.RandomShear(0.36, 0.36, **options, seed=3),
            layers.RandomFlip(seed=4),
            *[
                layers.RandomErasing((1.0, 1.0), (0.002, 0.007), fill_value=0.0, value_range=(0, 1), seed=5 + i)
                for i in range(5)
            ],
        ]
    )


def rate(views, side: int, batch: int, batches: int) -> float:
    """Images per second of a model in a compiled function, on one thread."""
    import numpy as np
    import tensorflow as tf

    images = tf.constant(np.random.default_rng(0).uniform(size=(batch, side, side, 3)).astype("float32"))
    step = tf.function(lambda x: tf.reduce_mean(views(x, training=True)))
    step(images)
    start = time.perf_counter()
    for _ in range(batches):
        float(step(images))
    return batch * batches / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", help="of the peer's environment")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--batches", type=int, default=10)
    options = parser.parse_args()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from morphtools import build_augmentations

    geometry = build_augmentations(
        [{"RandomView": {"rotation": 0.25, "zoom": [1.2, 1.4], "shift": 0.1, "shear": 20.0}}]
    )
    sizes = options.side, options.batch, options.batches
    rows = {
        "preset zoobot": rate(build_augmentations("zoobot"), *sizes),
        "preset zoobot without erasing": rate(geometry, *sizes),
        "separate Keras layers": rate(separate(options.side), *sizes),
        "preset rgb": rate(build_augmentations("rgb"), *sizes),
        "preset mohale2023": rate(build_augmentations("mohale2023"), *sizes),
    }
    if options.torch_python is not None:
        peer = Path(__file__).parent / "peers" / "torchvision_views.py"
        command = [options.torch_python, str(peer), str(options.side), str(options.batch * options.batches)]
        done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        rows[f"galaxy-datasets, torchvision {done['torchvision']}"] = done["images_per_second"]
    table = pd.DataFrame({"images/s": rows})
    table["of the preset zoobot"] = table["images/s"] / table["images/s"].iloc[0]
    print(f"{options.side} px, three bands, one thread")
    print(table.round(2).to_string())


if __name__ == "__main__":
    main()
