"""Records from a dask cluster are those of a plain loop, even when a worker dies."""

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from tfrecords_builder import build as building
from tfrecords_builder import build_records, verify_records
from tfrecords_builder.records import Records


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # a killed worker leaves sockets open
def test_a_dask_cluster_that_loses_a_worker_writes_the_same_bytes(tmp_path, monkeypatch, losing_a_worker):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(building, "_SHARD_BYTES", 0)  # the smallest shards, of 64 galaxies
    number = 2_000
    np.save(tmp_path / "stack.npy", np.random.default_rng(0).normal(size=(number, 16, 16)).astype("f4"))
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(number)], "file_loc": range(number)})
    alone = build_records(catalog, tmp_path / "alone", images=tmp_path / "stack.npy")

    out = tmp_path / "cluster"
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = losing_a_worker(client.get_executor(), len(alone.checksums) // 4)
        records = build_records(catalog, out, images=tmp_path / "stack.npy", executor=executor)
    assert records.checksums == alone.checksums and verify_records(records) == []
    assert (out / "index.parquet").read_bytes() == (tmp_path / "alone" / "index.parquet").read_bytes()
    assert {path.name for path in out.iterdir()} == {path.name for path in (tmp_path / "alone").iterdir()}


HOLD = """
import os, sys, time
shards = set()
def hold(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith(".tfrecord"):
        shards.add(str(arguments[1]))
        while len(shards) > 1 and not os.path.exists({gone!r}):
            time.sleep(0.01)
sys.addaudithook(hold)
"""


@pytest.mark.slow
def test_a_command_whose_scheduler_dies_prints_one_sentence_and_the_same_command_resumes(tmp_path):
    pytest.importorskip("distributed")
    np.save(tmp_path / "stack.npy", np.random.default_rng(0).normal(size=(600, 16, 16, 3)).astype("f4"))
    pd.DataFrame({"id_str": [f"g{i}" for i in range(600)], "file_loc": range(600)}).to_csv(tmp_path / "c.csv")
    gone, out, address = tmp_path / "gone", tmp_path / "records", tmp_path / "scheduler.json"
    (tmp_path / "hold.py").write_text(HOLD.format(gone=str(gone)))

    def start(*command):
        return subprocess.Popen([sys.executable, "-m", *command], cwd=tmp_path, stderr=subprocess.PIPE, text=True)

    where = ("--scheduler-file", str(address), "--no-dashboard")
    command = ("morphtools", "build-records", "c.csv", "records", "--images", "stack.npy", "--bands", "g,r,z")
    scheduler = start("distributed.cli.dask_scheduler", *where, "--host", "127.0.0.1", "--port", "0")
    worker = start("distributed.cli.dask_worker", *where, "--no-nanny", "--nthreads", "1", "--preload", "hold.py")
    try:
        while not (address.exists() and address.read_text().endswith("}")):
            time.sleep(0.01)
        building = start(*command, "--scheduler", json.loads(address.read_text())["address"])
        while building.poll() is None and not list(out.glob("*.tfrecord")):
            time.sleep(0.01)
        scheduler.kill()
        scheduler.wait()
        gone.touch()
        _, errors = building.communicate()
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.communicate()
    said = [line for line in errors.splitlines() if not line.startswith("connecting to the scheduler at tcp://")]
    assert said == ["morphtools: the cluster dropped the work (its scheduler ended?); the same call resumes"]
    assert building.returncode != 0 and not (out / "records.json").exists()
    start(*command).communicate()
    alone = build_records(tmp_path / "c.csv", tmp_path / "alone", images=tmp_path / "stack.npy", bands=("g", "r", "z"))
    assert Records.open(out).checksums == alone.checksums and verify_records(out) == []
