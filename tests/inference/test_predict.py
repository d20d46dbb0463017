import dataclasses
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morphtools.answers.posteriors import read_concentrations
from morphtools.data.dataset import load_dataset
from morphtools.inference import filling, stream
from morphtools.inference.predict import predict
from morphtools.models.cards import Card, write_card
from morphtools.models.dirichlet import DirichletHead
from morphtools.models.encoders import any_way_up
from morphtools.models.heads import classification_head
from morphtools.survey.schemas import Schema
from tfrecords_builder.build import build_records
from tfrecords_builder.locks import lock
from tfrecords_builder.records import Records

TREE = {
    "name": "mine",
    "questions": [
        {"question": "featured", "answers": ["yes", "no"]},
        {"question": "bar", "answers": ["strong", "weak", "no"], "asked_after": ["featured_yes"]},
    ],
}
SCHEMA = Schema.from_dict(TREE)
CARD = Card("a", "classes", {"name": "tiny"}, ("r", "g", "b"), "picture", (24, 24), classes=("no ring", "ring"))


def tiny_encoder(name, input_shape, noise=None):
    """One convolution: quick to build."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(6, 5, activation="relu", name="block1_conv")(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="avg_pool")(x), name=name)


@pytest.fixture(scope="module", autouse=True)
def quick_encoders():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("morphtools.models.pretrained.build_encoder", tiny_encoder)
        yield


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """40 pictures of 24 pixels with their catalogue, and records of them in several shards."""
    folder = tmp_path_factory.mktemp("sky")
    rng = np.random.default_rng(0)
    for i in range(40):
        Image.fromarray(rng.integers(0, 255, (24, 24, 3)).astype("uint8")).save(folder / f"{i}.png")
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(40)], "file_loc": [f"{i}.png" for i in range(40)]})
    catalog.to_csv(folder / "catalog.csv", index=False)
    for n in (14, 28, 40):
        build_records(catalog[:n], folder / "records", images=folder, append=n > 14)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory, sky):
    """Two classifiers and a vote model, each the folder of a run."""
    folder, models = tmp_path_factory.mktemp("runs"), {}
    seen = next(iter(load_dataset(sky / "records", "train", batch_size=20)))["image"].numpy()
    votes = dataclasses.replace(CARD, kind="votes", classes=None, schema=TREE)
    for seed, (name, card) in enumerate({"a": CARD, "b": CARD, "votes": votes}.items()):
        keras.utils.set_random_seed(seed)
        encoder = tiny_encoder(input_shape=card.input_shape, **card.encoder)
        head = DirichletHead(5) if name == "votes" else classification_head(2, seed=seed)
        if name != "votes":
            head.standardize.adapt(encoder.predict(seen, verbose=0))
        models[name] = keras.Sequential([keras.Input(card.input_shape), *any_way_up(encoder), head])
        (folder / name).mkdir()
        models[name].save(folder / name / "model.keras")
        write_card(dataclasses.replace(card, name=name), folder / name / "model.keras")
    return folder, models


def shown(sky, model, flip=False):
    """The outputs of a model for the galaxies of all records, one row per name."""
    rows = []
    for split in ("test", "train", "val"):
        for batch in load_dataset(sky / "records", split):
            image = batch["image"].numpy()
            said = model.predict(image[:, :, ::-1] if flip else image, verbose=0)
            rows.append(pd.DataFrame(said, index=[name.decode() for name in batch["id_str"].numpy()]))
    return pd.concat(rows)


def tables(out):
    return [
        pd.read_parquet(out / f"{name}.parquet").set_index("id_str") for name in ("predictions", "predictions-full")
    ]


def test_a_classifier_gives_the_probabilities_of_its_model(sky, runs, tmp_path):
    out = predict(runs[0] / "a", tmp_path / "out", records=sky / "records", orientations=8)
    read, full = tables(out)
    expected = shown(sky, runs[1]["a"])
    assert list(read.index) == list(full.index) == list(expected.index)
    np.testing.assert_allclose(full[["no ring", "ring"]], expected, atol=1e-5)
    assert (full["predicted"] == np.where(full["ring"] > full["no ring"], "ring", "no ring")).all()
    as_csv = pd.read_csv(out / "predictions-full.csv", index_col="id_str")
    np.testing.assert_allclose(as_csv[["no ring", "ring"]], full[["no ring", "ring"]], rtol=1e-6)
    assert sorted(path.name for path in out.iterdir()) == [
        "claim.json",
        "predict.json",
        "predictions-full.csv",
        "predictions-full.parquet",
        "predictions.csv",
        "predictions.parquet",
    ]
    assert json.loads((out / "predict.json").read_text())["galaxies"] == 40


def test_partial_files_of_a_killed_call_are_removed_and_never_in_the_way(sky, runs, tmp_path):
    out = tmp_path / "out"
    (out / "state" / "chunks").mkdir(parents=True)
    (out / ".123.partial.predict.json").write_text("{")
    (out / "state" / "chunks" / ".123-abc.partial.part-x.parquet").write_bytes(b"x")
    predict(runs[0] / "a", out, records=sky / "records", orientations=1)
    assert sorted(path.name for path in out.iterdir() if path.name.startswith(".")) == []
    assert json.loads((out / "predict.json").read_text())["galaxies"] == 40


def test_galaxies_hidden_by_damage_are_listed_and_added_when_the_shard_is_repaired(sky, runs, tmp_path):
    shutil.copytree(sky / "records", tmp_path / "records")
    records = Records.open(tmp_path / "records")
    shard = records.shards("train")[0]
    good = shard.read_bytes()
    shard.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    out = tmp_path / "out"
    for _ in range(2):
        predict(runs[0] / "a", out, records=records.folder, orientations=1)
        (failure,) = pd.read_csv(out / "failures.csv").to_dict("records")
        assert failure["reason"].startswith(f"the shard {shard.name} is damaged at byte 0: ")
        assert len(tables(out)[1]) == 39
    shard.write_bytes(good)
    predict(runs[0] / "a", out, records=records.folder, orientations=1)
    whole = predict(runs[0] / "a", tmp_path / "whole", records=sky / "records", orientations=1)
    assert content(out) == content(whole)


def content(out):
    """Every table, and the names of all files."""
    return sorted(path.name for path in out.iterdir()), [table.to_csv(float_format="%.5g") for table in tables(out)]


def test_another_process_at_work_is_reported(sky, runs, tmp_path):
    with (
        lock(tmp_path / "out"),
        pytest.raises(BlockingIOError, match="at work in"),
    ):
        predict(runs[0] / "a", tmp_path / "out", records=sky / "records", orientations=1)
    with pytest.raises(FileNotFoundError):
        predict(runs[0] / "a", tmp_path / "new", records=tmp_path / "no records", orientations=1)
    assert not (tmp_path / "new").exists()


def test_a_flipped_bit_of_the_tables_is_noticed_when_they_are_read(sky, runs, tmp_path):
    out = predict(runs[0] / "votes", tmp_path / "out", records=sky / "records", orientations=1)
    path = out / "predictions-full.parquet"
    read_concentrations(out, SCHEMA)
    data = path.read_bytes()
    path.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
    with pytest.raises(ValueError, match=r"predictions-full\.parquet is damaged"):
        read_concentrations(out, SCHEMA)
    (out / "predict.json").write_text("[]")
    with pytest.raises(ValueError, match=r"predict\.json is damaged"):
        predict(runs[0] / "votes", out, records=sky / "records", orientations=1)


def test_several_classifiers_are_averaged(sky, runs, tmp_path):
    out = predict(
        [runs[0] / "a", runs[0] / "b"], tmp_path / "out", records=sky / "records", split="test", orientations=1
    )
    read, full = tables(out)
    each = [full[[f"no ring_{i}", f"ring_{i}"]].to_numpy() for i in (0, 1)]
    np.testing.assert_allclose(full[["no ring", "ring"]], np.mean(each, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(read["predicted"], full["predicted"])
    one = tables(predict(runs[0] / "b", tmp_path / "b", records=sky / "records", split="test", orientations=1))[1]
    np.testing.assert_allclose(each[1], one[["no ring", "ring"]], atol=1e-6)


def test_a_vote_model_predicts_once_per_orientation(sky, runs, tmp_path):
    out = predict(runs[0] / "votes", tmp_path / "out", records=sky / "records", orientations=2, level=0.5)
    read, full = tables(out)
    encoder, head = runs[1]["votes"].layers[1], runs[1]["votes"].layers[-1]
    alone = keras.Sequential([encoder, head])
    views = [shown(sky, alone, flip) for flip in (False, True)]
    for i, view in enumerate(views):
        columns = [f"{name}_concentration_{i}" for name in SCHEMA.label_cols]
        np.testing.assert_allclose(full.loc[view.index, columns], view, rtol=1e-4)
    first = np.mean([view[0] / (view[0] + view[1]) for view in views], axis=0)
    np.testing.assert_allclose(full.loc[views[0].index, "featured_yes_fraction"], first, rtol=1e-4)
    np.testing.assert_allclose(full["bar_asked"], full["featured_yes_fraction"], rtol=1e-5)
    assert (full["bar_no_low"] < full["bar_no_high"]).all()
    relevant = full["bar_asked"] >= 0.5
    twice = predict([runs[0] / "votes"] * 2, tmp_path / "twice", records=sky / "records", orientations=1)
    each = tables(twice)[1][["bar_no_concentration_0", "bar_no_concentration_1", "bar_no_fraction"]]
    np.testing.assert_allclose(each.iloc[:, 0], each.iloc[:, 1], rtol=1e-6)
    np.testing.assert_allclose(
        each.loc[views[0].index, "bar_no_fraction"], views[0][4] / views[0][[2, 3, 4]].sum(axis=1), rtol=1e-4
    )
    assert (read["bar_no_fraction"].notna() == relevant).all() and read["featured_no_fraction"].notna().all()


def test_killed_and_done_in_parts_the_tables_are_those_of_one_go(sky, runs, tmp_path, monkeypatch):
    options = {"records": sky / "records", "orientations": 2, "batch_size": 4}
    whole = predict(runs[0] / "a", tmp_path / "whole", **options)
    monkeypatch.setattr(filling, "_SECONDS", 0.0)
    batches, really = [], stream.compiled

    def dying(model, batch_size):
        step = really(model, batch_size)

        def forward(images):
            batches.append(len(images))
            if len(batches) == 4:
                raise KeyboardInterrupt
            return step(images)

        return forward

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(stream, "compiled", dying)
        with pytest.raises(KeyboardInterrupt):
            predict(runs[0] / "a", out, **options)
    predict(runs[0] / "a", out, part="2/2", **options)
    assert not (out / "predictions.csv").exists()
    predict(runs[0] / "a", out, part="1/2", **options)  # finds everything done, and writes the tables
    for name in ("predictions.csv", "predictions-full.csv", "predict.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    for ours, theirs in zip(tables(out), tables(whole), strict=True):
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    assert not (out / "state").exists()


@pytest.mark.parametrize("name", ["a", "votes"])
def test_an_executor_writes_the_tables_of_one_process(sky, runs, tmp_path, name):
    options = {"records": sky / "records", "orientations": 2, "batch_size": 4, "mixed_precision": name == "votes"}
    whole = predict(runs[0] / name, tmp_path / "whole", **options)
    with ThreadPoolExecutor(1) as executor:
        out = predict(runs[0] / name, tmp_path / "out", executor=executor, **options)
    files = {path.name: path.read_bytes() for path in whole.iterdir()}
    assert {path.name: path.read_bytes() for path in out.iterdir()} == files and len(files) >= 5


def test_a_catalogue_gives_what_its_records_give_and_a_bad_image_is_listed(sky, runs, tmp_path):
    catalog = pd.read_csv(sky / "catalog.csv")
    (sky / "bad.png").write_bytes(b"no picture")
    catalog.loc[3, "file_loc"] = "bad.png"
    catalog.to_csv(tmp_path / "catalog.csv", index=False)
    options = {"catalog": tmp_path / "catalog.csv", "images": sky, "orientations": 1}
    out = predict(runs[0] / "a", tmp_path / "out", **options)
    known = tables(predict(runs[0] / "a", tmp_path / "known", records=sky / "records", orientations=1))[1]
    got = tables(out)[1]
    assert set(got.index) == set(known.index) - {"g3"}
    np.testing.assert_allclose(got["ring"], known.loc[got.index, "ring"], atol=1e-5)
    listed = pd.read_csv(out / "failures.csv")
    assert list(listed["id_str"]) == ["g3"] and "bad.png: not a readable JPEG, PNG" in listed["reason"][0]
    assert not (out / "state").exists() and json.loads((out / "predict.json").read_text())["failures"] == 1
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    predict(runs[0] / "a", out, **options)  # finished: nothing is done again
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    for name in ("predictions.csv", "predictions-full.parquet"):
        content = (out / name).read_bytes()
        (out / name).write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        with pytest.raises(ValueError, match=f"{name} is damaged"):
            predict(runs[0] / "a", out, **options)
        (out / name).write_bytes(content)
    assert predict(runs[0] / "a", out, **options) == out


@pytest.mark.parametrize("name", ["a", "votes"])
def test_galaxies_without_a_finite_answer_are_listed_even_if_it_is_a_whole_part(sky, runs, tmp_path, monkeypatch, name):
    monkeypatch.setattr(filling, "_SECONDS", 0.0)
    batches, really = [], stream.compiled

    def once_nothing(model, batch_size):
        step = really(model, batch_size)

        def forward(images):
            batches.append(len(images))
            return step(images) * (np.nan if len(batches) == 1 else 1.0)

        return forward

    monkeypatch.setattr(stream, "compiled", once_nothing)
    out = predict(runs[0] / name, tmp_path / "out", records=sky / "records", orientations=1, batch_size=4)
    listed = pd.read_csv(out / "failures.csv")
    assert len(listed) == batches[0] and (listed["reason"] == "the model's output is not finite").all()
    assert set(tables(out)[0].index) | set(listed["id_str"]) == {f"g{i}" for i in range(40)}
    assert len(tables(out)[1]) == 40 - batches[0]


MIXED = ("a", {"mixed_precision": True}, "mixed_precision: False → True")


def test_a_folder_keeps_to_one_set_of_predictions(sky, runs, tmp_path):
    options = {"records": sky / "records", "split": "test", "orientations": 1}
    out = predict(runs[0] / "a", tmp_path / "out", **options)
    for weights, changes, other in (("b", {}, "weights"), ("a", {"orientations": 2}, "orientations"), MIXED):
        with pytest.raises(
            FileExistsError, match=rf"other (inputs|settings) \((changed: )?{other}.*; choose another out"
        ):
            predict(runs[0] / weights, out, **options | changes)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"does not contain results of predict \(thesis\.tex\)"):
        predict(runs[0] / "a", tmp_path / "thesis", **options)


@pytest.mark.parametrize(
    ("weights", "changes", "message"),
    [
        (["a", "votes"], {}, "a and votes answer different questions"),
        (["a"], {"level": 1.0}, "level must lie between 0 and 1"),
        ([], {}, "no weights are given"),
        (["a"], {"records": None}, "give either records or a catalog with images"),
        (["a"], {"records": None, "catalog": "nowhere.csv"}, "there is no catalogue at nowhere.csv"),
        (["a"], {"records": "nowhere"}, "there are no records at nowhere"),
        (["a"], {"split": "tets"}, "unknown split 'tets'"),
        (["a"], {"part": "3/2"}, "part must look like 2/5"),
        (["a"], {"stretch": "asinh"}, "hold pictures already"),
        (["a"], {"orientations": 3}, "orientations must be 8, 4, 2 or 1, got 3"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error_and_leaves_nothing(sky, runs, tmp_path, weights, changes, message):
    options = {"records": sky / "records"} | changes
    with pytest.raises((ValueError, OSError), match=message) as error:
        predict([runs[0] / name for name in weights], tmp_path / "out", **options)
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


def test_a_catalogue_in_parts_and_one_without_images_leave_nothing(sky, runs, tmp_path):
    options = {"catalog": sky / "catalog.csv", "images": sky}
    with pytest.raises(ValueError, match="parts need records"):
        predict(runs[0] / "a", tmp_path / "out", **options, part="1/2")
    with pytest.raises(ValueError, match="images cannot be used"):
        predict(runs[0] / "a", tmp_path / "out", catalog=sky / "catalog.csv", images=tmp_path)
    with pytest.raises(ValueError, match="hold pictures already"):
        predict(runs[0] / "a", tmp_path / "out", **options, stretch="asinh")
    assert list(tmp_path.iterdir()) == []
