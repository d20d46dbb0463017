"""Workers and array jobs write the same bytes as one process, even if some of them die."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from morphtools.inference.represent import represent_galaxies
from morphtools.inference.representations import Representations
from tfrecords_builder import build as building
from tfrecords_builder import build_records

SPLITS = ["train", "val", "test"]


def files(folder):
    """The content of every file by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def records(tmp_path, monkeypatch):
    """600 galaxies of 16 pixels in shards of 64."""
    monkeypatch.setattr(building, "_SHARD_BYTES", 0)
    np.save(tmp_path / "stack.npy", np.random.default_rng(0).normal(size=(600, 16, 16, 3)).astype("f4"))
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(600)], "file_loc": range(600)})
    return build_records(catalog, tmp_path / "records", images=tmp_path / "stack.npy", bands=("g", "r", "z"))


@pytest.fixture
def model():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # a killed worker leaves sockets open
def test_a_dask_cluster_that_loses_a_worker_writes_the_same_bytes(records, model, tmp_path, losing_a_worker):
    distributed = pytest.importorskip("distributed")
    options = {"splits": SPLITS, "provenance": {}, "batch_size": 8}
    whole = represent_galaxies(model, records, tmp_path / "whole", **options)
    out = tmp_path / "out"
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = losing_a_worker(client.get_executor(), len(whole.parts) // 4)
        represent_galaxies(model, records, out, executor=executor, **options)
    shutil.rmtree(out / "state", ignore_errors=True)  # as the verbs do: half a file of the worker that died
    assert files(out) == files(whole.folder) and len(whole) == 600


class LosesItsScheduler:
    """An executor whose scheduler dies when the first piece of work is done; the others are held up until then."""

    def __init__(self, executor, scheduler, gone):
        self.executor, self.scheduler, self.gone, self.submitted = executor, scheduler, gone, 0

    def submit(self, work, name):
        """As of any executor."""

        def held_up(work, name, gone=self.gone):
            while not gone.exists():
                time.sleep(0.01)
            return work(name)

        self.submitted += 1
        if self.submitted > 1:
            return self.executor.submit(held_up, work, name)
        future = self.executor.submit(work, name)
        future.add_done_callback(lambda _: (self.scheduler.kill(), self.scheduler.wait(), self.gone.touch()))
        return future


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # a killed scheduler leaves sockets open
def test_work_whose_scheduler_dies_ends_in_one_sentence_and_is_continued_to_the_same_bytes(records, model, tmp_path):
    distributed = pytest.importorskip("distributed")
    options = {"splits": SPLITS, "provenance": {}, "batch_size": 8}
    whole, out = represent_galaxies(model, records, tmp_path / "whole", **options), tmp_path / "out"

    def start(what, *more):
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard", *more]
        where = ["--scheduler-file", str(tmp_path / "scheduler.json")]
        return subprocess.Popen([*command, *where], stderr=subprocess.DEVNULL)

    scheduler, worker = start("scheduler", "--host", "127.0.0.1", "--port", "0"), start("worker", "--no-nanny")
    try:
        with distributed.Client(scheduler_file=str(tmp_path / "scheduler.json")) as client:
            executor = LosesItsScheduler(client.get_executor(), scheduler, tmp_path / "gone")
            with pytest.raises(ChildProcessError, match=r"its scheduler ended\?\); the same call resumes$"):
                represent_galaxies(model, records, out, executor=executor, **options)
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
    done = len(Representations.open(out))
    represent_galaxies(model, records, out, **options)
    shutil.rmtree(out / "state", ignore_errors=True)  # as the verbs do
    assert files(out) == files(whole.folder) and 0 < done < 3000


JOB = """
import sys, time
sys.path.insert(0, {here!r})
import morphtools.models.pretrained as pretrained
import test_represent
from morphtools.inference import filling, stream
from morphtools.inference.represent import represent
pretrained.build_encoder = test_represent.tiny_encoder
filling._SECONDS = 0.0
really = stream.compiled
def slowly(model, batch_size):
    step = really(model, batch_size)
    return lambda images: time.sleep({pause}) or step(images)
stream.compiled = slowly
represent({weights!r}, {out!r}, records={records!r}, orientations=2, batch_size=8, part={part!r})
"""


@pytest.mark.slow
def test_array_jobs_of_which_one_is_killed_finish_with_the_bytes_of_one_process(records, tmp_path, forks):
    sys.path.insert(0, str(Path(__file__).parent))
    import test_represent

    keras.utils.set_random_seed(0)
    weights = tmp_path / "tiny.weights.h5"
    test_represent.tiny_encoder(input_shape=(24, 24, 3), name="tiny").save_weights(weights)
    test_represent.write_card(test_represent.CARD, weights)

    def code(out, part=None, pause=0.0):
        given = {"weights": str(tmp_path / "tiny.json"), "out": str(out), "records": str(records.folder)}
        return JOB.format(here=str(Path(__file__).parent), pause=pause, part=part, **given)

    def job(*which):
        return subprocess.Popen([sys.executable, "-c", code(*which)], stderr=subprocess.PIPE, text=True)

    def done(process):
        _, errors = process.communicate()
        assert process.returncode == 0, errors

    forks(code(tmp_path / "whole"))
    out = tmp_path / "out"
    victim, *others = (job(out, f"{i}/3", 1.0 if i == 1 else 0.01) for i in (1, 2, 3))
    while victim.poll() is None and len(list(out.rglob("part-*"))) < 3:
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    for other in others:
        done(other)
    assert victim.returncode == -signal.SIGKILL and 0 < len(Representations.open(out)) < 600
    forks(code(out, "1/3"))
    assert files(out) == files(tmp_path / "whole") and len(Representations.open(out)) == 600
