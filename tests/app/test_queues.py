import pandas as pd
import pytest

VALUES = [{"value": "yes"}, {"value": "no"}]


def post(client, path, **body):
    answer = client.post(f"api/{path}", json={"person": "ann"} | body)
    assert answer.status_code == 200, answer.text


def make(client):
    post(client, "labels", judgement="judgement-0", name="rings", question="?", values=VALUES)
    return client


@pytest.fixture
def labelling(client):
    return make(client)


def test_a_queue_has_what_this_person_has_not_labelled(labelling):
    asked = {"table": "rings", "person": "ann", "from": "set", "galaxies": 2}
    asked["set"] = labelling.post("api/select", json={"ids": ["g04", "g02", "g09"]}).json()["set"]
    post(labelling, "label", judgement="judgement-1", table="rings", id_str="g04", value="yes")
    queue = labelling.get("api/queue", params=asked).json()
    assert [each["id_str"] for each in queue["queue"]] == ["g02", "g09"] and queue["left"] == 2
    assert labelling.get("api/queue", params=asked | {"person": "bob"}).json()["left"] == 3
    random = [labelling.get("api/queue", params=asked | {"from": "random", "seed": s}).json() for s in (1, 1, 2)]
    assert random[0] == random[1] and random[0]["left"] == 2


def test_the_uncertain_come_first(three_kinds, opened, tmp_path):
    store, catalog, _ = three_kinds
    predictions = pd.DataFrame({"id_str": catalog["id_str"], "probability": [i / 59 for i in range(60)]})
    predictions.to_csv(tmp_path / "predictions.csv", index=False)
    client = opened(store, predictions=tmp_path / "predictions.csv")
    make(client)
    asked = {"table": "rings", "person": "ann", "from": "uncertain", "galaxies": 4}
    queue = client.get("api/queue", params=asked).json()["queue"]
    assert {each["id_str"] for each in queue} == {"g28", "g29", "g30", "g31"}  # of 60, where it is nearest to 1/2


def test_the_most_contested_come_first_with_who_said_what_and_are_settled_by_a_judgement_of_its_own(labelling):
    said = {"g05": ("yes", "no", "no"), "g06": ("no", "yes", None), "g07": ("yes", "yes", "yes")}
    for i, (name, values) in enumerate(said.items()):
        for person, value in zip(("ann", "bob", "eve"), values, strict=True):
            if value:
                body = {"judgement": f"judgement-{i}{person}", "table": "rings", "id_str": name, "value": value}
                post(labelling, "label", **body | {"person": person})
    asked = {"table": "rings", "person": "ann", "from": "contested"}
    queue = labelling.get("api/queue", params=asked).json()["queue"]
    assert [each["id_str"] for each in queue] == ["g06", "g05"] and queue[0]["about"] == "ann: no, bob: yes"
    body = {"table": "rings", "value": "yes", "settle": True}
    post(labelling, "label", judgement="judgement-100", id_str="g05", **body)
    assert [each["id_str"] for each in labelling.get("api/queue", params=asked).json()["queue"]] == ["g06"]
    assert "g05,yes,3" in labelling.get("api/labels/rings.csv").text
    told = labelling.get("api/galaxy", params={"id_str": "g05"}).json()["labels"]["rings"]
    assert [each["value"] for each in told] == ["yes", "no", "no", "yes"]
    refused = {"judgement": "judgement-101", "person": "ann", "id_str": "g07"}
    answer = labelling.post("api/label", json=body | refused)
    assert answer.status_code == 400 and "nobody disagrees on g07" in answer.json()["error"]


def test_an_impossible_queue_is_reported(labelling):
    asked = {"table": "rings", "person": "ann"}
    for origin, status, words in (
        ("x", 400, "unknown queue 'x'"),
        ("uncertain", 404, "there are no predictions with probabilities"),
        ("suggested", 400, "suggestions need a trained run"),
    ):
        answer = labelling.get("api/queue", params=asked | {"from": origin})
        assert answer.status_code == status and words in answer.json()["error"]
    assert labelling.get("api/queue", params=asked | {"table": "no"}).status_code == 404
