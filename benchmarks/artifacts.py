"""Measures how many artefacts clusters of several representations contain, and whether leaving them out helps a search.

    python benchmarks/artifacts.py CATALOG OUT imagenet=STORE byol=STORE --search byol --target merger --threshold 0.4

CATALOG has `id_str`, `artifact` (1 or 0) and a fraction, TARGET. `find-artifacts` lists every cluster (of `cluster
--estimator kmeans --clusters 40`; the default mixture takes minutes) more than half of which are artefacts, as a person
would who looks at `clusters.png`. Prints for every representation which fraction of the artefacts and of all others is
listed. Then 200 ratings (five times the fraction) search for galaxies whose fraction is above the threshold, in the
representations SEARCH: among all galaxies, without those on the list of each representation, and without any artefact.
Prints how many ratings went to artefacts, and the average precision and the recall in the first 100 and 200 of the
ranking; `recall.png` has the recall at every rank.

Reference: Mohale & Lochner 2023, arXiv:2311.14157, who remove artefacts by features of ImageNet and search for mergers.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.anomalies.anomaly_figures import ranking_curves
from morphtools.anomalies.loop import AnomalyLoop
from morphtools.anomalies.ranking import average_precision, mean_with_interval
from morphtools.explore.artifacts import find_artifacts
from morphtools.explore.clusters import cluster
from tfrecords_builder.plain_figure import write_figure


def listed(store: str, catalog: pd.DataFrame, seed: int, out: Path) -> pd.DataFrame:
    """The artefacts that a person would list after a look at the clusters of a representation."""
    cluster(store, estimator="kmeans", clusters=40, seed=seed, out=out)
    galaxies = pd.read_parquet(out / "galaxies.parquet").merge(catalog[["id_str", "artifact"]], on="id_str")
    fractions = galaxies.groupby("cluster")["artifact"].mean()
    numbers = fractions.index[fractions > 0.5].tolist()
    return find_artifacts(clusters=out, numbers=numbers, out=out / "artifacts") if numbers else pd.DataFrame()


def search(name: str, exclude, catalog: pd.DataFrame, store: str, seed: int, options) -> tuple[dict, np.ndarray]:
    """Searches once; returns the scores, and which galaxies of the ranking are targets (those left out come last)."""
    known = catalog.set_index("id_str")
    loop = AnomalyLoop(store, options.out / f"session-{seed}", exclude=exclude, rater=name, own=True, seed=seed)
    while len(loop.ratings()) < options.ratings:
        loop.rate({name: 5.0 * known[options.target][name] for name in loop.suggest(10)})
    ranking = loop.scores()["id_str"]
    ranking = pd.concat([ranking, catalog["id_str"][~catalog["id_str"].isin(ranking)]])
    wanted = (known[options.target][ranking] > options.threshold).to_numpy()
    scores = {"rated artefacts": float(known["artifact"][loop.ratings()["id_str"]].sum())}
    scores |= {"average precision": average_precision(wanted)}
    return scores | {f"recall in {n}": wanted[:n].sum() / wanted.sum() for n in (100, 200)}, wanted


def shown(values) -> str:
    """A mean with half its 95% interval."""
    mean, half = mean_with_interval(np.asarray(values, float))
    return f"{mean:.3f} ± {half:.3f}"


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("stores", nargs="+", metavar="NAME=STORE")
    parser.add_argument("--search", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--ratings", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--clusterings", type=int, default=3)
    options = parser.parse_args()
    stores = dict(each.split("=", 1) for each in options.stores)
    catalog = pd.read_csv(options.catalog, dtype={"id_str": str})
    bad = catalog["artifact"] == 1
    excluded: dict[str, pd.DataFrame | None] = {"nothing": None, "truth": catalog[["id_str"]][bad]}
    for name, store in stores.items():
        lists = [listed(store, catalog, seed, options.out / f"{name}-{seed}") for seed in range(options.clusterings)]
        chosen = [catalog["id_str"].isin(each["id_str"] if len(each) else []) for each in lists]
        recall, lost = shown([each[bad].mean() for each in chosen]), shown([each[~bad].mean() for each in chosen])
        print(f"{name:12} lists {recall} of {bad.sum()} artefacts, {lost} of {(~bad).sum()} others", flush=True)
        if len(lists[0]):
            excluded[name] = lists[0][["id_str"]]
    curves = {}
    for name, exclude in excluded.items():
        runs = [search(name, exclude, catalog, stores[options.search], seed, options) for seed in range(options.seeds)]
        curves["all" if exclude is None else f"without artefacts of {name}"] = [wanted for _, wanted in runs]
        table = pd.DataFrame([scores for scores, _ in runs])
        print(f"{name:14}", *(f"{score}: {shown(table[score])}" for score in table), sep="  ", flush=True)
    write_figure(options.out / "recall.png", ranking_curves(curves))


if __name__ == "__main__":
    main()
