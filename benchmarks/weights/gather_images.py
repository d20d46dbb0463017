"""Gathers all available galaxies without votes: the catalogue from which `efficientnet_lite0_byol_sdss` learned.

    python benchmarks/weights/gather_images.py DATA OUT

DATA is as for `gather_labels.py`, and OUT is what that made: its images are used and its splits are kept, so a galaxy
that tests votes never teaches an encoder either. Adds `unlabelled.parquet` to OUT, with the galaxies nobody voted on,
and two labels to watch: `shape` (round, spiral or edge-on) and `ring` (Nair & Abraham 2010). The transfer tests stay
out.
"""

import argparse
from pathlib import Path

import pandas as pd
from gather_labels import SETS, galaxies_of, in_transfer_tests, read_sets

SHAPES = {"round_smooth": "round", "spiral": "spiral", "edge_on": "edge-on"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    tables, rows = read_sets(args.data), []
    for name in SETS:
        table = tables[name]
        galaxies = galaxies_of(name, table)
        if "clean_class" in table:
            galaxies["shape"] = table["clean_class"].map(SHAPES)
        if "na10_ring" in table:
            ring = table["na10_ring"]
            galaxies["ring"] = (ring > 0).map({True: "yes", False: "no"}).where(ring.notna())
        rows.append(galaxies[~in_transfer_tests(table, tables)])
    galaxies = pd.concat(rows, ignore_index=True)
    galaxies.to_parquet(args.out / "unlabelled.parquet", index=False)
    print(galaxies["split"].value_counts().to_dict())
    print(galaxies["shape"].value_counts().to_dict(), galaxies["ring"].value_counts().to_dict())


if __name__ == "__main__":
    main()
