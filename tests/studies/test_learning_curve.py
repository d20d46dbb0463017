import dataclasses
import functools
import inspect
import json
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from morphtools import cli
from morphtools.answers.classes import Classes
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.config import read_config
from morphtools.inference.representations import Representations
from morphtools.models.cards import Card
from morphtools.studies import learning_curve as module
from morphtools.studies.label_savings import label_savings, means_by_labels
from morphtools.studies.learning_curve import learning_curve
from morphtools.studies.run_neighbours import neighbour_metrics
from morphtools.training.finetune import finetune
from morphtools.training.learning_figures import scores_by_labels
from tfrecords_builder.plain_figure import Figure

ROOT = Path(__file__).parent.parent.parent


class FakeRun:
    def __init__(self, labels, score):
        self.metrics = {
            "galaxies": {"train": labels - labels // 8, "val": labels // 8, "test": 40},
            "metric": "accuracy",
            "test": {"accuracy": {"value": score}, "auc": {"value": score + 0.01}},
        }


@pytest.fixture
def cells(monkeypatch):
    """Replaces `finetune` by a formula; returns the calls."""
    asked = []

    def fake(task, labels, *, seed, out, weights="mobilenet_v3_small_gz2", **others):
        asked.append((task, labels, seed, weights, out.name, others))
        times = 1 if weights == "random" else 2
        return FakeRun(labels, 0.5 + 0.04 * np.log(labels * times) + 0.001 * seed)

    fake.__signature__ = inspect.signature(finetune)
    monkeypatch.setattr(module, "finetune", fake)
    monkeypatch.setattr(module.keras.utils, "clear_session", lambda: None)
    monkeypatch.setattr(module, "scores_by_labels", lambda *args, **options: Figure(figsize=(1, 1)))  # quick
    monkeypatch.setattr(module, "label_savings", functools.partial(label_savings, draws=20))
    return asked


def test_every_way_number_and_seed_is_a_run_and_the_saving_is_reported(cells, tmp_path):
    found = learning_curve("bars", [100, 50, 200], seeds=2, catalog="c.csv", out=tmp_path / "out")
    assert [(labels, weights, seed) for _, labels, seed, weights, *_ in cells] == [
        (labels, weights, seed)
        for labels in (50, 100, 200)
        for weights in ("mobilenet_v3_small_gz2", "random")
        for seed in (0, 1)
    ]
    assert len({name for *_, name, _ in cells}) == 12
    assert all(others["catalog"] == "c.csv" for *_, others in cells)
    results = pd.read_csv(tmp_path / "out/results.csv")
    assert len(results) == 12 and set(results) >= {"way", "asked", "labels", "tested", "seed", "accuracy", "auc"}
    assert found.savings["factor"].item() == pytest.approx(2, rel=1e-6)
    assert "2.0 times fewer labels" in found.summary
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"table.csv", "savings.csv", "learning_curve.png"}


def test_common_arguments_reach_all_ways_and_a_way_overrules_them(cells, tmp_path):
    ways = {"a": {"weights": "random"}, "b": {"epochs": 9}}
    learning_curve("bars", 50, ways=ways, common={"epochs": 3, "depth": 1}, seeds=1, out=tmp_path)
    assert [others["epochs"] for *_, others in cells] == [3, 9] and cells[0][-1]["depth"] == 1


def test_epochs_may_differ_by_the_number_of_labels(cells, tmp_path):
    ways = {"a": {"weights": "random"}, "b": {"epochs": 9}, "c": {"neighbours": 5}}
    with pytest.raises(ValueError, match="way 'a': epochs are given for 50, 200 labels, not for 100"):
        learning_curve("bars", [50, 100], ways=ways, common={"epochs": {50: 20, 200: 5}}, seeds=1, out=tmp_path)
    assert not cells  # reported before anything was trained
    del ways["c"]
    learning_curve("bars", [200, 50], ways=ways, common={"epochs": {50: 20, 200: 5}}, seeds=1, out=tmp_path)
    assert [(labels, others["epochs"]) for _, labels, *_, others in cells] == [(50, 20), (50, 9), (200, 5), (200, 9)]


def test_the_figure_shows_every_way_with_intervals_and_what_others_published(tmp_path):
    rows = [{"way": way, "asked": n, "labels": n, "seed": seed, "accuracy": 0.5 + n / 1000 + 0.01 * seed}
            for way in "ab" for n in (50, 100) for seed in range(3)]  # fmt: skip
    results = pd.DataFrame(rows)
    figure = scores_by_labels(
        results, means_by_labels(results, ["accuracy"]), "accuracy", {"theirs": 0.7}, "rings", "so"
    )
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["published: theirs", "a", "b"]
    assert len(axes.containers) == 2 and [text.get_text() for text in axes.get_xticklabels()] == ["50", "100"]
    figure.savefig(tmp_path / "figure.png")


def test_several_metrics_get_a_panel_each_and_what_others_published_is_about_the_first(cells, monkeypatch, tmp_path):
    results = pd.DataFrame({"way": "a", "asked": 50, "labels": 50, "seed": [0, 1], "accuracy": 0.5, "auc": [0.6, 0.7]})
    table = means_by_labels(results, ["accuracy", "auc"])
    left, right = scores_by_labels(results, table, ["auc", "accuracy"], {"theirs": 0.7}, "rings").axes
    assert left.get_ylabel().startswith("AUC") and right.get_ylabel().startswith("accuracy")
    legends = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in (left, right)]
    assert legends == [["published: theirs", "a"], ["a"]]
    drawn = []
    monkeypatch.setattr(module, "scores_by_labels", lambda results, table, metric, *rest, **how: drawn.append(metric))
    monkeypatch.setattr(module, "write_figure", lambda path, figure: None)
    assert learning_curve("bars", [50], metric="auc, accuracy", seeds=1, out=tmp_path).metric == "auc"
    assert drawn[-1] == ["auc", "accuracy"]
    with pytest.raises(ValueError, match="unknown metric 'acuracy'"):
        learning_curve("bars", [50], metric="auc,acuracy", seeds=1, out=tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ways": {"a": {"weigths": "random"}}}, "way 'a': unknown argument 'weigths'.*did you mean 'weights'"),
        ({"ways": {"a": {"seed": 1}}}, "way 'a': unknown argument 'seed'"),
        ({"ways": {"a": {"neighbours": 5}}}, "one way at least must train"),
        ({"ways": {"a b": {}, "A-B": {}}}, "too alike"),
        ({"reference": "from scrach"}, "unknown way 'from scrach'.*did you mean 'from scratch'"),
        ({"metric": "acuracy"}, "unknown metric 'acuracy'.*did you mean 'accuracy'"),
        ({"labels": [50, 1.5]}, "whole numbers, or shares up to 1"),
        ({"task": "planets", "labels": [0.5]}, "unknown task 'planets'"),
    ],
)
def test_what_cannot_be_done_is_one_clear_error(cells, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        learning_curve(**{"task": "bars", "labels": [50], "seeds": 1, "out": tmp_path} | changes)


def test_a_share_of_labels_is_that_of_the_galaxies_that_are_not_tested_on(cells, galaxies, tmp_path):
    from tfrecords_builder.splits import split_of

    catalog, folder = galaxies
    fitted = sum(split_of(i) != "test" for i in catalog["id_str"])
    where = {"catalog": folder.parent / "catalog.csv", "images": folder}
    learning_curve("rings", [0.5, 1.0], ways={"a": {}}, seeds=1, out=tmp_path / "out", **where)
    assert [labels for _, labels, *_ in cells] == [round(fitted / 2), fitted]


def finished(folder, values, answer):
    """A folder with what neighbours need of a run: 60 galaxies, 20 of them to test on."""
    folder.mkdir()
    images = {"bands": ("r",), "range": "picture", "image_size": (8, 8), "encoder": {"name": "resnet18"}}
    card = Card("run", **images, **answer.described())
    (folder / "card.json").write_text(json.dumps(dataclasses.asdict(card)))
    names = np.array([f"g{i}" for i in range(60)])
    split = np.where(np.arange(60) < 20, "test", np.where(np.arange(60) < 25, "val", "train"))
    pd.DataFrame({"id_str": names, "split": split, "label": values}).to_parquet(folder / "galaxies.parquet")
    return names


def test_neighbours_vote_on_classes_by_those_of_training_and_validation(tmp_path):
    label = np.arange(60) % 2
    names = finished(tmp_path / "run", label, Classes(("no", "yes")))
    store = Representations.create(tmp_path / "store", 2, {})
    store.append([*names[1:], "other"], np.stack([[*label[1:] * 5.0, 1], np.arange(60) / 100], axis=1))
    found = neighbour_metrics(tmp_path / "run", store, 3)
    assert found["galaxies"] == {"train": 35, "val": 5, "test": 19}  # g0 is not in the store
    assert found["test"]["accuracy"]["value"] == 1 and found["test"]["auc"]["value"] == 1


def test_neighbours_give_redshifts_over_the_bins_of_the_run(tmp_path):
    z = np.linspace(0.05, 0.35, 60)[np.random.default_rng(0).permutation(60)]
    names = finished(tmp_path / "run", z, Photoz(bins=80))
    store = Representations.create(tmp_path / "store", 1, {})
    store.append(names, z[:, np.newaxis])
    found = neighbour_metrics(tmp_path / "run", store, 4)
    assert found["test"]["sigma_mad"]["value"] < 0.02 and found["galaxies"]["test"] == 20


def test_the_command_takes_the_arguments_of_the_function_but_for_tables_of_them(cells, tmp_path):
    options = {option.name: option for option in cli.main.commands["learning-curve"].params}
    parameters = inspect.signature(learning_curve).parameters
    assert set(parameters) - set(options) == {"ways", "common", "published", "sky", "pretraining"} and set(
        options
    ) - set(parameters) == {"config"}
    assert "50,100,250,500" in options["labels"].help and "(5)" in options["seeds"].help
    config = {"labels": [30], "ways": {"a": {"weights": "random"}}, "published": {"theirs": 0.9}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    arguments = [
        "learning-curve",
        "--config",
        tmp_path / "c.yaml",
        "--labels",
        "50,100",
        "--seeds",
        1,
        "--out",
        tmp_path,
    ]
    result = CliRunner().invoke(cli.main, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0 and [labels for _, labels, *_ in cells] == [50, 100], result.output


@pytest.mark.parametrize("path", sorted((ROOT / "configs/learning_curve").glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_are_arguments_of_the_function(cells, monkeypatch, tmp_path, path):
    monkeypatch.setattr(module, "_represented", lambda *args: None)
    monkeypatch.setattr(module, "neighbour_metrics", lambda *args, seed: FakeRun(100, 0.8).metrics)
    monkeypatch.setattr(module, "_available", lambda *args: 10_000)
    recipe = read_config(path, inspect.signature(learning_curve).parameters)
    assert path.read_text().startswith(f"# morphtools learning-curve --config {path.relative_to(ROOT)}")
    monkeypatch.setattr(module, "_simulated", lambda sky, out: "records")
    monkeypatch.setattr(module, "pretrain", lambda **arguments: types.SimpleNamespace(out="run"))
    found = learning_curve(**recipe | {"metric": "accuracy", "labels": recipe["labels"][-2:], "out": tmp_path})
    assert len(found.table) == 2 * len(recipe["ways"]) and len(found.sentences) == len(recipe["ways"]) - 1


@pytest.mark.slow
def test_killed_and_called_again_with_more_seeds_it_keeps_what_is_finished(galaxies, tmp_path):
    """With a real, tiny finetune."""
    where = {"catalog": galaxies[1].parent / "catalog.csv", "images": galaxies[1]}
    ways = {"tiny": {"weights": "random", "encoder": "resnet18", "image_size": 32, "epochs": 1, "orientations": 1}}
    out = tmp_path / "out"
    first = learning_curve("rings", [20], ways=ways, seeds=1, out=out, **where)
    before = (out / "cells/tiny-20-0/metrics.json").stat().st_mtime_ns
    second = learning_curve("rings", [20], ways=ways, seeds=2, out=out, **where)
    assert (out / "cells/tiny-20-0/metrics.json").stat().st_mtime_ns == before
    assert not (out / "against_truth.png").exists()  # classes
    assert list(first.table["seeds"]) == [1] and list(second.table["seeds"]) == [2]
    with pytest.raises(FileExistsError, match=r"other settings \(epochs: 1 → 2\)"):
        learning_curve("rings", [20], ways={"tiny": ways["tiny"] | {"epochs": 2}}, seeds=1, out=out, **where)


def test_a_recipe_can_bring_its_sky_and_its_pretraining(cells, monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(module, "simulate_survey", lambda out, **sky: made.append(("sky", out, sky)) or "table")
    monkeypatch.setattr(module, "build_records", lambda table, out, images: made.append((table, out, images)))
    monkeypatch.setattr(module, "pretrain", lambda **a: made.append(a) or types.SimpleNamespace(out=a["out"]))
    ways = {"own": {"weights": "pretrained"}, "new": {"weights": "random"}}
    recipe = {"ways": ways, "seeds": 1, "sky": {"galaxies": 9}, "pretraining": {"method": "moco"}}
    learning_curve("photoz", [50], **recipe, out=tmp_path)
    assert made[0] == ("sky", tmp_path / "sky", {"galaxies": 9})
    assert made[1] == ("table", tmp_path / "records", tmp_path / "sky")
    assert made[2] == {"method": "moco", "records": tmp_path / "records", "out": tmp_path / "pretrained"}
    assert [weights for *_, weights, _, _ in cells] == [tmp_path / "pretrained", "random"]
    assert all(others["records"] == tmp_path / "records" for *_, others in cells)
    made.clear()
    learning_curve("photoz", [50], **recipe, records="given", out=tmp_path)
    assert [each["records"] for each in made] == ["given"]  # galaxies of one's own come first
    with pytest.raises(ValueError, match="pretraining needs records, or a sky"):
        learning_curve("photoz", [50], **recipe | {"sky": None}, out=tmp_path)
