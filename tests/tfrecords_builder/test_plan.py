"""Any number of processes may work at one build at once."""

import hashlib
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from tfrecords_builder import build as building
from tfrecords_builder import build_records, plan

N = 300


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Builds records of small galaxies in `tmp_path / name`, in several shards."""
    monkeypatch.setattr(building, "_SHARD_BYTES", 64 * 4 * 2 * 6 * 6)
    np.save(tmp_path / "stack.npy", np.random.default_rng(0).normal(size=(N, 6, 6, 2)).astype("float32"))
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(N)], "file_loc": range(N)})

    def build(name, part=None, galaxies=N, **options):
        return build_records(
            catalog[:galaxies], tmp_path / name, images=tmp_path / "stack.npy", bands=("g", "r"), part=part, **options
        )

    return build


def content(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture
def reference(build, tmp_path):
    build("reference")
    return content(tmp_path / "reference")


def meanwhile(monkeypatch, module, function, work):
    """Lets other processes act once, just before a function is called."""
    real = getattr(module, function)

    def slow(*arguments, **options):
        monkeypatch.setattr(module, function, real)
        work()
        return real(*arguments, **options)

    monkeypatch.setattr(module, function, slow)


def in_processes_of_their_own(work, arguments) -> list[int]:
    """Starts `work` with each of the arguments in a process of its own; returns the exit codes."""
    children = []
    for argument in arguments:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work(argument)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    return [os.waitpid(child, 0)[1] for child in children]


STEPS = [(building, "_typical"), (plan, "_to_arrow"), (plan, "_install"), (building, "share_of")]
STEPS += [(building, "build_shard"), (building, "finish")]


@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _, step in STEPS])
@pytest.mark.parametrize("others", [["1/3"], ["1/3", "2/3", "3/3"], ["2/3", None]], ids=["one", "all", "finished"])
def test_what_other_processes_do_before_any_step_does_not_matter(
    build, reference, tmp_path, monkeypatch, module, step, others
):
    meanwhile(monkeypatch, module, step, lambda: [build("out", part) for part in others])
    assert build("out", None if step == "finish" else "2/3") is None or step == "finish"
    for part in ("1/3", "2/3", "3/3", None):
        build("out", part)
    assert content(tmp_path / "out") == reference


@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _, step in STEPS])
def test_a_whole_build_that_is_started_twice_by_accident_is_right_twice(
    build, reference, tmp_path, monkeypatch, module, step
):
    seconds = []
    meanwhile(monkeypatch, module, step, lambda: seconds.append(build("out")))
    assert build("out").splits == seconds[0].splits
    assert content(tmp_path / "out") == reference


def test_whole_builds_started_together_in_processes_of_their_own_end_the_same(build, reference, tmp_path):
    for trial in range(5):
        assert in_processes_of_their_own(lambda part, name=f"out{trial}": build(name, part), [None] * 3) == [0] * 3
        assert content(tmp_path / f"out{trial}") == reference


@pytest.mark.parametrize("step", [(plan, "_install"), (building, "build_shard"), (building, "finish")])
def test_parts_that_append_at_once_add_every_galaxy_once(build, tmp_path, monkeypatch, step):
    for name in ("reference", "out"):
        build(name, galaxies=120)
    build("reference", append=True)
    meanwhile(monkeypatch, *step, lambda: [build("out", part, append=True) for part in ("1/2", "2/2")])
    build("out", "1/2", append=True)
    build("out", append=True)
    assert content(tmp_path / "out") == content(tmp_path / "reference")


def test_the_plan_of_the_next_build_survives_a_process_that_removes_the_last(build, tmp_path):
    build("out", galaxies=120)
    build("out", "1/2", append=True)
    before = content(tmp_path / "out" / ".build" / "rows")
    plan.remove_leftovers(tmp_path / "out", digest="of the first build")
    assert content(tmp_path / "out" / ".build" / "rows") == before


def test_parts_of_other_settings_do_not_share_a_plan(build, tmp_path, monkeypatch):
    meanwhile(monkeypatch, plan, "_install", lambda: build("out", "1/2", seed=1))
    with pytest.raises(FileExistsError, match="unfinished build of another catalogue or other settings"):
        build("out", "1/2")
    build("reference", seed=1)
    build("out", seed=1)
    assert content(tmp_path / "out") == content(tmp_path / "reference")


def test_a_build_that_another_process_has_given_up_ends_in_one_sentence(build, tmp_path, monkeypatch):
    build("out", "1/2")
    meanwhile(monkeypatch, building, "build_shard", lambda: plan.remove_plan(tmp_path / "out" / ".build"))
    with pytest.raises(FileNotFoundError, match=r"another process has finished the build in .*out"):
        build("out", "2/2")


def test_parts_started_together_in_processes_of_their_own_end_the_same(build, reference, tmp_path):
    parts = ["1/3", "2/3", "3/3", "2/3", "1/1"]  # some by accident twice
    for trial in range(5):
        assert in_processes_of_their_own(lambda part, name=f"out{trial}": build(name, part), parts) == [0] * 5
        build(f"out{trial}")
        assert content(tmp_path / f"out{trial}") == reference


@pytest.mark.parametrize("gone", ["rows", "done", ""])
def test_a_plan_may_be_removed_by_two_processes_at_once(build, tmp_path, monkeypatch, gone):
    """The other process removes a folder just as this one lists it."""
    build("out", "1/2")
    real = os.scandir

    def listed(place):
        if ".partial" in str(place) and str(place).endswith(gone):
            shutil.rmtree(place, ignore_errors=True)
        return real(place)

    monkeypatch.setattr(os, "scandir", listed)
    plan.remove_plan(tmp_path / "out" / ".build")
    assert not list((tmp_path / "out").glob(".build*"))


@pytest.mark.parametrize("cell", [[1, 2], {"a": 1}, np.arange(3)])
def test_a_column_with_several_values_in_a_cell_is_refused_by_name(tmp_path, cell):
    catalog = pd.DataFrame({"id_str": ["a", "b"], "file_loc": ["a", "b"], "spectrum": [cell, cell]})
    with pytest.raises(ValueError, match="column 'spectrum' has several values in a cell"):
        plan.take_census(catalog, ("id_str",))
