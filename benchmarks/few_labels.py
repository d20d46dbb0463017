"""Compares our head for few labels with scikit-learn's cross-validated logistic regression.

    python benchmarks/few_labels.py DATA OUT

DATA has a folder for each catalogue, with `catalog.csv` and `images.zip`: `decals_rings` (rings of Walmsley et al.
2022), `efigi` (Baillard et al. 2011), `sdss_bright` (Nair & Abraham 2010) and `galaxy10_decals`. OUT keeps their
representations, and gets `results.csv`, a row for each question, number of labels, seed and method, and `table.csv`,
the means. Both methods get the same galaxies and the same representations, and are tested on all other galaxies.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.answers.classes import Classes

QUESTIONS = {  # by name: the catalogue, and from it the classes, missing where unknown
    "rings (Walmsley+22)": ("decals_rings", lambda table: table["ring"]),
    "bars (EFIGI)": ("efigi", lambda table: _positive(table["Bar_Length"])),
    "inner rings (EFIGI)": ("efigi", lambda table: _positive(table["Inner_Ring"])),
    "rings (Nair & Abraham)": ("sdss_bright", lambda table: _positive(table["na10_ring"])),
    "Galaxy10, ten classes": ("galaxy10_decals", lambda table: table["galaxy10_class"]),
}
LABELS = (20, 50, 100, 250)
SCORES = ("auc", "log_loss", "accuracy", "calibration_error")


def main() -> None:
    """Prints the table, a row for each question and number of labels."""
    options, rows = typed(__doc__), []
    for question, (name, read) in QUESTIONS.items():
        x, y = galaxies(options, name, read)
        for labels in LABELS:
            for seed in range(options.seeds):
                rows += _compare(x, y, labels, seed, {"question": question, "labels": labels, "seed": seed})
    results = pd.DataFrame(rows)
    results.to_csv(options.out / "results.csv", index=False)
    table = results.groupby(["question", "labels", "method"], sort=False).mean(numeric_only=True).drop(columns="seed")
    table = table.unstack("method")
    table.to_csv(options.out / "table.csv")
    print(table.to_string(float_format="{:.3f}".format))
    ours, theirs = (table.xs(method, axis=1, level="method") for method in ("ours", "scikit-learn"))
    for name, sign in {"auc": 1, "log_loss": -1, "calibration_error": -1}.items():
        better = (sign * (ours[name] - theirs[name]) >= 0).sum()
        print(f"{name}: ours at least as good at {better} of {len(ours)} points")


def typed(about: str) -> argparse.Namespace:
    """The arguments of a benchmark on these questions."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", default="efficientnet_lite0_gz2")
    parser.add_argument("--seeds", type=int, default=10)
    return parser.parse_args()


def _positive(values: pd.Series) -> pd.Series:
    """Whether an attribute is there; missing where it is unknown, also by a negative number."""
    return (values > 0).astype(float).where(values >= 0)


def galaxies(options, name: str, read) -> tuple[np.ndarray, np.ndarray]:
    """(N, D) representations of the galaxies whose class is known, and (N,) classes 0 … K-1."""
    import morphtools

    folder = options.data / name
    where = {"catalog": folder / "catalog.csv", "images": folder / "images.zip"}
    store = morphtools.represent(options.weights, options.out / f"{options.weights}-{name}", **where)
    table = pd.read_csv(folder / "catalog.csv", dtype={"id_str": str}, low_memory=False).set_index("id_str")
    classes = read(table.loc[store.id_str])
    known = classes.notna().to_numpy()
    return store.values()[known], pd.factorize(classes[known], sort=True)[0]


def _compare(x: np.ndarray, y: np.ndarray, labels: int, seed: int, row: dict) -> list[dict]:
    """A row for each method, fitted to the same galaxies."""
    from sklearn.model_selection import train_test_split

    fitted, tested = train_test_split(np.arange(len(y)), train_size=labels, stratify=y, random_state=seed)
    rows = []
    for method, fit in (("ours", our_head), ("scikit-learn", _theirs)):
        start = time.perf_counter()
        predict = fit(x[fitted], y[fitted], seed)
        seconds = time.perf_counter() - start
        rows.append(row | {"method": method, **scores_of(y[tested], predict(x[tested])), "seconds": seconds})
    return rows


def our_head(x: np.ndarray, y: np.ndarray, seed: int):
    from scipy.special import softmax

    head = Classes(tuple(map(str, range(y.max() + 1)))).linear(x, y[:, np.newaxis], seed)
    return lambda other: softmax((other - head.mean) / head.deviation @ head.kernel + head.bias, axis=1)


def _theirs(x: np.ndarray, y: np.ndarray, seed: int):
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = max(2, min(5, np.bincount(y).min()))
    with warnings.catch_warnings():  # about defaults to come
        warnings.simplefilter("ignore")
        return make_pipeline(StandardScaler(), LogisticRegressionCV(cv=folds, max_iter=500)).fit(x, y).predict_proba


def scores_of(y: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Scores by scikit-learn; the calibration error of the most probable class, over ten bins."""
    from sklearn.metrics import log_loss, roc_auc_score

    certainty, right = probability.max(axis=1), probability.argmax(axis=1) == y
    which = np.minimum((10 * certainty).astype(int), 9)
    gaps = [np.abs((right[which == k] - certainty[which == k]).sum()) for k in range(10)]
    two = probability.shape[1] == 2
    probability = probability / probability.sum(axis=1, keepdims=True)
    auc = roc_auc_score(y, probability[:, 1]) if two else roc_auc_score(y, probability, multi_class="ovr")
    values = (auc, log_loss(y, probability), right.mean(), sum(gaps) / len(y))
    return dict(zip(SCORES, map(float, values), strict=True))


if __name__ == "__main__":
    main()
