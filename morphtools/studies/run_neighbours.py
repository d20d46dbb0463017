"""What nearest neighbours say, asked of the galaxies that a run was trained on: no training at all."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from morphtools.answers.class_metrics import classification_metrics
from morphtools.answers.redshift_metrics import photoz_metrics
from morphtools.answers.redshifts import Redshifts
from morphtools.inference.representations import Representations
from morphtools.studies.redshift_neighbours import kernel_pdf, nearest_rows, training_pdf


def neighbour_metrics(run: Path, store: Representations, neighbours: int, *, seed: int = 0) -> dict[str, dict]:
    """Scores of the nearest neighbours on the test galaxies of a run.

    Those of training *and* validation are asked, since all of them had to be labelled. Classes by the share of
    neighbours, redshifts by `kernel_pdf` over the bins of the run.

    Args:
        run: Finished run of `finetune`.
        store: Representations of its galaxies; those that are not in it are left out.
        neighbours: How many to ask.
        seed: Of the bootstrap.

    Returns:
        `galaxies` and `test`, as in the metrics of a run.
    """
    galaxies = pd.read_parquet(run / "galaxies.parquet")
    rows = pd.Index(store.id_str).get_indexer(galaxies["id_str"])
    galaxies, x = galaxies[rows >= 0], store.values()[rows[rows >= 0]]
    test = (galaxies["split"] == "test").to_numpy()
    near = nearest_rows(x[~test], x[test], neighbours)
    counts = galaxies["split"].value_counts().reindex(["train", "val", "test"], fill_value=0)
    label = galaxies["label"].to_numpy(float)
    if "pdf" not in pq.read_schema(run / "predictions.parquet").names:
        scores = classification_metrics(label[test], label[~test][near].mean(axis=1), seed=seed)
    else:
        said, z = Redshifts.open(run / "predictions.parquet"), label[~test]
        pdf = kernel_pdf(z[near], said.edges, training_pdf(z, said.edges), 1 / (len(z) + 1))
        ids = galaxies["id_str"].to_numpy()[test]
        scores = photoz_metrics(Redshifts(ids, pdf, said.edges, said.estimate, label[test], {}), seed=seed)
    return {"galaxies": {name: int(number) for name, number in counts.items()}, "test": scores}
