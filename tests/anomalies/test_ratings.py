import re
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from morphtools.anomalies.ratings import AGREED, Ratings


@pytest.fixture
def ratings(tmp_path):
    return Ratings(tmp_path / "ratings.sqlite")


def values(ratings):
    return dict(ratings.current()[["id_str", "rating"]].itertuples(index=False))


def test_ratings_come_back_in_order_with_time_and_rater(ratings):
    ratings.add({"b": 5, "a": 0.5}, "ann")
    ratings.add({"c": 3}, "bob")
    again = Ratings(ratings.path)
    assert list(again.current()["id_str"]) == ["b", "a", "c"]
    history = again.history()
    assert list(history["rater"]) == ["ann", "ann", "bob"] and history["time"].is_monotonic_increasing
    assert history["undone"].isna().all()


def test_several_raters_are_averaged_and_only_the_latest_rating_of_each_counts(ratings):
    ratings.add({"a": 5, "b": None}, "ann")
    ratings.add({"a": 2, "b": 4}, "bob")
    ratings.add({"a": 3}, "bob")
    assert values(ratings) == {"a": 4.0, "b": 4.0}  # (5 + 3) / 2; a skip is no rating
    assert dict(ratings.current()[["id_str", "raters"]].itertuples(index=False)) == {"a": 2, "b": 1}


def test_a_settled_rating_counts_alone_until_it_is_undone(ratings):
    ratings.add({"a": 5, "b": 4, "c": 0, "d": None}, "ann")
    ratings.add({"a": 1, "b": 3, "c": 5, "d": 5}, "bob")
    assert ratings.contested() == [("c", {"ann": 0, "bob": 5}), ("a", {"ann": 5, "bob": 1})]
    ratings.add({"c": 4}, AGREED, "judgement-1")
    assert values(ratings) == {"a": 3.0, "b": 3.5, "c": 4.0, "d": 5.0}
    assert [name for name, _ in ratings.contested()] == ["a"]
    means, raters = ratings.tally()
    assert sorted(means) == [3.0, 3.5, 4.0, 5.0] and raters == {"ann": 3, "bob": 4}
    ratings.take_back("judgement-1", AGREED)
    assert values(ratings)["c"] == 2.5 and len(ratings.contested()) == 2


def test_undo_takes_back_the_last_rating_of_that_rater_and_keeps_its_record(ratings):
    ratings.add({"a": 1}, "ann")
    ratings.add({"a": 2, "b": 3}, "ann")
    ratings.add({"c": 4}, "bob")
    assert ratings.undo(2, "ann") == ["b", "a"]
    assert values(ratings) == {"a": 1.0, "c": 4.0}
    assert ratings.undo(10**30, "ann") == ["a"] and ratings.undo(1, "ann") == []
    assert len(ratings.history()) == 4 and ratings.history()["undone"].notna().sum() == 3


def test_a_skipped_galaxy_is_recorded_without_a_rating(ratings):
    ratings.add({"a": None}, "ann")
    assert np.isnan(values(ratings)["a"]) and ratings.current()["raters"][0] == 0


@pytest.mark.parametrize("bad", [6, -0.1, float("nan"), "five", [1]])
def test_one_impossible_rating_stores_none_of_the_call(ratings, bad):
    with pytest.raises(ValueError, match=r"numbers from 0 to 5, or None.*got b: "):
        ratings.add({"a": 1, "b": bad}, "ann")
    assert len(ratings.history()) == 0


def test_a_reopened_file_asks_for_the_rest_of_the_batch(ratings):
    ratings.ask(["c", "a", "b"], "ann")
    ratings.add({"a": 1}, "bob")
    again = Ratings(ratings.path)
    assert again.asked("ann") == ["c", "b"] and again.asked("bob") == []
    ratings.add({"c": None}, "ann")
    assert again.asked("ann") == ["b"]
    again.ask(["d"], "ann")
    assert ratings.asked("ann") == ["d"]


def test_merging_twice_or_both_ways_is_merging_once(tmp_path):
    ours, theirs = Ratings(tmp_path / "a"), Ratings(tmp_path / "b")
    ours.add({"x": 5, "y": 1}, "ann")
    theirs.add({"x": 4, "z": None}, "bob")
    theirs.undo(1, "bob")
    assert (ours.merge(theirs), ours.merge(theirs), theirs.merge(ours)) == (2, 0, 2)
    assert values(ours) == values(theirs) == {"x": 4.5, "y": 1.0}
    ours.undo(1, "ann")
    assert theirs.merge(ours) == 0 and values(theirs) == {"x": 4.5}  # ratings that were undone there are undone here


KILLED = """
import itertools, sys
from morphtools.anomalies.ratings import Ratings
ratings = Ratings(sys.argv[1])
for i in itertools.count():
    ratings.add({f"{i}-{j}": j for j in range(5)}, "ann")
    print(i, flush=True)
"""


def test_every_acknowledged_rating_survives_kill_9_and_no_call_is_half_stored(tmp_path):
    path = tmp_path / "ratings.sqlite"
    with subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True) as child:
        acknowledged = [int(child.stdout.readline()) for _ in range(20)][-1]
        child.send_signal(signal.SIGKILL)
    names = set(Ratings(path).current()["id_str"])
    assert {f"{i}-{j}" for i in range(acknowledged + 1) for j in range(5)} <= names
    assert len(names) % 5 == 0


def test_every_call_reaches_the_disk_not_only_the_cache_of_the_system(ratings):
    with ratings._open() as database:
        assert database.execute("PRAGMA synchronous").fetchone() == (3,)  # EXTRA: file, journal and folder


def test_a_file_that_is_not_a_database_is_named(tmp_path):
    (tmp_path / "ratings.sqlite").write_text("not a database, but long enough to be looked at " * 20)
    with pytest.raises(OSError, match=r"ratings\.sqlite: file is not a database"):
        Ratings(tmp_path / "ratings.sqlite")


def test_a_call_that_fails_changes_nothing(ratings):
    ratings.add({"a": 1}, "ann")
    with pytest.raises(OSError, match="no such table"), ratings._open() as database:
        database.execute("DELETE FROM ratings")
        database.execute("SELECT * FROM nowhere")
    assert values(ratings) == {"a": 1.0}
    with sqlite3.connect(ratings.path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


@pytest.mark.parametrize("n", [0, -1, "1", 1.0, None, True, [1]])
def test_no_fewer_than_one_rating_is_taken_back(ratings, n):
    ratings.add({"a": 1.0, "b": 2.0}, "ann")
    with pytest.raises(ValueError, match=re.escape(f"at least 1, got {n!r}")):
        ratings.undo(n, "ann")
    assert ratings.current()["rating"].tolist() == [1.0, 2.0]


def test_any_kind_of_whole_number_counts_the_ratings_to_take_back(ratings):
    ratings.add({"a": 1.0}, "ann")
    assert ratings.undo(np.int64(1), "ann") == ["a"]


@pytest.mark.parametrize("rater", [None, "", " ", 3, b"ann", "a\nb", "\ud800"])
def test_a_rater_has_a_name(ratings, rater):
    with pytest.raises(ValueError, match="the rater must have a name"):
        ratings.add({"a": 1.0}, rater)
    assert len(ratings.history()) == 0


@pytest.mark.parametrize("given", [None, 3, "a", ["a"], [("a", 1)]])
def test_ratings_are_given_by_galaxy(ratings, given):
    with pytest.raises(ValueError, match="ratings are given by id_str"):
        ratings.add(given, "ann")


def test_a_named_rating_counts_once_and_is_undone_by_its_name(tmp_path):
    ratings = Ratings(tmp_path / "ratings.sqlite")
    for _ in range(3):
        ratings.add({"g1": 4}, "ann", "judgement-1")
    assert len(ratings.history()) == 1
    with pytest.raises(FileExistsError, match="another rating has the name judgement-1"):
        ratings.add({"g1": 3}, "ann", "judgement-1")
    ratings.add({"g2": None}, "ann")
    assert [name for name, *_ in ratings.last(5, "ann")] == ["#2", "judgement-1"]
    assert ratings.tally() == ([4.0, None], {"ann": 1})
    assert ratings.take_back("judgement-1", "ann") == "g1" and ratings.take_back("judgement-1", "ann") is None
    assert ratings.take_back("#2", "ann") == "g2" and ratings.tally() == ([], {})
    with pytest.raises(LookupError, match="bob has given no rating judgement-1"):
        ratings.take_back("judgement-1", "bob")
    ratings.check()
