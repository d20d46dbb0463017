"""Measures what weights know of tasks they never saw, by linear classifiers on frozen representations.

    python benchmarks/weights/transfer.py DATA OUT WEIGHTS [WEIGHTS ...]

DATA holds `decals_rings` and `galaxy10_decals`, each with `catalog.csv` and `images.zip`. WEIGHTS are names, run
folders, `random:ENCODER:SIZE`, or several of these joined by `+`, side by side. Representations go to OUT and are used
again. Prints accuracy as mean and standard deviation over draws of the labels; "all" is 10-fold cross-validation.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import morphtools
from morphtools.inference.represent import represent_galaxies
from morphtools.models.encoders import any_way_up, settle_batch_norm

TASKS = {
    "decals_rings": ("ring", [20, 50, 100, 250]),
    "galaxy10_decals": ("galaxy10_class", [10, 30, 60]),  # labels per class
}
C = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)


def representations(weights, name, data, out):
    """Representations of a set, in the order of its catalogue."""
    if "+" in str(weights):
        parts = [representations(each, name, data, out) for each in weights.split("+")]
        return parts[0][0], np.hstack([x for _, x in parts])
    catalog = pd.read_csv(data / name / "catalog.csv", dtype={"id_str": str, "file_loc": str})
    folder = out / f"{Path(weights).name.replace(':', '_')}-{name}"
    if str(weights).startswith("random:"):
        store = by_random_encoder(weights, catalog, data / name / "images.zip", folder)
    else:
        store = morphtools.represent(
            weights, folder, catalog=data / name / "catalog.csv", images=data / name / "images.zip"
        )
    table = pd.DataFrame(store.values(), index=store.id_str).loc[catalog["id_str"]]
    return catalog, table.to_numpy()


def by_random_encoder(weights, catalog, images, folder):
    """The same from a network that was never trained."""
    import keras

    _, encoder, size = weights.split(":")
    plain = catalog[["id_str", "file_loc"]]
    records = morphtools.build_records(plain, folder / "records", images=images, image_size=int(size))
    keras.utils.set_random_seed(0)
    body = morphtools.build_encoder(encoder, records.shape)
    settle_batch_norm(body, next(iter(morphtools.load_dataset(records, "train", batch_size=64)))["image"].numpy())
    model = keras.Sequential([keras.Input(records.shape), *any_way_up(body)])
    return represent_galaxies(model, records, folder, list(records.splits), provenance={"weights": weights})


def classifier(x, y):
    """Logistic regression; cross-validation on its own labels decides the regularisation."""

    def make(c):
        return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000))

    folds = min(5, np.unique(y, return_counts=True)[1].min())
    if folds < 2:
        return make(0.003).fit(x, y)
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(x, y))
    score = [np.mean([make(c).fit(x[a], y[a]).score(x[b], y[b]) for a, b in splits]) for c in C]
    return make(C[int(np.argmax(score))]).fit(x, y)


def scores(x, y, labels, draws):
    """Accuracy (and AUC for two classes) on the galaxies left, over draws of the labels."""
    classes, found = np.unique(y), []
    number = labels if len(classes) == 2 else labels * len(classes)
    for seed in range(draws):
        train, test = train_test_split(np.arange(len(y)), train_size=number, stratify=y, random_state=seed)
        model = classifier(x[train], y[train])
        auc = roc_auc_score(y[test], model.predict_proba(x[test])[:, 1]) if len(classes) == 2 else np.nan
        found.append((model.score(x[test], y[test]), auc))
    return np.mean(found, axis=0), np.std(found, axis=0)


def cross_validated(x, y, repeats=3):
    """10-fold cross-validation, several times."""
    found = []
    for seed in range(repeats):
        p = np.empty((len(y), len(np.unique(y))))
        for a, b in StratifiedKFold(10, shuffle=True, random_state=seed).split(x, y):
            p[b] = classifier(x[a], y[a]).predict_proba(x[b])
        right = np.unique(y)[p.argmax(axis=1)] == y
        found.append((right.mean(), roc_auc_score(y, p[:, 1]) if p.shape[1] == 2 else np.nan))
    return np.mean(found, axis=0), np.std(found, axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--draws", type=int, default=20)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, (column, numbers) in TASKS.items():
        print(f"\n{name}: {column}, accuracy ± scatter over {args.draws} draws (AUC)")
        print(f"{'weights':<32}" + "".join(f"{n:>20}" for n in [*numbers, "all"]))
        for weights in args.weights:
            catalog, x = representations(weights, name, args.data, args.out)
            y = catalog[column].to_numpy()
            cells = [scores(x, y, n, args.draws) for n in numbers] + [cross_validated(x, y)]
            shown = [f"{m[0]:.3f}±{s[0]:.3f}" + ("" if np.isnan(m[1]) else f" ({m[1]:.3f})") for m, s in cells]
            short = "+".join(Path(each).name for each in weights.split("+"))
            print(f"{short:<32}" + "".join(f"{cell:>20}" for cell in shown), flush=True)


if __name__ == "__main__":
    main()
