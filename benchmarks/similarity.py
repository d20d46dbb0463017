"""Measures how fast the nearest galaxies are found, as ratios to one product of the matrix with a vector.

    python benchmarks/similarity.py [--galaxies 1000000] [--dimension 40] [--repeat 9] [--approximate]

Random representations with structure (a thousand clumps). Every repetition measures all rows in turn, so that another
load on the machine hits all of them; medians of the repetitions.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
import sklearn
from rows import report
from sklearn.neighbors import KDTree, NearestNeighbors

from morphtools import Neighbours, Representations


def make(folder: Path, galaxies: int, dimension: int, seed: int = 0) -> Representations:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((1000, dimension), np.float32)
    store = Representations.create(folder, dimension, {"weights": "random"})
    for start in range(0, galaxies, 65536):
        n = min(65536, galaxies - start)
        values = centres[rng.integers(0, 1000, n)] + 0.7 * rng.standard_normal((n, dimension), np.float32)
        store.append([f"g{i}" for i in range(start, start + n)], values)
    return store


def without_faiss(near: Neighbours, query: np.ndarray):
    faiss, sys.modules["faiss"] = sys.modules.get("faiss"), None
    try:
        return near.nearest(query, 20)
    finally:
        sys.modules["faiss"] = faiss


def timed(rows: dict, repeat: int) -> dict[str, list[float]]:
    found = {name: [] for name in rows}
    for turn in range(repeat + 1):
        for name, run in rows.items():
            time.sleep(0.3)  # threads of the library used before still spin for a while
            start = time.perf_counter()
            run()
            if turn:  # the first one is warming up
                found[name].append(1e3 * (time.perf_counter() - start))
    return found


def peak() -> str:
    return f"peak of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"


def show(found: dict[str, list[float]], bare: float) -> None:
    for name, times in found.items():
        middle = statistics.median(times)
        print(f"{name:44} {middle:9.1f} ms  ×{middle / bare:6.2f}  ({min(times):.1f}–{max(times):.1f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--galaxies", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--approximate", action="store_true")
    parser.add_argument("--no-tree", action="store_true", help="leave out scikit-learn's tree, slow to build")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = make(Path(folder) / "r", options.galaxies, options.dimension)
        bare = exact_searches(store, options.repeat)
        if not options.no_tree:
            tree_search(store, bare)  # one large thing after another: ten million in 40 dimensions fit into 12 GiB
        if options.approximate:
            approximate_search(store, options.repeat, bare)


def exact_searches(store: Representations, repeat: int) -> float:
    """Prints how long they take; returns the milliseconds of the bare product."""
    start = time.perf_counter()
    near = {metric: Neighbours(store, metric=metric) for metric in ("cosine", "euclidean")}
    opened = (time.perf_counter() - start) / 2
    values = near["euclidean"].values
    query, many = values[:1] + 0.01, values[:256] + 0.01
    shape = f"{len(values):,} × {store.dimension}"
    print(f"{shape}: {values.nbytes / 2**30:.2f} GiB, opened in {opened:.1f} s; with two of them {peak()}", flush=True)
    brute = NearestNeighbors(n_neighbors=20, algorithm="brute").fit(values)
    rows = {
        "matrix × vector": lambda: values @ query[0],
        "Neighbours, cosine": lambda: near["cosine"].nearest(query, 20),
        "Neighbours, Euclidean": lambda: near["euclidean"].nearest(query, 20),
        "Neighbours without faiss, Euclidean": lambda: without_faiss(near["euclidean"], query),
        "scikit-learn brute force, Euclidean": lambda: brute.kneighbors(query),
        "faiss": lambda: faiss.knn(query, values, 20),
    }
    found = timed(rows, repeat)
    bare = statistics.median(found["matrix × vector"])
    show(found, bare)
    learn = f"scikit-learn {sklearn.__version__}", found["scikit-learn brute force, Euclidean"]
    nearest, ours = f"20 nearest to one of {shape}, Euclidean", found["Neighbours, Euclidean"]
    report(nearest, f"faiss {faiss.__version__}", ours, found["faiss"], "ms")
    report(nearest, learn[0], ours, learn[1], "ms")
    report(f"{nearest}, without faiss", learn[0], found["Neighbours without faiss, Euclidean"], learn[1], "ms")
    few = {"256 queries at once, cosine": lambda: near["cosine"].nearest(many, 20)}
    few["256 queries at once, Euclidean"] = lambda: near["euclidean"].nearest(many, 20)
    show(timed(few, 2), bare)
    print(peak(), flush=True)
    return bare


def tree_search(store: Representations, bare: float) -> None:
    values = store.values()
    query, start = values[:1] + 0.01, time.perf_counter()
    tree = KDTree(values)  # a copy in double precision
    built = time.perf_counter() - start
    show(timed({f"scikit-learn KDTree (built in {built:.0f} s)": lambda: tree.query(query, 20)}, 3), bare)
    print(peak(), flush=True)


def approximate_search(store: Representations, repeat: int, bare: float) -> None:
    start = time.perf_counter()
    quick = Neighbours(store, approximate=True)
    built, recall = time.perf_counter() - start, quick.recall(queries=50)
    query = quick.values[:1] + 0.01
    name = f"approximate (built in {built:.0f} s, recall@10 {recall:.3f})"
    show(timed({name: lambda: quick.nearest(query, 20)}, repeat), bare)
    print(peak(), flush=True)


if __name__ == "__main__":
    main()
