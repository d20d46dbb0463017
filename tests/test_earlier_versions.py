"""Files of earlier versions can still be read: records, runs, predictions, stores of representations, rating sessions.

They are made here byte by byte, as version 0.1.0 of 2026-11-21 to 2026-11-25 wrote them (only `model_config.json` was
copied), without any writer of the package.
"""

import hashlib
import json
import shutil
import sqlite3
import struct
import zipfile
from io import BytesIO
from pathlib import Path

import google_crc32c
import h5py
import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

import morphtools
from morphtools.answers.predictions import Predictions
from morphtools.inference.representations import Representations
from morphtools.models.cards import Card, sha256_of
from morphtools.training.runs import Run
from tfrecords_builder.images import read_images
from tfrecords_builder.json_files import read_json
from tfrecords_builder.pixels import to_pixels

SIDE, SPLITS = 24, {"test": 3, "train": 6, "val": 2}
IDS = [f"g{i}" for i in range(11)]
CONFIG = """# morphtools finetune --config config.yaml --out ANOTHER_FOLDER
task: rings\nlabels: 40\ncatalog: null\nimages: null\nrecords: {records}\ncolumn: null\nweights: random
encoder: resnet18\nsmall_images: false\nimage_size: null\nview_size: null\nstretch: null\nsurvey: null
orientations: 2\ndepth: head\nepochs: 2\nbatch_size: 32\noptimizer: adam\nlearning_rate: 0.001
encoder_learning_rate: 0.001\nbins: 180\nredshift_range:\n- 0.0\n- 0.4\npdf: softmax\nestimate: mean
test_labels: 2000\nseed: 0
"""


def crc(data):
    return google_crc32c.value(data)


def protobuf(field, payload):
    """A field of bytes; lengths below 128 and above as varints."""
    length, n = b"", len(payload)
    while n > 127:
        length, n = length + bytes([n & 127 | 128]), n >> 7
    return bytes([field << 3 | 2]) + length + bytes([n]) + payload


def tfrecord(features):
    """A record of TensorFlow: length, its masked CRC, the example, its masked CRC."""
    data = protobuf(1, b"".join(protobuf(1, protobuf(1, k.encode()) + protobuf(2, v)) for k, v in features.items()))

    def masked(part):
        return struct.pack("<I", ((crc(part) >> 15 | crc(part) << 17) + 0xA282EAD8) % 2**32)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def write_json(path, **fields):
    path.write_text(json.dumps(fields, indent=1))


def write_records(folder, images):
    """`records.json` without checksum and index checksum, `index.parquet` without findings."""
    rows, checksums, i = [], {}, 0
    for split, n in SPLITS.items():
        shard, content = f"{split}-00000.tfrecord", b""
        for _ in range(n):
            png = BytesIO()
            Image.fromarray(images[i]).save(png, "png")
            rows.append((IDS[i], f"{i}.png", i % 2, split, shard, len(content), 0.0, ""))
            text, ring, shape = IDS[i].encode(), struct.pack("<f", i % 2), bytes([SIDE, SIDE, 3])
            fields = {"id_str": (1, text), "image": (1, png.getvalue()), "ring": (2, ring), "shape": (3, shape)}
            content += tfrecord({name: protobuf(kind, protobuf(1, value)) for name, (kind, value) in fields.items()})
            i += 1
        (folder / shard).write_bytes(content)
        checksums[shard] = f"{crc(content):08x}"
    names = ["id_str", "file_loc", "ring", "split", "shard", "offset", "missing_pixels", "pixel_flag"]
    pd.DataFrame(rows, columns=names).to_parquet(folder / "index.parquet", index=False)
    about = {"shape": [SIDE, SIDE, 3], "bands": ["r", "g", "b"], "encoding": "encoded", "label_cols": ["ring"]}
    about |= {"splits": SPLITS, "noise": None, "pixel_scale": None, "seed": 0, "checksums": checksums, "sky": None}
    about |= {"digest": "f" * 64, "totals": {"ring": 5.0}, "uniform": True, "incomplete": 0, "masked": 0, "failed": 0}
    write_json(folder / "records.json", **about, format=2)


def write_model(path):
    """`model.keras`; returns its weights by their names in the file."""
    rng, weights = np.random.default_rng(1), {}
    shapes = {"functional/layers/conv2d": [(5, 5, 3, 6), (6,)], "dense_head/standardize": [(6,), (6,), ()]}
    shapes |= {"dense_head/dense/dense": [(6, 64), (64,)], "dense_head/dense/dense_1": [(64, 64), (64,)]}
    shapes |= {"dense_head/out": [(64, 2), (2,)]}
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        for name, sizes in shapes.items():
            for k, size in enumerate(sizes):
                value = np.abs(rng.normal(size=size)) if "standardize" in name else rng.normal(size=size) / 4
                weights[name, k] = file.create_dataset(f"layers/{name}/vars/{k}", data=value.astype("f4"))[()]
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(Path(__file__).parent / "earlier/model_config.json", "config.json")
        archive.writestr("metadata.json", '{"keras_version": "3.12.0", "date_saved": "2026-11-21@13:00:00"}')
        archive.write(path.with_suffix(".h5"), "model.weights.h5")
    path.with_suffix(".h5").unlink()
    return weights


def representation_of(image, weights):
    """The mean over an image and its mirror image of a convolution, ReLU and the mean over pixels."""
    kernel, bias = (weights["functional/layers/conv2d", k] for k in (0, 1))
    each = []
    for view in (image, image[:, ::-1]):
        windows = np.lib.stride_tricks.sliding_window_view(view / 255.0, (5, 5), axis=(0, 1))
        each.append(np.maximum(np.einsum("xycij,ijcf->xyf", windows, kernel) + bias, 0).mean(axis=(0, 1)))
    return np.mean(each, axis=0)


def probability_of(x, weights):
    """P(ring): standardised, two layers with ReLU, a softmax."""
    x = (x - weights["dense_head/standardize", 0]) / np.sqrt(weights["dense_head/standardize", 1])
    for name in ("dense", "dense_1"):
        x = np.maximum(x @ weights[f"dense_head/dense/{name}", 0] + weights[f"dense_head/dense/{name}", 1], 0)
    logits = x @ weights["dense_head/out", 0] + weights["dense_head/out", 1]
    return np.exp(logits[1]) / np.exp(logits).sum()


def write_run(folder, records):
    """A finished run of `finetune`, without `claim.json`; its numbers have no checksums."""
    weights = write_model(folder / "model.keras")
    card = {"name": "run", "kind": "classes", "encoder": {"name": "resnet18", "noise": None}, "bands": ["r", "g", "b"]}
    card |= {"range": "picture", "image_size": [SIDE, SIDE], "middle_of": None, "stretch": None, "schema": None}
    card |= {"classes": ["no ring", "ring"], "redshifts": None, "dereddened": None, "pixel_scale": None, "surveys": []}
    card |= {"data": "rings from 8 labels", "scores": {"accuracy": 0.5, "calibration_error": 0.2}, "licence": ""}
    write_json(folder / "card.json", **card, citation="", url=None, sha256=sha256_of(folder / "model.keras"))
    (folder / "config.yaml").write_text(CONFIG.format(records=records))
    test = {"accuracy": {"value": 0.5, "low": 0.25, "high": 0.75}, "auc": {"value": None, "low": None, "high": None}}
    about = {"title": "rings from 8 labels", "galaxies": {"train": 6, "val": 2, "test": 3}, "failures": 0}
    write_json(folder / "metrics.json", **about, epochs={"head": 2}, test=test, provenance={"weights": "w"})
    table = pd.DataFrame({"id_str": IDS[:3], "probability": np.float32([0.25, 0.75, 0.5]), "label": [0, 1, 0]})
    table["predicted"] = ["no ring", "ring", "ring"]
    table.attrs = {"classes": ["no ring", "ring"], "provenance": {"weights": "w", "records": "r"}}
    table.to_parquet(folder / "predictions.parquet")
    splits = [split for split, n in SPLITS.items() for _ in range(n)]
    pd.DataFrame({"id_str": IDS, "split": splits, "label": np.arange(11) % 2}).to_parquet(folder / "galaxies.parquet")
    return weights


def write_predictions(folder, card):
    """What `predict` left: four tables, and settings without checksums."""
    table = pd.DataFrame({"id_str": IDS, "predicted": "ring", "no ring": np.float32(0.25), "ring": np.float32(0.75)})
    for name in ("predictions", "predictions-full"):
        table.to_parquet(folder / f"{name}.parquet", index=False)
        table.to_csv(folder / f"{name}.csv", index=False)
    about = {"weights": [card.sha256], "split": None, "level": 0.9, "orientations": 2, "stretch": None}
    about |= {"image_size": None, "adapt_bands": False, "records": "f" * 64, "galaxies": 11, "failures": 0}
    write_json(folder / "predict.json", **about)


def write_store(folder, x):
    """Parts without checksums in their names; returns these, as a session knows them."""
    start = 0
    for split, n in SPLITS.items():
        column = pa.FixedSizeListArray.from_arrays(pa.array(x[start : start + n].astype("f4").ravel()), x.shape[1])
        part = pa.table({"id_str": IDS[start : start + n], "representation": column})
        pq.write_table(part, folder / f"part-{split}-00000-0123abcd-00000000-{n:08d}.parquet")
        start += n
    provenance = {"weights": "w", "records": "r", "orientations": "2", "image_size": "(24, 24)", "stretch": "None"}
    write_json(folder / "representations.json", dimension=x.shape[1], provenance=provenance)
    return {path.name: crc(path.read_bytes()) for path in folder.glob("part-*")}


def write_session(folder, x, parts):
    """Candidates without a checksum, and ratings in a table without checksums."""
    np.save(folder / "candidates.npy", x[:, :4].astype("f4"))
    write_json(folder / "session.json", components=4, parts=parts)
    with sqlite3.connect(folder / "ratings.sqlite") as database:
        database.executescript(
            """CREATE TABLE ratings (number INTEGER PRIMARY KEY, id_str TEXT NOT NULL, rating REAL, rater TEXT NOT NULL,
            time TEXT NOT NULL, undone TEXT, UNIQUE (rater, id_str, time));
            CREATE TABLE asked (rater TEXT NOT NULL, place INTEGER NOT NULL, id_str TEXT NOT NULL,
            PRIMARY KEY (rater, place));
            INSERT INTO ratings VALUES (1, 'g4', 5.0, 'me', '2026-11-21T13:23:02.963856+00:00', NULL);
            INSERT INTO ratings VALUES (2, 'g5', 1.0, 'me', '2026-11-21T13:24:02.963856+00:00', NULL);"""
        )
    database.close()


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The folder of everything, the images, and P(ring) of each of them."""
    folder = tmp_path_factory.mktemp("earlier")
    for name in ("records", "run", "predictions", "store", "session"):
        (folder / name).mkdir()
    images = np.random.default_rng(0).integers(0, 255, (11, SIDE, SIDE, 3)).astype("uint8")
    write_records(folder / "records", images)
    weights = write_run(folder / "run", folder / "records")
    write_predictions(folder / "predictions", Card.open(folder / "run" / "card.json"))
    x = np.array([representation_of(image, weights) for image in images])
    write_session(folder / "session", x, write_store(folder / "store", x))
    return folder, images, x, np.array([probability_of(each, weights) for each in x])


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch):
    def encoder(name, input_shape, noise=None):
        inputs = keras.Input(input_shape)
        x = keras.layers.Conv2D(6, 5, activation="relu", name="block1_conv")(inputs)
        return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="avg_pool")(x), name=name)

    monkeypatch.setattr("morphtools.models.pretrained.build_encoder", encoder)


def test_records_are_read_pixel_by_pixel(old):
    folder, images, *_ = old
    records = morphtools.Records.open(folder / "records")
    assert records.splits == SPLITS and records.findings() == []
    read = read_images(records.source(), [{"file_loc": name} for name in IDS])
    np.testing.assert_array_equal([np.round(255 * to_pixels(image)) for image in read], images)


def test_the_model_of_a_run_is_loaded_by_keras_and_by_its_card(old):
    folder, images, _, p = old
    for model in (
        keras.saving.load_model(folder / "run" / "model.keras"),
        morphtools.load_pretrained(folder / "run", include_top=True, orientations=2),
    ):
        np.testing.assert_allclose(model.predict(images / np.float32(255), verbose=0)[:, 1], p, atol=1e-5)


def test_the_scores_and_predictions_of_a_run_are_read(old):
    run = Run(old[0] / "run")
    assert run.finished and run.summary.startswith("rings from 8 labels\n  accuracy")
    assert "0.500  [0.250, 0.750]" in run.summary
    predictions = Predictions.open(run.out / "predictions.parquet")
    assert predictions.probability.tolist() == [0.25, 0.75, 0.5] and predictions.classes == ("no ring", "ring")
    assert predictions.scores()["accuracy"]["value"] == pytest.approx(2 / 3)


ARGUMENTS = {"weights": "random", "encoder": "resnet18", "orientations": 2, "epochs": 2}


@pytest.mark.parametrize("claimed", [False, True])
def test_the_call_of_a_finished_run_returns_it_though_finetune_has_more_arguments_now(old, tmp_path, claimed):
    """Runs had `claim.json` before `finetune` had `balance` and `answer`."""
    folder = old[0]
    out = tmp_path / "run"
    out.mkdir()
    for path in (folder / "run").iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    options = ARGUMENTS | {"records": folder / "records", "out": out}
    if claimed:
        settings = yaml.safe_load((out / "config.yaml").read_text())
        inputs = {"records": "f" * 64, "shards": hash_of_shards(folder / "records")}
        (out / "claim.json").write_text(json.dumps({"verb": "finetune", "settings": settings, "inputs": inputs}))
    assert morphtools.finetune("rings", 40, **options).metrics["title"] == "rings from 8 labels"
    with pytest.raises(FileExistsError, match=r"other settings \(balance: None → True\)"):
        morphtools.finetune("rings", 40, balance=True, **options)


def hash_of_shards(records):
    checksums = json.loads((records / "records.json").read_text())["checksums"]
    return hashlib.sha256(json.dumps(sorted(checksums.items())).encode()).hexdigest()


def test_the_model_of_a_run_predicts_and_predictions_stay_until_others_are_requested(old, tmp_path):
    folder, _, _, p = old
    options = {"records": folder / "records", "orientations": 2}
    out = morphtools.predict(folder / "run", tmp_path / "new", **options)
    new = pd.read_parquet(out / "predictions-full.parquet").set_index("id_str").loc[IDS]
    np.testing.assert_allclose(new["ring"], p, atol=1e-5)
    before = (folder / "predictions" / "predictions.csv").read_bytes()
    out = morphtools.predict(folder / "run", folder / "predictions", **options)
    assert (out / "predictions.csv").read_bytes() == before
    morphtools.predict(folder / "run", out, **options, format="csv")
    catalog, predicted = ["id_str", "file_loc", "ring_catalog", "split"], ["predicted", "no ring", "ring"]
    assert list(pd.read_csv(out / "predictions.csv")) == catalog + predicted
    assert read_json(out / "predict.json")["format"] == ["csv"]


def test_representations_are_read_and_grow(old, tmp_path):
    folder, _, x, _ = old
    store = Representations.open(shutil.copytree(folder / "store", tmp_path / "store"))
    assert list(store.id_str) == IDS
    np.testing.assert_allclose(store.values(), x, rtol=1e-6)
    store.append(["new"], np.ones((1, x.shape[1]), np.float32))
    assert sorted(Representations.open(tmp_path / "store").id_str) == sorted([*IDS, "new"])


def test_a_rating_session_resumes(old):
    loop = morphtools.AnomalyLoop(old[0] / "store", old[0] / "session", components=4)
    scores = loop.scores().set_index("id_str")["rating"]
    assert scores["g4"] == 5 and scores["g5"] == 1 and scores.notna().sum() == 2
    loop.rate({"g6": 3.0})
    again = morphtools.AnomalyLoop(old[0] / "store", old[0] / "session", components=4)
    assert again.scores().set_index("id_str")["rating"].dropna().to_dict() == {"g4": 5, "g5": 1, "g6": 3}
