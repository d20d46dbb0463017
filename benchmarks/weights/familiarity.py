"""Describes the training galaxies of shipped vote weights, so that `predict` can warn of galaxies unlike them.

    python benchmarks/weights/familiarity.py GATHERED OUT WEIGHTS [WEIGHTS ...]

GATHERED is what `gather_labels.py` and `gather_images.py` made. The distribution is fitted to a draw of the training
galaxies, and the usual distances are those of the validation galaxies, on which the encoder was not trained.
Representations go to OUT and are used again. Prints the fraction of test galaxies that are unlike the training
galaxies, which should be `RARE`.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

import morphtools
from morphtools.answers.familiarity import RARE, Familiarity, fit_familiarity
from morphtools.models.cards import familiarity_beside, find_card

DRAWN, SHOWN, COMPONENTS = 8000, 1500, 128


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gathered", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", nargs="+")
    args = parser.parse_args()
    args.out.mkdir(exist_ok=True)
    catalog = pd.read_parquet(args.gathered / "catalog.parquet", columns=["id_str", "file_loc", "split"])
    sets = {name: galaxies for name, galaxies in catalog.groupby("split")}
    for name, most in (("train", DRAWN), ("test", SHOWN)):
        sets[name] = sets[name].sample(min(most, len(sets[name])), random_state=0)
    chosen = pd.concat(sets.values()).sort_values("id_str")
    chosen[["id_str", "file_loc"]].to_csv(args.out / "catalog.csv", index=False)
    for weights in args.weights:
        store = morphtools.represent(
            weights, args.out / weights, catalog=args.out / "catalog.csv", images=args.gathered / "images"
        )
        table = pd.DataFrame(store.values(), index=store.id_str)
        train, val, test = (
            table[table.index.isin(sets[name]["id_str"])].to_numpy() for name in ("train", "val", "test")
        )
        familiarity = fit_familiarity(train, val, components=COMPONENTS)
        small = {name: values.astype(np.float32) for name, values in dataclasses.asdict(familiarity).items()}
        Familiarity(**small).save(familiarity_beside(find_card(weights)))
        print(f"{weights}: fitted to {len(train)}, usual distances of {len(val)}; of {len(test)} test galaxies")
        print(f"  {np.mean(familiarity(test) <= RARE):.3f} are unlike them ({RARE} expected)")


if __name__ == "__main__":
    main()
