"""Puts the weights of a run of `train` into the package, with a card that says what they are.

    python benchmarks/weights/pack.py RUN NAME CARD.yaml

CARD.yaml holds what a run cannot know: `surveys`, `data`, `licence`, `citation`, `scores`, `stretch`.
"""

import argparse
import dataclasses
from pathlib import Path

import yaml

from morphtools.models.cards import WEIGHTS, Card, write_card
from morphtools.models.pretrained import load_pretrained


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("card", type=Path)
    args = parser.parse_args()
    WEIGHTS.mkdir(exist_ok=True)
    weights = WEIGHTS / f"{args.name}.weights.h5"
    load_pretrained(args.run, include_top=True).save_weights(weights)
    more = yaml.safe_load(args.card.read_text())
    card = dataclasses.replace(Card.open(args.run / "card.json"), name=args.name, **more)
    write_card(card, weights)
    print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
