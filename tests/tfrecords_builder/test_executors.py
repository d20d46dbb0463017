"""Records from a dask cluster are those of a plain loop, even when a worker dies."""

import numpy as np
import pandas as pd
import pytest

from tfrecords_builder import build as building
from tfrecords_builder import build_records, verify_records


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
