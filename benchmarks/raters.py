"""Measures what the ratings of others, of the same or another taste, are worth to a new rater.

    python benchmarks/raters.py REPRESENTATIONS CATALOG OUT

CATALOG is that of EFIGI (Baillard et al. 2011): every attribute in `TASTES` is a rater, who rates five times its value,
rounded. All have rated 100 galaxies, asked by their own searches. Then a new rater with each of four tastes rates 40
galaxies, ten at a time, once with a rater of that taste among the others and once without:

- `own`: `find-anomalies --own`.
- `pooled`: `find-anomalies`, which learns from the mean of all ratings.
- `similar`: `find-anomalies --similar`.
- `after ten`: the same, but the first ten are drawn at random as for `own`, not the favourites of others.

Prints the average precision in finding the galaxies that the new rater gives 4 or 5, and its difference to `own`: mean
over tastes and seeds (of all searches) ± half the 95% interval.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from morphtools.anomalies.loop import AnomalyLoop
from morphtools.anomalies.ranking import average_precision, mean_with_interval

TASTES = ("Inner_Ring", "Outer_Ring", "Bar_Length", "Perturbation", "Visible_Dust", "Flocculence")
NEW = ("Inner_Ring", "Bar_Length", "Perturbation", "Visible_Dust")
WAYS: dict[str, dict] = {
    "own": {"own": True},
    "pooled": {},
    "similar": {"similar": True},
    "after ten": {"similar": True},
}


def search(loop: AnomalyLoop, truth: pd.Series, total: int, first: list[str] | None = None) -> dict[int, float]:
    """Rates until there are `total` ratings of one's own; the average precision after every ten."""
    scores, rated = {}, 0
    while rated < total:
        batch = first if first and not rated else loop.suggest(10)
        loop.rate({name: float(truth[name]) for name in batch})
        ranking, rated = loop.scores()["id_str"], rated + len(batch)
        scores[rated] = average_precision((truth[ranking] >= 4).to_numpy())
    return scores


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("representations", type=Path)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=WAYS)
    options = parser.parse_args()
    table = pd.read_csv(options.catalog, dtype={"id_str": str}).set_index("id_str")[list(TASTES)]
    truths = {name: (5 * table[name].clip(0, 1)).round() for name in TASTES}
    rows = []
    for seed in range(options.seeds):
        base = options.out / f"raters-{seed}"
        for i, taste in enumerate(TASTES):
            rater = AnomalyLoop(options.representations, base, seed=100 * seed + i, rater=taste, own=True)
            if len(rater.ratings()) < 100:
                search(rater, truths[taste], 100)
        for new in NEW:
            for shared in (True, False):
                for way in options.ways:
                    with tempfile.TemporaryDirectory() as folder:
                        out = Path(shutil.copytree(base, Path(folder) / "session"))
                        if not shared:
                            AnomalyLoop(options.representations, out, rater=new).undo(100)
                        loop = AnomalyLoop(options.representations, out, seed=seed, rater="new", **WAYS[way])
                        alone = AnomalyLoop(options.representations, out, seed=seed, rater="nobody", own=True)
                        first = None if way == "similar" else alone.suggest(10)
                        scores = search(loop, truths[new], 40, first)
                    about = {"shared": shared, "new": new, "seed": seed, "way": way}
                    rows += [about | {"n": n, "ap": value} for n, value in scores.items()]
            results = pd.DataFrame(rows)
            results.to_csv(options.out / "results.csv", index=False)
    wide = results.pivot(index=["shared", "n", "new", "seed"], columns="way", values="ap")
    for (shared, n), group in wide.groupby(["shared", "n"]):
        for way in group:
            mean, half = mean_with_interval((group[way] - group["own"]).to_numpy())
            print(f"{shared!s:6}{n:4} {way:10}{group[way].mean():.3f} ({mean:+.3f} ± {half:.3f})", flush=True)


if __name__ == "__main__":
    main()
