import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from morphtools.answers.familiarity import Familiarity
from morphtools.inference.predict import predict
from morphtools.models.cards import Card
from morphtools.models.pretrained import load_pretrained
from morphtools.survey.schemas import get_schema
from morphtools.training.finetune import finetune
from morphtools.training.settings import Optimization
from morphtools.training.train import _mean_answers, _optimizer, train
from tfrecords_builder.build import build_records
from tfrecords_builder.splits import split_of

ROOT = Path(__file__).parent.parent.parent
SCHEMA = """
name: two-questions
questions:
  - {question: ring, answers: [yes, no]}
  - {question: size, answers: [large, small], asked_after: [ring_yes]}
"""
OPTIONS = {"encoder": "resnet10_half", "epochs": 2, "batch_size": 16, "learning_rate": 3e-3}


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """150 galaxies of 32 pixels: volunteers see whether there is a ring, and then whether it is large."""
    folder = tmp_path_factory.mktemp("survey")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32] - 15.5
    r, rows = np.hypot(x, y), []
    for i in range(150):
        radius = rng.uniform(5, 13)
        pixels = 100 * np.exp(-r / 3) + 120 * (i % 2) * np.exp(-((r - radius) ** 2) / 2) + rng.normal(30, 6, r.shape)
        Image.fromarray(np.clip(pixels, 0, 255).astype("uint8")).save(folder / f"{i}.png")
        ring = rng.binomial(40, 0.9 if i % 2 else 0.01)
        large = rng.binomial(ring, 0.9 if radius > 9 else 0.1) if i % 3 else 0  # a third were not asked this question
        row = {"id_str": f"g{i}", "file_loc": f"{i}.png", "ring_yes": ring, "ring_no": 40 - ring}
        rows.append(row | {"size_large": large, "size_small": ring - large if i % 3 else 0})
    pd.DataFrame(rows).to_csv(folder / "catalog.csv", index=False)
    (folder / "schema.yaml").write_text(SCHEMA)
    return folder


def options(survey, **changes):
    return {"schema": survey / "schema.yaml", "catalog": survey / "catalog.csv"} | OPTIONS | changes


@pytest.fixture(scope="module")
def run(survey, tmp_path_factory):
    return train(**options(survey), out=tmp_path_factory.mktemp("runs") / "votes")


def test_a_run_leaves_what_a_person_and_a_program_need(run):
    files = {"config.yaml", "metrics.json", "history.csv", "model.keras", "card.json", "predictions.parquet", "log.txt"}
    assert {p.name for p in run.out.iterdir()} == files | {
        "claim.json",
        "figures",
        "questions.csv",
        "predictions.csv",
        "galaxies.parquet",
        "familiarity.npz",
    }
    galaxies = pd.read_parquet(run.out / "galaxies.parquet").set_index("id_str")["split"]
    assert len(galaxies) == 150 and galaxies.to_dict() == {name: split_of(name) for name in galaxies.index}
    assert (run.out / "figures" / "training_curve.png").stat().st_size > 5000
    assert "epoch 2: loss" in (run.out / "log.txt").read_text()
    assert run.summary.startswith("two-questions: resnet10_half trained on")
    assert list(run.metrics["questions"]) == ["ring", "size"]
    history = pd.read_csv(run.out / "history.csv")
    assert len(history) == 2 and history["kept"].sum() == 1


def test_the_run_can_be_loaded_as_pretrained_weights_with_and_without_its_head(run, survey):
    image = np.asarray(Image.open(survey / "3.png"), np.float32)[None, ..., None] / 255
    whole, encoder = load_pretrained(run.out, include_top=True), load_pretrained(run.out)
    alpha = whole.predict(image, verbose=0)
    assert alpha.shape == (1, 4) and (alpha > 1).all() and (alpha < 101).all()
    np.testing.assert_allclose(
        keras.models.load_model(run.out / "model.keras").predict(image, verbose=0), alpha, rtol=1e-5
    )
    assert encoder.predict(image, verbose=0).shape == (1, 256)


def test_predictions_are_of_test_galaxies_only(run, survey):
    from tfrecords_builder.splits import split_of

    predictions = pd.read_parquet(run.out / "predictions.parquet")
    catalog = pd.read_csv(survey / "catalog.csv")
    expected = [i for i in catalog["id_str"] if split_of(i) == "test"]
    assert sorted(predictions["id_str"]) == sorted(expected)
    np.testing.assert_allclose(predictions["ring_yes_fraction"] + predictions["ring_no_fraction"], 1, atol=1e-5)
    read = pd.read_csv(run.out / "predictions.csv").set_index("id_str")
    assert list(read.index) == expected and list(read)[:2] == ["file_loc", "ring_yes"]
    fraction = predictions.set_index("id_str").loc[expected, "ring_yes_fraction"]
    np.testing.assert_allclose(read["ring_yes_fraction"], fraction, rtol=0.005)


def test_predictions_of_the_run_tell_what_is_unlike_its_galaxies(run, survey, tmp_path):
    rng = np.random.default_rng(1)
    for i in range(5):
        Image.fromarray(rng.integers(0, 255, (32, 32)).astype("uint8")).save(tmp_path / f"{i}.png")
    noise = pd.DataFrame({"id_str": [f"n{i}" for i in range(5)], "file_loc": [f"{i}.png" for i in range(5)]})
    noise.to_csv(tmp_path / "noise.csv", index=False)
    out = predict(run.out, tmp_path / "noise", catalog=tmp_path / "noise.csv", orientations=1)
    fewest = 1 / (1 + len(Familiarity.open(run.out / "familiarity.npz").distances))
    assert pd.read_parquet(out / "predictions-full.parquet")["familiarity"].to_numpy() == pytest.approx(fewest)
    assert run.metrics["unfamiliar"]["share"] < 0.5


def test_a_run_can_be_repeated_from_its_config_and_a_finished_one_is_returned(run, tmp_path):
    config = yaml.safe_load((run.out / "config.yaml").read_text())
    again = train(**config, out=tmp_path / "again")
    pd.testing.assert_frame_equal(*(pd.read_csv(r.out / "history.csv") for r in (run, again)))
    assert train(**config, out=again.out).metrics == again.metrics
    with pytest.raises(FileExistsError, match=r"other settings \(epochs: 2 → 3\)"):
        train(**config | {"epochs": 3}, out=run.out)


def test_finetune_starts_from_it_with_the_encoder_unchanged(run, survey, tmp_path):
    tuned = finetune(
        "rings", 80, catalog=survey / "catalog.csv", weights=run.out, epochs=3, orientations=2, out=tmp_path / "tuned"
    )
    assert "resnet10_half (votes weights, frozen)" in tuned.summary
    before, after = load_pretrained(run.out), load_pretrained(tuned.out)
    for a, b in zip(before.weights, after.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert Card.open(tuned.out / "card.json").classes == ("no ring", "ring")


@pytest.mark.slow
def test_it_learns_what_volunteers_see(survey, tmp_path):
    run = train(**options(survey, epochs=15, encoder="resnet18", average=0.9), out=tmp_path / "run")
    ring, size = (run.metrics["questions"][name] for name in ("ring", "size"))
    assert ring["explained"] > 0.5 and ring["loss"] < ring["baseline_loss"]
    assert size["galaxies"] < ring["galaxies"]


@pytest.mark.slow
def test_training_continues_from_the_weights_of_another_run(run, survey, tmp_path):
    warm = train(**options(survey, weights=run.out, epochs=1, learning_rate=1e-9, average=0.0), out=tmp_path / "warm")
    before, after = (load_pretrained(r.out) for r in (run, warm))
    for a, b in zip(before.trainable_weights, after.trainable_weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("learner", [{}, {"method": "byol", "dimension": 8, "hidden": 16}], ids=["votes", "hybrid"])
def test_a_killed_run_ends_with_the_numbers_of_one_that_was_not(survey, tmp_path, learner, forks):
    arguments = {k: str(v) if isinstance(v, Path) else v for k, v in options(survey, epochs=3, **learner).items()}
    code = "from morphtools.training.train import train; import json, sys; "
    command = (code + "train(**json.loads(sys.argv[1]), out=sys.argv[2])", json.dumps(arguments), tmp_path / "killed")
    forks(*command, killed_before="history.csv", nth=2)
    assert len(pd.read_csv(tmp_path / "killed" / "history.csv")) == 1
    forks(*command)
    whole = train(**arguments, out=tmp_path / "whole")
    histories = [pd.read_csv(folder / "history.csv") for folder in (tmp_path / "killed", whole.out)]
    pd.testing.assert_frame_equal(*histories, rtol=1e-5)


ON_DEVICES = """
import sys, yaml
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(sys.argv[1]))
from morphtools.models.dirichlet import DirichletHead
from morphtools.training.devices import all_devices
from morphtools.training.train import train
DirichletHead.__init__.__kwdefaults__["dropout"] = 0.0
arguments = yaml.safe_load(open(sys.argv[2]))
assert all_devices()[1] == int(sys.argv[1])
train(**arguments, out=sys.argv[3] + "/votes")
train(**arguments, method="byol", dimension=8, hidden=16, out=sys.argv[3] + "/hybrid")
"""


@pytest.mark.slow
def test_two_devices_learn_what_one_learns_from_the_whole_batch_in_one_training_after_the_other(survey, tmp_path):
    """Votes alone, then with BYOL. Nothing is left to chance, which differs by device: no dropout, views that show all,
    and all galaxies in each batch, whose order is then indifferent. 21 validate, which two devices cannot share."""
    catalog = pd.read_csv(survey / "catalog.csv")[:105]
    catalog.assign(split=["train"] * 64 + ["val"] * 21 + ["test"] * 20).to_csv(tmp_path / "catalog.csv", index=False)
    arguments = {k: str(v) for k, v in {"schema": survey / "schema.yaml", "images": survey}.items()}
    arguments |= OPTIONS | {"catalog": str(tmp_path / "catalog.csv"), "epochs": 3, "batch_size": 64}
    arguments["clip"] = 1e9  # Keras clips what each device has, not their sum
    arguments["augmentations"] = [{"RandomView": {"rotation": 0, "flip": False, "zoom": 0, "shift": 0}}]
    (tmp_path / "arguments.yaml").write_text(yaml.safe_dump(arguments))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for devices in "12":
        command = [sys.executable, "-c", ON_DEVICES, devices, tmp_path / "arguments.yaml", tmp_path / devices]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    for kind in ("votes", "hybrid"):
        one, two = (pd.read_csv(tmp_path / devices / kind / "history.csv") for devices in "12")
        pd.testing.assert_frame_equal(one[:2], two[:2], rtol=1e-3)  # in the third, rounding has grown to thousandths
        assert all(history["loss"].iloc[-1] < 0.97 * history["loss"].iloc[0] for history in (one, two))


def test_records_must_have_the_votes_and_enough_galaxies(survey, tmp_path):
    catalog = pd.read_csv(survey / "catalog.csv", dtype={"id_str": str})
    records = build_records(catalog[["id_str", "file_loc", "ring_yes"]], tmp_path / "records", images=survey)
    with pytest.raises(ValueError, match="has no column ring_no, size_large, size_small"):
        train(survey / "schema.yaml", records=records.folder, out=tmp_path / "run")
    with pytest.raises(ValueError, match="fewer galaxies for training than batch_size"):
        train(**options(survey, batch_size=5000), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("steps, momentum", [(10, 0.6), (500, 0.992), (100_000, 0.999)])
def test_the_average_of_a_short_training_reaches_back_a_fortieth_of_its_steps(steps, momentum):
    how = Optimization(10, 64, 1e-3, 1e-4, 0.999, None, None)
    assert _optimizer(steps, how).ema_momentum == pytest.approx(momentum)
    assert not _optimizer(steps, dataclasses.replace(how, average=0.0)).use_ema


def test_a_class_given_as_several_votes_is_remarked_on(survey, caplog):
    tree = get_schema(survey / "schema.yaml")
    votes = pd.DataFrame({"split": "train", "ring_yes": [5.0, 0.0] * 60, "size_large": [3.0, 0.0] * 60})
    votes["ring_no"], votes["size_small"] = 5 - votes["ring_yes"], np.where(votes["ring_yes"], 1.0, np.nan)
    _mean_answers(SimpleNamespace(index=lambda columns: votes[columns]), tree)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["ring"]
