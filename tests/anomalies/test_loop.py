import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from morphtools.anomalies.loop import AnomalyLoop
from morphtools.inference.representations import Representations


@pytest.fixture
def store(tmp_path):
    """300 galaxies in 8 dimensions; those far out along the first axis are interesting."""
    values = np.random.default_rng(0).normal(size=(300, 8)).astype("float32") * np.linspace(2, 1, 8)
    store = Representations.create(tmp_path / "representations", 8, {"weights": "a"})
    store.append([f"g{i:03d}" for i in range(200)], values[:200])
    store.append([f"g{i:03d}" for i in range(200, 300)], values[200:])
    return store


@pytest.fixture
def truth(store):
    return dict(zip(store.id_str, np.clip(store.values()[:, 0], 0, 5).round(), strict=True))


def answer(loop, truth, batches):
    for _ in range(batches):
        loop.rate({name: truth[name] for name in loop.suggest(10)})


@pytest.mark.parametrize("kernel", ["rational_quadratic", "matern"])
@pytest.mark.parametrize("start", ["random", "spacing"])
def test_the_loop_finds_what_the_rater_likes_in_fewer_ratings_than_chance(store, truth, tmp_path, kernel, start):
    loop = AnomalyLoop(store, tmp_path / "s", kernel=kernel, start=start)
    answer(loop, truth, 6)
    interesting = {name for name, rating in truth.items() if rating >= 4}
    found = set(loop.ratings()["id_str"]) & interesting
    assert len(found) > 0.6 * len(interesting)  # 60 of 300 by chance would find a fifth
    assert len(set(loop.scores()["id_str"][: len(interesting)]) & interesting) > 0.6 * len(interesting)


@pytest.mark.parametrize("diversity", ["none", "believer", "liar"])
def test_no_galaxy_is_asked_twice_and_in_the_end_all_were(store, truth, tmp_path, diversity):
    loop = AnomalyLoop(store, tmp_path / "s", diversity=diversity)
    loop.rate({"g007": None})
    asked = []
    while batch := loop.suggest(80):
        asked += batch
        loop.rate({name: truth[name] for name in batch})
    assert sorted(asked) == sorted(set(truth) - {"g007"})


def test_galaxies_drawn_while_a_fit_runs_are_new_ones_and_in_the_end_all_were(store, truth, tmp_path):
    loop = AnomalyLoop(store, tmp_path / "s")
    loop.rate({"g007": 2, "g008": None})
    asked = loop.suggest(10)
    while batch := loop.extend(70, learn=False):
        asked += batch
    assert sorted(asked) == sorted(set(truth) - {"g007", "g008"}) and loop.asked() == asked
    assert asked[10:80] != sorted(asked[10:80])
    assert loop.rows(["g007", "no", "g299"]).tolist() == [7, -1, 299]


def test_the_spacing_start_takes_equal_steps_along_the_first_component(store, tmp_path):
    names = AnomalyLoop(store, tmp_path / "s", start="spacing").suggest(4)
    values = store.values().astype(float)
    values -= values.mean(axis=0)
    along = values @ np.linalg.svd(values, full_matrices=False)[2][0]
    order = list(store.id_str[np.argsort(along)])
    assert sorted(order.index(name) for name in names) == [0, 100, 199, 299]  # 300 galaxies, ends included


def test_the_start_from_outliers_shows_those_that_are_least_like_the_others(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 4))
    x[[7, 150], [0, 1]] = 30
    crowd = Representations.create(tmp_path / "crowd", 4, {"weights": "w"})
    crowd.append([f"g{i}" for i in range(200)], x)
    loop = AnomalyLoop(crowd, tmp_path / "s", start="outliers", components=4)
    assert set(loop.suggest(2)) == {"g7", "g150"}


def test_known_examples_start_the_search_near_them(store, tmp_path):
    loop = AnomalyLoop(store, tmp_path / "s")
    loop.rate({"g000": 5})
    points = store.values().astype(float)
    points = (points - points.mean(axis=0)) @ np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2].T
    points /= points.std(axis=0)
    near = np.argsort(np.linalg.norm(points - points[0], axis=1))[1:11]
    assert loop.suggest(10) == list(store.id_str[near])


def test_scores_are_those_of_scikit_learn_on_standardised_components(store, truth, tmp_path):
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    loop = AnomalyLoop(store, tmp_path / "s", components=5)
    answer(loop, truth, 3)
    points = StandardScaler().fit_transform(PCA(5, svd_solver="full").fit_transform(store.values().astype(float)))
    rows = [list(store.id_str).index(name) for name in loop.ratings()["id_str"]]
    process = loop._learner().estimator
    process = type(process)(process.kernel_, optimizer=None).fit(points[rows], loop.ratings()["rating"])
    mean, deviation = process.predict(points, return_std=True)
    scores = loop.scores().set_index("id_str").loc[store.id_str]
    np.testing.assert_allclose(scores["score"], mean, atol=1e-3)
    np.testing.assert_allclose(scores["uncertainty"], deviation, atol=1e-3)
    assert loop.scores()["score"].is_monotonic_decreasing
    assert scores["raters"].sum() == 30 and scores["rating"].notna().sum() == 30


def test_a_session_resumes(store, truth, tmp_path):
    loop = AnomalyLoop(store, tmp_path / "s")
    answer(loop, truth, 2)
    batch = loop.suggest(10)
    loop.rate({batch[0]: 2, batch[3]: None})
    again = AnomalyLoop(store.folder, tmp_path / "s")
    assert again.suggest(10) == [batch[i] for i in (1, 2, 4, 5, 6, 7, 8, 9)] == loop.suggest(10)
    whole = AnomalyLoop(store, tmp_path / "t")
    answer(whole, truth, 2)
    assert whole.suggest(10) == batch


def test_undo_restores_the_state_before(store, truth, tmp_path):
    loop = AnomalyLoop(store, tmp_path / "s")
    answer(loop, truth, 2)
    before = loop.scores()
    loop.rate({"g000": 5, "g001": 0})
    assert not loop.scores().equals(before)
    assert loop.undo(2) == ["g001", "g000"]
    assert loop.scores().equals(before)


def test_sessions_of_two_raters_merge(store, truth, tmp_path):
    ann, bob = (AnomalyLoop(store, tmp_path / name, rater=name) for name in ("ann", "bob"))
    ann.rate({"g000": 5, "g001": 0})
    bob.rate({"g000": 4})
    assert ann.merge(tmp_path / "bob") == 1
    assert dict(ann.ratings()[["id_str", "rating"]].itertuples(index=False)) == {"g000": 4.5, "g001": 0}
    with pytest.raises(FileNotFoundError, match="no session at"):
        ann.merge(tmp_path / "nobody")


def test_ratings_move_to_a_session_of_more_galaxies_but_strangers_are_refused(store, tmp_path):
    old = AnomalyLoop(store, tmp_path / "old")
    old.rate({"g000": 5})
    store.append(["new"], np.ones((1, 8)))
    with pytest.raises(FileExistsError, match=r"changed: representations\).*ratings of a session can be merged"):
        AnomalyLoop(store, tmp_path / "old")
    grown = AnomalyLoop(store, tmp_path / "grown")
    grown.rate({"new": 1})
    assert grown.merge(tmp_path / "old") == 1
    with pytest.raises(ValueError, match=r"galaxies without representations in this session: new$"):
        old.merge(tmp_path / "grown")


def test_representations_that_changed_under_a_session_are_refused(store, tmp_path):
    AnomalyLoop(store, tmp_path / "s").rate({"g000": 5})
    other = Representations.create(tmp_path / "other", 8, {"weights": "a"})
    other.append(store.id_str, store.values() + 1)
    with pytest.raises(FileExistsError, match=r"other inputs \(changed: representations\)"):
        AnomalyLoop(other, tmp_path / "s")


def test_a_flipped_bit_in_representations_is_named(store, tmp_path):
    AnomalyLoop(store, tmp_path / "s").rate({"g000": 5})
    part = store.parts[1]
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    with pytest.raises(ValueError, match=rf"{part.name} is damaged"):
        AnomalyLoop(store, tmp_path / "s")


def test_impossible_arguments_are_refused_in_one_sentence(store, tmp_path):
    loop = AnomalyLoop(store, tmp_path / "s")
    with pytest.raises(ValueError, match=r"no ratings in .* yet"):
        loop.scores()
    with pytest.raises(ValueError, match=r"without representations in this session: nobody$"):
        loop.rate({"g000": 1, "nobody": 2})
    assert loop.ratings().empty
    with pytest.raises(FileExistsError, match=r"other settings \(components: 40 → 7\)"):
        AnomalyLoop(store, tmp_path / "s", components=7)
    for argument in ("kernel", "acquisition", "diversity", "start"):
        with pytest.raises(ValueError, match=f"unknown {argument} 'best'"):
            AnomalyLoop(store, tmp_path / "s", **{argument: "best"})
    with pytest.raises(FileExistsError, match="does not contain results of find-anomalies"):
        AnomalyLoop(store, store.folder)
    (tmp_path / "s" / "session.json").write_text("{")
    with pytest.raises(ValueError, match=r"session\.json is damaged"):
        AnomalyLoop(store, tmp_path / "s")
    twice = Representations.create(tmp_path / "twice", 2, {})
    twice.append(["a", "a", "b"], np.arange(6).reshape(3, 2))
    with pytest.raises(ValueError, match=r"twice in .*: a$"):
        AnomalyLoop(twice, tmp_path / "t")


KILLED = """
import sys
from morphtools.anomalies.loop import AnomalyLoop
loop = AnomalyLoop(sys.argv[1], sys.argv[2])
while batch := loop.suggest(3):
    for name in batch:
        loop.rate({name: int(name[1:]) % 6})
        print(name, flush=True)
"""


def test_kill_9_at_any_moment_loses_no_rating_and_the_session_continues_the_same(store, tmp_path):
    def run(lines):
        command = [sys.executable, "-c", KILLED, store.folder, tmp_path / "killed"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            names = [child.stdout.readline().strip() for _ in range(lines)]
            child.send_signal(signal.SIGKILL)
            return names

    printed = run(4) + run(3)
    killed = AnomalyLoop(store, tmp_path / "killed")
    rated = list(killed.ratings()["id_str"])
    assert set(printed) <= set(rated)
    whole = AnomalyLoop(store, tmp_path / "whole")
    while len(whole.ratings()) < len(rated):
        name = whole.suggest(3)[0]
        whole.rate({name: int(name[1:]) % 6})
    assert list(whole.ratings()["id_str"]) == rated
    assert whole.suggest(3) == killed.suggest(3)


def test_a_session_killed_before_its_candidates_were_written_makes_them(store, tmp_path):
    AnomalyLoop(store, tmp_path / "s")
    (tmp_path / "s" / "candidates.npy").unlink()
    assert len(AnomalyLoop(store, tmp_path / "s").suggest(5)) == 5
    assert set(json.loads((tmp_path / "s" / "session.json").read_text())["parts"]) == {p.name for p in store.parts}


def test_importing_the_loop_does_not_import_tensorflow():
    code = "import sys, morphtools.anomalies.loop; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_own_ranking_of_a_rater_is_that_of_a_session_in_which_nobody_else_rated(store, truth, tmp_path):
    alone = AnomalyLoop(store, tmp_path / "alone", rater="ann")
    shared = AnomalyLoop(store, tmp_path / "shared", rater="ann", own=True)
    other = shared.of("bob")
    for batch in range(3):
        names = alone.suggest(5)
        assert shared.suggest(5) == names  # independent of the other's ratings
        other.rate({name: 5 - truth[name] for name in [*names[:2], f"g{batch:03d}"]})
        assert shared.asked() == names
        for loop in (alone, shared):
            loop.rate({name: truth[name] for name in names})
    assert shared.scores().equals(alone.scores()) and shared.ratings().equals(alone.ratings())
    together = AnomalyLoop(store, tmp_path / "shared", rater="ann")
    assert not together.scores().equals(alone.scores())
    assert together.ratings()["raters"].max() == 2 and shared.ratings()["raters"].max() == 1
