"""Finds the columns of a catalogue that are labels a representation could predict."""

import numpy as np
import pandas as pd

from morphtools.survey.tasks import PHOTOZ, TASKS, task_labels
from tfrecords_builder.naming import some, unknown

_OURS = ("id_str", "file_loc", "split", "shard", "offset", "pixel_flag", "findings", "missing_pixels", "image_hash")
_CLASSES, _LEAST = 20, 10


def is_class(values) -> bool:
    """Whether values are classes (text or a few numbers) rather than measurements."""
    values = pd.Series(values).dropna()
    return not pd.api.types.is_numeric_dtype(values) or values.nunique() <= _CLASSES


def check_classes(values: pd.Series) -> pd.Series:
    """Returns a column whose values are classes; raises ValueError if it holds measurements, or names of galaxies."""
    known = values.dropna()
    kinds = known.nunique()
    if not is_class(known) or (kinds > _CLASSES and 2 * kinds > len(known)):
        raise ValueError(
            f"column {values.name!r} has {kinds} different values for {len(known)} galaxies: these are measurements or "
            "names, not classes"
        )
    return values


def find_labels(catalog: pd.DataFrame, columns: str | None = None) -> dict[str, pd.Series]:
    """Finds labels in a catalogue: classes, answers to the known tasks, and redshifts.

    Args:
        catalog: One row per galaxy.
        columns: Names of the columns to use instead, separated by commas.

    Returns:
        By name, one value per row: text for a class, a number for a measurement, missing where unknown. Empty if the
        catalogue has no labels, or fewer than ten galaxies of a second class.

    Raises:
        ValueError: There is no such column, or it has only one value.
    """
    if columns is not None:
        names = [name.strip() for name in columns.split(",")]
        for name in names:
            if name not in catalog.columns:
                raise ValueError(unknown("column", name, catalog.columns))
            if catalog[name].nunique() < 2:
                raise ValueError(f"column {name!r} has only one value, {some(catalog[name].dropna().unique())}")
        return {name: _as_label(catalog[name]) for name in names}
    candidates = {}
    for name in catalog.columns:
        text = not pd.api.types.is_numeric_dtype(catalog[name])
        if text and name not in _OURS and not name.startswith("true_"):
            candidates[name] = catalog[name]
    for name, task in TASKS.items():
        try:
            answers = task_labels(task, catalog)[0]
        except ValueError:
            continue
        candidates[name] = answers.map({0.0: task.classes[0], 1.0: task.classes[1]})
    candidates = {name: _as_label(values) for name, values in candidates.items() if _tells_something(values)}
    for name in PHOTOZ.columns:
        if name in catalog.columns and catalog[name].nunique() > _CLASSES:
            candidates[name] = _as_label(catalog[name])
    return candidates


def _as_label(values: pd.Series) -> pd.Series:
    known = values.notna() & (values.astype(str) != "")
    kept = values.where(known)
    return kept.map(str, na_action="ignore").astype(object) if is_class(kept) else kept.astype(float)


def _tells_something(values: pd.Series) -> bool:
    counts = values[values.notna() & (values.astype(str) != "")].value_counts().to_numpy()
    return 2 <= len(counts) <= _CLASSES and np.sort(counts)[-2] >= _LEAST
