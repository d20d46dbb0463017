"""Accuracy against number of labels, over several seeds: `finetune` on galaxies of your own.

    python benchmarks/accuracy_by_labels.py --catalog galaxies.csv --images images.zip --task rings

Every seed draws another test split, other labels and other first weights. Runs are kept in `--out`, and a run that is
there already is not repeated. The interval is that of the mean over seeds (Student's t, 95%).
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

import morphtools


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--task", default="rings")
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--labels", type=int, nargs="+", default=[50, 100, 250])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("morphtools-runs/accuracy-by-labels"))
    options = parser.parse_args()

    rows = []
    for labels in options.labels:
        for seed in range(options.seeds):
            start = time.perf_counter()
            run = morphtools.finetune(
                options.task,
                labels,
                catalog=options.catalog,
                images=options.images,
                encoder=options.encoder,
                image_size=options.image_size,
                seed=seed,
                out=options.out / f"{options.task}-{labels}-{options.encoder}-{seed}",
            )
            scores = {name: score["value"] for name, score in run.metrics["test"].items()}
            used = run.metrics["galaxies"]
            row = {"labels": used["train"] + used["val"], "tested": used["test"], "seed": seed} | scores
            rows.append(row | {"seconds": time.perf_counter() - start})
            print(pd.Series(rows[-1]).to_frame().T.round(3).to_string(index=False), flush=True)

    table = pd.DataFrame(rows)
    half = student.ppf(0.975, options.seeds - 1) / np.sqrt(options.seeds) if options.seeds > 1 else np.nan
    print(f"\n{options.task}, {options.encoder}, random weights, {options.seeds} seeds")
    for asked, group in table.groupby(np.repeat(options.labels, options.seeds)):
        cells = [f"{m} {group[m].mean():.3f} ± {half * group[m].std():.3f}" for m in ("accuracy", "auc", "f1")]
        cells.append(f"{group['seconds'].median():.0f} s")
        print(f"{asked:>6} asked, {group['labels'].mean():.0f} used: {', '.join(cells)}")


if __name__ == "__main__":
    main()
