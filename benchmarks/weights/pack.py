"""Puts the weights of a run of `train` or `pretrain` into the package, with a card that describes them.

    python benchmarks/weights/pack.py RUN NAME CARD.yaml

CARD.yaml holds what a run cannot know: `surveys`, `data`, `licence`, `citation`, `scores`, `stretch`. Kernels of
weights above 10 MB are kept in half precision and compressed, which Keras reads like any others. Prints how far this
moves representations of random images.
"""

import argparse
import dataclasses
from pathlib import Path

import h5py
import numpy as np
import yaml

from morphtools.models.cards import WEIGHTS, Card, write_card
from morphtools.models.pretrained import load_pretrained

LARGEST, BITS = 10e6, 11  # half precision


def rounded(values: np.ndarray) -> np.ndarray:
    """Kernels in half precision with so many significant bits; anything else (statistics, biases) as it is."""
    if values.ndim < 2:
        return values
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2**BITS) / 2**BITS, exponent).astype(np.float16)


def shrink(path: Path) -> None:
    """Rewrites a weights file with rounded kernels, compressed."""
    with h5py.File(path) as old, h5py.File(path.with_suffix(".small"), "w") as new:

        def copy(name, node):
            made = new.require_group(name) if isinstance(node, h5py.Group) else None
            if made is None:
                values = rounded(node[()])
                packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True} if values.ndim > 1 else {}
                made = new.create_dataset(name, data=values, **packed)
            made.attrs.update(node.attrs)

        new.attrs.update(old.attrs)
        old.visititems(copy)
    path.with_suffix(".small").replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("card", type=Path)
    args = parser.parse_args()
    WEIGHTS.mkdir(exist_ok=True)
    weights = WEIGHTS / f"{args.name}.weights.h5"
    card = dataclasses.replace(
        Card.open(args.run / "card.json"), name=args.name, **yaml.safe_load(args.card.read_text())
    )
    load_pretrained(args.run, include_top=card.kind != "encoder").save_weights(weights)
    if weights.stat().st_size > LARGEST:
        shrink(weights)
    write_card(card, weights)
    images = np.random.default_rng(0).uniform(size=(16, *card.input_shape)).astype("float32")
    before, after = (load_pretrained(each).predict(images, verbose=0) for each in (args.run, args.name))
    moved = np.linalg.norm(after - before) / np.linalg.norm(before - before.mean(axis=0))
    print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB; representations moved by {moved:.2g} of their spread")


if __name__ == "__main__":
    main()
