import os
from pathlib import Path

import pandas as pd
import pytest

from morphtools.app.jobs import Jobs
from tfrecords_builder.build import build_records
from tfrecords_builder.json_files import write_json
from tfrecords_builder.records import Records

VALUES = [{"value": "yes"}, {"value": "no"}]


def labelled(client):
    post = {"judgement": "judgement-0", "person": "ann", "name": "my rings", "question": "?", "values": VALUES}
    assert client.post("api/labels", json=post).status_code == 200
    for i, value in enumerate(["yes", "no"]):
        ids = [f"g{j:02d}" for j in range(i, 10, 2)]
        body = {"judgement": f"judgement-{i + 1}", "person": "ann", "table": "my rings", "ids": ids, "value": value}
        assert client.post("api/label-all", json=body).status_code == 200
    return client


@pytest.fixture
def started(monkeypatch):
    """Records the commands that would be started."""
    calls = []

    def start(self, name, verb, arguments, out, product, about):
        calls.append([verb, *arguments])
        return {"job": name}

    monkeypatch.setattr("morphtools.app.jobs.Jobs.start", start)
    return calls


def test_the_command_is_that_of_the_table_and_the_images(client, three_kinds, started):
    out = client.application.state.atlas.out
    told = labelled(client).get("api/finetune", params={"table": "my rings"}).json()
    expected = f"--catalog '{out}/labels/my rings.csv' --images {three_kinds[2]} --column 'my rings' --labels 10"
    assert told["can_run"] and told["command"] == f"morphtools finetune {expected} --out {out}/runs/my-rings-1"
    answer = client.post("api/jobs", json={"judgement": "judgement-9", "verb": "finetune", "table": "my rings"})
    assert answer.json() == {"job": "judgement-9"} and started[0][0] == "finetune" and started[0][-1].endswith("-1")


def test_where_there_are_records_their_images_are_built_with_the_labels(three_kinds, opened, started, tmp_path):
    store, catalog, images = three_kinds
    records = build_records(catalog, tmp_path / "records", images=images)
    client = labelled(opened(store, records=records.folder))
    answer = client.post("api/jobs", json={"judgement": "judgement-9", "verb": "finetune", "table": "my rings"})
    assert answer.status_code == 200, answer.text
    arguments = dict(zip(started[0][1::2], started[0][2::2], strict=True))
    built = Records.open(arguments["--records"]).index()
    expected = pd.Series({f"g{i:02d}": ["yes", "no"][i % 2] for i in range(10)})
    assert built.set_index("id_str")[arguments["--column"]].sort_index().to_dict() == expected.to_dict()


@pytest.mark.parametrize(("values", "words"), [(["yes"] * 10, "two different labels"), (["yes", "no"], "two of each")])
def test_the_reason_why_nothing_can_be_trained_is_reported(client, values, words):
    post = {"judgement": "judgement-0", "person": "ann", "name": "rings", "question": "?", "values": VALUES}
    client.post("api/labels", json=post)
    for i, value in enumerate(values):
        body = {"judgement": f"judgement-{i + 1}", "person": "ann", "table": "rings", "id_str": f"g{i:02d}"}
        client.post("api/label", json=body | {"value": value})
    told = client.get("api/finetune", params={"table": "rings"}).json()
    assert not told["can_run"] and words in told["why_not"]
    answer = client.post("api/jobs", json={"judgement": "judgement-99", "verb": "finetune", "table": "rings"})
    assert answer.status_code == 400 and answer.json()["error"] == told["why_not"]


def test_suggestions_are_renewed_by_a_newer_run_and_when_all_of_them_are_labelled(client, monkeypatch):
    running, begun = set(), []

    def start(self, name, verb, arguments, folder, product, about):
        path = self.folder / name / "job.json"
        path.parent.mkdir(parents=True)
        job = {"job": name, "verb": verb, "command": "", "folder": str(folder), "product": product, "about": about}
        write_json(path, job | {"started": len(begun), "pid": 1})
        os.utime(path, (len(begun), len(begun)))  # the order in which they began
        begun.append(arguments), running.add(name)
        return {"job": name}

    monkeypatch.setattr(Jobs, "start", start)
    monkeypatch.setattr(Jobs, "_running", lambda self, folder: folder.name in running)

    def finetuned():
        body = {"judgement": f"judgement-{len(begun) + 50}", "verb": "finetune", "table": "my rings"}
        assert client.post("api/jobs", json=body).status_code == 200
        run = Path(begun[-1][-1])
        run.mkdir(parents=True)
        (run / "metrics.json").write_text("{}")
        running.clear()
        return str(run)

    def suggested(ids):
        pd.DataFrame({"id_str": ids, "uncertainty": 0.5}).to_csv(f"{begun[-1][-3]}/suggestions.csv", index=False)
        running.clear()

    def queue():
        answer = client.get("api/queue", params={"table": "my rings", "person": "ann", "from": "suggested"})
        return [each["id_str"] for each in answer.json()["queue"]] if answer.status_code == 200 else answer.status_code

    labelled(client)
    first = finetuned()
    assert queue() == 503 and begun[-1][0] == first
    suggested(["g20", "g21"])
    assert queue() == ["g20", "g21"] and len(begun) == 2
    second = finetuned()
    assert queue() == ["g20", "g21"] and queue() == ["g20", "g21"]  # until the new ones are there
    assert len(begun) == 4 and begun[-1][0] == second
    suggested(["g30"])
    assert queue() == ["g30"]
    body = {"judgement": "judgement-99", "person": "ann", "table": "my rings", "id_str": "g30", "value": "yes"}
    assert client.post("api/label", json=body).status_code == 200
    assert queue() == 503 and len(begun) == 5
    assert "g30" in Path(begun[-1][-1]).read_text()
