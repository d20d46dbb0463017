import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morphtools.inference.represent import represent
from morphtools.models.cards import Card
from morphtools.models.pretrained import load_pretrained
from morphtools.training.pretrain import pretrain
from tfrecords_builder.build import build_records
from tfrecords_builder.images import from_pixels

ROOT = Path(__file__).parent.parent.parent
TINY = {"epochs": 2, "batch_size": 16, "encoder": "resnet10_half", "watched": 40}
MOCO = TINY | {"momentum": 0.9, "dimension": 24, "keep_projection": True}
MOCO |= {"augmentations": [{"RandomView": {"crop": 0.6}}, {"RandomDisplay": {"grey": 0.1}}]}


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """72 pictures of 16 pixels: smooth blobs, and bars at any angle; a redshift that is their size."""
    folder = tmp_path_factory.mktemp("sky")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16] - 7.5
    rows = []
    for i in range(72):
        angle, size = rng.uniform(0, np.pi), rng.uniform(1.5, 3.5)
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        flux = 160 * np.exp(-np.hypot(u / (2.5 if i % 2 else 1), v) / size)
        pixels = np.clip(flux[..., None] * [1, 0.8, 0.7] + rng.normal(20, 5, (16, 16, 3)), 0, 255).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{i}.png")
        kind = ["round", "long"][i % 2]
        rows.append({"id_str": f"g{i}", "file_loc": f"{i}.png", "kind": kind, "redshift": size / 30})
    pd.DataFrame(rows).to_csv(folder / "catalog.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def moco(sky, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "moco"
    return pretrain("moco", catalog=sky / "catalog.csv", out=out, **MOCO)


def test_a_run_leaves_an_encoder_its_card_and_what_a_person_needs(moco):
    expected = {
        "claim.json",
        "config.yaml",
        "metrics.json",
        "history.csv",
        "model.keras",
        "card.json",
        "projection",
        "figures",
        "log.txt",
    }
    assert {p.name for p in moco.out.iterdir()} == expected
    assert (moco.out / "figures" / "learning.png").stat().st_size > 10_000
    history = pd.read_csv(moco.out / "history.csv")
    assert list(history["epoch"]) == [1, 2] and {"knn kind", "linear kind", "knn redshift"} <= set(history)
    assert set(moco.metrics["baselines"]) == {"random encoder", "pixels + PCA", "most common class"}
    assert "moco, 2 epochs, from random weights" in moco.summary and "kind" in moco.summary
    assert "epoch 2 of 2: loss" in (moco.out / "log.txt").read_text()


def test_the_encoder_can_be_loaded_and_was_trained(moco, sky):
    encoder = load_pretrained(moco.out)
    assert encoder.input_shape == (None, 16, 16, 3) and encoder.output_shape == (None, 256)
    images = np.random.default_rng(0).uniform(size=(3, 16, 16, 3)).astype("float32")
    saved = keras.saving.load_model(moco.out / "model.keras")
    np.testing.assert_allclose(encoder.predict(images, verbose=0), saved.predict(images, verbose=0), rtol=1e-5)
    assert json.loads((moco.out / "card.json").read_text())["kind"] == "encoder"


def test_a_finished_run_is_returned_and_another_one_is_not_mixed_in(moco, sky):
    options = {"catalog": sky / "catalog.csv", "out": moco.out} | MOCO
    assert pretrain("moco", **options).metrics == moco.metrics
    with pytest.raises(FileExistsError, match=r"other settings \(epochs: 2 → 3\)"):
        pretrain("moco", **options | {"epochs": 3})


def test_the_projection_is_kept_as_weights_of_their_own_if_that_is_wanted(moco, sky, tmp_path):
    whole, encoder = load_pretrained(moco.out / "projection"), load_pretrained(moco.out)
    images = np.random.default_rng(0).uniform(size=(5, 16, 16, 3)).astype("float32")
    first, bias, second, last = whole.get_weights()[-4:]
    hidden = np.maximum(encoder.predict(images, verbose=0) @ first + bias, 0) @ second + last
    expected = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
    np.testing.assert_allclose(whole.predict(images, verbose=0), expected, atol=1e-5)
    card, own = Card.open(moco.out / "projection" / "card.json"), Card.open(moco.out / "card.json")
    assert card.name == "resnet10_half_moco_projection" and "projection to 24 dimensions" in card.data
    assert own.encoder | {"projection": {"outputs": 24, "hidden": 256, "batch_norm": False}} == card.encoder
    options = {"catalog": sky / "catalog.csv", "orientations": 1}
    store = represent(moco.out / "projection", tmp_path / "store", **options)
    assert store.dimension == 24 and store.provenance["weights"] == card.sha256 != own.sha256
    np.testing.assert_allclose(np.linalg.norm(store.values(), axis=1), 1, atol=1e-3)
    with pytest.raises(FileExistsError, match=r"other inputs .*weights"):
        represent(moco.out, tmp_path / "store", **options)


def test_a_run_that_kept_no_projection_is_named_in_one_sentence(moco, sky, tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("card.json", "model.keras"):
        shutil.copy(moco.out / name, tmp_path / "run")
    with pytest.raises(FileNotFoundError, match="kept no projection: pretrain again with --keep-projection") as error:
        represent(tmp_path / "run" / "projection", tmp_path / "store", catalog=sky / "catalog.csv")
    assert "\n" not in str(error.value) and not (tmp_path / "store").exists()


def test_flux_that_is_not_stretched_is_for_new_encoders_of_flux(moco, sky, tmp_path):
    options = TINY | {"catalog": sky / "catalog.csv", "flux": "linear", "out": tmp_path / "run"}
    with pytest.raises(ValueError, match="pictures have none"):
        pretrain("byol", **options)
    with pytest.raises(ValueError, match="flux is for a new encoder"):
        pretrain("byol", **options | {"weights": moco.out, "encoder": None})


@pytest.mark.slow
def test_killed_at_any_moment_it_resumes_to_the_same_trajectory(moco, sky, tmp_path, forks):
    """The queue, the second network, the optimizer and all draws continue as if nothing had happened."""
    code = "from morphtools.training.pretrain import pretrain; import json, sys; "
    code += "pretrain('moco', catalog=sys.argv[1], out=sys.argv[2], **json.loads(sys.argv[3]))"
    out = tmp_path / "killed"
    command = (code, sky / "catalog.csv", out, json.dumps(MOCO))
    forks(*command, killed_before="state/baselines.json")
    forks(*command, killed_before="state/learner.npz", nth=2)  # after the first epoch of two
    forks(*command)
    drop = ["galaxies_per_second"]
    again, before = (pd.read_csv(p / "history.csv").drop(columns=drop) for p in (out, moco.out))
    assert again.equals(before)
    for a, b in zip(load_pretrained(out).get_weights(), load_pretrained(moco.out).get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["byol", "simclr"])
def test_the_other_methods_start_from_weights_and_show_them_as_a_baseline(method, moco, sky, tmp_path):
    options = {"hidden": 32} if method == "byol" else {"optimizer": "sgd", "weight_decay": 1e-4, "warmup_epochs": 0.5}
    options |= TINY | {"encoder": None, "epochs": 1, "weights": moco.out, "mixed_precision": True}
    run = pretrain(method, catalog=sky / "catalog.csv", out=tmp_path / "run", **options)
    assert set(run.metrics["baselines"]) == {"random encoder", "starting weights", "pixels + PCA", "most common class"}
    start = run.metrics["baselines"]["starting weights"]["knn kind"]
    assert start == pytest.approx(moco.metrics["test"]["kind"]["value"], abs=0.02)
    assert load_pretrained(run.out).layers[5].compute_dtype == "float32"


@pytest.mark.slow
def test_flux_of_five_bands_is_cut_to_views_and_loads_again(tmp_path):
    from morphtools.sky.simulate import simulate_galaxies

    catalog, images = simulate_galaxies(40, image_size=24, bands="ugriz", seed=1, magnitude_limit=15.5)
    catalog["file_loc"] = catalog.index.astype(str)
    records = build_records(
        catalog, tmp_path / "records", images=lambda name: from_pixels(images[int(name)]), bands=tuple("ugriz")
    )
    options = TINY | {"epochs": 1, "batch_size": 8, "view_size": 16, "augmentations": "hayat2021"}
    run = pretrain("moco", records=records.folder, label="redshift", out=tmp_path / "run", **options)
    encoder = load_pretrained(run.out)
    assert encoder.input_shape == (None, 16, 16, 5) and "redshift" in run.summary
    assert Card.open(run.out / "card.json").middle_of == (24, 24)  # so others cut images as it did
    assert np.isfinite(encoder.predict(images[:4, 4:20, 4:20], verbose=0)).all()


def test_bands_of_no_known_camera_and_a_sky_of_zeros_are_learned_from_by_default(tmp_path, caplog):
    y, x = np.mgrid[:16, :16] - 7.5
    maps = [np.maximum(np.exp(-np.hypot(x, y) / (2 + i % 3)) - 0.3, 0).astype("f4") for i in range(40)]  # as of radio
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(40)], "file_loc": [str(i) for i in range(40)]})
    records = build_records(catalog, tmp_path / "records", images=lambda name: from_pixels(maps[int(name)]))
    options = TINY | {"epochs": 1, "batch_size": 8}
    run = pretrain("byol", records=records.folder, hidden=8, out=tmp_path / "a", **options)
    assert np.isfinite(pd.read_csv(run.out / "history.csv")["loss"]).all()
    assert "views are not reddened by dust" in caplog.text
    with pytest.raises(
        ValueError, match="RandomExtinction cannot be made"
    ):  # columns requested by name are not left out
        pretrain("byol", records=records.folder, augmentations="hayat2021", out=tmp_path / "b", **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "mocov"}, "unknown method 'mocov'.*did you mean 'moco'"),
        ({"hidden": 8}, "moco has no hidden; it takes dimension, queue, momentum, temperature"),
        ({"queue": 100}, r"queue must be a multiple of batch_size \(16\), got 100"),
        ({"optimizer": "lars"}, "unknown optimizer 'lars'"),
        ({"weight_decay": 0.1}, "adam has no weight_decay"),
        ({"weights": "somewhere"}, "encoder and small_images cannot be combined with weights"),
        ({"batch_size": 512}, "galaxies to train on are fewer than batch_size, 512"),
        ({"view_size": 64}, "views of 64 pixels cannot be cut from images of 16"),
        ({"augmentations": "stein2022"}, "the augmentation RandomExtinction cannot be made"),
        ({"label": "knd"}, "unknown column 'knd'"),
        ({"records": "r"}, "either records or a catalog"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error_and_leaves_nothing(sky, tmp_path, changes, message):
    options = TINY | {"method": "moco", "catalog": sky / "catalog.csv"} | changes
    with pytest.raises((ValueError, OSError), match=message) as error:
        pretrain(**options, out=tmp_path / "run")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
