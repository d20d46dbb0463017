"""Files of a session after kills, with many raters, damaged, on a full disk, and from earlier versions."""

import errno
import json
import os
import resource
import sqlite3
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from morphtools.anomalies import session
from morphtools.anomalies.loop import AnomalyLoop
from morphtools.anomalies.search import find_anomalies
from morphtools.anomalies.session import standardized_components
from morphtools.explore.pca import fit_pca
from morphtools.inference.representations import Representations


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Representations.create(tmp_path_factory.mktemp("r") / "representations", 6, {"weights": "a"})
    store.append([f"g{i}" for i in range(120)], np.random.default_rng(0).normal(size=(120, 6)) * np.arange(1, 7))
    return store


def rated(store, out, **options):
    loop = AnomalyLoop(store, out, **options)
    loop.rate({name: i % 6 for i, name in enumerate(loop.suggest(12))})
    return loop.scores()


def test_candidates_have_unit_variance_and_are_the_components(store, tmp_path):
    standardized_components(store, 4, tmp_path / "c.npy")
    found, components = np.load(tmp_path / "c.npy"), fit_pca(store, components=4)(store.values())
    assert found.dtype == np.float32 and found.shape == (120, 4)
    np.testing.assert_allclose(found, components / components.std(axis=0), rtol=1e-5)


KILLED = """
import os, signal, sys
from morphtools.anomalies.loop import AnomalyLoop
def kill(event, arguments):
    global calls
    if event in ("open", "os.rename", "sqlite3.connect") and out in str(arguments[0]):
        calls += 1
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
for out in sys.argv[2:]:  # imported once, killed in a process each
    last, calls = int(out.rpartition("-")[2]), 0
    child = os.fork()
    if not child:
        sys.addaudithook(kill)
        AnomalyLoop(sys.argv[1], out)
        os._exit(0)
    print(os.WIFSIGNALED(os.waitpid(child, 0)[1]))
"""


def test_a_session_killed_while_it_is_first_written_resumes_and_leaves_nothing_behind(store, tmp_path):
    whole, outs = rated(store, tmp_path / "whole"), [tmp_path / f"s-{before}" for before in range(1, 24, 3)]
    command = [sys.executable, "-c", KILLED, store.folder, *outs]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split().count("True") > 3
    for out in outs:
        pd.testing.assert_frame_equal(rated(store, out), whole)
        assert {p.name for p in out.iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}


def test_raters_who_begin_a_session_together_share_it(store, tmp_path):
    code = "import sys; from morphtools.anomalies.loop import AnomalyLoop as L\n"
    code += "L(sys.argv[1], sys.argv[2], rater=sys.argv[3]).rate({'g1': 3})"
    command = [sys.executable, "-c", code, store.folder, tmp_path / "s"]
    raters = [subprocess.Popen([*command, rater], stderr=subprocess.PIPE, text=True) for rater in "abc"]
    assert [rater.communicate()[1] for rater in raters] == [""] * 3
    assert AnomalyLoop(store, tmp_path / "s").ratings()["raters"].tolist() == [3]
    assert not list((tmp_path / "s").glob(".*"))


@pytest.mark.parametrize("damage", ["emptied", "missing", "zeros", "cut"])
def test_lost_ratings_are_reported_and_never_silently_restarted(store, tmp_path, damage):
    rated(store, tmp_path / "s")
    path = tmp_path / "s" / "ratings.sqlite"
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(
            {"emptied": b"", "zeros": bytes(len(content)), "cut": content[: len(content) * 2 // 3]}[damage]
        )
    with pytest.raises((ValueError, OSError), match=r"ratings\.sqlite") as error:
        AnomalyLoop(store, tmp_path / "s")
    assert "\n" not in str(error.value)
    path.write_bytes(content)
    assert len(AnomalyLoop(store, tmp_path / "s").ratings()) == 12


@pytest.mark.parametrize("name", ["ratings.sqlite", "candidates.npy", "session.json", "claim.json"])
def test_one_flipped_bit_never_changes_a_score(store, tmp_path, name):
    scores, rng, refused = rated(store, tmp_path / "s"), np.random.default_rng(0), 0
    path = tmp_path / "s" / name
    sound = path.read_bytes()
    for place in rng.choice(np.flatnonzero(np.frombuffer(sound, np.uint8)), 12):  # not in empty pages
        flipped = bytearray(sound)
        flipped[place] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        try:
            pd.testing.assert_frame_equal(AnomalyLoop(store, tmp_path / "s").scores(), scores)
        except (ValueError, OSError) as error:
            refused += 1
            assert str(tmp_path / "s") in str(error) and "\n" not in str(error)
    assert refused or name == "candidates.npy"  # which is made again


def test_a_rating_changed_in_the_file_is_found_by_its_checksum(store, tmp_path):
    rated(store, tmp_path / "s")
    with sqlite3.connect(tmp_path / "s" / "ratings.sqlite") as database:
        database.execute("UPDATE ratings SET rating = 5 WHERE number = 1")
    with pytest.raises(ValueError, match=r"ratings\.sqlite is damaged: the rating of 'g\d+' by 'me' is not what was"):
        AnomalyLoop(store, tmp_path / "s")


def test_a_full_disk_is_one_line_and_the_session_recovers(store, tmp_path, monkeypatch):
    save = session.write_whole

    def full(path, content):
        raise OSError(errno.ENOSPC, "cannot write: No space left on device", str(path))

    monkeypatch.setattr(session, "write_whole", full)
    with pytest.raises(OSError, match="No space left on device"):
        AnomalyLoop(store, tmp_path / "s")
    monkeypatch.setattr(session, "write_whole", save)
    pd.testing.assert_frame_equal(rated(store, tmp_path / "s"), rated(store, tmp_path / "whole"))


def test_candidates_beyond_a_limit_on_file_sizes_end_in_an_error_not_in_a_signal(store, tmp_path):
    """As on a full disk, memory that is mapped to a file there would end the process with SIGBUS or SIGXFSZ."""
    code = (
        "import sys; from pathlib import Path\nfrom morphtools.anomalies.session import standardized_components as f\n"
    )
    code += (
        "from morphtools.inference.representations import Representations as R; f(R.open(sys.argv[1]), 6, Path('c'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, store.folder],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "cannot write: File too large" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_session_of_an_earlier_version_resumes(store, tmp_path):
    """As version 0.1 left it: `session.json` without checksums, no `claim.json`, ratings without checksums."""
    scores, out = rated(store, tmp_path / "s"), tmp_path / "s"
    session = json.loads((out / "session.json").read_text())
    (out / "session.json").write_text(json.dumps({name: session[name] for name in ("components", "parts")}))
    (out / "claim.json").unlink()
    with sqlite3.connect(out / "ratings.sqlite") as database:
        database.execute("ALTER TABLE ratings DROP COLUMN checksum")
    pd.testing.assert_frame_equal(AnomalyLoop(store, out).scores(), scores)
    with pytest.raises(FileExistsError, match=r"other settings \(components: 40 → 7\)"):
        AnomalyLoop(store, out, components=7)


def test_a_rater_rates_in_one_process_at_a_time_and_others_beside_it(store, tmp_path, monkeypatch):
    said = []

    def answer(prompt):
        if not said:
            said.append("begun")
            with pytest.raises(BlockingIOError, match="already at work"):
                find_anomalies(store, out=tmp_path / "s")
            find_anomalies(store, out=tmp_path / "s", rater="another")
        return "q"

    monkeypatch.setattr("builtins.input", answer)
    find_anomalies(store, out=tmp_path / "s")
    assert said and not list((tmp_path / "s").glob(".*"))
