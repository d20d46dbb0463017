"""The peer's half of `input_pipeline.py`: an epoch of galaxy-datasets' own loader, timed, in zoobot's environment.

`zoobot_head_only.py` describes it. Prints one line of JSON with the faster of no workers and two.
"""

import json
import sys
import time
from importlib.metadata import version

import pandas as pd
from galaxy_datasets import transforms
from galaxy_datasets.pytorch.galaxy_datamodule import CatalogDataModule


def rate(catalog: pd.DataFrame, side: int, batch: int, workers: int) -> float:
    view = transforms.default_view_config()
    view.output_size = side
    data = CatalogDataModule(
        label_cols=["label"],
        train_catalog=catalog,
        val_catalog=catalog[:1],
        train_transform=transforms.get_galaxy_transform(view),
        batch_size=batch,
        num_workers=workers,
        seed=0,
    )
    data.setup("fit")
    loader = data.train_dataloader()
    start, images = time.perf_counter(), 0
    for each in loader:
        images += len(each["image"])
    return images / (time.perf_counter() - start)


def main(path: str, side: int, batch: int):
    catalog = pd.read_csv(path, dtype={"id_str": str})
    rates = {workers: rate(catalog, side, batch, workers) for workers in (0, 2)}
    print(json.dumps({"images_per_second": max(rates.values()), "galaxy_datasets": version("galaxy-datasets")}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
