import errno
import sqlite3

import pytest

from morphtools.app.judgements import Judgements, check_person


def test_a_judgement_sent_again_counts_once_and_is_what_it_was(tmp_path):
    file = Judgements(tmp_path / "j.sqlite")
    first, new = file.add("judgement-1", "label", "ann", {"value": "ring"}, {"ids": ["a"]})
    again, also_new = file.add("judgement-1", "label", "ann", {"value": "ring"}, {})
    assert (new, also_new) == (True, False) and again == first and len(list(file.all())) == 1


@pytest.mark.parametrize("other", [("rate", "ann", {"v": 1}), ("label", "bob", {"v": 1}), ("label", "ann", {"v": 2})])
def test_the_same_name_is_never_used_for_two_judgements(tmp_path, other):
    file = Judgements(tmp_path / "j.sqlite")
    file.add("judgement-1", "label", "ann", {"v": 1}, {})
    with pytest.raises(FileExistsError, match="another judgement is named judgement-1"):
        file.add("judgement-1", *other, {})


def test_judgements_are_there_after_reopening_in_order_and_in_a_write_ahead_log(tmp_path):
    file = Judgements(tmp_path / "j.sqlite")
    for i in range(5):
        file.add(f"judgement-{9 - i}", "label", "ann", {"i": i}, {"é": [i]})
    assert (tmp_path / "j.sqlite-wal").exists()
    bodies = [each.body for each in Judgements(tmp_path / "j.sqlite").all()]
    assert bodies == [{"é": [i]} for i in range(5)]


def test_a_flipped_byte_is_found(tmp_path):
    file = Judgements(tmp_path / "j.sqlite")
    file.add("judgement-1", "label", "ann", {}, {"value": "a ring"})
    file.close()
    content = (tmp_path / "j.sqlite").read_bytes()
    (tmp_path / "j.sqlite").write_bytes(content.replace(b"a ring", b"a bing"))
    with pytest.raises(ValueError, match=r"j.sqlite is damaged: judgement judgement-1 .*; restore it from a copy"):
        Judgements(tmp_path / "j.sqlite")


def test_what_is_not_a_database_is_one_sentence(tmp_path):
    (tmp_path / "j.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(ValueError, match=r"j.sqlite is damaged: file is not a database"):
        Judgements(tmp_path / "j.sqlite")


def test_a_full_disk_is_reported_and_what_was_stored_stays(tmp_path):
    file = Judgements(tmp_path / "j.sqlite")
    file.add("judgement-1", "label", "ann", {}, {})
    pages = file._database.execute("PRAGMA page_count").fetchone()[0]
    file._database.execute(f"PRAGMA max_page_count = {pages}")  # SQLite then answers as on a full disk
    with pytest.raises(OSError, match="database or disk is full") as caught:
        file.add("judgement-2", "label", "ann", {}, {"ids": ["x" * 50] * 1000})
    assert caught.value.errno == errno.ENOSPC
    file._database.execute("PRAGMA max_page_count = 100000")
    file.add("judgement-2", "label", "ann", {}, {"ids": []})  # tried again when there is room
    assert [each.judgement for each in file.all()] == ["judgement-1", "judgement-2"]


@pytest.mark.parametrize("name", ["short", "with blank1", "x" * 65, "drop'table1", None, 7])
def test_names_of_judgements_are_letters_and_digits(tmp_path, name):
    with pytest.raises(ValueError, match="judgement must have 8"):
        Judgements(tmp_path / "j.sqlite").add(name, "label", "ann", {}, {})


@pytest.mark.parametrize("person", ["", " ", "x" * 41, "a\nb", None, 3])
def test_a_person_has_a_name(person):
    with pytest.raises(ValueError, match="person must be a name"):
        check_person(person)


def test_the_checksum_is_of_the_whole_row(tmp_path):
    file = Judgements(tmp_path / "j.sqlite")
    file.add("judgement-1", "label", "ann", {}, {})
    file.close()
    with sqlite3.connect(tmp_path / "j.sqlite") as database:
        database.execute("UPDATE judgements SET person = 'bob'")
    database.close()
    with pytest.raises(ValueError, match="is damaged"):
        Judgements(tmp_path / "j.sqlite")
