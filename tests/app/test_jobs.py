import json
import time

import pandas as pd
import pytest

from morphtools.app.jobs import Jobs


@pytest.fixture
def table(tmp_path):
    pd.DataFrame({"id_str": ["a"], "ra": [1.0], "dec": [2.0]}).to_csv(tmp_path / "in.csv", index=False)
    return tmp_path / "in.csv"


def ended(jobs, name):
    while (job := jobs.state(name))["state"] == "running":
        time.sleep(0.05)
    return job


def test_a_job_runs_once_and_its_result_is_reported_once(tmp_path, table):
    told = []
    jobs = Jobs(tmp_path / "jobs", told.append)
    arguments = ([str(table), str(tmp_path / "out.csv")], tmp_path, "out.csv", {"table": "x"})
    job = jobs.start("judgement-1", "convert-table", *arguments)
    again = jobs.start("judgement-1", "convert-table", *arguments)
    assert job["state"] == again["state"] == "running" and jobs.names() == ["judgement-1"]
    assert job["command"] == f"morphtools convert-table {table} {tmp_path}/out.csv"
    done = ended(jobs, "judgement-1")
    assert done["state"] == "done" and pd.read_csv(tmp_path / "out.csv")["id_str"].tolist() == ["a"]
    jobs.state("judgement-1")
    assert [each["job"] for each in told] == ["judgement-1"]
    late = Jobs(tmp_path / "jobs", told.append)  # the next server
    assert late.state("judgement-1")["state"] == "done" and len(told) == 1


def test_a_job_that_fails_gives_its_last_line(tmp_path):
    jobs = Jobs(tmp_path / "jobs", print)
    jobs.start("judgement-1", "convert-table", ["no.csv", "out.csv"], tmp_path, "out.csv", {})
    job = ended(jobs, "judgement-1")
    assert job["state"] == "failed" and "there is no catalogue at no.csv" in job["error"]


def test_a_job_is_stopped_and_seen_by_the_next_server_while_it_runs(tmp_path):
    jobs = Jobs(tmp_path / "jobs", print)
    (tmp_path / "jobs").mkdir()
    started = {"job": "judgement-1", "verb": "x", "command": "x", "folder": str(tmp_path), "product": "never"}
    path = tmp_path / "jobs/judgement-1/job.json"
    path.parent.mkdir()
    from tfrecords_builder.json_files import write_json

    write_json(path, started | {"about": {}, "started": time.time(), "pid": None})
    jobs._run(path, ["sleep", "60"])
    other = Jobs(tmp_path / "jobs", print)
    assert other.state("judgement-1")["state"] == "running"
    assert other.stop("judgement-1")["state"] in ("running", "stopped")
    jobs._processes["judgement-1"].wait(10)
    assert other.state("judgement-1")["state"] == jobs.state("judgement-1")["state"] == "stopped"


def test_progress_and_report_are_read_from_what_the_command_writes(tmp_path):
    jobs = Jobs(tmp_path / "jobs", print)
    folder = tmp_path / "jobs/judgement-1"
    folder.mkdir(parents=True)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/roc.png").write_bytes(b"png")
    (tmp_path / "metrics.json").write_text(json.dumps({"title": "rings", "test": {"auc": {"value": 0.9}}, "x": None}))
    from tfrecords_builder.json_files import write_json

    job = {"job": "judgement-1", "verb": "finetune", "command": "", "folder": str(tmp_path), "product": "metrics.json"}
    write_json(folder / "job.json", job | {"about": {}, "started": time.time(), "pid": 1})
    (folder / "log.txt").write_text("one\nsolving:  10%|#  \rsolving:  40%|#### ")
    state = jobs.state("judgement-1")
    assert state["progress"] == {"text": "solving:  40%|####", "share": 0.4} and state["log"][0] == "one"
    assert state["report"] == {"summary": "rings", "metrics": {"AUC": {"value": 0.9}}, "figures": ["roc.png"]}
    assert jobs.figure("judgement-1", "roc.png").read_bytes() == b"png"
    for name in ("../../in.csv", "..", "none.png", "../metrics.json"):
        with pytest.raises(LookupError, match="there is no figure"):
            jobs.figure("judgement-1", name)


@pytest.mark.parametrize("name", ["..", "a/b", "", "x" * 65])
def test_no_name_of_a_job_leads_elsewhere(tmp_path, name):
    with pytest.raises(LookupError, match="there is no job"):
        Jobs(tmp_path, print).state(name)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"verb": "rm"}, "unknown command 'rm'"),
        ({"verb": "cluster", "clusters": "3; rm"}, "clusters must be from 2 to 500"),
        ({"verb": "cluster", "clusters": 1}, "clusters must be from 2 to 500"),
        ({"verb": "finetune", "table": "no"}, "there is no table of labels"),
    ],
)
def test_only_commands_that_are_offered_are_started(client, body, words):
    answer = client.post("api/jobs", json={"judgement": "judgement-1"} | body)
    assert answer.status_code in (400, 404) and words in answer.json()["error"]
    assert client.get("api/jobs").json() == []
