import io
import itertools

import pandas as pd
import pytest

RINGS = {
    "name": "rings",
    "question": "Does it have a ring?",
    "values": [
        {"value": "yes", "key": "y"},
        {"value": "no", "key": "n"},
        {"value": "unsure", "key": "u", "label": False},
    ],
}
_numbers = itertools.count()


def judge(client, path, status=200, **body):
    body = {"judgement": f"judgement-{next(_numbers)}", "person": "ann"} | body
    answer = client.post(f"api/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json() | {"judgement": body["judgement"]}


def table(client, name="rings"):
    return pd.read_csv(io.BytesIO(client.get(f"api/labels/{name}.csv").content)).set_index("id_str")


@pytest.fixture
def labelling(client):
    judge(client, "labels", **RINGS)
    return client


def test_labels_make_a_table_that_training_reads(labelling):
    for name, value in {"g01": "yes", "g02": "no", "g03": "unsure"}.items():
        judge(labelling, "label", table="rings", id_str=name, value=value)
    made = table(labelling)
    assert made["rings"].dropna().to_dict() == {"g01": "yes", "g02": "no"} and len(made) == 3
    assert made["file_loc"].to_dict() == {"g01": "g01.png", "g02": "g02.png", "g03": "g03.png"}
    (about,) = labelling.get("api/labels").json()
    assert (about["labelled"], about["counts"]) == (2, {"yes": 1, "no": 1, "unsure": 1})


def test_labelling_a_shown_galaxy_does_not_read_other_galaxies(labelling, monkeypatch):
    (shown,) = labelling.get("api/queue", params={"table": "rings", "person": "ann", "galaxies": 1}).json()["queue"]
    monkeypatch.setattr("morphtools.app.atlas.pc.index_in", lambda *_, **__: pytest.fail("all names are gone through"))
    judge(labelling, "label", table="rings", id_str=shown["id_str"], value="yes")
    assert labelling.get("api/galaxy", params={"id_str": shown["id_str"]}).status_code == 200


def test_the_last_word_of_a_person_counts_and_can_be_taken_back(labelling):
    judge(labelling, "label", table="rings", id_str="g01", value="yes")
    second = judge(labelling, "label", table="rings", id_str="g01", value="no")["judgement"]
    assert table(labelling)["rings"]["g01"] == "no"
    assert judge(labelling, "label", table="rings", undo=second)["undone"] == ["g01"]
    assert table(labelling)["rings"]["g01"] == "yes"
    assert judge(labelling, "label", table="rings", undo=second)["undone"] == []  # it was taken back already
    judge(labelling, "label", table="rings", id_str="g01", value=None)
    assert not len(table(labelling))


def test_the_label_is_that_of_the_majority_and_a_tie_is_unlabelled(labelling):
    said = {"ann": ("yes", "yes"), "bob": ("yes", "no"), "eve": ("no", None)}
    for person, values in said.items():
        for name, value in zip(("g01", "g02"), values, strict=True):
            if value:
                judge(labelling, "label", table="rings", person=person, id_str=name, value=value)
    made = table(labelling)
    assert made["rings"]["g01"] == "yes" and pd.isna(made["rings"]["g02"])
    assert made["people"].to_dict() == {"g01": 3, "g02": 2}
    assert made["agreement"].round(3).to_dict() == {"g01": 0.667, "g02": 0.5}
    about = labelling.get("api/labels").json()[0]
    assert about["labelled"] == 1 and about["disagreed"] == 1 and about["people"] == {"ann": 2, "bob": 2, "eve": 1}


def test_many_are_labelled_in_one_go_and_taken_back_in_one(labelling):
    judge(labelling, "label", table="rings", id_str="g02", value="no")
    many = labelling.post("api/select", json={"ids": ["g01", "g02", "g03"]}).json()["set"]
    done = judge(labelling, "label-all", table="rings", set=many, value="yes")
    assert done["changed"] == 2 and table(labelling)["rings"]["g02"] == "no"  # earlier judgements stay
    assert judge(labelling, "label-all", table="rings", set=many, value="yes", overwrite=True)["changed"] == 3
    history = labelling.get("api/history", params={"table": "rings", "person": "ann"}).json()
    assert [each["galaxies"] for each in history] == [3, 2, 1] and history[2]["id_str"] == "g02"
    judge(labelling, "label", table="rings", undo=history[0]["judgement"])
    judge(labelling, "label", table="rings", undo=history[1]["judgement"])
    assert table(labelling)["rings"].to_dict() == {"g02": "no"}


def test_sets_of_labelled_galaxies_are_sets_as_any(labelling):
    judge(labelling, "label-all", table="rings", ids=["g05", "g06"], value="yes")
    judge(labelling, "label", table="rings", id_str="g07", value="no")

    def members(name):
        rows = labelling.get("api/galaxies", params={"set": name}).json()["rows"]
        return {row["id_str"] for row in rows}

    assert members("label:rings:yes") == {"g05", "g06"} and members("labelled:rings") == {"g05", "g06", "g07"}


def test_only_the_person_who_judged_can_undo(labelling):
    mine = judge(labelling, "label", table="rings", id_str="g01", value="yes")["judgement"]
    error = judge(labelling, "label", 400, table="rings", person="bob", undo=mine)["error"]
    assert error == "this label was given by ann: only they can undo it"


def test_a_restart_has_every_label_and_every_undo(three_kinds, opened):
    store, catalog, images = three_kinds
    first = opened(store, catalog=catalog, images=images)
    judge(first, "labels", **RINGS)
    judge(first, "label-all", table="rings", ids=[f"g{i:02d}" for i in range(20)], value="yes")
    undone = judge(first, "label", table="rings", id_str="g03", value="no")["judgement"]
    judge(first, "label", table="rings", undo=undone)
    judge(first, "label", table="rings", person="bob", id_str="g30", value="no")
    second = opened(store, catalog=catalog, images=images)  # the first was not closed: as after a kill
    assert table(second).equals(table(first)) and second.get("api/labels").json() == first.get("api/labels").json()


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("label", {"table": "no", "id_str": "g01", "value": "yes"}, 404, "there is no table of labels 'no'"),
        ("label", {"table": "rings", "id_str": "no", "value": "yes"}, 404, "there is no galaxy no"),
        ("label", {"table": "rings", "id_str": "g01", "value": "maybe"}, 400, "rings has no label 'maybe'"),
        ("label", {"table": "rings", "id_str": 5, "value": "yes"}, 400, "choose galaxies by one of"),
        ("label", {"table": "rings", "value": "yes"}, 400, "id_str is missing"),
        ("label", {"table": "rings", "undo": "judgement-x"}, 404, "there is no labelling"),
        ("label", {"table": "rings", "id_str": "g01", "value": "yes", "person": ""}, 400, "person must be a name"),
        ("label", {"table": "rings", "id_str": "g01", "value": "yes", "judgement": "?"}, 400, "judgement must have 8"),
        ("label-all", {"table": "rings", "set": "all", "value": "yes"}, 400, "choose a set"),
        ("labels", RINGS | {"name": "../x"}, 400, "a name must have 1 to 60"),
        ("labels", RINGS | {"name": "id_str"}, 400, "name is reserved"),
        ("labels", RINGS | {"values": RINGS["values"][:1]}, 400, "2 to 50 labels"),
        ("labels", RINGS | {"values": [{"value": "a", "key": "x"}, {"value": "b", "key": "x"}]}, 400, "only once"),
        ("labels", RINGS | {"values": [{"value": "a", "key": "xy"}, {"value": "b"}]}, 400, "a single character"),
        ("clusters", {"clusters": [1], "name": "x"}, 404, "there are no clusters"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence_and_nothing_is_stored(labelling, path, body, status, words):
    before = labelling.get("api/labels").json()
    assert words in judge(labelling, path, status, **body)["error"]
    assert labelling.get("api/labels").json() == before


def test_labels_that_were_given_stay_in_a_table_that_is_changed(labelling):
    judge(labelling, "label", table="rings", id_str="g01", value="yes")
    error = judge(labelling, "labels", 400, **RINGS | {"values": [{"value": "a"}, {"value": "b"}]})["error"]
    assert "labels already in use cannot be removed: ['yes']" in error
    more = RINGS | {"values": [*RINGS["values"], {"value": "partial", "key": "p"}]}
    assert [each["value"] for each in judge(labelling, "labels", **more)["values"]][-1] == "partial"


@pytest.fixture
def clustered(three_kinds, opened, tmp_path):
    store, catalog, images = three_kinds
    number = catalog["kind"].map({"disk": 0, "elliptical": 1, "star": 2})
    (tmp_path / "clusters").mkdir()
    galaxies = pd.DataFrame({"id_str": catalog["id_str"], "cluster": number, "distance": range(60)})
    galaxies.iloc[::-1].to_parquet(tmp_path / "clusters/galaxies.parquet")  # in another order than the store
    return opened(store, catalog=catalog, images=images, clusters=tmp_path / "clusters")


def test_clusters_are_named_merged_and_marked_as_artefacts_and_that_is_taken_back(clustered):
    listed = clustered.get("api/clusters").json()["clusters"]
    assert [each["galaxies"] for each in listed] == [20, 20, 20] and listed[0]["members"][0] == "g00"
    judge(clustered, "clusters", clusters=[0, 1], name="galaxies")
    marked = judge(clustered, "clusters", clusters=[2], artefact=True)
    assert [each["name"] for each in marked["clusters"]] == ["galaxies", "galaxies", None]
    out = clustered.application.state.atlas.out
    assert pd.read_csv(out / "cluster-names.csv").to_numpy().tolist() == [[0, "galaxies"], [1, "galaxies"]]
    assert pd.read_csv(out / "artifacts.csv")["id_str"].tolist() == [f"g{i:02d}" for i in range(2, 60, 3)]
    assert clustered.get("api/galaxies", params={"set": "cluster-name:galaxies"}).json()["galaxies"] == 40
    assert clustered.get("api/galaxies", params={"set": "artefacts"}).json()["galaxies"] == 20
    after = judge(clustered, "clusters", undo=marked["judgement"])
    assert not any(each["artefact"] for each in after["clusters"])
    assert not len(pd.read_csv(out / "artifacts.csv"))


@pytest.mark.parametrize("numbers", [[7], [], "0", [True], [0.5], None])
def test_only_clusters_that_are_there_get_names(clustered, numbers):
    assert "must be a list of cluster numbers" in judge(clustered, "clusters", 400, clusters=numbers, name="x")["error"]
