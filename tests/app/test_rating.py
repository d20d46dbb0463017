import contextlib
import sqlite3
import time

import pandas as pd
import pytest

from morphtools.anomalies.loop import AnomalyLoop


def about(client, rater="ann"):
    for _ in range(200):
        answer = client.get("api/rate", params={"rater": rater})
        if answer.status_code != 503:
            assert answer.status_code == 200, answer.text
            return answer.json()
        time.sleep(0.05)
    raise AssertionError("the session does not open")


def settled(client, rater="ann"):
    while (told := about(client, rater))["fit"]["state"] == "running":
        time.sleep(0.02)
    return told


def rate(client, name, rating, judgement, status=200, rater="ann"):
    body = {"judgement": judgement, "rater": rater, "id_str": name, "rating": rating}
    answer = client.post("api/rate", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_rating_is_in_the_session_that_commands_read_and_counts_once(client, three_kinds):
    name = about(client)["queue"][0]["id_str"]
    rate(client, name, 4, "judgement-1")
    told = rate(client, name, 4, "judgement-1")  # once more, since no answer came
    assert told["rated"] == 1 and name not in [each["id_str"] for each in told["queue"]]
    loop = AnomalyLoop(three_kinds[0], client.application.state.atlas.out / "anomalies")
    assert loop.history()[["id_str", "rating", "rater"]].to_numpy().tolist() == [[name, 4.0, "ann"]]
    assert "another rating has the name" in rate(client, name, 3, "judgement-1", 409)["error"]


def test_the_queue_never_ends_before_the_galaxies_do_and_then_comes_from_a_fit(client, three_kinds):
    catalog = three_kinds[1].set_index("id_str")
    about(client)
    seen, why = [], []
    for i in range(60):
        queue = about(client)["queue"]
        assert queue
        why.append(queue[0]["why"])
        seen.append(queue[0]["id_str"])
        rate(client, seen[-1], 5 * int(catalog["kind"][seen[-1]] == "star"), f"judgement-{i}")
    assert len(set(seen)) == 60 and not settled(client)["queue"]
    assert set(why[:4]) == {"random"} and "fit" in why
    scores = client.get("api/galaxies", params={"sort": "score", "descending": 1, "limit": 20}).json()["rows"]
    assert {catalog["kind"][row["id_str"]] for row in scores} == {"star"}


def test_a_rating_is_taken_back_once_and_asked_again(client):
    first, second = (each["id_str"] for each in about(client)["queue"][:2])
    rate(client, first, 1, "judgement-1")
    told = rate(client, second, None, "judgement-2")
    assert [each["judgement"] for each in told["history"]] == ["judgement-2", "judgement-1"] and told["skipped"] == 1
    undo = {"judgement": "judgement-3", "rater": "ann", "undo": "judgement-1"}
    told = client.post("api/rate", json=undo).json()
    assert told["undone"] == first and told["queue"][0]["id_str"] == first and told["rated"] == 0
    assert client.post("api/rate", json=undo).json()["undone"] is None
    assert client.post("api/rate", json=undo | {"undo": "judgement-9"}).status_code == 404
    assert client.post("api/rate", json=undo | {"rater": "bob", "undo": "judgement-2"}).status_code == 404


def test_what_was_rated_in_a_terminal_is_there_and_can_be_taken_back(client, three_kinds):
    loop = AnomalyLoop(three_kinds[0], client.application.state.atlas.out / "anomalies", rater="ann")
    loop.rate({"g05": 5, "g06": 0})
    told = about(client)
    assert told["rated"] == 2 and told["counts"]["5"] == 1
    body = {"judgement": "judgement-1", "rater": "ann", "undo": told["history"][0]["judgement"]}
    assert client.post("api/rate", json=body).json()["undone"] == told["history"][0]["id_str"]
    assert len(loop.ratings()) == 1


def test_two_raters_have_queues_of_their_own_and_ratings_in_common(client):
    ann, bob = about(client)["queue"], about(client, "bob")["queue"]
    rate(client, "g10", 5, "judgement-1")
    rate(client, "g10", 1, "judgement-2", rater="bob")
    told = settled(client)
    assert told["raters"] == {"ann": 1, "bob": 1} and told["rated"] == 1
    said = client.get("api/galaxy", params={"id_str": "g10"}).json()["ratings"]
    assert {(each["rater"], each["rating"]) for each in said} == {("ann", 5.0), ("bob", 1.0)}
    assert {each["id_str"] for each in ann} and {each["id_str"] for each in bob}


def test_a_new_rater_starts_from_others_of_the_same_taste_and_has_a_ranking_of_their_own(client, three_kinds):
    kind = three_kinds[1].set_index("id_str")["kind"]
    loop = AnomalyLoop(three_kinds[0], client.application.state.atlas.out / "anomalies", rater="ann", own=True)
    for taste, rater in (("star", "ann"), ("disk", "bob")):
        one = loop.of(rater)
        for _ in range(2):
            one.rate({name: 5.0 * (kind[name] == taste) for name in one.suggest(10)})

    def shown(rater, learn):
        answer = client.get("api/rate", params={"rater": rater, "learn": learn})
        assert answer.status_code == 200, answer.text
        return answer.json()

    about(client, "new")
    shown("new", "similar")
    assert any(each["why"] == "fit" for each in settled(client, "new")["queue"])  # what others like
    for i in range(20):
        name = settled(client, "new")["queue"][0]["id_str"]
        rate(client, name, 5 * int(kind[name] == "star"), f"judgement-{i}", rater="new")
    told = settled(client, "new")
    assert told["learn"] == "similar" and told["column"] == "score for new" and told["rated"] == 20
    assert told["like"] == {} or next(iter(told["like"])) == "ann"
    ranking = {"sort": "score for new", "descending": 1, "limit": 10}
    assert {kind[row["id_str"]] for row in client.get("api/galaxies", params=ranking).json()["rows"]} == {"star"}
    assert shown("new", "own")["like"] is None and settled(client, "new") and shown("new", "all")["column"] == "score"
    refused = client.get("api/rate", params={"rater": "new", "learn": "best"})
    assert refused.status_code == 400 and "unknown way to learn 'best'" in refused.json()["error"]
    settled(client, "new")


def test_what_raters_disagree_about_is_listed_and_settled_for_all(client):
    def contested():
        return client.get("api/rate", params={"rater": "ann", "from": "contested"}).json()

    for rater in ("ann", "bob"):
        about(client, rater)
    for i, (rater, name, rating) in enumerate(
        [
            ("ann", "g10", 5),
            ("bob", "g10", 1),
            ("ann", "g11", 3),
            ("bob", "g11", 4),
            ("ann", "g12", 0),
            ("bob", "g12", 5),
        ]
    ):
        rate(client, name, rating, f"judgement-{i}", rater=rater)
    assert contested() == {
        "queue": [{"id_str": "g12", "about": "ann: 0, bob: 5"}, {"id_str": "g10", "about": "ann: 5, bob: 1"}],
        "history": [],
    }
    body = {"judgement": "judgement-9", "rater": "ann", "id_str": "g12", "rating": 2, "settle": True}
    told = client.post("api/rate", json=body).json()
    assert told["counts"] == {"0": 0, "1": 0, "2": 1, "3": 1, "4": 1, "5": 0}  # g12, g10 and g11 (3.5, to even)
    assert told["history"][0]["judgement"] == "judgement-4" and told["raters"] == {"ann": 3, "bob": 3}
    assert [each["id_str"] for each in contested()["queue"]] == ["g10"]
    assert contested()["history"] == [{"judgement": "judgement-9", "id_str": "g12", "rating": 2.0}]
    undo = {"judgement": "judgement-10", "rater": "ann", "undo": "judgement-9", "settle": True}
    assert client.post("api/rate", json=undo).json()["undone"] == "g12" and len(contested()["queue"]) == 2


def test_a_rater_at_a_terminal_keeps_the_page_out(client):
    about(client)
    import hashlib
    import subprocess
    import sys

    folder, digest = client.application.state.atlas.out / "anomalies", hashlib.sha256(b"eve").hexdigest()[:12]
    code = "import sys; from tfrecords_builder.locks import lock\n"
    code += f"with lock({str(folder)!r}, name='.lock-{digest}'): print('held', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes, text=True) as terminal:
        assert terminal.stdout.readline() == "held\n"
        answer = client.get("api/rate", params={"rater": "eve"})
        assert answer.status_code == 409 and "is at work in" in answer.json()["error"]
        terminal.stdin.close()


def test_ratings_on_a_full_disk_are_refused_in_one_sentence_and_taken_when_there_is_room(client, fill_disk):
    about(client)
    fill_disk(True)
    stored = []
    for i in range(500):
        body = {"judgement": f"judgement-{i}", "rater": "ann", "id_str": f"g{i % 60:02d}", "rating": 3}
        answer = client.post("api/rate", json=body)
        if answer.status_code != 200:
            break
        stored.append(body["judgement"])
    words = (
        f"The disk is full and this was not stored. Free some space on the disk of {client.application.state.atlas.out}"
    )
    assert answer.status_code == 507 and answer.json()["error"].startswith(words)
    fill_disk(False)
    assert client.post("api/rate", json=body).status_code == 200
    path = client.application.state.atlas.out / "anomalies/ratings.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        kept = [row[0] for row in database.execute("SELECT judgement FROM ratings ORDER BY number")]
    assert kept == [*stored, body["judgement"]]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"id_str": "g01", "rating": 6}, "ratings are numbers from 0 to 5"),
        ({"id_str": "g01", "rating": "x"}, "ratings are numbers from 0 to 5"),
        ({"id_str": "g01", "rating": True}, "a rating needs id_str and rating"),
        ({"id_str": "g01"}, "a rating needs id_str and rating"),
        ({"id_str": "no", "rating": 1}, "galaxies without representations"),
        ({"id_str": "g01", "rating": 1, "rater": " "}, "the rater must have a name"),
        ({"id_str": "g01", "rating": 1, "judgement": None}, "judgement must have 8"),
    ],
)
def test_what_is_not_a_rating_is_not_stored(client, body, words):
    about(client)
    answer = client.post("api/rate", json={"judgement": "judgement-1", "rater": "ann"} | body)
    assert answer.status_code == 400 and words in answer.json()["error"]
    assert about(client)["rated"] == 0


def test_rated_galaxies_are_a_set(client):
    about(client)
    rate(client, "g07", 3, "judgement-1")
    rows = client.get("api/galaxies", params={"set": "rated"}).json()["rows"]
    assert pd.Series([row["id_str"] for row in rows]).tolist() == ["g07"]
