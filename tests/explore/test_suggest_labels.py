import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morphtools.answers.classes import Classes
from morphtools.answers.numbers import Numbers
from morphtools.explore import suggest_labels as verb
from morphtools.explore.suggest_labels import suggest_labels
from morphtools.inference.represent import represent
from morphtools.training.finetune import finetune


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run that used g00 to g09, and is uncertain about disks (every third galaxy)."""
    folder = tmp_path / "run"
    folder.mkdir()
    pd.DataFrame({"id_str": [f"g{i:02d}" for i in range(10)]}).to_parquet(folder / "galaxies.parquet")

    def head(x):
        p = np.where(x[:, 0] > 5, 0.5, 1.0)
        return np.stack([p, 1 - p], axis=1)

    monkeypatch.setattr(verb, "find_card", lambda run: run)
    monkeypatch.setattr(verb.Card, "open", lambda path: None)
    monkeypatch.setattr(verb, "_head", lambda run, card, store: (Classes(("no ring", "ring")), head))
    return folder


def test_uncertain_galaxies_are_suggested_that_the_run_has_not_used(run, three_kinds, tmp_path):
    store, catalog, images = three_kinds
    exclude = pd.DataFrame({"id_str": ["g12", "g15"]})
    options = {"catalog": catalog, "images": images, "out": tmp_path / "out"}
    table = suggest_labels(run, store, 14, exclude=exclude, **options)
    disks = {f"g{i:02d}" for i in range(12, 60, 3)} - {"g12", "g15"}
    assert set(table["id_str"]) == disks and set(table["kind"]) == {"disk"}
    assert table["uncertainty"].tolist() == [1.0] * 14
    assert pd.read_csv(tmp_path / "out/suggestions.csv")["file_loc"].notna().all()
    assert (tmp_path / "out/suggestions.png").stat().st_size > 10_000


def test_where_nothing_is_left_the_user_is_told(run, three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    with pytest.raises(ValueError, match="no galaxies are left to suggest: all 60"):
        suggest_labels(run, store, exclude=catalog, out=tmp_path / "out")


@pytest.mark.parametrize("answer", [Numbers(("mass", "size")), Classes(("a", "b", "c", "d"))])
def test_suggestions_do_not_depend_on_how_many_galaxies_are_read_at_a_time(
    run, three_kinds, tmp_path, monkeypatch, answer
):
    store, _, _ = three_kinds
    monkeypatch.setattr(verb, "_head", lambda run, card, store: (answer, lambda x: x[:, 1:5]))
    monkeypatch.setattr(verb, "_CANDIDATES", 12)
    whole = suggest_labels(run, store, 8, out=tmp_path / "whole")
    monkeypatch.setattr(verb, "_ROWS", 7)
    pd.testing.assert_frame_equal(suggest_labels(run, store, 8, out=tmp_path / "few"), whole)
    if isinstance(answer, Numbers):  # the 50 that the run has not used
        sigma = np.exp(store.values()[10:, 3:5].astype(float))
        expected = pd.Series((sigma / sigma.mean(axis=0)).mean(axis=1), store.id_str[10:]).nlargest(12)
        np.testing.assert_allclose(whole["uncertainty"], expected[whole["id_str"]])


def test_suggestions_are_labelled_and_train_the_next_run(tmp_path, monkeypatch):
    """Discs with a ring or without; their labels are the simulated truth."""
    rng, folder = np.random.default_rng(0), tmp_path / "sky"
    folder.mkdir()
    y, x = np.mgrid[:24, :24] - 11.5
    r, truth = np.hypot(x, y), np.arange(120) % 2
    for i in range(120):
        light = 90 * np.exp(-r / 3) + 130 * truth[i] * np.exp(-((r - 8) ** 2) / 2) + rng.normal(30, 8, r.shape)
        Image.fromarray(np.clip(light, 0, 255).astype("uint8")).save(folder / f"{i}.png")
    table = pd.DataFrame({"id_str": [f"g{i}" for i in range(120)], "file_loc": [f"{i}.png" for i in range(120)]})
    table.to_csv(folder / "all.csv", index=False)
    table.assign(ring=truth)[:60].to_csv(folder / "labelled.csv", index=False)

    def encoder(name, input_shape, **options):
        images = keras.Input(input_shape)
        x = keras.layers.Conv2D(8, 5, activation="relu", kernel_initializer=keras.initializers.HeNormal(3))(images)
        return keras.Model(images, keras.layers.GlobalAveragePooling2D(name="avg_pool")(x), name=name)

    for module in ("training.finetune_settings", "training.starting", "models.pretrained"):
        monkeypatch.setattr(f"morphtools.{module}.build_encoder", encoder)
    monkeypatch.setattr(Classes, "draw_figures", lambda *arguments: None)  # most of the time
    options = {"weights": "random", "orientations": 1, "images": folder}
    run = finetune("rings", 40, catalog=folder / "labelled.csv", **options, out=tmp_path / "run")
    store = represent(run.out, tmp_path / "store", catalog=folder / "all.csv", images=folder, orientations=1)
    suggest_labels(run.out, store, 60, catalog=folder / "all.csv", out=tmp_path / "next")

    path = tmp_path / "next" / "suggestions.csv"
    suggested = pd.read_csv(path)
    used = pd.read_parquet(run.out / "galaxies.parquet")["id_str"]
    assert len(suggested) == 60 and not suggested["id_str"].isin(used).any()
    with pytest.raises(ValueError, match="no labels for task 'rings'"):  # predictions are not labels
        finetune("rings", 40, catalog=path, **options, out=tmp_path / "none")
    suggested["ring"] = [truth[int(name[1:])] for name in suggested["id_str"]]
    suggested.to_csv(path, index=False)
    again = finetune("rings", 40, catalog=path, **options, out=tmp_path / "again")
    assert set(pd.read_parquet(again.out / "galaxies.parquet")["id_str"]) <= set(suggested["id_str"])
    assert again.metrics["test"]["accuracy"]["value"] > 0.8
