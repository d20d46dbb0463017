"""Records from a dask cluster are those of a plain loop, even when a worker dies."""

import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest

from tfrecords_builder import build as building
from tfrecords_builder import build_records, verify_records


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # a killed worker leaves sockets open
def test_a_dask_cluster_that_loses_a_worker_writes_the_same_bytes(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(building, "_SHARD_BYTES", 0)  # the smallest shards, of 64 galaxies
    number = 20_000
    np.save(tmp_path / "stack.npy", np.random.default_rng(0).normal(size=(number, 16, 16)).astype("f4"))
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(number)], "file_loc": range(number)})
    alone = build_records(catalog, tmp_path / "alone", images=tmp_path / "stack.npy")

    out, killed = tmp_path / "cluster", []
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        worker = next(iter(client.run(os.getpid).values()))

        def kill():
            while len(list(out.glob("*.tfrecord"))) < len(alone.checksums) // 4:
                time.sleep(0.01)
            os.kill(worker, signal.SIGKILL)
            killed.append(len(list(out.glob("*.tfrecord"))))

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        records = build_records(catalog, out, images=tmp_path / "stack.npy", executor=client.get_executor())
        thread.join(5)
    assert killed and killed[0] < len(alone.checksums)
    print(f"a worker was killed after {killed[0]} of {len(alone.checksums)} shards")
    assert records.checksums == alone.checksums and verify_records(records) == []
    assert (out / "index.parquet").read_bytes() == (tmp_path / "alone" / "index.parquet").read_bytes()
    assert {path.name for path in out.iterdir()} == {path.name for path in (tmp_path / "alone").iterdir()}
