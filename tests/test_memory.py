"""The memory of verbs does not grow with the number of galaxies, except for a few bytes per galaxy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from morphtools.inference.representations import Representations

SMALL, LARGE, D = 60_000, 360_000, 16
MOST = 50  # bytes of a galaxy; its name alone takes 65 in an array of Python's texts, its representation 64

VERBS = {
    "find-similar": "find_similar(store, like='g7', exclude=excluded, catalog=catalog, within=(10, 10, 5), out=out)",
    "find-similar --index": "find_similar(store, like='g7', index=out + '/index', out=out)",
    "cluster": "cluster(store, estimator='kmeans', clusters=5, sample=5000, labels='kind', catalog=catalog, out=out)",
    "make-map --onto": "make_map(store, onto=map, out=out, catalog=catalog, colour=['kind'], part='1/1')",
    "find-outliers": "find_outliers(store, method='density', sample=2000, components=4, exclude=excluded, out=out)",
    "find-anomalies": "find_anomalies(store, out)",
    "suggest-labels": "suggest_labels(run, store, exclude=excluded, out=out)",
    "convert-table": "convert_table(table, out + '.csv')",
}

# Batches are small here, so that memory shows what grows; the small catalogue goes first, twice, so that all is
# imported and compiled, and what the allocator keeps is the same.
WORK = """
import ctypes, gc, json, sys, threading
from pathlib import Path
import numpy as np
from morphtools.anomalies import acquisition, search
from morphtools.anomalies.loop import AnomalyLoop
from morphtools.answers.numbers import Numbers
from morphtools.archives import kept_tables
from morphtools.archives.convert_table import convert_table
from morphtools.explore import search_index, sorting
from morphtools.explore.clusters import cluster
from morphtools.explore.find_outliers import find_outliers
from morphtools.explore.maps import make_map
from morphtools.explore.similarity import find_similar
from morphtools.explore import suggest_labels as suggesting
from morphtools.explore.suggest_labels import suggest_labels

sorting._ROWS = acquisition._BLOCK = kept_tables.ROWS = 2**13
search_index._BLOCK = 2**20
trained = search_index._trained
search_index._trained = lambda values, *how: trained(values[:60_000], *how)  # as many cells: they take √N
suggesting.find_card = suggesting.Card.open = lambda run: None  # a head without TensorFlow
suggesting._head = lambda *_: (Numbers(("mass", "size")), lambda x: np.stack([x[:, i] for i in range(4)], axis=1))
verb, folder = sys.argv[1], Path(sys.argv[2])

def find_anomalies(store, out):
    loop = AnomalyLoop(store, out)
    loop.rate({name: int(name[1:]) % 6 for name in loop.suggest(20)})
    loop.suggest(10)
    search._write_results(loop, None, None)

def anonymous():  # in kilobytes: what the system cannot take back, unlike pages of files
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0])

def peak(size):
    most, done = [0], threading.Event()
    def watch():
        while not done.wait(0.002):
            most.append(max(most.pop(), anonymous()))
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    name = size.split()[0]
    paths = {"store": folder / name, "table": folder / f"{name}.parquet", "map": folder / "map", "run": folder / "run"}
    paths |= {"excluded": folder / "excluded.csv", "catalog": folder / "catalog.csv"}
    paths["out"] = folder / f"{size} {sys.argv[3]}"
    exec(verb, globals() | {name: str(path) for name, path in paths.items()})
    done.set()
    thread.join()
    return most[0]

print(json.dumps([max(peak("small"), peak("small again")), peak("large")]))
"""


def fill(folder, number):
    store, rng = Representations.create(folder, D, {"weights": "w", "records": "r"}), np.random.default_rng(0)
    tables = []
    for start in range(0, number, 20_000):
        names = [f"g{i}" for i in range(start, start + 20_000)]
        values = rng.normal(size=(len(names), D)) * np.linspace(2, 1, D) + 5 * rng.integers(0, 2, (len(names), 1))
        store.append(names, values, part=f"{start:08d}")
        tables.append(pd.DataFrame({"id_str": names, **{f"c{i}": values[:, i] for i in range(4)}}))
    pd.concat(tables).to_parquet(folder.with_suffix(".parquet"), row_group_size=20_000)
    return store


@pytest.fixture(scope="module")
def crowds(tmp_path_factory):
    """Stores of 60,000 and 360,000 galaxies, a catalogue of 2,000 of them, and a map."""
    from morphtools.explore.pca import fit_pca
    from morphtools.explore.tables import space_of
    from tfrecords_builder.files import write_arrays
    from tfrecords_builder.json_files import write_json

    folder = tmp_path_factory.mktemp("crowds")
    store = fill(folder / "small", SMALL)
    fill(folder / "large", LARGE)
    names = [f"g{i}" for i in range(0, 60_000, 30)]
    about = {"ra": np.linspace(0, 20, 2000), "dec": 10.0, "kind": ["ring", "bar"] * 1000}
    pd.DataFrame({"id_str": names, **about}).to_csv(folder / "catalog.csv", index=False)
    pd.DataFrame({"id_str": names[::7]}).to_csv(folder / "excluded.csv", index=False)
    (folder / "run").mkdir()
    pd.DataFrame({"id_str": names[::5]}).to_parquet(folder / "run/galaxies.parquet")
    (folder / "map").mkdir()  # as UMAP would, but for a minute
    projection, values = fit_pca(store, components=5), store.values()[:1000]
    projection.save(folder / "map")
    values = projection(values)
    write_arrays(folder / "map/sample.npz", id_str=store.id_str[:1000].astype(str), values=values, places=values[:, :2])
    write_json(folder / "map/map.json", {"space": space_of(store)})
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured as Linux tells it")
@pytest.mark.parametrize("verb", VERBS)
def test_memory_does_not_grow_with_the_catalogue(crowds, verb):
    if "--index" in verb:
        pytest.importorskip("faiss")
    command = [sys.executable, "-c", WORK, VERBS[verb], str(crowds), verb]
    plain = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | plain)
    assert not done.returncode, done.stderr[-2000:]
    small, large = json.loads(done.stdout.splitlines()[-1])
    assert (large - small) * 1024 / (LARGE - SMALL) < MOST
