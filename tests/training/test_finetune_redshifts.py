import dataclasses
import itertools
import json

import keras
import numpy as np
import pandas as pd
import pytest
from scipy.stats import gaussian_kde

from morphtools.answers.classes import Classes
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.redshifts import Redshifts
from morphtools.data.dataset import load_dataset
from morphtools.inference.predict import predict
from morphtools.models.answering import begin, head_for
from morphtools.models.cards import Card
from morphtools.survey.extinction import transmission
from morphtools.training import fitting
from morphtools.training.finetune import finetune
from tfrecords_builder.build import build_records
from tfrecords_builder.images import from_pixels

# tiny_encoder has no stretch: it takes flux as if it were pictures, and is warned about it
pytestmark = pytest.mark.filterwarnings("ignore:the images have values")


def tiny_encoder(name, input_shape, *, small_images=False, noise=None):
    """Two convolutions with batch normalisation: quick to build and to train."""
    x = inputs = keras.Input(input_shape)
    for block in (1, 2):
        x = keras.layers.Conv2D(8, 3, use_bias=False, name=f"block{block}_conv")(x)
        x = keras.layers.BatchNormalization(momentum=0.5, name=f"block{block}_bn")(x)
        x = keras.layers.ReLU(name=f"block{block}_relu")(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="avg_pool")(x), name=name)


@pytest.fixture(scope="module")
def quick_encoders():
    with pytest.MonkeyPatch.context() as patch:
        for module in ("training.finetune_settings", "training.starting", "models.pretrained"):
            patch.setattr(f"morphtools.{module}.build_encoder", tiny_encoder)
        yield


@pytest.fixture(autouse=True)
def no_pictures(run, monkeypatch):
    """Only the first run draws figures, because they take longer than the rest."""
    for kind in (Classes, Photoz):
        monkeypatch.setattr(kind, "draw_figures", lambda *arguments: None)


def galaxies(n=240, seed=0):
    """Galaxies of 16 pixels in ugriz, redder the more distant, behind dust; the images without it too."""
    rng = np.random.default_rng(seed)
    z, ebv = rng.uniform(0.02, 0.38, n), rng.uniform(0, 0.4, n)
    y, x = np.mgrid[:16, :16] - 7.5
    profile = np.exp(-np.hypot(x, y) / 3)[..., np.newaxis]
    colour = np.exp(np.outer(z - 0.2, [-6.0, -3.0, 0.0, 2.0, 3.0]))
    clean = (profile * colour[:, np.newaxis, np.newaxis] + rng.normal(0, 0.02, (n, 16, 16, 5))).astype("float32")
    dusty = clean * transmission(ebv, bands="ugriz", survey="sdss")[:, np.newaxis, np.newaxis]
    names = [f"g{i}" for i in range(n)]
    table = pd.DataFrame({"id_str": names, "file_loc": np.arange(n).astype(str), "redshift": z, "ebv": ebv})
    return table, dusty.astype("float32"), clean


def records_of(folder, table, images):
    return build_records(table, folder, images=lambda place: from_pixels(images[int(place)]), bands=tuple("ugriz"))


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    table, dusty, clean = galaxies()
    return records_of(tmp_path_factory.mktemp("sky") / "records", table, dusty), clean


def options(sky, **changes):
    defaults = {"labels": 160, "records": sky[0].folder, "weights": "random", "depth": "all", "epochs": 10}
    return defaults | {"bins": 40, "orientations": 2, "learning_rate": 2e-2, "batch_size": 20} | changes


@pytest.fixture(scope="module")
def run(sky, quick_encoders, tmp_path_factory):
    return finetune("photoz", **options(sky), out=tmp_path_factory.mktemp("runs") / "scratch")


def test_a_run_leaves_pdfs_scores_and_pictures(run):
    expected = {
        "claim.json",
        "config.yaml",
        "metrics.json",
        "history.csv",
        "model.keras",
        "card.json",
        "predictions.parquet",
        "predictions.csv",
    }
    expected |= {"galaxies.parquet", "validation.parquet", "log.txt", "figures", "familiarity.npz"}
    assert {p.name for p in run.out.iterdir()} == expected
    assert {p.stem for p in (run.out / "figures").iterdir()} == {
        "training_curve",
        "redshifts",
        "pit",
        "gallery",
        "unfamiliar",
    }
    assert list(run.metrics["test"]) == ["bias", "sigma_mad", "outlier_fraction", "crps"]
    assert run.summary.startswith("photoz from 160 labels: resnet18 (random weights, trained), tested on")
    card = Card.open(run.out / "card.json")
    asked = {"bins": 40, "range": [0.0, 0.4], "pdf": "softmax", "estimate": "mean"}
    assert (card.kind, card.redshifts, card.dereddened) == ("redshifts", asked, "sdss")


def test_it_learns_redshifts(run):
    found = Redshifts.open(run.out / "predictions.parquet")
    alone = np.abs(found.redshift - np.median(found.redshift)).mean()
    assert np.abs(found.z() - found.redshift).mean() < 0.4 * alone
    history = pd.read_csv(run.out / "history.csv")
    assert list(history["stage"].unique()) == ["encoder"] and len(history) == 10  # no patience: the schedule decides


def test_the_saved_model_gives_the_saved_pdfs_for_images_without_dust(run, sky):
    model = keras.saving.load_model(run.out / "model.keras")
    found = Redshifts.open(run.out / "predictions.parquet")
    said = model.predict(sky[1][[int(name[1:]) for name in found.id_str]], verbose=0)
    np.testing.assert_allclose(said, found.pdf, atol=2e-3)  # half precision


def test_predict_repeats_the_test_results_on_new_records_and_in_half_precision(run, sky, tmp_path):
    out = predict(run.out, tmp_path / "out", records=sky[0].folder, orientations=2)
    again, test = Redshifts.open(out / "predictions-full.parquet"), Redshifts.open(run.out / "predictions.parquet")
    rows = pd.Series(range(len(again.id_str)), again.id_str)[test.id_str]
    assert len(again.id_str) == 240 and np.isnan(again.redshift).all()
    np.testing.assert_allclose(again.pdf[rows], test.pdf, atol=1e-3)
    np.testing.assert_allclose(again.edges, np.linspace(0, 0.4, 41))
    read, full = (pd.read_csv(out / f"{name}.csv").set_index("id_str") for name in ("predictions", "predictions-full"))
    np.testing.assert_allclose(full.loc[test.id_str, "z"], test.z(), atol=1e-4)
    assert list(full) == ["z", "z_05", "z_16", "z_50", "z_84", "z_95", "familiarity"] == list(read)[-7:]
    np.testing.assert_allclose(read[list(full)], full, rtol=0.005)
    assert (read["z_05"] <= read["z_50"]).all() and (read["z_50"] <= read["z_95"]).all()
    about = json.loads((out / "predict.json").read_text())
    assert again.provenance == {"weights": about["weights"][0], "records": about["records"]}


def test_the_pdfs_of_several_models_are_averaged(run, sky, tmp_path):
    out = predict([run.out] * 2, tmp_path / "out", records=sky[0].folder, split="test", orientations=2)
    one = predict(run.out, tmp_path / "one", records=sky[0].folder, split="test", orientations=2)
    two, one = (Redshifts.open(each / "predictions-full.parquet").pdf for each in (out, one))
    np.testing.assert_allclose(two, one, atol=1e-3)


def test_without_ebv_the_cost_is_reported(run, tmp_path, caplog):
    table, _, clean = galaxies(30, seed=3)
    without = records_of(tmp_path / "records", table.drop(columns="ebv"), clean)
    out = predict(run.out, tmp_path / "out", records=without.folder, orientations=2)
    assert "have no column ebv, so images cannot be dereddened" in caplog.text
    assert "at a typical E(B-V) of 0.03, u is 0.13 mag fainter and u-z 0.09 mag redder" in caplog.text
    with_ebv = records_of(tmp_path / "with", table.assign(ebv=0.0), clean)
    same = predict(run.out, tmp_path / "same", records=with_ebv.folder, orientations=2)
    a, b = (pd.read_csv(each / "predictions-full.csv").set_index("id_str")["z"] for each in (out, same))
    np.testing.assert_allclose(a, b.loc[a.index], atol=1e-6)


def test_killed_in_the_encoder_stage_it_resumes_to_the_same_result(sky, run, tmp_path, monkeypatch):
    really, epochs = fitting.train_epoch, []

    def dying(model, batches):
        epochs.append(1)
        if len(epochs) == 5:
            raise KeyboardInterrupt
        return really(model, batches)

    clock = itertools.count(0, 20)  # seconds: a checkpoint after every epoch
    monkeypatch.setattr(fitting.time, "monotonic", lambda: next(clock))
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "train_epoch", dying)
        with pytest.raises(KeyboardInterrupt):
            finetune("photoz", **options(sky), out=tmp_path / "run")
    finetune("photoz", **options(sky), out=tmp_path / "run")
    for name in ("history.csv", "metrics.json"):
        assert (tmp_path / "run" / name).read_text() == (run.out / name).read_text()


def weights_by_layer(model):
    return {layer.name: [np.array(w) for w in layer.weights] for layer in model.layers[1].layers if layer.weights}


@pytest.mark.parametrize(("task", "depth"), [("photoz", 1), pytest.param("smooth", "all", marks=pytest.mark.slow)])
def test_what_moves_in_a_pretrained_encoder_and_in_a_new_one(run, sky, tmp_path, task, depth):
    """Batch normalisation is trained in a new encoder, and in a pretrained one for redshifts, not for classes."""
    changes = {"depth": depth, "epochs": 1, "column": "redshift" if task == "photoz" else "half"}
    table, dusty, clean = galaxies(80, seed=5)
    table["half"] = (table["redshift"] > 0.2).astype(int)
    changes |= {"records": records_of(tmp_path / "records", table, dusty).folder, "labels": 50, "survey": "sdss"}
    before = weights_by_layer(keras.saving.load_model(run.out / "model.keras"))
    for weights in (run.out, "random"):
        done = finetune(task, **options(sky, weights=weights, **changes), out=tmp_path / f"to-{weights == 'random'}")
        after = weights_by_layer(keras.saving.load_model(done.out / "model.keras"))
        stages = pd.read_csv(done.out / "history.csv")["stage"].unique()
        if weights == "random":
            norm = after["block2_bn"]
            assert not np.allclose(norm[0], 1) and not np.allclose(norm[1], 0)  # gamma and beta are trained
            assert list(stages) == ["encoder"]
            # its averages are those of the training galaxies, which are one batch, as the model is shown them
            used = pd.read_parquet(done.out / "galaxies.parquet").set_index("id_str")
            train = clean[[name in used.index and used.at[name, "split"] == "train" for name in table["id_str"]]]
            encoder = keras.saving.load_model(done.out / "model.keras").layers[1]
            maps = keras.Model(encoder.input, encoder.get_layer("block2_conv").output).predict(train, verbose=0)
            np.testing.assert_allclose(norm[2], maps.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(norm[3], maps.var(axis=(0, 1, 2)), rtol=1e-3)
            continue
        assert list(stages) == (["encoder"] if task == "photoz" else ["head", "encoder"])
        for name, values in before.items():
            moved = any(not np.array_equal(a, b) for a, b in zip(values, after[name], strict=True))
            trained = name == "block2_conv" or (name == "block1_conv" and depth == "all")
            assert moved == (trained or (name == "block2_bn" and task == "photoz")), name


def test_a_frozen_encoder_gets_a_head_only(run, sky, tmp_path):
    done = finetune(
        "photoz", **options(sky, weights=run.out, depth="head", pdf="mixture", epochs=30), out=tmp_path / "run"
    )
    before, after = (weights_by_layer(keras.saving.load_model(each.out / "model.keras")) for each in (run, done))
    for name, values in before.items():
        for a, b in zip(values, after[name], strict=True):
            np.testing.assert_array_equal(a, b)
    assert done.metrics["test"]["crps"]["value"] < 0.05
    again = predict(done.out, tmp_path / "out", records=sky[0].folder, split="test", orientations=2)
    found, test = (Redshifts.open(p) for p in (again / "predictions-full.parquet", done.out / "predictions.parquet"))
    np.testing.assert_allclose(found.pdf, test.pdf, atol=1e-3)


def test_views_are_cut_from_the_middle_and_so_are_images_to_predict(sky, tmp_path):
    done = finetune("photoz", **options(sky, view_size=12, epochs=2, labels=40), out=tmp_path / "run")
    card = Card.open(done.out / "card.json")
    assert (card.image_size, card.middle_of) == ((12, 12), (16, 16))
    model, found = keras.saving.load_model(done.out / "model.keras"), Redshifts.open(done.out / "predictions.parquet")
    assert model.input_shape == (None, 12, 12, 5)
    middle = sky[1][[int(name[1:]) for name in found.id_str], 2:14, 2:14]
    np.testing.assert_allclose(model.predict(middle, verbose=0), found.pdf, atol=2e-3)
    out = predict(done.out, tmp_path / "out", records=sky[0].folder, split="test", orientations=2)
    again = Redshifts.open(out / "predictions-full.parquet")
    np.testing.assert_allclose(again.z(), found.z(), atol=1e-4)
    resumed = finetune("photoz", **options(sky, weights=done.out, epochs=1, labels=40), out=tmp_path / "next")
    assert Card.open(resumed.out / "card.json").middle_of == (16, 16)


def test_redshifts_outside_the_range_are_counted_and_not_trained_on(sky, tmp_path, caplog):
    changes = {"redshift_range": (0.0, 0.2), "survey": "none", "epochs": 1}
    done = finetune("photoz", **options(sky, **changes), out=tmp_path / "run")
    outside = int((sky[0].index()["redshift"] > 0.2).sum())
    assert f"{outside} of 240 redshifts lie outside redshift_range, 0 to 0.2, and are not trained on" in caplog.text
    assert (Redshifts.open(done.out / "predictions.parquet").redshift > 0.2).any()  # in the test they are
    assert Card.open(done.out / "card.json").dereddened is None


@pytest.mark.parametrize(("pdf", "bins", "told"), [("softmax", 40, 1), ("softmax", 4, 0), ("mixture", 40, 0)])
def test_a_softmax_with_few_spectra_a_bin_is_advised_against_in_one_line(sky, caplog, pdf, bins, told):
    answer, table = Photoz(bins=bins, pdf=pdf), sky[0].index().rename(columns={"redshift": "label"})
    answer.draw(table, 160, test_labels=2000, seed=0)
    said = [record.message for record in caplog.records if "spectra a bin" in record.message]
    assert len(said) == told
    if told:  # 140 of 160 train
        assert said[0].startswith("3.5 spectra a bin are few") and "pdf mixture" in said[0]


def test_bands_of_an_unknown_survey_are_an_error_that_asks_for_the_survey(sky, tmp_path):
    folder = tmp_path / "strange"
    folder.mkdir()
    for path in sky[0].folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    dataclasses.replace(sky[0], folder=folder, bands=tuple("vwxyz")).save()
    with pytest.raises(ValueError, match=r"not known whose bands v, w, x, y, z are.*give survey, one of sdss, decals"):
        finetune("photoz", **options(sky, records=folder), out=tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"column": "specz"}, "unknown column 'specz'"),
        ({"column": "id_str"}, "column 'id_str' contains no redshifts, only g"),
        ({"redshift_range": (0.4, 0.0)}, "redshift_range must rise from 0 or more, got 0.4 to 0"),
        ({"redshift_range": 0.4}, "redshift_range is two numbers, got 0.4"),
        ({"redshift_range": (0.9, 1.0)}, "too few redshifts: 0 from 0.9 to 1 to train and validate"),
        ({"bins": 0}, "bins must be a whole number from 1 to 10000, got 0"),
        ({"pdf": "gauss"}, "unknown pdf 'gauss'; known pdfs: mixture, softmax"),
        ({"estimate": "median"}, "unknown estimate 'median'; known estimates: mean, mode"),
        ({"optimizer": "adamw"}, "unknown optimizer 'adamw'; known optimizers: adam, sgd"),
        ({"survey": "lsst"}, "unknown survey 'lsst'"),
        ({"survey": "ps1"}, "survey 'ps1' has no band 'u'"),
        ({"weights": "mobilenet_v3_small_gz2", "encoder_learning_rate": 5e-2}, r"at most learning_rate \(0.02\)"),
        ({"view_size": 20}, "views of 20 pixels cannot be cut from images of 16 × 16"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error_and_leaves_nothing(sky, tmp_path, changes, message):
    with pytest.raises((ValueError, OSError), match=message) as error:
        finetune("photoz", **options(sky, **changes), out=tmp_path / "run")
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


def test_models_of_other_bins_are_not_averaged(run, sky, tmp_path):
    card = Card.open(run.out / "card.json")
    other = dataclasses.asdict(dataclasses.replace(card, name="other", redshifts=card.redshifts | {"bins": 20}))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "card.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match="scratch and other answer different questions"):
        predict([run.out, tmp_path / "other"], tmp_path / "out", records=sky[0].folder)


def test_batches_have_one_redshift_per_galaxy(sky):
    batch = next(load_dataset(sky[0], "train", batch_size=7, dereddened="sdss").as_numpy_iterator())
    assert batch["image"].shape == (7, 16, 16, 5) and batch["redshift"].shape == (7,)


def test_an_untrained_softmax_predicts_the_distribution_of_training_redshifts():
    """The distribution of the training redshifts, as SciPy estimates it by Scott's rule."""
    z = np.random.default_rng(5).gamma(9, 0.01, 500)
    answer = Photoz(bins=50)
    head = head_for(answer, seed=0)
    head.build((None, 6))
    begin(head, answer, z[:, np.newaxis])
    middle = np.linspace(0.004, 0.396, 50)
    density = gaussian_kde(z)(middle)
    np.testing.assert_allclose(
        np.asarray(head(np.ones((1, 6))))[0], 0.98 * density / density.sum() + 0.02 / 50, atol=4e-3
    )  # here of bins
