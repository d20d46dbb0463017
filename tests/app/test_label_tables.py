import collections
import random
from pathlib import Path

import pandas as pd
import pytest

from morphtools.app.judgements import Judgement
from morphtools.app.label_tables import Labels, checked_table

VALUES = [["yes", "y", True], ["no", "n", True], ["unsure", "u", False]]


@pytest.fixture
def labels():
    made = Labels()
    body = {"name": "rings", "question": "?", "values": VALUES}
    made.apply(Judgement(1, "table-0001", "table", "ann", "", {}, body))
    return made


def plainly(judgements):
    """The labels that people gave, by going through all valid judgements from the beginning."""
    undone = {each.body["undo"] for each in judgements if each.verb == "undo-label"}
    said = {}
    for each in judgements:
        if each.verb == "label" and each.judgement not in undone:
            said |= {(name, each.person): each.body["value"] for name in each.body["ids"]}
    return {key: value for key, value in said.items() if value is not None}


@pytest.mark.parametrize("seed", range(10))
def test_the_table_has_exactly_the_labels_that_were_not_taken_back(labels, seed):
    rng, made = random.Random(seed), []
    for number in range(2, 150):
        person, name = rng.choice(["ann", "bob", "eve"]), f"judgement-{number}"
        if made and rng.random() < 0.3:
            verb, body = "undo-label", {"undo": rng.choice(made).judgement}
        else:
            ids = [f"g{i}" for i in rng.sample(range(8), rng.randint(1, 3))]
            verb, body = "label", {"table": "rings", "ids": ids, "value": rng.choice(["yes", "no", "unsure", None])}
        made.append(Judgement(number, name, verb, person, "", {}, body))
        labels.apply(made[-1])
    said = plainly(made)
    about = labels.about("rings", Path("x"))
    assert about["people"] == collections.Counter(person for _, person in said)
    frame = labels.frame("rings").set_index("id_str")
    for galaxy, votes in pd.Series(said, dtype=object).groupby(level=0):
        most = votes.mode()
        expected = most[0] if len(most) == 1 and most[0] != "unsure" else None
        value = frame["rings"][galaxy]
        assert (None if pd.isna(value) else value) == expected and frame["people"][galaxy] == len(votes)
    assert set(frame.index) == {galaxy for galaxy, _ in said}
    assert about["labelled"] == frame["rings"].notna().sum()


def test_what_is_settled_counts_for_all_until_it_is_taken_back_and_no_vote_is_changed(labels):
    def told():
        frame = labels.frame("rings").set_index("id_str").astype(object)
        return {name: None if pd.isna(value) else value for name, value in frame["rings"].items()}, frame["people"][
            "g1"
        ]

    said = [("ann", "g1", "yes"), ("bob", "g1", "yes"), ("eve", "g1", "no"), ("ann", "g2", "yes"), ("bob", "g2", "no")]
    for number, (person, name, value) in enumerate([*said, ("ann", "g3", "no"), ("bob", "g3", "no")], 2):
        body = {"table": "rings", "ids": [name], "value": value}
        labels.apply(Judgement(number, f"judgement-{number}", "label", person, "", {}, body))
    assert labels.tables["rings"].contested == {"g1": pytest.approx(1 / 3), "g2": 1 / 2}
    body = {"table": "rings", "ids": ["g1"], "value": "no"}
    labels.apply(Judgement(20, "judgement-20", "settle", "eve", "", {}, body))
    assert told() == ({"g1": "no", "g2": None, "g3": "no"}, 3) and list(labels.tables["rings"].contested) == ["g2"]
    assert labels.about("rings", Path("x"))["people"] == {"ann": 3, "bob": 3, "eve": 1}
    labels.apply(Judgement(21, "judgement-21", "undo-label", "eve", "", {}, {"undo": "judgement-20"}))
    assert told() == ({"g1": "yes", "g2": None, "g3": "no"}, 3)
    assert labels.tables["rings"].contested == {"g1": pytest.approx(1 / 3), "g2": 1 / 2}


def test_a_table_without_labels_is_written_with_its_columns(labels, tmp_path):
    path = labels.write("rings", tmp_path / "labels")
    assert pd.read_csv(path).columns.tolist() == ["id_str", "rings", "people", "agreement"]


def described(*names, unsure="unsure"):
    values = [{"value": name, "key": ""} for name in names] + [{"value": unsure, "key": "", "label": False}]
    return {"name": "types", "question": "?", "values": values}


@pytest.mark.parametrize("name", ["NA", "nan", "null", "N/A", "--", "#N/A"])
def test_a_label_that_tables_read_as_an_empty_cell_is_refused(name):
    with pytest.raises(ValueError, match=f"a label cannot be called {name}: tables read that as an empty cell"):
        checked_table(described("disc", name), None)
    assert checked_table(described("disc", "none", unsure=name), None)["values"][2] == [name, "", False]


def test_labels_that_would_be_read_as_one_class_are_refused():
    for pair in (("Edge-on", "edge on"), ("007", "7")):
        with pytest.raises(ValueError, match=f"{pair[0]}, {pair[1]} would be read as one class"):
            checked_table(described(*pair), None)
    assert len(checked_table(described("Sb", "SB", "E", "E-"), None)["values"]) == 5
