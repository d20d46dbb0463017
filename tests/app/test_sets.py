import numpy as np
import pandas as pd
import pytest

SQUARE = [[-99, -99], [99, -99], [99, 99], [-99, 99]]


def select(client, **body):
    answer = client.post("api/select", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def members(client, name):
    rows = client.get("api/galaxies", params={"set": name, "limit": 500}).json()["rows"]
    return [row["id_str"] for row in rows]


def test_a_lasso_around_all_has_all_and_a_box_what_lies_in_it(client):
    x0, x1, y0, y1 = client.get("api/about").json()["map"]["bounds"]
    assert select(client, polygon=SQUARE)["galaxies"] == 60
    middle = (x0 + x1) / 2
    left = select(client, box=[x0 - 1, middle, y0 - 1, y1 + 1])
    places = {row: client.get("api/place", params={"id_str": row}).json()["x"] for row in members(client, left["set"])}
    assert 0 < len(places) < 60 and max(places.values()) <= middle


def test_sets_are_combined(client):
    first = select(client, ids=["g00", "g01", "g02"])["set"]
    assert members(client, select(client, ids=["g05"], mode="add", to=first)["set"]) == ["g00", "g01", "g02", "g05"]
    assert members(client, select(client, ids=["g01"], mode="remove", to=first)["set"]) == ["g00", "g02"]
    assert members(client, select(client, ids=["g01", "g09"], mode="keep", to=first)["set"]) == ["g01"]


def test_a_set_survives_a_restart_and_a_store_that_has_grown_is_told_from_it(three_kinds, opened):
    store, *_ = three_kinds
    handle = select(opened(store), ids=["g07", "g03"])["set"]
    assert members(opened(store), handle) == ["g07", "g03"]
    store.append(["new"], np.ones((1, 5)))
    answer = opened(store).get("api/galaxies", params={"set": handle})
    assert answer.status_code == 404 and "galaxies were added to the store since" in answer.json()["error"]


def test_a_saved_selection_is_a_list_that_commands_take(client, three_kinds, tmp_path):
    body = {"judgement": "j" * 8, "name": "my rings", "set": select(client, ids=["g05", "g02"])["set"]}
    saved = client.post("api/selections", json=body).json()
    assert pd.read_csv(saved["file"])["id_str"].tolist() == ["g05", "g02"] and saved["galaxies"] == 2
    assert client.post("api/selections", json=body).status_code == 200  # once more, since no answer came
    assert members(client, "selection:my rings") == ["g05", "g02"]
    assert [each["name"] for each in client.get("api/selections").json()] == ["my rings"]
    assert client.get("api/selections/my rings.csv").text.split() == ["id_str", "g05", "g02"]
    other = body | {"set": select(client, ids=["g09"])["set"]}
    assert client.post("api/selections", json=other).status_code == 409
    assert client.post("api/selections", json=other | {"replace": True}).json()["galaxies"] == 1


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x\n", "a" * 61, None, 7, "x "])
def test_no_name_leads_out_of_the_folder(client, name):
    answer = client.post("api/selections", json={"judgement": "j" * 8, "name": name, "set": "all"})
    assert answer.status_code == 400 and "a name must have 1 to 60" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"ids": ["no"]}, 404),
        ({"ids": [1]}, 400),
        ({"polygon": [[0, 0], [1, 1]]}, 400),
        ({"polygon": [[0, 0], [1, 1], ["a", 1]]}, 400),
        ({"box": [0, 1, 2]}, 400),
        ({"ids": ["g01"], "mode": "x"}, 400),
        ({"set": "~" + "0" * 20}, 404),
        ({"set": "~../../x"}, 404),
    ],
)
def test_what_cannot_be_chosen_is_an_error(client, body, status):
    answer = client.post("api/select", json=body)
    assert answer.status_code == status and answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_a_body_that_is_not_an_object_is_an_error(client, body):
    answer = client.post("api/select", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and "not a JSON object" in answer.json()["error"]
