"""`evaluate_retrieval`: do nearest neighbours look alike to people, too?"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.explore import figures
from morphtools.explore.neighbours import Neighbours
from morphtools.explore.tables import column_of, in_all, known_of
from morphtools.inference.representations import Representations
from morphtools.survey.label_columns import check_classes
from tfrecords_builder.naming import some
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.tables_out import write_csv


def evaluate_retrieval(
    representations: Mapping[str, str | Path | Representations],
    catalog: str | Path | pd.DataFrame,
    labels: Sequence[str],
    *,
    k: int = 10,
    metric: str = "cosine",
    out: str | Path = "morphtools-runs/retrieval",
) -> pd.DataFrame:
    """Measures precision@k: the fraction of a galaxy's `k` nearest neighbours that are of its class.

    Every galaxy with a label is compared with all others that have one in the same column; labels of different columns,
    such as those of different surveys, are never compared. Writes `retrieval.csv` and `retrieval.png`.

    Args:
        representations: Stores to compare, by name; the galaxies that all of them have are used.
        catalog: Table with `id_str` and labels.
        labels: Its columns: words, each of which is a class, or 0 and 1, where 1 is the class.
        k: Number of neighbours.
        metric: `cosine`, `euclidean` or `manhattan`.
        out: Output folder.

    Returns:
        One row per representations, column and class: `queries`, `chance` (what random neighbours would give),
        `precision` with its 95% interval `low`, `high`.

    Raises:
        ValueError: A column holds neither classes nor 0 and 1, or too few galaxies have a label.
    """
    stores = {name: Representations.open(store) for name, store in representations.items()}
    if not stores:
        raise ValueError("which representations? give at least one store")
    common = in_all(store.id_str for store in stores.values())
    known = known_of(common, catalog)
    classes = {column: _classes(column_of(known, column)) for column in labels}
    few = [column for column, known_class in classes.items() if len(known_class) <= k]
    if few:
        raise ValueError(f"too few galaxies have {some(few)}: {k} neighbours need more than {k} of them")
    rows = []
    for name, store in stores.items():
        for column, known_class in classes.items():
            keep = pd.Index(store.id_str).isin(known_class.index)
            scores = _scores(Neighbours(store, metric=metric, keep=keep), known_class, k)
            rows += [{"representations": name, "column": column} | score for score in scores]
    table = pd.DataFrame(rows)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_csv(table, out / "retrieval.csv")
    write_figure(out / "retrieval.png", figures.precision_bars(table, k))
    return table


def _scores(near: Neighbours, known_class: pd.Series, k: int) -> Iterator[dict]:
    """Scores of every class."""
    truth = known_class.loc[near.id_str].to_numpy()
    neighbours, _ = near.nearest(near.values, k + 1)
    for value in sorted(set(truth) - {""}):
        right = truth == value
        yield {"value": value} | _score(_precision(right, neighbours, k), right)


def _classes(column: pd.Series) -> pd.Series:
    """The class of every galaxy that has one, as text; empty for 0."""
    column = column.dropna()
    if not pd.api.types.is_numeric_dtype(column):
        return check_classes(column).astype(str)
    if not column.isin((0, 1)).all():
        raise ValueError(f"column {column.name!r} must contain classes in words, or 0 and 1; cut fractions first")
    return pd.Series(np.where(column == 1, column.name, ""), column.index)


def _precision(right: np.ndarray, found: np.ndarray, k: int) -> np.ndarray:
    """For every galaxy of the class, the fraction of its `k` nearest neighbours that are of that class, too."""
    (queries,) = np.nonzero(right)
    others = found[queries] != queries[:, np.newaxis]
    others[others.all(axis=1), -1] = False  # k + 1 neighbours as near as the galaxy itself
    return (right[found[queries]] & others).sum(axis=1) / k


def _score(scores: np.ndarray, right: np.ndarray) -> dict:
    mean, error = scores.mean(), scores.std() / np.sqrt(len(scores))
    chance = (right.sum() - 1) / (len(right) - 1)
    interval = {"low": max(0.0, mean - 1.96 * error), "high": min(1.0, mean + 1.96 * error)}
    return {"queries": len(scores), "chance": chance, "precision": mean} | interval
