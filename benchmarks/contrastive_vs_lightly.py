"""Compares a whole training step of MoCo or BYOL, augmentations included, with lightly's, which has none.

    python benchmarks/contrastive_vs_lightly.py --lightly-python ENV/bin/python

`peers/lightly_learners.py` describes lightly's environment. Both train the same architecture (ResNet with the
stem of PyTorch) on random images in memory with SGD, MoCo with a queue of as many keys. Ours draws two new views of
every image by a preset; lightly gets the images as they are. With `--bfloat16` both compute in mixed precision, each as
its framework does it.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from rows import ask, report


def ours(options) -> float:
    """Images per second of the learner in a process of its own."""
    names = ("learner", "encoder", "side", "batch_size", "steps", "queue", "augmentations", "bfloat16")
    arguments = {name: getattr(options, name) for name in names}
    code = "import sys, json; sys.path.insert(0, sys.argv[2]); import contrastive_vs_lightly as here;"
    code += "print(here.measure(**json.loads(sys.argv[1])))"
    command = [sys.executable, "-c", code, json.dumps(arguments), str(Path(__file__).parent)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def measure(
    learner: str, encoder: str, side: int, batch_size: int, steps: int, queue: int, augmentations: str, bfloat16: bool
) -> float:
    import time

    import keras
    import numpy as np
    import tensorflow as tf

    from morphtools import BYOL, MoCo, build_augmentations, build_encoder
    from morphtools.data.dataset import steady
    from morphtools.models.precision import precision

    keras.utils.set_random_seed(0)
    with precision(bfloat16):
        network = build_encoder(encoder, (side, side, 3))
        views = build_augmentations(augmentations, seed=0)
        model = BYOL(network, views) if learner == "byol" else MoCo(network, views, queue=queue, temperature=0.1)
    model.compile(keras.optimizers.SGD(0.03, momentum=0.9))
    images = np.random.default_rng(0).uniform(size=(batch_size, side, side, 3)).astype("float32")
    options = {"shuffle": False, "verbose": 0}
    many = steady(tf.data.Dataset.from_tensors(images).repeat(steps))
    model.fit(many, **options)  # TensorFlow does everything that happens only once in the first call of `fit`
    start = time.perf_counter()
    model.fit(many, **options)
    return steps * batch_size / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lightly-python", required=True)
    parser.add_argument("--learner", default="moco", choices=("moco", "byol"))
    parser.add_argument("--encoder", default="resnet18", choices=("resnet18", "resnet50"))
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--queue", type=int, default=4096)
    parser.add_argument("--augmentations", default="rgb")
    parser.add_argument("--turns", type=int, default=2, help="ours and theirs in turns: a machine changes its pace")
    parser.add_argument("--bfloat16", action="store_true")
    options = parser.parse_args()
    sizes = [int(n) for n in (options.side, options.batch_size, options.steps, options.queue, options.bfloat16)]
    mine, theirs = [], []
    for _ in range(options.turns):
        mine.append(ours(options))
        theirs.append(ask(options.lightly_python, "lightly_learners.py", options.learner, options.encoder, *sizes))
    name = {"moco": "MoCo", "byol": "BYOL"}[options.learner]
    what = f"{name} step, {options.encoder}, {options.side} px, batch {options.batch_size}, "
    what += f"{'bfloat16' if options.bfloat16 else 'float32'}, views {options.augmentations} against none"
    peer = f"lightly {theirs[0]['lightly']} on PyTorch {theirs[0]['torch']}"
    report(what, peer, mine, [each["images_per_second"] for each in theirs], "images/s")


if __name__ == "__main__":
    main()
