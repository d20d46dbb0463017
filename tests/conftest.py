import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:  # there are as many workers as cores: one thread each
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(threads, "1")

import numpy as np
import pandas as pd
import pytest
from forks import Forks
from PIL import Image

from morphtools.inference.representations import Representations

MEMORY = 4 * 2**30  # bytes for a worker that has imported TensorFlow and run half of the suite


def pytest_xdist_auto_num_workers(config):
    """A worker per core, as far as there is memory; none for single files, which are done before workers are ready."""
    if all(Path(argument.partition("::")[0]).is_file() for argument in config.args):
        return 0
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), memory // MEMORY))


def pytest_collection_modifyitems(items):
    """Each worker begins with its share of the files that have slow tests, so that all end with fast ones."""
    workers, total, files = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)), len(items), {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    slow = [file for file, tests in files.items() if any(test.get_closest_marker("slow") for test in tests)]
    fast = [test for file, tests in files.items() if file not in slow for test in tests]
    items.clear()
    for i in range(workers):
        share = [test for file in slow[i::workers] for test in files[file]]
        left = max(0, (total - len(items)) // (workers - i) - len(share))  # as xdist divides them at the start
        items += share + fast[:left]
        fast = fast[left:]
    items += fast


@pytest.fixture(scope="session")
def forks():
    """Runs code in processes of its own (`Forks`)."""
    made = Forks()
    yield made
    made.close()


@pytest.fixture
def galaxies(tmp_path):
    """A catalogue of 40 galaxies with JPEGs of 32 pixels: label 1 is a bright disk on the sky, label 0 is none."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    y, x = np.mgrid[:32, :32] - 15.5
    rows = []
    for i in range(40):
        pixels = rng.integers(0, 40, (32, 32, 3))
        if i % 2:
            pixels[np.hypot(x, y) < rng.uniform(6, 12)] += 150
        name = f"g{i:02d}"
        Image.fromarray(pixels.astype("uint8")).save(folder / f"{name}.jpg", quality=95)
        rows.append({"id_str": name, "file_loc": f"{name}.jpg", "ring": i % 2, "redshift": 0.01 * i, "survey": "mock"})
    catalog = pd.DataFrame(rows)
    catalog.to_csv(tmp_path / "catalog.csv", index=False)
    return catalog, folder


@pytest.fixture
def three_kinds(tmp_path):
    """60 galaxies of three kinds, far apart in 5 dimensions; their catalogue and pictures of three colours."""
    rng = np.random.default_rng(0)
    kinds = np.array(["disk", "elliptical", "star"])[np.arange(60) % 3]
    centres = {"disk": [9, 0, 0, 0, 0], "elliptical": [0, 9, 0, 0, 0], "star": [0, 0, 9, 0, 0]}
    names = [f"g{i:02d}" for i in range(60)]
    store = Representations.create(tmp_path / "representations", 5, {"weights": "w", "records": "a"})
    store.append(names, np.array([centres[kind] for kind in kinds]) + rng.normal(size=(60, 5)) + 1)
    (tmp_path / "images").mkdir()
    for name, kind in zip(names, kinds, strict=True):
        pixels = rng.integers(0, 60, (24, 24, 3)).astype("uint8")
        pixels[6:18, 6:18, list(centres).index(kind)] = 220
        Image.fromarray(pixels).save(tmp_path / f"images/{name}.png")
    catalog = pd.DataFrame({"id_str": names, "file_loc": [f"{name}.png" for name in names], "kind": kinds})
    catalog["ra"], catalog["dec"] = np.linspace(10, 11, 60), np.linspace(-1, 1, 60)
    catalog["smooth_fraction"] = np.where(kinds == "elliptical", 0.9, 0.1) + rng.uniform(-0.1, 0.1, 60)
    return store, catalog, tmp_path / "images"


class LosesAWorker:
    """An executor that loses a worker once, just before the n-th piece of work is finished.

    Then it has written a file under a temporary name and would rename it.
    """

    def __init__(self, executor, n, folder):
        self.executor, self.n, self.done = executor, n, folder / "a worker was killed"

    def submit(self, work, name):
        """As of any executor."""

        def dying(work, name, done=str(self.done)):
            try:
                os.close(os.open(done, os.O_CREAT | os.O_EXCL))
            except FileExistsError:  # the second try
                return work(name)
            sys.addaudithook(lambda event, _: event == "os.rename" and os.kill(os.getpid(), signal.SIGKILL))
            return work(name)

        self.n -= 1
        return self.executor.submit(dying, work, name) if self.n == 0 else self.executor.submit(work, name)


@pytest.fixture
def losing_a_worker(tmp_path):
    """Makes an executor lose a worker (`LosesAWorker`), and checks at the end that it did."""
    made = []

    def make(executor, n):
        made.append(LosesAWorker(executor, n, tmp_path))
        return made[-1]

    yield make
    assert made and all(each.done.exists() for each in made)
