"""Scores vote models on the galaxies that `gather_labels.py` kept back: classes, expert judgements, vote fractions.

    python benchmarks/weights/kept_back.py GATHERED OUT WEIGHTS [WEIGHTS ...]

GATHERED is what `gather_labels.py` made. Predictions of its test split go to OUT and are used again. Prints the
accuracy of classes, with its standard error; the area under the curve of expert judgements (yes where at least half of
the votes are); and the root mean square error of volunteers' vote fractions, beside that of the mean of the training
galaxies and the noise due to the number of votes, which remains for a perfect model.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import morphtools
from morphtools.answers.calibration import mean_concentrations, vote_metrics

CLASSES = ("class-clean", "class-gz1")
EXPERTS = ("ring-na10", "bar-na10", "inner-ring-efigi", "outer-ring-efigi", "perturbation-efigi", "multiplicity-efigi")
VOTES = ("smooth-or-featured-gz2", "disk-edge-on-gz2", "has-spiral-arms-gz2", "bar-gz2", "bulge-size-gz2",
         "something-odd-gz2", "how-rounded-gz2", "odd-feature-kaggle", "spiral-winding-kaggle",
         "spiral-arm-count-kaggle")  # fmt: skip


def judged(full: pd.DataFrame, votes: pd.DataFrame, schema, baseline) -> dict[str, str]:
    """Scores by name, as text."""
    found = {}
    for question in schema.questions:
        counts = votes[list(question.label_cols)].to_numpy()
        asked = counts.sum(axis=1) > 0
        fractions = full[[f"{column}_fraction" for column in question.label_cols]].to_numpy()[asked]
        if question.text in CLASSES:
            right = fractions.argmax(axis=1) == counts[asked].argmax(axis=1)
            found[f"{question.text}, accuracy"] = f"{right.mean():.3f} ± {right.std() / len(right) ** 0.5:.3f}"
        elif question.text in EXPERTS:
            yes = counts[asked, 0] >= counts[asked, 1]
            found[f"{question.text}, AUC"] = f"{roc_auc_score(yes, fractions[:, 0]):.3f}"
    concentrations = full[[f"{c}_concentration_{i}" for i in range(8) for c in schema.label_cols]].to_numpy()
    concentrations = concentrations.reshape(len(full), 8, -1).transpose(1, 0, 2)
    table = vote_metrics(votes.to_numpy(), concentrations, schema, baseline=baseline).set_index("question")
    for name in VOTES:
        row = table.loc[name]
        found[f"{name}, RMSE (mean, noise)"] = f"{row.rmse:.3f} ({row.baseline_rmse:.3f}, {row.noise:.3f})"
    seen = table[table["galaxies"] > 0]
    for name in ("loss", "baseline_loss"):
        found[name.replace("baseline_loss", "loss of the mean")] = (
            f"{(seen[name] * seen['galaxies']).sum() / len(full):.3f}"
        )
    found["coverage of 90% intervals"] = f"{np.average(seen['coverage_90'].fillna(0), weights=seen['votes']):.3f}"
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gathered", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", nargs="+")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    schema = morphtools.get_schema(args.gathered / "schema.yaml")
    catalog = pd.read_parquet(args.gathered / "catalog.parquet")
    columns = list(schema.label_cols)
    baseline = mean_concentrations(catalog.loc[catalog["split"] == "train", columns], schema)
    tested = catalog[catalog["split"] == "test"].set_index("id_str", drop=False)
    tested[["id_str", "file_loc"]].to_csv(args.out / "tested.csv", index=False)
    rows = {}
    for weights in args.weights:
        name = Path(weights).name
        morphtools.predict(weights, args.out / name, catalog=args.out / "tested.csv", images=args.gathered / "images")
        full = pd.read_parquet(args.out / name / "predictions-full.parquet")
        full = full.set_index("id_str") if "id_str" in full else full
        rows[name] = judged(full, tested.loc[full.index, columns], schema, baseline)
    print(f"\n{len(tested)} held-out galaxies")
    print(pd.DataFrame(rows).to_string())


if __name__ == "__main__":
    main()
