"""Damages every kind of file of a project at random, and counts what happens when it is read.

    python benchmarks/corruptions.py --cases 1000 --seed 0

A case is a copy of a folder with one file damaged: a bit flipped, the file cut off, emptied, or swapped with another of
its kind. Reading the folder must give the result of the undamaged one, or raise one sentence (ValueError or OSError);
the table counts silent differences and other exceptions, both of which must be 0. A kind of folder is a function that
makes it and one that reads it, in `KINDS`.
"""

import argparse
import hashlib
import logging
import os
import random
import shutil
import tempfile
import warnings
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import pandas as pd

from tfrecords_builder import Records, build_records
from tfrecords_builder.images import from_pixels


def make_records(folder: Path) -> None:
    pixels = np.random.default_rng(0).normal(size=(150, 8, 8, 2)).astype("float32")
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(150)], "file_loc": range(150), "votes": range(150)})
    for n in (90, 150):
        build_records(
            catalog[:n], folder, images=lambda i: from_pixels(pixels[int(i)]), bands=("g", "r"), append=n > 90
        )


def read_records(folder: Path) -> str:
    from morphtools.data.dataset import load_dataset

    records = Records.open(folder)
    digest = hashlib.sha256(records.index().to_csv().encode())
    digest.update(repr(sorted(records.fields().items())).encode())
    for split in ("train", "val", "test"):
        for batch in load_dataset(records, split):
            digest.update(batch["image"].numpy().tobytes() + b"".join(batch["id_str"].numpy()))
            digest.update(batch["votes"].numpy().tobytes())
    return digest.hexdigest()


def make_store(folder: Path) -> None:
    from morphtools import Representations

    store = Representations.create(folder, 8, {"weights": "w", "records": "r"})
    for i in range(3):
        store.append([f"g{i}-{j}" for j in range(40)], np.random.default_rng(i).normal(size=(40, 8)))


def read_store(folder: Path) -> str:
    from morphtools import Representations

    store = Representations.open(folder)
    about = repr((store.dimension, store.provenance, list(store.id_str)))
    return hashlib.sha256(about.encode() + store.values().tobytes()).hexdigest()


def sound_store(folder: Path) -> Path:
    """The undamaged store, beside the folder of a case."""
    return folder.parent / "representations"


def make_session(folder: Path) -> None:
    from morphtools.anomalies.loop import AnomalyLoop

    loop = AnomalyLoop(sound_store(folder), folder, components=4)
    loop.rate({name: float(i % 6) for i, name in enumerate(loop.suggest(12))})


def read_session(folder: Path) -> str:
    from morphtools.anomalies.loop import AnomalyLoop

    loop = AnomalyLoop(sound_store(folder), folder, components=4)
    text = loop.history()[["id_str", "rating"]].to_csv() + loop.scores().round(6).to_csv()
    return hashlib.sha256(text.encode()).hexdigest()


def make_reduced(folder: Path) -> None:
    from morphtools import reduce_representations

    reduce_representations(sound_store(folder), folder, components=3)


def read_reduced(folder: Path) -> str:
    from morphtools import reduce_representations

    store = reduce_representations(sound_store(folder), folder, components=3)
    again = reduce_representations(sound_store(folder), folder / "again", like=folder)  # by the projection in it
    ids = repr([list(store.id_str), list(again.id_str)])
    return hashlib.sha256(ids.encode() + store.values().tobytes() + again.values().tobytes()).hexdigest()


def make_clusters(folder: Path) -> None:
    from morphtools import cluster

    cluster(sound_store(folder), clusters=3, estimator="kmeans", out=folder)


def read_clusters(folder: Path) -> str:
    from morphtools import cluster

    options = {"clusters": 3, "estimator": "kmeans"}
    table = cluster(sound_store(folder), **options, out=folder).galaxies
    return hashlib.sha256(table.round(5).to_csv().encode()).hexdigest()


def make_map_of_all(folder: Path) -> None:
    from morphtools import make_map

    make_map(sound_store(folder), components=4, neighbours=5, out=folder)


def read_map(folder: Path) -> str:
    from morphtools import make_map

    table = make_map(sound_store(folder), components=4, neighbours=5, out=folder)
    return hashlib.sha256(table.round(4).to_csv().encode()).hexdigest()


def make_run(folder: Path) -> None:
    from morphtools import finetune

    rings = pd.DataFrame({"id_str": [f"g{i}" for i in range(80)], "file_loc": range(80), "ring": np.arange(80) % 2})
    images = np.random.default_rng(0).normal(size=(80, 32, 32, 3)).astype("f4")
    records = build_records(rings, folder.parent / "rings", images=lambda i: from_pixels(images[int(i)]), bands="grz")
    options = {"weights": "random", "encoder": "resnet10_half", "depth": "head", "epochs": 1}
    finetune("rings", 40, records=records.folder, out=folder, **options)


def read_run(folder: Path) -> str:
    from morphtools import load_pretrained
    from morphtools.answers.familiarity import Familiarity
    from morphtools.answers.predictions import Predictions
    from morphtools.models.cards import Card, find_card
    from tfrecords_builder.json_files import read_json

    card = Card.open(find_card(folder))
    digest = hashlib.sha256(repr((card.kind, card.classes, card.bands, card.image_size, card.encoder)).encode())
    for weights in load_pretrained(folder, include_top=True).get_weights():
        digest.update(weights.tobytes())
    answers = Predictions.open(folder / "predictions.parquet")
    digest.update(repr(list(answers.id_str)).encode() + np.asarray(answers.probability).tobytes())
    for values in vars(Familiarity.open(folder / "familiarity.npz")).values():
        digest.update(np.asarray(values).tobytes())
    return digest.hexdigest() + str(read_json(folder / "metrics.json")["test"])


def sound_run(folder: Path) -> Path:
    """An undamaged run, beside the folder of a case, with its records."""
    run = folder.parent / "sound run"
    if not run.exists():
        make_run(run)
    return run


def predicted(folder: Path) -> str:
    from morphtools import predict
    from morphtools.answers.predictions import check_table

    predict(sound_run(folder), folder, records=folder.parent / "rings", orientations=1)
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.csv")) + sorted(folder.glob("*.parquet")):
        table = pd.read_csv(check_table(path)) if path.suffix == ".csv" else pd.read_parquet(check_table(path))
        digest.update(f"{path.name}\n{table.round(5).to_csv()}".encode())
    return digest.hexdigest()


def make_begun_predictions(folder: Path) -> None:
    """Predictions without the last step, as a kill leaves them."""
    from morphtools import predict

    predict(sound_run(folder), folder, records=folder.parent / "rings", orientations=1, part="1/1")


def small_models() -> dict:
    import keras

    keras.utils.set_random_seed(0)
    models = {}
    for stage, units in (("head", (3,)), ("encoder", (5, 3))):
        models[stage] = keras.Sequential([keras.Input((4,)), *map(keras.layers.Dense, units)])
        models[stage].compile("adam", "mse")
        models[stage].optimizer.build(models[stage].trainable_variables)
    return models


def make_checkpoints(folder: Path) -> None:
    from morphtools.training.fitting import save_state

    folder.mkdir()
    for i, (stage, model) in enumerate(small_models().items()):
        best = [np.random.default_rng(i).normal(size=weights.shape) for weights in model.get_weights()]
        save_state(model, folder / f"{stage}.npz", [{"stage": stage, "epoch": 1, "loss": 0.3, "val_loss": 0.4}], best)


def read_checkpoints(folder: Path) -> str:
    from morphtools.training.fitting import _variables, load_state

    digest = hashlib.sha256()
    for stage, model in small_models().items():
        history, best = load_state(model, folder / f"{stage}.npz")
        digest.update(repr(history).encode())
        for values in [*map(np.asarray, _variables(model)), *best]:
            digest.update(values.tobytes())
    return digest.hexdigest()


_NOT_READ = (".png", ".txt", ".lock", "")  # only people read it
KINDS = {
    "records": (make_records, read_records),
    "representations": (make_store, read_store),
    "session": (make_session, read_session),
    "reduced": (make_reduced, read_reduced),
    "clusters": (make_clusters, read_clusters),
    "map": (make_map_of_all, read_map),
    "run": (make_run, read_run),
    "predictions": (predicted, predicted),
    "predictions begun": (make_begun_predictions, predicted),
    "checkpoints": (make_checkpoints, read_checkpoints),
}


def damage(folder: Path, rng: random.Random) -> str:
    """Damages one file of a folder; returns its kind and how."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in _NOT_READ)
    endings = sorted({path.suffix for path in files})
    ending = rng.choice(endings)
    path = rng.choice([path for path in files if path.suffix == ending])
    content, how = bytearray(path.read_bytes()), rng.choice(["flip", "flip", "flip", "cut", "empty", "swap"])
    others = [other for other in files if other.suffix == ending and other.read_bytes() != content]
    if how == "swap" and others:
        other = rng.choice(others)
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)
    elif how == "cut":
        path.write_bytes(content[: rng.randrange(len(content))])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
    return f"{ending} {how}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds of folders, as session,clusters")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else list(KINDS)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rng, tally = random.Random(options.seed), Counter()
    with tempfile.TemporaryDirectory() as name:
        expected = {}
        for kind, (make, read) in KINDS.items():
            if kind not in wanted and kind != "representations":  # the others are derived from these
                continue
            make(Path(name) / kind)
            # reading may finish what was begun
            sound = shutil.copytree(Path(name) / kind, Path(name) / f"sound {kind}")
            expected[kind] = read(sound)
        for case in range(options.cases):
            kind = rng.choice(sorted(wanted))
            folder = Path(name) / f"case{case}"  # another name, because checksums are kept by path and time
            shutil.copytree(Path(name) / kind, folder)
            how = f"{kind} {damage(folder, rng)}"
            try:
                outcome = "same" if KINDS[kind][1](folder) == expected[kind] else "SILENT DIFFERENCE"
            except (ValueError, OSError) as error:
                outcome = (
                    "one sentence" if "\n" not in str(error) and type(error) is not UnicodeError else "SEVERAL LINES"
                )
            except Exception as error:  # what must never reach a user
                outcome = f"TRACEBACK {type(error).__name__}"
            tally[how, outcome] += 1
            if outcome.isupper() or outcome.startswith("TRACEBACK"):
                print(how, outcome, flush=True)
            shutil.rmtree(folder)
    table = pd.Series(tally).rename_axis(["damage", "outcome"]).unstack(fill_value=0)
    print(table.to_string())
    print(table.sum().to_dict())


if __name__ == "__main__":
    main()
