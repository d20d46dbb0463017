"""Measures the way from files to batches of random views: our records and galaxy-datasets' data module.

    python benchmarks/input_pipeline.py --torch-python ENV/bin/python

`peers/galaxy_datasets_loader.py` describes the peer's environment. Both read the same JPEGs of blurred noise and
draw galaxy-datasets' default views (our preset `zoobot` follows them). We read records, and a separate row includes
building them; galaxy-datasets reads the JPEGs, in this process or in two workers, whichever is faster. Its transforms
give 224 pixels by default; here they keep the size of the images.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from rows import ask, report


def make_jpegs(folder: Path, galaxies: int, side: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    for i in range(galaxies):
        small = Image.fromarray(rng.integers(0, 255, (side // 4, side // 4, 3), "uint8"))
        small.resize((side, side), Image.BICUBIC).save(folder / f"{i}.jpg", quality=90)
    names = [str(i) for i in range(galaxies)]
    files = [str(folder / f"{name}.jpg") for name in names]
    return pd.DataFrame({"id_str": names, "file_loc": files, "label": np.arange(galaxies) % 2, "split": "train"})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--galaxies", type=int, default=2048)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    from morphtools import build_augmentations, load_dataset
    from tfrecords_builder import build_records

    views = build_augmentations("zoobot", seed=0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalog = make_jpegs(folder, options.galaxies, options.side)
        catalog.to_csv(folder / "catalog.csv", index=False)
        building, ours, theirs = [], [], []
        for turn in range(options.turns):
            start = time.perf_counter()
            records = build_records(catalog, folder / f"records-{turn}", images=folder)
            building.append(time.perf_counter() - start)
            dataset = load_dataset(records, "train", batch_size=options.batch, shuffle=True, augment=views, seed=turn)
            for _ in range(2):  # the first time compiles
                start = time.perf_counter()
                number = sum(len(batch["id_str"]) for batch in dataset)
                seconds = time.perf_counter() - start
            ours.append(number / seconds)
            peer = "galaxy_datasets_loader.py"
            theirs.append(ask(options.torch_python, peer, folder / "catalog.csv", options.side, options.batch))
    peer = f"galaxy-datasets {theirs[0]['galaxy_datasets']}"
    rates = [each["images_per_second"] for each in theirs]
    size = f"{options.galaxies} JPEGs of {options.side} px"
    report(f"batches of views, {size}", peer, ours, rates, "images/s")
    built = [1 / (1 / rate + seconds / number) for rate, seconds in zip(ours, building, strict=True)]
    report(f"building records and batches of views, one epoch, {size}", peer, built, rates, "images/s")


if __name__ == "__main__":
    main()
