import json
import logging

import numpy as np
import pytest
import yaml

from morphtools.answers.predictions import Predictions
from morphtools.training.runs import open_run

CARD = {"name": "a", "kind": "encoder", "encoder": {"name": "resnet18"}, "bands": ["r"], "range": "picture"}


@pytest.fixture
def arguments(tmp_path):
    """The arguments of a verb, all of whose inputs are files."""
    for name, content in {"catalog.csv": "id_str\na\n", "schema.yaml": "name: s", "augmentations.yaml": "[]"}.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "images.zip").write_bytes(b"PK one")
    (tmp_path / "start").mkdir()
    card = CARD | {"image_size": [64, 64], "sha256": "0" * 64}
    (tmp_path / "start" / "card.json").write_text(json.dumps(card))
    files = {"catalog": "catalog.csv", "images": "images.zip", "schema": "schema.yaml"}
    files |= {"augmentations": "augmentations.yaml", "weights": "start"}
    return {name: str(tmp_path / file) for name, file in files.items()} | {"records": None, "epochs": 3}


def finish(out, arguments):
    with open_run(out, "train", arguments) as run:
        run.keep()
        if not run.finished:
            run.write_metrics({"title": "t", "test": {"loss": {"value": float("nan")}}})
    return run


def test_the_config_names_an_encoder_only_where_it_was_built_from_random_weights(tmp_path, arguments):
    for weights, named in ((arguments["weights"], False), ("random", True)):
        run = finish(tmp_path / f"run-{named}", arguments | {"weights": weights, "encoder": "resnet18"})
        assert ("encoder" in yaml.safe_load((run.out / "config.yaml").read_text())) == named


def test_the_same_call_returns_a_finished_run(tmp_path, arguments):
    first = finish(tmp_path / "run", arguments)
    before = {path: path.stat().st_mtime_ns for path in first.out.rglob("*") if path.is_file()}
    again = finish(tmp_path / "run", arguments)
    assert again == first and again.metrics["test"]["loss"]["value"] is None
    assert {path: path.stat().st_mtime_ns for path in first.out.rglob("*") if path.is_file()} == before
    assert yaml.safe_load((first.out / "config.yaml").read_text()) == arguments
    assert not (first.out / "state").exists() and (first.out / "claim.json").exists()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("catalog", "catalog.csv"),
        ("archive", "images.zip"),
        ("schema", "schema.yaml"),
        ("augmentations", "augmentations.yaml"),
        ("weights", "start/card.json"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_what_was_made_from_other_content_under_the_same_name_is_never_returned(
    tmp_path, arguments, name, file, finished
):
    out = tmp_path / "run"
    if finished:
        finish(out, arguments)
    else:
        with open_run(out, "train", arguments) as run:
            run.keep()
    path = tmp_path / file
    path.write_text(path.read_text().replace("0" * 64, "1" * 64) if file.endswith("json") else "# other\n")
    with pytest.raises(FileExistsError, match=rf"results of train with other inputs \(changed: {name}\); choose"):
        finish(out, arguments)


def test_a_run_of_an_earlier_version_is_returned_with_a_warning_that_its_inputs_are_unknown(
    tmp_path, arguments, caplog
):
    """As `start_run` of version 0.1 left it: `config.yaml` with all arguments, and the files of the run."""
    out = tmp_path / "old"
    (out / "figures").mkdir(parents=True)
    (out / "config.yaml").write_text("# morphtools train --config config.yaml\n" + yaml.safe_dump(arguments))
    (out / "metrics.json").write_text('{"title": "old", "test": {}}')
    with caplog.at_level(logging.WARNING):
        run = finish(out, arguments | {"a_later_argument": None})
    assert run.metrics["title"] == "old" and "catalog, archive" in caplog.text
    with pytest.raises(FileExistsError, match=r"other settings \(epochs: 3 → 4\)"):
        finish(out, arguments | {"epochs": 4})


def test_a_run_that_fails_on_bad_input_leaves_nothing(tmp_path, arguments):
    with pytest.raises(ValueError, match="no such column"), open_run(tmp_path / "run", "train", arguments):
        raise ValueError("no such column")
    assert not (tmp_path / "run").exists()


def test_a_run_that_fails_at_work_keeps_what_it_has_and_logs_why(tmp_path, arguments):
    with pytest.raises(OSError, match="disk"), open_run(tmp_path / "run", "train", arguments) as run:
        run.keep()
        (run.out / "state" / "fit.npz").write_text("work")
        raise OSError("the disk is full")
    assert (run.out / "state" / "fit.npz").exists()
    assert "OSError: the disk is full" in (run.out / "log.txt").read_text()
    assert not finish(tmp_path / "run", arguments).out.joinpath(".lock").exists()


def test_tables_of_a_run_that_were_swapped_are_named(tmp_path, arguments):
    with open_run(tmp_path / "run", "train", arguments) as run:
        run.keep()
        for name, value in (("predictions", 0.2), ("validation", 0.7)):
            one = Predictions(np.array(["a"], object), np.array([value]), np.array([1]), ("no", "yes"), {})
            one.save(run.out / f"{name}.parquet")
        run.write_metrics({"title": "t", "test": {}})
    assert Predictions.open(run.out / "predictions.parquet").probability == 0.2
    (run.out / "validation.parquet").rename(run.out / "predictions.parquet")
    with pytest.raises(ValueError, match=r"predictions\.parquet is damaged"):
        Predictions.open(run.out / "predictions.parquet")


@pytest.mark.parametrize("content", ["", "[]", "null", '{"title": ', '{"verb": "train"}'])
def test_damaged_metrics_are_named(tmp_path, arguments, content):
    run = finish(tmp_path / "run", arguments)
    (run.out / "metrics.json").write_text(content)
    with pytest.raises(ValueError, match=r"metrics\.json is damaged"):
        _ = finish(tmp_path / "run", arguments).metrics
