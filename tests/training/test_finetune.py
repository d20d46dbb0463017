import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from morphtools.answers.classes import Classes
from morphtools.answers.predictions import Predictions
from morphtools.inference.predict import predict
from morphtools.models.answering import begin, head_for
from morphtools.training.finetune import finetune
from tfrecords_builder.build import build_records

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """120 grey galaxies of 32 pixels, every other with a ring; the catalogue gives the fraction of votes for it."""
    folder = tmp_path_factory.mktemp("sky")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32] - 15.5
    rows = []
    for i in range(120):
        r = np.hypot(x, y * rng.uniform(1, 1.4))
        flux = 120 * np.exp(-r / rng.uniform(2, 4)) + 90 * (i % 2) * np.exp(-((r - rng.uniform(7, 10)) ** 2) / 2)
        pixels = np.clip(flux + rng.normal(20, 6, (32, 32)), 0, 255).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{i}.png")
        fraction = rng.uniform(0.3, 1) if i % 2 else rng.uniform(0, 0.04)
        rows.append({"id_str": f"g{i}", "file_loc": f"{i}.png", "ring_fraction": fraction})
    pd.DataFrame(rows).to_csv(folder / "catalog.csv", index=False)
    return folder


def options(sky, **changes):
    defaults = {"labels": 90, "catalog": sky / "catalog.csv", "weights": "random", "encoder": "resnet10_half"}
    return defaults | {"epochs": 40, "test_labels": 30} | changes


@pytest.fixture(scope="module")
def head_run(sky, tmp_path_factory):
    return finetune("rings", **options(sky), out=tmp_path_factory.mktemp("runs") / "head")


def predictions(run):
    return Predictions.open(run.out / "predictions.parquet")


def test_a_run_leaves_what_a_person_and_a_program_need(head_run):
    plots = {"training_curve", "roc", "confusion", "calibration"}
    figures = {f"{name}.{ending}" for name in plots for ending in ("png", "pdf")}
    figures |= {"confident.png", "uncertain.png", "mistakes.png", "unfamiliar.png", "confusion_examples.png"}
    expected = {
        "claim.json",
        "config.yaml",
        "metrics.json",
        "history.csv",
        "model.keras",
        "predictions.parquet",
        "predictions.csv",
        "log.txt",
    }
    expected |= {"validation.parquet", "galaxies.parquet", "card.json", "familiarity.npz", "figures"}
    assert {p.name for p in head_run.out.iterdir()} == expected
    assert {p.name for p in (head_run.out / "figures").iterdir()} == figures
    assert head_run.summary.startswith("rings from 90 labels: resnet10_half (random weights, frozen), tested on")
    assert "accuracy" in head_run.summary and str(head_run.out) in head_run.summary
    assert "cross-validation chose a penalty" in (head_run.out / "log.txt").read_text()


def test_a_run_lists_the_galaxies_it_used_and_its_predictions_for_validation(head_run):
    galaxies = pd.read_parquet(head_run.out / "galaxies.parquet").set_index("id_str")
    assert galaxies["split"].value_counts().to_dict() == head_run.metrics["galaxies"]
    for name, splits in {"predictions": ["test"], "validation": ["train", "val"]}.items():  # left out, all of them
        said = Predictions.open(head_run.out / f"{name}.parquet")
        assert set(said.id_str) == set(galaxies.index[galaxies["split"].isin(splits)])
        np.testing.assert_array_equal(said.label, galaxies.loc[said.id_str, "label"])


def test_it_learns_rings(head_run):
    assert head_run.metrics["test"]["auc"]["value"] > 0.8
    history = pd.read_csv(head_run.out / "history.csv")
    kept = history.loc[history["kept"]]
    assert len(kept) == 1 and kept["val_loss"].item() < 1.1 * history["val_loss"].min() < np.log(2)
    assert (history.loc[history["strength"] > kept["strength"].item(), "val_loss"] > kept["val_loss"].item()).all()


def test_a_new_head_calls_all_classes_as_likely():
    answer = Classes(("no", "yes"))
    head = head_for(answer, seed=3)
    head.build((None, 6))
    begin(head, answer, np.array([[0], [1], [1]]))
    np.testing.assert_array_equal(head(np.random.default_rng(0).normal(size=(5, 6))), np.full((5, 2), 0.5))


def test_the_saved_model_gives_the_saved_predictions(head_run, sky):
    model = keras.saving.load_model(head_run.out / "model.keras")
    saved = predictions(head_run)
    images = np.stack([np.asarray(Image.open(sky / f"{i[1:]}.png"), np.float32) / 255 for i in saved.id_str])[..., None]
    np.testing.assert_allclose(model.predict(images, verbose=0)[:, 1], saved.probability, atol=1e-5)
    turned = model.predict(np.rot90(images, axes=(1, 2)), verbose=0)[:, 1]
    np.testing.assert_allclose(turned, saved.probability, atol=1e-4)  # a galaxy has no up


def test_the_run_predicts_other_catalogues_as_it_did_its_test(head_run, sky, tmp_path):
    out = predict(head_run.out, tmp_path / "out", catalog=sky / "catalog.csv")
    saved = predictions(head_run)
    again = pd.read_parquet(out / "predictions-full.parquet").set_index("id_str")
    assert len(again) == 120
    np.testing.assert_allclose(again.loc[saved.id_str, "ring"], saved.probability, atol=1e-5)


def test_an_image_without_a_galaxy_is_unlike_the_training_galaxies_and_the_user_is_warned(
    head_run, sky, tmp_path, caplog
):
    share = head_run.metrics["unfamiliar"]["share"]
    assert f"unlike the training galaxies: {share:.1%} of test galaxies" in head_run.summary
    rng = np.random.default_rng(1)
    for i in range(12):
        Image.fromarray(rng.integers(0, 255, (32, 32)).astype("uint8")).save(tmp_path / f"{i}.png")
    noise = pd.DataFrame({"id_str": [f"n{i}" for i in range(12)], "file_loc": [f"{i}.png" for i in range(12)]})
    noise.to_csv(tmp_path / "noise.csv", index=False)
    out = predict(head_run.out, tmp_path / "out", catalog=tmp_path / "noise.csv")
    assert "100% of these galaxies are unlike any the model was trained on" in caplog.text
    assert (
        pd.read_csv(out / "predictions-full.csv")["familiarity"].max() <= 1 / 91 + 1e-6
    )  # farther than all 90 labelled
    caplog.clear()
    galaxies = pd.read_parquet(
        predict(head_run.out, tmp_path / "galaxies", catalog=sky / "catalog.csv") / "predictions.parquet"
    )
    assert galaxies["familiarity"].median() > 0.3 and "unlike" not in caplog.text


def test_metrics_are_those_of_the_predictions(head_run):
    from sklearn.metrics import accuracy_score, roc_auc_score

    saved, scores = predictions(head_run), head_run.metrics["test"]
    assert scores["accuracy"]["value"] == pytest.approx(accuracy_score(saved.label, saved.probability >= 0.5))
    assert scores["auc"]["value"] == pytest.approx(roc_auc_score(saved.label, saved.probability))
    truth = np.array([int(i[1:]) % 2 for i in saved.id_str])
    np.testing.assert_array_equal(saved.label, truth)


@pytest.mark.slow
def test_in_mixed_precision_a_run_is_nearly_the_same_and_says_so(sky, head_run, tmp_path):
    run = finetune("rings", **options(sky), mixed_precision=True, out=tmp_path / "run")
    assert yaml.safe_load((run.out / "config.yaml").read_text())["mixed_precision"] is True
    exact, half = (predictions(each).by_class for each in (head_run, run))
    assert exact.dtype == half.dtype and 0 < abs(exact - half).max() < 0.1
    with pytest.raises(FileExistsError, match="mixed_precision: True → False"):
        finetune("rings", **options(sky), out=run.out)


def test_a_finished_run_is_returned_and_another_one_is_not_mixed_in(head_run, sky):
    before = {p: p.stat().st_mtime_ns for p in head_run.out.rglob("*.parquet")}
    assert finetune("rings", **options(sky), out=head_run.out).metrics == head_run.metrics
    assert {p: p.stat().st_mtime_ns for p in head_run.out.rglob("*.parquet")} == before
    assert not (head_run.out / "state").exists()
    with pytest.raises(FileExistsError, match=r"other settings \(labels: 90 → 80\)"):
        finetune("rings", **options(sky, labels=80), out=head_run.out)


def test_a_run_can_be_repeated_from_its_config(head_run, tmp_path):
    config = yaml.safe_load((head_run.out / "config.yaml").read_text())
    again = finetune(**config, out=tmp_path / "again")
    np.testing.assert_array_equal(predictions(again).probability, predictions(head_run).probability)


def test_galaxies_represented_by_an_executor_give_the_same_run(head_run, sky, tmp_path):
    shards = []

    class Counting(ThreadPoolExecutor):
        def submit(self, work, *arguments):
            shards.append(arguments)
            return super().submit(work, *arguments)

    with Counting(1) as executor:
        run = finetune("rings", **options(sky), executor=executor, out=tmp_path / "run")
    assert len(shards) == 3  # of training, validation and test
    np.testing.assert_array_equal(predictions(run).probability, predictions(head_run).probability)


@pytest.mark.slow
def test_each_stage_moves_the_weights_it_should(head_run, sky, tmp_path):
    """The encoder of a head-only run is the one that is started from: stage 1 must not move it."""
    changes = {"weights": head_run.out, "depth": 1, "epochs": 3, "learning_rate": 1e-2, "encoder_learning_rate": 1e-3}
    run = finetune("rings", **options(sky, **changes), out=tmp_path / "r")
    frozen, trained = (keras.saving.load_model(r.out / "model.keras") for r in (head_run, run))
    for a, b in zip(frozen.layers[1].weights, trained.layers[1].weights, strict=True):
        moved = not np.array_equal(a, b)
        assert moved == (a.path.startswith("block4") and "_bn" not in a.path), a.path
    assert list(pd.read_csv(run.out / "history.csv")["stage"].unique()) == ["head", "encoder"]
    assert "top 1 blocks trained" in run.summary


@pytest.mark.slow
def test_records_can_be_given_instead_and_keep_their_test_split(sky, tmp_path):
    catalog = pd.read_csv(sky / "catalog.csv", dtype={"id_str": str})
    records = build_records(catalog, tmp_path / "records", images=sky, seed=5)
    changes = {"catalog": None, "records": records.folder, "epochs": 2}
    run = finetune("rings", **options(sky, **changes), out=tmp_path / "run")
    index = records.index().set_index("id_str")
    assert (index.loc[predictions(run).id_str, "split"] == "test").all()


@pytest.mark.slow
def test_a_few_bad_images_are_listed_and_skipped(sky, tmp_path):
    catalog = pd.read_csv(sky / "catalog.csv")
    for row in (3, 4):
        (sky / f"bad{row}.png").write_bytes(b"not a picture")
        catalog.loc[row, "file_loc"] = f"bad{row}.png"
    catalog["file_loc"] = [str(sky / name) for name in catalog["file_loc"]]  # an absolute path stays as it is
    catalog.to_csv(tmp_path / "catalog.csv", index=False)
    changes = {"catalog": tmp_path / "catalog.csv", "images": sky, "epochs": 2}
    run = finetune("rings", **options(sky, **changes), out=tmp_path / "run")
    listed = pd.read_csv(run.out / "failures.csv")
    assert set(listed["id_str"]) <= {"g3", "g4"} and len(listed) == run.metrics["failures"] > 0
    assert listed["reason"].str.contains("not a readable JPEG, PNG").all()


@pytest.mark.slow
def test_flux_images_of_five_bands_with_missing_pixels(tmp_path):
    from astropy.io import fits

    rng = np.random.default_rng(1)
    y, x = np.mgrid[:24, :24] - 11.5
    rows = []
    for i in range(80):
        cube = rng.normal(0, 0.02, (5, 24, 24)) + (1 + i % 2) * np.exp(-np.hypot(x, y) / (2 + 2 * (i % 2)))
        cube[:, 3:5, 7] = np.nan
        fits.writeto(tmp_path / f"{i}.fits", cube.astype("float32"))
        rows.append({"id_str": f"g{i}", "file_loc": f"{i}.fits", "mine": i % 2})
    pd.DataFrame(rows).to_csv(tmp_path / "catalog.csv", index=False)
    run = finetune(
        "smooth",
        60,
        weights="random",
        encoder="resnet10_half",
        catalog=tmp_path / "catalog.csv",
        column="mine",
        epochs=40,
        out=tmp_path / "run",
    )
    assert run.metrics["test"]["auc"]["value"] > 0.9
    model = keras.saving.load_model(run.out / "model.keras")
    assert model.input_shape == (None, 24, 24, 5)


@pytest.mark.slow
def test_killed_at_any_moment_it_resumes_to_the_same_result(sky, head_run, tmp_path, forks):
    out = tmp_path / "killed"
    code = "from morphtools.training.finetune import finetune; import sys; finetune('rings', 90, "
    code += "weights='random', encoder='resnet10_half', catalog=sys.argv[1], "
    code += "epochs=40, test_labels=30, out=sys.argv[2])"
    for file in ("config.yaml", "records/records.json", "representations/representations.json", "model.keras"):
        forks(code, sky / "catalog.csv", out, killed_before=file)
        assert not list(out.rglob(Path(file).name))
    forks(code, sky / "catalog.csv", out, killed_before="metrics.json")
    forks(code, sky / "catalog.csv", out)
    resumed = Predictions.open(out / "predictions.parquet")
    np.testing.assert_array_equal(resumed.id_str, predictions(head_run).id_str)
    np.testing.assert_array_equal(resumed.probability, predictions(head_run).probability)
    assert pd.read_csv(out / "history.csv").equals(pd.read_csv(head_run.out / "history.csv"))
    assert not [p for p in out.rglob("*") if "partial" in p.name]


@pytest.mark.slow
def test_it_runs_on_jax_too(sky, tmp_path):
    code = "from morphtools.training.finetune import finetune; import sys; finetune('rings', 60, "
    code += "weights='random', encoder='resnet10_half', catalog=sys.argv[1], "
    code += "epochs=20, test_labels=30, out=sys.argv[2])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", code, str(sky / "catalog.csv"), str(tmp_path / "run")]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    saved = Predictions.open(tmp_path / "run" / "predictions.parquet")
    assert np.mean(saved.probability[saved.label == 1]) > np.mean(saved.probability[saved.label == 0])
    # the model trained on JAX gives the same on TensorFlow
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    images = np.stack([np.asarray(Image.open(sky / f"{i[1:]}.png"), np.float32) / 255 for i in saved.id_str])[..., None]
    np.testing.assert_allclose(model.predict(images, verbose=0)[:, 1], saved.probability, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": 0}, "labels must be at least 1, got 0"),
        ({"seed": -1}, "seed must be from 0"),
        ({"depth": "deep"}, "depth must be 'head', 'all' or a number of blocks from 1 to 5, got 'deep'"),
        ({"depth": "7"}, "from 1 to 5, got 7"),
        ({"encoder": "resnet81"}, "unknown encoder 'resnet81'"),
        ({"weights": "mobilenet_v3_small_gz2", "encoder_learning_rate": 1e-3}, "at most a tenth of learning_rate"),
        ({"column": "ring_fractio"}, "did you mean 'ring_fraction'"),
        ({"catalog": "nowhere.csv"}, "there is no catalogue at .*nowhere.csv"),
        ({"images": "nowhere"}, "there is no folder, archive or stack of images at .*nowhere"),
        ({"images": ROOT / "tests"}, r"images cannot be used.*g\d+: cannot read \d+\.png: No such file"),
        ({"records": "nowhere"}, "either records or a catalog"),
        ({"labels": 3}, "too few labels: "),
    ],
)
def test_what_cannot_be_done_is_one_clear_error_and_leaves_nothing(sky, tmp_path, changes, message):
    with pytest.raises((ValueError, OSError), match=message) as error:
        finetune("rings", **options(sky, **changes), out=tmp_path / "run")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_not_touched(sky, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="does not contain results of finetune"):
        finetune("rings", **options(sky), out=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
