"""Raters of different tastes: what the ratings of others are worth to a new one.

    python benchmarks/raters.py REPRESENTATIONS CATALOG OUT

CATALOG is that of EFIGI (Baillard et al. 2011): every attribute in `TASTES` is a rater, who rates five times its value,
rounded. All have rated 100 galaxies, asked by their own searches. Then each of four tastes is a new rater's, once with
that rater among the others, once without, who rates 40 galaxies, ten at a time:

- `own`: the process learns from the new rater's ratings only (`find-anomalies --own`).
- `pooled`: it learns from the mean of all ratings (`find-anomalies`).
- `similar`: it starts from what others are expected to like, in the mixture (no weight below 0, ridge of 1) that fits
  the new rater's ratings best, and learns the difference.
- `gated`: as `similar` where that predicts ratings that it has not seen better than `own` does, otherwise `own`.

Prints the average precision (mean over tastes and seeds) in finding the galaxies that the new rater gives 4 or 5.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.model_selection import KFold

from morphtools.anomalies.acquisition import log_expected_improvement
from morphtools.anomalies.gaussian_process import Posterior
from morphtools.anomalies.ranking import average_precision
from morphtools.anomalies.rating_learner import fit_learner
from morphtools.anomalies.session import standardized_components
from morphtools.inference.representations import Representations

TASTES = ("Inner_Ring", "Outer_Ring", "Bar_Length", "Perturbation", "Visible_Dust", "Flocculence")
NEW = ("Inner_Ring", "Bar_Length", "Perturbation", "Visible_Dust")
WAYS = ("own", "pooled", "similar", "gated")
_BATCH = 10


def mixture(opinions: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    """(R,) weights of what R others are expected to say about n galaxies (n, R) that fit ratings (n,)."""
    others = opinions.shape[1]
    return nnls(np.vstack([opinions, np.eye(others)]), np.concatenate([ratings, np.zeros(others)]))[0]


def expected(x, rated, ratings, prior) -> tuple[np.ndarray, np.ndarray]:
    """(N,) ratings that are expected where the process learns the difference from a prior (N,), and deviations."""
    learner = fit_learner(x[rated], ratings - prior[rated])
    mean, deviation = Posterior(learner.estimator).predict(x)
    return mean + prior, deviation


def unseen_error(x, rated, ratings, opinions) -> float:
    """Mean squared error of ratings that were left out, in five folds; opinions (N, R), none of which is own."""
    wrong = []
    for kept, out in KFold(5, shuffle=True, random_state=0).split(rated):
        prior = opinions @ mixture(opinions[rated[kept]], ratings[kept]) if opinions.shape[1] else np.zeros(len(x))
        kernel = fit_learner(x[rated[kept]], ratings[kept] - prior[rated[kept]]).estimator.kernel_
        process = GaussianProcessRegressor(kernel, optimizer=None)
        process.fit(x[rated[kept]], ratings[kept] - prior[rated[kept]])
        wrong.append((process.predict(x[rated[out]]) + prior[rated[out]] - ratings[out]) ** 2)
    return float(np.concatenate(wrong).mean())


def search(x, truth, total: int, seed: int, way: str = "own", others=()):
    """Rated rows and the expected ratings (N,) after so many ratings, and the average precision after every batch."""
    opinions = np.stack([other["expected"] for other in others], axis=1) if others else np.zeros((len(x), 0))
    rated, scores = np.random.default_rng(seed).choice(len(x), _BATCH, replace=False), {}
    while True:
        ratings, prior, rows = truth[rated], np.zeros(len(x)), rated
        if way == "pooled":
            every = [(rated, ratings), *((other["rated"], other["ratings"]) for other in others)]
            mean = pd.Series(np.concatenate([each[1] for each in every])).groupby(np.concatenate([e[0] for e in every]))
            rows, ratings = mean.mean().index.to_numpy(), mean.mean().to_numpy()
        elif way == "similar" or (
            way == "gated"
            and unseen_error(x, rated, ratings, opinions) < unseen_error(x, rated, ratings, opinions[:, :0])
        ):
            prior = opinions @ mixture(opinions[rated], ratings)
        mean, deviation = expected(x, rows, ratings, prior)
        scores[len(rated)] = average_precision((truth >= 4)[np.argsort(-mean, kind="stable")])
        if len(rated) >= total:
            return {"rated": rated, "ratings": truth[rated], "expected": mean, "scores": scores}
        promise = log_expected_improvement(mean, deviation, truth[rated].max(), 0.5)
        promise[rated] = -np.inf
        rated = np.concatenate([rated, np.argsort(-promise, kind="stable")[:_BATCH]])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("representations", type=Path)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=WAYS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    store = Representations.open(options.representations)
    standardized_components(store, 40, options.out / "components.npy")
    x = np.load(options.out / "components.npy")
    table = pd.read_csv(options.catalog, dtype={"id_str": str}).set_index("id_str").loc[store.id_str, list(TASTES)]
    known = table.notna().all(axis=1).to_numpy()
    x, truth = x[known], {name: (5 * table[name][known].clip(0, 1)).round().to_numpy() for name in TASTES}
    raters = {name: search(x, values, 100, seed=100) for name, values in truth.items()}
    rows = []
    for new in NEW:
        for shared in (True, False):
            others = [rater for name, rater in raters.items() if shared or name != new]
            for way in options.ways:
                for seed in range(options.seeds):
                    scores = search(x, truth[new], 40, seed, way, others)["scores"].items()
                    rows += [
                        {"shared": shared, "new": new, "way": way, "seed": seed, "n": n, "ap": v} for n, v in scores
                    ]
        results = pd.DataFrame(rows)
        results.to_csv(options.out / "results.csv", index=False)
        print(results.groupby(["shared", "n", "way"])["ap"].mean().unstack().round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
