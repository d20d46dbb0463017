"""`finetune` on questions of every kind, from the column to the predictions of the saved run."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morphtools.answers.estimates import Estimates
from morphtools.answers.predictions import Predictions
from morphtools.answers.several_predictions import SeveralPredictions
from morphtools.answers.shares import Shares
from morphtools.inference.predict import predict
from morphtools.models.cards import Card
from morphtools.training.finetune import finetune


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """120 discs of 32 pixels, each of one of three colours; the catalogue has type, size, and votes for the colour."""
    folder = tmp_path_factory.mktemp("discs")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32] - 15.5
    rows = []
    for i in range(120):
        colour, size = i % 3, rng.uniform(3, 9)
        light = 200 * np.exp(-((np.hypot(x, y) / size) ** 2))[..., np.newaxis] * (0.3 + 0.7 * np.eye(3)[colour])
        pixels = np.clip(light + rng.normal(20, 5, (32, 32, 3)), 0, 255).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{i}.png")
        votes = rng.multinomial(20, 0.1 + 0.7 * np.eye(3)[colour])
        rows.append({"id_str": f"g{i}", "file_loc": f"{i}.png", "type": ("red", "green", "blue")[colour]})
        rows[-1] |= {"size": size, "area": np.pi * size**2, "red": votes[0], "green": votes[1], "blue": votes[2]}
    pd.DataFrame(rows).to_csv(folder / "catalog.csv", index=False)
    return folder


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch):
    """The mean and the spread of each band: what the discs differ in."""
    import keras

    def encoder(name, input_shape, **options):
        images = keras.Input(input_shape)
        x = keras.layers.Conv2D(8, 5, activation="relu", kernel_initializer=keras.initializers.HeNormal(3))(images)
        return keras.Model(images, keras.layers.GlobalAveragePooling2D(name="avg_pool")(x), name=name)

    for module in ("training.finetune_settings", "training.starting", "models.pretrained"):
        monkeypatch.setattr(f"morphtools.{module}.build_encoder", encoder)


def run_of(sky, folder, column, **changes):
    options = {"labels": 80, "catalog": sky / "catalog.csv", "weights": "random", "orientations": 2, "test_labels": 40}
    return finetune(column=column, out=folder / "run", **(options | changes))


def test_three_classes(sky, tmp_path):
    run = run_of(sky, tmp_path, "type", balance=True)
    assert Card.open(run.out / "card.json").classes == ("blue", "green", "red")
    assert run.metrics["test"]["macro_f1"]["value"] > 0.9 and "always guessing" in run.summary
    assert run.summary.startswith("type from 80 labels, all classes with the same weight in training: resnet18")
    assert {"confusion", "confusion_examples"} <= {path.stem for path in (run.out / "figures").iterdir()}
    test = Predictions.open(run.out / "predictions.parquet")
    truth = pd.read_csv(sky / "catalog.csv").set_index("id_str").loc[test.id_str, "type"]
    assert (np.array(test.classes)[test.label.astype(int)] == truth).all()
    out = predict(run.out, tmp_path / "out", catalog=sky / "catalog.csv", orientations=2)
    again = pd.read_parquet(out / "predictions-full.parquet").set_index("id_str").loc[test.id_str]
    np.testing.assert_allclose(again[list(test.classes)], test.probability, atol=1e-4)


def test_a_number_with_an_uncertainty_that_covers(sky, tmp_path):
    run = run_of(sky, tmp_path, "size")
    scores = {name: score["value"] for name, score in run.metrics["test"].items()}
    assert scores["r2"] > 0.7 and scores["coverage_90"] > 0.7
    assert {path.stem for path in (run.out / "figures").iterdir()} >= {"numbers", "coverage", "examples", "mistakes"}
    test = Estimates.open(run.out / "predictions.parquet")
    left_out = Estimates.open(run.out / "validation.parquet")
    assert len(left_out.id_str) == 80
    assert np.mean(((left_out.truth - left_out.value) / left_out.sigma) ** 2) == pytest.approx(1, rel=1e-3)
    out = predict(run.out, tmp_path / "out", catalog=sky / "catalog.csv", orientations=2)
    again = pd.read_parquet(out / "predictions-full.parquet").set_index("id_str").loc[test.id_str]
    np.testing.assert_allclose(
        again[["size_predicted", "size_sigma"]].to_numpy(), np.hstack([test.value, test.sigma]), atol=1e-3
    )


def test_two_numbers_at_once_each_with_its_uncertainty(sky, tmp_path):
    run = run_of(sky, tmp_path, ("size", "area"))
    scores = {name: score["value"] for name, score in run.metrics["test"].items()}
    assert scores["r2 of size"] > 0.7 and scores["r2 of area"] > 0.6
    test = Estimates.open(run.out / "predictions.parquet")
    assert test.columns == ("size", "area") and (test.sigma[:, 1] > 3 * test.sigma[:, 0]).all()
    read = pd.read_csv(run.out / "predictions.csv")
    assert list(read)[-4:] == ["size_predicted", "size_sigma", "area_predicted", "area_sigma"]
    truth = pd.read_csv(sky / "catalog.csv").set_index("id_str").loc[read["id_str"], "area"]
    assert np.corrcoef(read["area_predicted"], truth)[0, 1] > 0.7


@pytest.mark.parametrize("depth", ["head", pytest.param("all", marks=pytest.mark.slow)])
def test_two_questions_at_once_of_galaxies_that_lack_the_answer_to_one(sky, tmp_path, depth):
    catalog = pd.read_csv(sky / "catalog.csv")
    catalog["big"] = np.where(catalog["size"] > 6, "yes", "no")
    catalog.loc[::3, "big"], catalog.loc[1::4, "type"] = None, None
    catalog.to_csv(sky / "some.csv", index=False)
    options = {"catalog": sky / "some.csv", "images": sky, "depth": depth, "epochs": 30, "learning_rate": 1e-2}
    run = run_of(sky, tmp_path, ["big", "type"], **options)
    scores = {name: score["value"] for name, score in run.metrics["test"].items()}
    least = 0.85 if depth == "head" else 0.5
    assert scores["accuracy of big"] > least and scores["accuracy of type"] > least
    assert run.summary.startswith("big, type from 80 labels") and "big: base rates: " in run.summary
    figures = {str(path.relative_to(run.out / "figures")) for path in (run.out / "figures").rglob("*.png")}
    assert {"big/roc.png", "big/mistakes.png", "type/confusion_examples.png", "unfamiliar.png"} <= figures
    assert ("training_curve.png" if depth == "all" else "big/training_curve.png") in figures
    test = SeveralPredictions.open(run.out / "predictions.parquet")
    known = catalog.set_index("id_str").loc[test.id_str]
    assert (np.isnan(test.predictions[0].label) == known["big"].isna()).all()
    out = predict(run.out, tmp_path / "out", catalog=sky / "some.csv", images=sky, orientations=2, questions="big")
    again = pd.read_parquet(out / "predictions-full.parquet").set_index("id_str").loc[test.id_str]
    np.testing.assert_allclose(again["big_yes"], test.predictions[0].probability, atol=1e-3)
    np.testing.assert_allclose(again["type_red"], test.predictions[1].by_class[:, 2], atol=1e-3)
    read = pd.read_csv(out / "predictions.csv")
    assert [name for name in read if name not in catalog] == ["big_predicted", "big_no", "big_yes", "familiarity"]


@pytest.mark.parametrize("depth", ["head", pytest.param("all", marks=pytest.mark.slow)])
def test_fractions_of_votes(sky, tmp_path, depth):
    run = run_of(
        sky, tmp_path, ("red", "green", "blue"), answer="fractions", depth=depth, epochs=30, learning_rate=1e-2
    )
    assert run.metrics["test"]["accuracy"]["value"] > (0.9 if depth == "head" else 0.5)
    test = Shares.open(run.out / "predictions.parquet")
    assert (test.votes == 20).all() and test.answers == ("red", "green", "blue")
    assert "always predicting these" in run.metrics["baseline"]
    out = predict(run.out, tmp_path / "out", catalog=sky / "catalog.csv", orientations=2)
    again = pd.read_parquet(out / "predictions-full.parquet").set_index("id_str").loc[test.id_str]
    np.testing.assert_allclose(again[["red", "green", "blue"]], test.predicted, atol=1e-3)


@pytest.mark.slow
def test_numbers_are_learned_with_the_encoder_too(sky, tmp_path):
    run = run_of(sky, tmp_path, "size", depth="all", epochs=30, learning_rate=1e-2)
    assert run.metrics["test"]["rmse"]["value"] < 1.5 and list(run.metrics["epochs"]) == ["encoder"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"column": "size", "balance": True}, "balance is about classes: numbers have none"),
        ({"column": "typ"}, "unknown column 'typ'"),
        ({"column": "type", "catalog": None}, "column 'type' needs a catalog or records that have it"),
        ({"column": "red"}, "column 'red' holds .* whole numbers"),
        (
            {"column": "size", "encoder_learning_rate": 1.0, "weights": "mobilenet_v3_small_gz2"},
            "at most learning_rate",
        ),
        ({"column": "type", "task": "nowhere.yaml"}, "there is no task at .*nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error_and_leaves_nothing(sky, tmp_path, changes, message):
    with pytest.raises((ValueError, OSError), match=message) as error:
        run_of(sky, tmp_path, **changes)
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []
