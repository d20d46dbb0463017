"""The verbs that `kills.py` kills, each a function of (data, out), and the data they work on.

`data` is the folder that `make_data` fills: galaxies drawn from a seed.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from morphtools.inference.representations import Representations
from tfrecords_builder import build_records

WEIGHTS = "mobilenet_v3_small_gz2"


def make_data(folder: Path, galaxies: int = 240) -> None:
    """Pictures of disks with a catalogue, and records of them."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    y, x = np.mgrid[:48, :48] - 23.5
    rows = []
    for i in range(galaxies):
        pixels = rng.integers(0, 40, (48, 48, 3)) + 180 * np.exp(-np.hypot(x, y) / rng.uniform(2, 9))[..., None]
        Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(folder / "images" / f"{i}.jpg", quality=90)
        row = {"id_str": f"g{i}", "file_loc": f"{i}.jpg", "ring": i % 2, "interest": float(rng.uniform())}
        rows.append(row | {"bright_yes": int(rng.binomial(20, i % 2 * 0.8 + 0.1))})
        rows[-1]["bright_no"] = 20 - rows[-1]["bright_yes"]
    pd.DataFrame(rows).to_csv(folder / "catalog.csv", index=False)
    (folder / "schema.yaml").write_text("name: bright\nquestions:\n  - {question: bright, answers: [yes, no]}\n")
    build_records(folder / "catalog.csv", folder / "records", images=folder / "images")
    store = Representations.create(folder / "representations", 12, {"weights": "random numbers"})
    for start in range(0, galaxies, 60):
        store.append([f"g{i}" for i in range(start, start + 60)], rng.normal(size=(60, 12)) * np.arange(1, 13))


def build(data: Path, out: Path) -> None:
    build_records(data / "catalog.csv", out, images=data / "images", seed=3)


def append(data: Path, out: Path) -> None:
    catalog = pd.read_csv(data / "catalog.csv")
    if not (out / "records.json").exists():
        build_records(catalog[:120], out, images=data / "images")
    build_records(catalog, out, images=data / "images", append=True)


def parts(data: Path, out: Path) -> None:
    """Three processes at once, of which a kill hits one."""
    children = []
    for i in (2, 3):
        child = os.fork()
        if child == 0:
            try:
                build_records(data / "catalog.csv", out, images=data / "images", part=f"{i}/3")
            finally:
                os._exit(0)
        children.append(child)
    build_records(data / "catalog.csv", out, images=data / "images", part="1/3")
    for child in children:
        os.waitpid(child, 0)
    build_records(data / "catalog.csv", out, images=data / "images")


def represent(data: Path, out: Path) -> None:
    from morphtools import represent

    represent(WEIGHTS, out, catalog=data / "catalog.csv", images=data / "images", orientations=1)


def predict(data: Path, out: Path) -> None:
    from morphtools import predict

    predict(WEIGHTS, out, records=data / "records", orientations=1)


def train(data: Path, out: Path) -> None:
    from morphtools import train

    inputs = {"schema": data / "schema.yaml", "catalog": data / "catalog.csv", "images": data / "images"}
    train(**inputs, encoder="resnet18", image_size=24, epochs=3, batch_size=32, out=out)


def pretrain(data: Path, out: Path) -> None:
    from morphtools import pretrain

    options = {"encoder": "resnet18", "small_images": True, "image_size": 16, "epochs": 3, "batch_size": 32}
    pretrain("simclr", records=data / "records", **options, watched=40, out=out)


def finetune(data: Path, out: Path, **options) -> None:
    from morphtools import finetune

    where = {"catalog": data / "catalog.csv", "images": data / "images"}
    options = {"weights": "random", "encoder": "resnet18", "image_size": 24, "epochs": 3, "test_labels": 30} | options
    finetune("rings", 80, column="ring", **where, **options, orientations=1, out=out)


def finetune_all(data: Path, out: Path) -> None:
    """Both stages, the head and then the encoder, from pretrained weights."""
    finetune(data, out, weights=WEIGHTS, image_size=32, depth=1)


def learning_curve(data: Path, out: Path) -> None:
    from morphtools import learning_curve

    way = {"weights": "random", "encoder": "resnet18", "image_size": 24, "epochs": 2, "orientations": 1}
    where = {"records": data / "records", "column": "ring"}
    learning_curve("rings", [40, 60], ways={"random": way}, seeds=1, **where, out=out)


def make_map(data: Path, out: Path) -> None:
    from morphtools import make_map

    options = {"sample": 150, "neighbours": 5, "components": 5}
    make_map(data / "representations", **options, catalog=data / "catalog.csv", colour=("interest",), out=out)


def cluster(data: Path, out: Path) -> None:
    from morphtools import cluster

    options = {"clusters": 4, "estimator": "kmeans", "labels": "ring"}
    cluster(data / "representations", catalog=data / "catalog.csv", **options, out=out)


def find_anomalies(data: Path, out: Path) -> None:
    from morphtools import find_anomalies

    options = {"oracle": "interest", "ratings": 24, "batch_size": 8, "components": 8}
    find_anomalies(data / "representations", catalog=data / "catalog.csv", **options, out=out)


def reduce(data: Path, out: Path) -> None:
    from morphtools import reduce_representations

    reduce_representations(data / "representations", out, components=4)


def simulate(data: Path, out: Path) -> None:
    from morphtools import simulate_survey

    simulate_survey(out, galaxies=12, image_size=32)


VERBS: dict[str, Callable[[Path, Path], None]] = {
    "build-records": build,
    "build-records --append": append,
    "build-records --part": parts,
    "represent": represent,
    "predict": predict,
    "train": train,
    "pretrain": pretrain,
    "finetune (head)": finetune,
    "finetune (head, encoder)": finetune_all,
    "learning-curve": learning_curve,
    "make-map": make_map,
    "cluster": cluster,
    "find-anomalies": find_anomalies,
    "reduce-representations": reduce,
    "simulate-survey": simulate,
}
