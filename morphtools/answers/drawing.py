"""Which labelled galaxies are used, and for what: training, validation or test.

All draws follow from hashes of `id_str`: 50 labels are among the 100 of the same seed, and no test galaxy is ever
trained on.
"""

import logging

import numpy as np
import pandas as pd

from tfrecords_builder.splits import FRACTIONS, hash_uniform, split_of

log = logging.getLogger(__name__)

_VALIDATE = FRACTIONS[1] / (FRACTIONS[0] + FRACTIONS[1])  # fraction of the labels used for validation: an eighth
RARE = 3  # a class needs this many labels: two to train and one to validate


def draw_classes(catalog: pd.DataFrame, labels: int, *, test_labels: int, classes, seed: int) -> pd.DataFrame:
    """Draws labelled galaxies for training, validation and test, keeping the proportions of the classes.

    `labels` counts training *and* validation: somebody has to label both. Of three or more classes, those with too few
    labels are left out, with a warning that names them; the test may lack a class.

    Args:
        catalog: `id_str`, `label` (0 … K-1, or NaN) and, where it is decided already, `split`.
        labels: Galaxies for training and validation together.
        test_labels: Maximum number of galaxies for the test.
        classes: Names of the K classes; of two, the negative one first.
        seed: Seed of the draw and of the splits.

    Returns:
        The drawn rows with `label` as integer and `split`. Labels of classes that were left out are missing.

    Raises:
        ValueError: There is only one class, or too few galaxies of one to train, validate and test.
    """
    known = catalog[catalog["label"].notna()].copy()
    known["label"] = known["label"].astype(int)
    counts = known["label"].value_counts().reindex(range(len(classes)), fill_value=0)
    if (counts > 0).sum() < 2 or (len(classes) == 2 and counts.min() == 0):
        have = ", ".join(f"{counts[i]} {name}" for i, name in enumerate(classes))
        raise ValueError(
            f"a classifier needs {'both' if len(classes) == 2 else 'two'} classes, the catalogue has {have}"
        )
    known = _in_order(known, seed)
    if len(classes) > 2:
        known = known[known["label"].isin(_common(known["label"], known["split"], classes))]
    test = _stratified(known[known["split"] == "test"], test_labels)
    fitted = _stratified(known[known["split"] != "test"], labels)
    # An eighth of every class is for validation; by the hash alone, a small class could be left without any.
    rank = fitted.groupby("label").cumcount()
    size = fitted.groupby("label")["label"].transform("size")
    fitted = fitted.assign(split=np.where(rank < np.maximum(1, (size * _VALIDATE).round()), "val", "train"))
    drawn = pd.concat([fitted, test])
    _check_enough(drawn, known["label"], classes, labels)
    _remark_on_fewer(len(fitted), labels)
    return drawn


def draw_several(
    catalog: pd.DataFrame, labels: int, *, questions: dict[str, tuple[str, ...]], test_labels: int, seed: int
) -> pd.DataFrame:
    """Draws galaxies that have an answer to any of several questions for training, validation and test.

    The first three of every class are drawn, the others at random. A class with fewer labels is left out, with a
    warning that names it, unless there are only two: its labels are unknown then, and the galaxies teach the others.

    Args:
        catalog: `id_str`, the columns `label_0`, `label_1`, … (0 … K-1, or NaN) and, where it is decided already,
            `split`.
        labels: Galaxies for training and validation together.
        questions: Names of the classes of each question, by its name.
        test_labels: Maximum number of galaxies for the test.
        seed: Seed of the draw and of the splits.

    Returns:
        The drawn rows with `split`.

    Raises:
        ValueError: A question has only one class, or too few galaxies of one to train, validate and test.
    """
    columns = [f"label_{q}" for q in range(len(questions))]
    known = _in_order(catalog[catalog[columns].notna().any(axis=1)].copy(), seed)
    for column, (question, classes) in zip(columns, questions.items(), strict=True):
        if len(classes) > 2:
            common = _common(known[column], known["split"], classes, f"{question}: ")
            known[column] = known[column].where(known[column].isin(common))
    known = known[known[columns].notna().any(axis=1)]
    fitted = known[known["split"] != "test"]
    first = _among_first(fitted[columns], RARE)
    fitted = pd.concat([fitted[first], fitted[~first]]).head(labels)
    validates = _among_first(fitted[columns], 1)
    more = max(0, round(len(fitted) * _VALIDATE) - validates.sum())
    validates[fitted.index[~validates & ~first[fitted.index]][:more]] = True
    test = known[known["split"] == "test"].head(test_labels)
    drawn = pd.concat([fitted.assign(split=np.where(validates, "val", "train")), test])
    for column, (question, classes) in zip(columns, questions.items(), strict=True):
        rows = drawn[["split"]].assign(label=drawn[column])[drawn[column].notna()]
        _check_enough(rows, known[column], classes, labels, f" of {question}")
    _remark_on_fewer(len(fitted), labels)
    return drawn


def _among_first(labels: pd.DataFrame, n: int) -> pd.Series:
    """Which galaxies are among the first n of any class of any question."""
    chosen = pd.Series(False, labels.index)
    for _, column in labels.items():
        answered = column.dropna()
        chosen[answered.index[answered.groupby(answered).cumcount() < n]] = True
    return chosen


def draw_any(catalog: pd.DataFrame, labels: int, *, columns, test_labels: int, seed: int, trainable=None):
    """Draws galaxies whose labels are numbers of any kind for training, validation and test.

    Args:
        catalog: `id_str`, the columns and, where it is decided already, `split`.
        labels: Galaxies for training and validation together.
        columns: Labels; a galaxy needs one of them.
        test_labels: Maximum number of galaxies for the test.
        seed: Seed of the draw and of the splits.
        trainable: (N,) whether a galaxy may be drawn for training and validation; by default all may.

    Returns:
        The drawn rows with `split`.

    Raises:
        ValueError: There are too few to train, validate and test.
    """
    trainable = pd.Series(True, catalog.index) if trainable is None else pd.Series(trainable, catalog.index)
    known = _in_order(catalog[catalog[list(columns)].notna().any(axis=1)].copy(), seed)
    test = known[known["split"] == "test"].head(test_labels)
    fitted = known[(known["split"] != "test") & trainable[known.index]].head(labels)
    validating = max(1, round(len(fitted) * _VALIDATE))
    if len(fitted) < 3 or len(test) < 1:
        raise ValueError(
            f"too few labels: {len(fitted)} to train and validate, {len(test)} to test; at least 3 and 1 are needed"
        )
    _remark_on_fewer(len(fitted), labels)
    return pd.concat([fitted.assign(split=np.where(np.arange(len(fitted)) < validating, "val", "train")), test])


def draw_redshifts(catalog: pd.DataFrame, labels: int, *, test_labels: int, redshift_range, seed: int) -> pd.DataFrame:
    """Draws galaxies with a redshift (see `draw_any`).

    Redshifts outside the range cannot be learned, so these galaxies are not drawn for training or validation. They are
    drawn for the test, which is about the whole catalogue.

    Args:
        catalog: `id_str`, `label` (the redshift, or NaN) and, where it is decided already, `split`.
        labels: Galaxies for training and validation together.
        test_labels: Maximum number of galaxies for the test.
        redshift_range: (low, high).
        seed: Seed of the draw and of the splits.
    """
    known, inside = catalog["label"].notna(), catalog["label"].between(*redshift_range)
    outside = int((known & ~inside).sum())
    if outside:
        log.warning(
            "%d of %d redshifts lie outside redshift_range, %g to %g, and are not trained on; they stay in the test, "
            "where they must be wrong",
            outside, known.sum(), *redshift_range,
        )  # fmt: skip
    try:
        return draw_any(
            catalog, labels, columns=("label",), test_labels=test_labels, seed=seed, trainable=inside.to_numpy()
        )
    except ValueError as error:
        within = f" from {redshift_range[0]:g} to {redshift_range[1]:g} to train"
        raise ValueError(str(error).replace("labels", "redshifts").replace(" to train", within)) from None


def check_classes(rows: pd.DataFrame, of: str = "") -> None:
    """Raises ValueError if a split has one class only: images of too few galaxies could be read."""
    left = rows.groupby("split")["label"].nunique()
    if (left < 2).any():
        raise ValueError(f"too few usable images: only one class{of} is left for {left.idxmin()}")


def check_splits(rows: pd.DataFrame) -> None:
    """Raises ValueError if a split has no galaxies: images of too few could be read."""
    left = rows["split"].value_counts()
    for split in ("train", "val", "test"):
        if not left.get(split):
            raise ValueError(f"too few usable images: none is left for {split}")


def _common(labels: pd.Series, splits: pd.Series, classes, of: str = "") -> list:
    """The classes that have enough labels outside the test; a warning names the others."""
    everywhere = labels.value_counts().sort_index()
    outside = labels[splits != "test"].value_counts().reindex(everywhere.index, fill_value=0)
    rare = everywhere[outside < RARE]
    if len(rare):
        names = ", ".join(f"{classes[int(k)]} ({count})" for k, count in rare.items())
        log.warning("%sleft out, with fewer than %d labels outside the test: %s", of, RARE, names)
    return list(everywhere.index.difference(rare.index))


def _check_enough(drawn: pd.DataFrame, known: pd.Series, classes, labels: int, of: str = "") -> None:
    """Raises ValueError where a class has too few labels to train, to validate or to test.

    Args:
        drawn: `label` and `split`.
        known: Labels of the catalogue, without classes that were left out.
        classes: Names of all classes.
        labels: How many were requested.
        of: The question, for the message.
    """
    counts = known.value_counts().sort_index()
    if len(counts) < 2:
        raise ValueError(f"too few labels{of}: only one class has at least {RARE} outside the test")
    for split, least in (("train", 2), ("val", 1), ("test", 1)):
        have = drawn[drawn["split"] == split]["label"].value_counts().reindex(counts.index, fill_value=0)
        enough = have.min() >= least or (split == "test" and len(classes) > 2 and have.sum())
        if not enough:
            raise ValueError(
                f"too few labels{of}: {_in_words(have, classes)} for {split}, at least {least} of each are needed; "
                f"{labels} were requested, and the catalogue has {_in_words(counts, classes)}"
            )


def _stratified(rows: pd.DataFrame, n: int) -> pd.DataFrame:
    """The first `n` rows class by class, in the proportions of `rows`, at least three of each if there are."""
    if n >= len(rows):
        return rows
    counts = rows["label"].value_counts().sort_index()
    least = min(3, max(1, n // len(counts)))
    quota = (counts * n / len(rows)).round().astype(int).clip(lower=counts.clip(upper=least))
    while quota.sum() != n:  # the most common class makes up for rounding and rare classes
        quota[quota.idxmax()] += np.sign(n - quota.sum())
    return pd.concat([rows[rows["label"] == label].head(q) for label, q in quota.items()])


def _in_words(counts: pd.Series, classes) -> str:
    words = [f"{n} {classes[int(k)]}" for k, n in counts.items()]
    return " and ".join(words) if len(words) == 2 else ", ".join(words)


def _remark_on_fewer(there: int, labels: int) -> None:
    if there < labels:
        log.warning("%d labels were requested, only %d are available: using those", labels, there)


def _in_order(known: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The rows in the order of drawing, with the split of each, both by hashes of `id_str`."""
    if "split" not in known.columns:
        known["split"] = [split_of(i, seed) for i in known["id_str"]]
    return known.iloc[np.argsort([hash_uniform(i, seed, salt="draw") for i in known["id_str"]], kind="stable")]
