"""Compares the forward pass of our encoders with the same networks in PyTorch (timm).

    python benchmarks/forward_pass.py --torch-python ENV/bin/python

Ours is the pass of `predict` and `represent`, folded and compiled. PyTorch runs in inference mode, in its own layout of
memory and in channels-last, and is not compiled. Weights are random, but ours have biases, as trained ones do (see
`disturb`); PyTorch adds its zeros too. `peers/timm_forward.py` describes its environment. Both use all cores. Each
turn is a separate process.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from rows import ask, report

TIMM = {
    "resnet18": "resnet18",
    "efficientnet_b0": "efficientnet_b0",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "convnext_nano": "convnext_nano",
}


def measure(names: list[str], side: int, batch: int, batches: int) -> dict[str, float]:
    """Images per second of each network, in float32 and in bfloat16."""
    import keras
    import numpy as np
    import tensorflow as tf

    from morphtools.inference.filling import compiled
    from morphtools.models.encoders import build_encoder
    from morphtools.models.precision import precision
    from morphtools.training.speed import disturb

    keras.utils.set_random_seed(0)
    images = tf.constant(np.random.default_rng(0).uniform(size=(batch, side, side, 3)).astype("float32"))
    rates = {}
    for name in names:
        for bfloat16 in (False, True):
            with precision(bfloat16):
                encoder = build_encoder(name, (side, side, 3))
            disturb(encoder)
            step = compiled(encoder, batch)
            np.asarray(step(images)), np.asarray(step(images))
            start = time.perf_counter()
            for _ in range(batches):
                np.asarray(step(images))
            rates[f"{name} {'bfloat16' if bfloat16 else 'float32'}"] = batch * batches / (time.perf_counter() - start)
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--encoders", nargs="+", default=list(TIMM), choices=TIMM)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    sizes = [options.side, options.batch, options.batches]
    code = "import sys, json; sys.path.insert(0, sys.argv[1]); import forward_pass as here;"
    code += "print(json.dumps(here.measure(*json.loads(sys.argv[2]))))"
    command = [sys.executable, "-c", code, str(Path(__file__).parent), json.dumps([options.encoders, *sizes])]
    ours, theirs = [], []
    for _ in range(options.turns):
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        ours.append(json.loads(done.stdout.splitlines()[-1]))
        theirs.append(ask(options.torch_python, "timm_forward.py", *sizes, *[TIMM[name] for name in options.encoders]))
    peer = f"timm {theirs[0]['timm']} on PyTorch {theirs[0]['torch']}"
    for encoder in options.encoders:
        for kind in ("float32", "float32, channels-last", "bfloat16, channels-last"):
            mine = [each[f"{encoder} {kind.split(',')[0]}"] for each in ours]
            what = f"{encoder}, {options.side} px, {options.batch} images, {kind}"
            report(what, peer, mine, [each[f"{TIMM[encoder]} {kind}"] for each in theirs], "images/s")


if __name__ == "__main__":
    main()
