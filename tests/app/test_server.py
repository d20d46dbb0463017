import contextlib
import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from morphtools.app.server import serve


def test_a_server_answers_at_the_address_that_it_announces_and_gives_its_folder_free(three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    announced = []
    options = {"catalog": catalog, "out": tmp_path / "out", "block": False, "announce": announced.append}
    with serve(store, **options) as server:
        assert announced == [server.url] and server.url.startswith("http://127.0.0.1:")
        assert httpx2.get(server.url + "api/about").json()["galaxies"] == 60
        assert httpx2.get(server.url.rsplit("/", 2)[0] + "/api/about").status_code == 404
        with pytest.raises(BlockingIOError, match="already at work in"):
            serve(store, **options)
    with serve(store, **options) as again:
        assert again.url == server.url  # so that tabs that are open find it again


def test_a_folder_of_another_store_is_refused(three_kinds, tmp_path):
    from morphtools.inference.representations import Representations

    store = three_kinds[0]
    with serve(store, out=tmp_path / "out", block=False, announce=len):
        pass
    other = Representations.create(tmp_path / "other", 2, {"weights": "others"})
    other.append(["a", "b", "c"], [[0, 1], [1, 0], [1, 1]])
    with pytest.raises(FileExistsError, match="holds results of explore with other inputs"):
        serve(other, out=tmp_path / "out", block=False)


def test_a_taken_port_is_one_sentence(three_kinds, tmp_path):
    store = three_kinds[0]
    with serve(store, out=tmp_path / "a", block=False, announce=len) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1, port {port}"):
            serve(store, out=tmp_path / "b", block=False, port=port)


def test_the_process_keeps_its_own_logging_while_the_page_is_open(three_kinds, tmp_path):
    closed = []
    handler = logging.NullHandler()
    handler.close = lambda: closed.append(handler)
    with serve(three_kinds[0], out=tmp_path / "out", block=False, announce=len):
        assert not closed


def test_a_full_disk_is_reported_and_the_judgement_can_be_sent_again(client):
    values = [{"value": "yes"}, {"value": "no"}]
    body = {"judgement": "judgement-1", "person": "ann", "name": "rings", "question": "?", "values": values}
    assert client.post("api/labels", json=body).status_code == 200
    judging = next(r.endpoint for r in client.application.routes if r.path == "/api/history").__self__.judging
    database = judging.judgements._database
    database.execute(f"PRAGMA max_page_count = {database.execute('PRAGMA page_count').fetchone()[0]}")
    ids = {"ids": [f"g{i:02d}" for i in range(60)] * 20, "overwrite": True}
    many = {"judgement": "judgement-2", "person": "ann", "table": "rings", "value": "yes"} | ids
    answer = client.post("api/label-all", json=many)
    assert answer.status_code == 507 and answer.json()["error"].startswith("The disk is full and this was not stored")
    assert client.get("api/labels").json()[0]["labelled"] == 0
    database.execute("PRAGMA max_page_count = 100000")
    assert client.post("api/label-all", json=many).status_code == 200
    assert client.get("api/labels").json()[0]["labelled"] == 60


def test_an_error_of_the_program_is_an_answer_too(client, monkeypatch, caplog):
    monkeypatch.setattr(client.application.state.atlas, "find", lambda *_: 1 / 0)
    client._transport.raise_server_exceptions = False
    answer = client.get("api/find", params={"text": "g"})
    assert answer.status_code == 500 and answer.json() == {"error": "division by zero"}


def test_without_images_catalogue_and_map_there_is_still_a_map_and_a_table(three_kinds, opened):
    client = opened(three_kinds[0])
    about = client.get("api/about").json()
    assert about["images"] is False and about["map"]["galaxies"] == 60 and about["columns"]["list"] == []
    assert client.get("api/galaxies").json()["galaxies"] == 60
    answer = client.get("api/thumbnail", params={"id_str": "g00"})
    assert answer.status_code == 404 and "give records" in answer.json()["error"]


def test_the_file_of_judgements_can_be_read_beside_the_server(client):
    path = client.application.state.atlas.out / "judgements.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM judgements").fetchone() == (0,)


@pytest.mark.slow
def test_servers_killed_at_any_moment_lose_no_judgement_that_was_answered():
    script = Path(__file__).parents[2] / "benchmarks/app_kills.py"
    done = subprocess.run([sys.executable, script, "--kills", "4"], capture_output=True, text=True)
    assert done.returncode == 0 and "| 0 |" in done.stdout, done.stdout + done.stderr
