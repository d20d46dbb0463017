"""Compares ratings that survive a kill from the moment they are given with a csv file of all galaxies.

    python benchmarks/ratings.py [--galaxies 100000] [--ratings 20]

Ours is one transaction of SQLite, on disk when the call returns. The csv has a score and a label for each galaxy and is
written again with every rating by `DataFrame.to_csv`, as Astronomaly does it; a process that ends while it writes
leaves half a file.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from rows import in_turns, report

from morphtools.anomalies.ratings import Ratings


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--galaxies", type=int, default=100_000)
    parser.add_argument("--ratings", type=int, default=20)
    options = parser.parse_args()
    names = [f"g{i}" for i in range(options.galaxies)]
    scores = pd.DataFrame({"score": np.random.default_rng(0).random(options.galaxies), "human_label": -1}, index=names)
    with tempfile.TemporaryDirectory() as folder:
        ratings, table, turn = Ratings(Path(folder) / "ratings.sqlite"), Path(folder) / "scores.csv", iter(names)

        def csv():
            scores.loc[names[0], "human_label"] = 4
            scores.to_csv(table)

        seconds = in_turns({"ours": lambda: ratings.add({next(turn): 4}, "me"), "csv": csv}, options.ratings)
    what = f"one rating among {options.galaxies:,} galaxies"
    report(what, f"csv by pandas {pd.__version__}, as Astronomaly", seconds["ours"], seconds["csv"])


if __name__ == "__main__":
    main()
