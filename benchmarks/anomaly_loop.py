"""Measures how long a rater waits for the next batch, compared with modAL's loop and scikit-learn's prediction.

    python benchmarks/anomaly_loop.py

The time runs from the last rating to the next ten galaxies: we fit the process and search all candidates, as
`AnomalyLoop.suggest` does. modAL's own strategy and scikit-learn's prediction with deviations would need 10 GB for a
million candidates, so they get a part of them, and their times are scaled up. "NumPy" is the arithmetic alone, two
float32 matrix products of the same sizes, block after block; we can be faster, because our blocks run in parallel.
Every time is the shortest of several; `cores` is processor time per second, which is less than the number of cores if
others use the machine.
"""

import argparse
import tempfile
import time
import tracemalloc
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from rows import report

from morphtools.anomalies.acquisition import most_promising
from morphtools.anomalies.gaussian_process import Posterior
from morphtools.anomalies.rating_learner import fit_learner


def timed(ways: dict[str, tuple], repeats: int) -> dict[str, list[np.ndarray]]:
    """Seconds of the clock and of the processor, in turns; `ways` are functions and by how much to scale."""
    times = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (function, scale) in ways.items():
            start = np.array([time.perf_counter(), time.process_time()])
            function()
            times[name].append(scale * (np.array([time.perf_counter(), time.process_time()]) - start))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--peer-candidates", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=40)
    parser.add_argument("--ratings", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kernel", default="rational_quadratic")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        shape = (options.candidates, options.dimension)
        x = np.lib.format.open_memmap(Path(folder) / "candidates.npy", "w+", np.float32, shape)
        for start in range(0, len(x), 65536):
            x[start : start + 65536] = rng.normal(size=x[start : start + 65536].shape)
        direction = np.linalg.qr(rng.normal(size=(options.dimension, 2)))[0]

        def rate(rows):  # rare, and in one corner: about 1.5% rate 4 or 5
            return np.clip(np.round(1.8 * (x[rows] @ direction).max(axis=1) - 0.5), 0, 5)

        rated = rng.choice(len(x), 10, replace=False)
        while len(rated) < options.ratings:
            learner = fit_learner(x[rated], rate(rated), options.kernel)
            rated = np.concatenate([rated, learner.query(x, 10, asked=rated)[0]])
        points, ratings = np.array(x[rated]), rate(rated)
        learner = fit_learner(points, ratings, options.kernel)
        rows = compare(options, x, learner, points, ratings, rated)

        tracemalloc.start()
        most_promising(learner, x, 10, asked=rated)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    table = pd.DataFrame(rows)
    table["times ours"] = table["seconds"] / table["seconds"][0]
    print(f"\n{options.candidates} candidates, {options.dimension} dimensions, {options.ratings} ratings")
    print(table.round(2).to_string(index=False))
    print(f"memory of the search: {peak / 2**20:.0f} MiB, beside the candidates ({x.nbytes / 2**20:.0f} MiB, on disk)")


def compare(options, x, learner, points, ratings, rated) -> list[dict]:
    from modAL.acquisition import max_EI
    from modAL.models import BayesianOptimizer
    from sklearn.base import clone

    part = np.array(x[: options.peer_candidates], float)
    scale = len(x) / len(part)

    def ours():
        fit_learner(points, ratings, options.kernel).query(x, 10, asked=rated)

    def modal():
        process = clone(learner.estimator)
        BayesianOptimizer(process, max_EI, points.astype(float), ratings).query(part, n_instances=10, tradeoff=0.5)

    width, bits = np.ones((len(ratings), len(ratings)), np.float32), np.ascontiguousarray(points.T)

    def products():
        for start in range(0, len(x), 16384):
            (x[start : start + 16384] @ bits) @ width

    ways = {
        "ours: fit and next ten": (ours, 1),
        "  the fit alone": (lambda: fit_learner(points, ratings, options.kernel), 1),
        "ours: liar, diverse": (lambda: learner.query(x, 10, asked=rated, diversity="liar"), 1),
        "ours: scores of all, with deviations": (lambda: Posterior(learner.estimator).predict(x), 1),
        "NumPy: two matrix products": (products, 1),
        "scikit-learn: prediction with deviations": (lambda: learner.predict(part, return_std=True), scale),
        "modAL: fit and max_EI": (modal, scale),
    }
    times = timed(ways, options.repeats)
    for what, peer, package in ((3, 5, "scikit-learn"), (0, 6, "modAL-python")):
        mine, theirs = ([float(each[0]) for each in times[list(ways)[place]]] for place in (what, peer))
        note = f"theirs from {len(part):,} candidates, scaled up"
        name = list(ways)[what].removeprefix("ours: ")
        sizes = f"{name}, {len(x):,} × {options.dimension}, {options.ratings} ratings, seed 0"
        report(sizes, f"{package} {version(package)}", mine, theirs, "s", note)
    best = {name: min(map(tuple, each)) for name, each in times.items()}
    return [
        {"": name, "seconds": wall, "processor seconds": cpu, "cores": cpu / wall} for name, (wall, cpu) in best.items()
    ]


if __name__ == "__main__":
    main()
