"""Answers by nearest neighbours among the galaxies that a run was trained on, without any training."""

from pathlib import Path
from typing import Any

import pandas as pd

from morphtools.answers.predictions import check_table
from morphtools.answers.redshift_neighbours import nearest_rows
from morphtools.inference.representations import Representations
from morphtools.models.cards import Card, find_card


def neighbour_metrics(run: Path, store: Representations, neighbours: int, *, seed: int = 0) -> dict[str, dict]:
    """Scores of the nearest neighbours on the test galaxies of a run.

    Neighbours are taken from training *and* validation, since all of these had to be labelled. The kind of answer
    decides how their labels are combined (see `neighbours` of `answers/`).

    Args:
        run: Finished run of `finetune`.
        store: Representations of its galaxies; those that are not in it are left out.
        neighbours: How many.
        seed: Seed of the bootstrap.

    Returns:
        `galaxies` and `test`, as in the metrics of a run.
    """
    galaxies = pd.read_parquet(check_table(run / "galaxies.parquet"))
    rows = pd.Index(store.id_str).get_indexer(galaxies["id_str"])
    galaxies, x = galaxies[rows >= 0], store.values()[rows[rows >= 0]]
    test = (galaxies["split"] == "test").to_numpy()
    near = nearest_rows(x[~test], x[test], neighbours)
    counts = galaxies["split"].value_counts().reindex(["train", "val", "test"], fill_value=0)
    answer: Any = Card.open(find_card(run)).question()
    targets, ids = galaxies[list(answer.label_cols)].to_numpy(float), galaxies["id_str"].to_numpy()
    outputs = answer.neighbours(targets[~test], near)
    scores = answer.results(ids[test], outputs, targets[test], {}).scores(seed)
    return {"galaxies": {name: int(number) for name, number in counts.items()}, "test": scores}
