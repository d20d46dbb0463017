"""Reads the question and the known answers from a catalogue, by a task or from columns.

What a column holds is derived if it is certain; if not, the error lists what to choose from.
"""

import logging
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphtools.answers.classes import Classes
from morphtools.answers.fractions import Fractions
from morphtools.answers.kinds import Answer
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.several import Several
from morphtools.answers.vote_totals import votes_of
from morphtools.survey.label_values import (
    SENTINELS,
    as_numbers,
    far_from_all_others,
    galaxies,
    is_yes_or_no,
    read_answers,
    read_words,
    stand_for_unknown,
)
from morphtools.survey.tasks import RedshiftTask, Task, task_labels, task_redshifts
from morphtools.survey.vote_columns import MOST_VOTES
from tfrecords_builder.csv_tables import NUMBER
from tfrecords_builder.naming import some, unknown

log = logging.getLogger(__name__)

ANSWERS = ("classes", "fractions", "number")
_CODES, _MOST = 20, 100  # whole numbers that may be codes of classes; classes
_MEASURED = r"\s*[<>~≤≥≈]?\s*[-+]?\d+\.\d.*"  # with a unit, an error or a limit
_VOTES = 5  # fewest for fractions (Hayat et al. 2021, appendix C)


class Reading(NamedTuple):
    """What is known about the galaxies of a catalogue.

    Attributes:
        answer: What is asked.
        labels: A row per galaxy with the columns `answer.label_cols`, missing where unknown.
        rule: How they were read, in words.
    """

    answer: Answer
    labels: pd.DataFrame
    rule: str


def read_question(
    catalog: pd.DataFrame,
    *,
    task: Task | RedshiftTask | None,
    columns: tuple[str, ...] = (),
    answer: str | None = None,
    photoz: Photoz | None = None,
) -> Reading:
    """Reads the answers to a task, or those that columns hold, from a catalogue.

    Args:
        catalog: One row per galaxy.
        task: What is asked; None where the columns tell.
        columns: Column with the answers, if the task's own is not there; or the columns that are the question.
        answer: Without a task, what the columns hold, where that is not certain: one of `ANSWERS`.
        photoz: The PDFs that are asked of a task about redshifts.

    Raises:
        ValueError: A column is missing, does not hold what it should, or could hold different things.
    """
    if answer is not None and answer not in ANSWERS:
        raise ValueError(unknown("answer", answer, ANSWERS))
    if task is not None:
        return _of_task(task, catalog, columns, answer, photoz)
    for name in columns:
        if name not in catalog.columns:
            raise ValueError(unknown("column", name, catalog.columns))
    if len(columns) == 1:
        kind = answer or _kind_of(catalog, columns[0])
        read: Any = {"classes": _classes, "fractions": _fraction, "number": _numbers}[kind]
        return read(catalog, *columns)
    if len(set(columns)) < len(columns):
        raise ValueError(f"the columns {', '.join(columns)} must all be different")
    kind = answer or _kind_of_several(catalog, columns)
    read = {"classes": _several, "fractions": _fractions, "number": _numbers}[kind]
    return read(catalog, *columns)


def _of_task(task, catalog, columns, answer, photoz) -> Reading:
    if len(columns) > 1:
        raise ValueError(f"task {task.name!r} takes one column, got {', '.join(columns)}")
    if answer is not None:
        raise ValueError(f"answer tells what columns hold; task {task.name!r} knows that: give either task or answer")
    column = columns[0] if columns else None
    redshifts = isinstance(task, RedshiftTask)
    labels, rule = (task_redshifts if redshifts else task_labels)(task, catalog, column)
    return Reading(photoz or Photoz() if redshifts else Classes(tuple(task.classes)), labels.to_frame("label"), rule)


def _kind_of(catalog: pd.DataFrame, name: str) -> str:
    """What a column holds, where that is certain."""
    numbers, words = as_numbers(catalog[name])
    values = np.unique(numbers[np.isfinite(numbers)])
    if words.any() and not len(values):
        written = catalog[name][words].astype(str)
        if written.str.fullmatch(rf"{NUMBER}|{_MEASURED}").mean() > 0.5:
            raise ValueError(
                f"column {name!r} holds numbers written as {some(written.unique())}: write them with a decimal point, "
                "without units, errors or limits, and percentages as fractions; if they are names, give answer, classes"
            )
        return "classes"
    if words.any():
        raise ValueError(
            f"column {name!r} holds numbers and words, such as {some(catalog[name][words].unique())} "
            f"({galaxies(catalog, words)}): give answer, classes or number, and leave cells empty where it is unknown"
        )
    if not len(values):
        raise ValueError(f"column {name!r} is empty")
    if len(values) == 1:
        raise ValueError(f"column {name!r} has only one value, {values[0]:g}")
    if np.isin(values, (0, 1)).all():
        return "classes"
    if (values % 1 == 0).all() and len(values) <= _CODES:
        raise ValueError(
            f"column {name!r} holds {len(values)} whole numbers, {some(f'{v:g}' for v in values)}: they may be codes "
            "of classes or a measure; give answer, classes or number"
        )
    if values.min() >= 0 and values.max() <= 1:
        raise ValueError(
            f"column {name!r} holds numbers from {values.min():g} to {values.max():g}: they may be fractions of votes "
            "or a measure; give answer, fractions or number"
        )
    return "number"


def _kind_of_several(catalog: pd.DataFrame, columns: tuple[str, ...]) -> str:
    """What several columns hold together, where that is certain."""
    if votes_of(catalog, columns) is not None:
        return "fractions"
    read = [as_numbers(catalog[name]) for name in columns]
    if any(words.any() or numbers.dropna().isin((0, 1)).all() for numbers, words in read):
        kinds = {name: _kind_of(catalog, name) for name in columns}
        if set(kinds.values()) > {"classes"}:
            listed = ", ".join(f"{name} holds {'a ' * (kind == 'number')}{kind}" for name, kind in kinds.items())
            raise ValueError(f"columns that are learned together must be of one kind: {listed}")
        return "classes"
    for name, (numbers, _) in zip(columns, read, strict=True):
        if numbers.nunique() < 2:
            raise ValueError(f"column {name!r} has only one value")
    table = pd.concat([numbers for numbers, _ in read], axis=1)
    empty, whole = table.isna(), table.dropna()
    _refuse_percentages(columns, whole)
    inside = bool((table.ge(0) & table.le(1) | empty).all(axis=None))
    if inside and (np.abs(whole.sum(axis=1) - 1) < 0.02).mean() > 0.95:
        return "fractions"
    if inside or bool((table.ge(0) & (table % 1).eq(0) | empty).all(axis=None)):
        what = "lie between 0 and 1 but do not add up to 1" if inside else "hold whole numbers"
        raise ValueError(
            f"the columns {', '.join(columns)} {what}: they may be votes for the answers to a question, or measures; "
            "give answer, fractions or number"
        )
    return "number"


def _classes(catalog: pd.DataFrame, name: str) -> Reading:
    """The classes of one column."""
    names, labels, rule = _names_of_classes(catalog, name)
    return Reading(Classes(names), labels.to_frame("label"), rule)


def _several(catalog: pd.DataFrame, *columns: str) -> Reading:
    """A question about classes for each column."""
    answers, labels, rules = [], {}, []
    for q, column in enumerate(columns):
        names, labels[f"label_{q}"], rule = _names_of_classes(catalog, column)
        answers.append(Classes(("no", "yes") if is_yes_or_no(catalog[column]) else names))
        rules.append(rule)
    return Reading(Several(columns, tuple(answers)), pd.DataFrame(labels), "; ".join(rules))


def _names_of_classes(catalog: pd.DataFrame, name: str) -> tuple[tuple[str, ...], pd.Series, str]:
    """Two classes where the column says yes and no, otherwise one for each word or code; labels and the rule."""
    if is_yes_or_no(catalog[name]):
        what = name.replace("_", " ")
        names = (f"no {what}", what)
        return names, read_answers(catalog, name, names), f"column {name!r}: 1 {names[1]}, 0 {names[0]}"
    stand_ins = as_numbers(catalog[name])[0].isin(SENTINELS)
    if stand_ins.any():
        raise ValueError(
            f"column {name!r} holds {some(catalog[name][stand_ins].unique())} ({galaxies(catalog, stand_ins)}), which "
            "people write for unknown ones: leave cells empty where the class is unknown"
        )
    words = read_words(catalog, name)
    counts = words.value_counts().sort_index()
    if len(counts) < 2:
        raise ValueError(f"column {name!r} has only one value, {some(counts.index)}")
    if len(counts) > _MOST:
        raise ValueError(
            f"column {name!r} has {len(counts)} different values, such as {some(counts.index[:3])}: too many classes "
            f"(at most {_MOST}); join some of them"
        )
    codes = words.map({word: float(k) for k, word in enumerate(counts.index)})
    listed = ", ".join(f"{word} {count}" for word, count in counts.items())
    return tuple(counts.index), codes, f"column {name!r}: {listed}; unknown {words.isna().sum()}"


def _fraction(catalog: pd.DataFrame, name: str) -> Reading:
    """One fraction, of yes: the other answer is no."""
    values = _measured(catalog, name)
    bad = values.notna() & ~values.between(0, 1)
    if bad.any():
        raise ValueError(
            f"column {name!r} must contain fractions from 0 to 1, got {some(catalog[name][bad].unique())} "
            f"({galaxies(catalog, bad)})"
            + "; divide percentages by 100"
            * bool(values.between(0, 100).sum() > bad.size / 2)
        )
    what = name.replace("_", " ")
    labels = pd.DataFrame({"votes_0": 1 - values, "votes_1": values})
    return Reading(
        Fractions((f"no {what}", what)), labels, f"fractions of column {name!r}, all galaxies counting alike"
    )


def _fractions(catalog: pd.DataFrame, *columns: str) -> Reading:
    """Fractions or counts of the answers to one question; weighted by votes where their number is known."""
    counts = votes_of(catalog, columns)
    table = pd.concat([_measured(catalog, name) for name in columns], axis=1).astype(float)
    bad = (table < 0).any(axis=1)
    if bad.any():
        raise ValueError(f"the columns {', '.join(columns)} must not be negative ({galaxies(catalog, bad)})")
    _refuse_percentages(columns, table.dropna())
    if counts is None and (table > 1).any(axis=None):
        _refuse_no_counts(catalog, table)
        counts = table.to_numpy()
    rule = f"fractions of {', '.join(map(repr, columns))}"
    if counts is not None:
        labels = pd.DataFrame(counts, catalog.index, columns).astype(float)
        few = labels.notna().all(axis=1) & (labels.sum(axis=1) < _VOTES)
        labels[few] = np.nan
        rule += f", weighted by votes, of at least {_VOTES} ({few.sum()} galaxies have fewer)"
    else:
        total = table.sum(axis=1, skipna=False)
        off = total.notna() & (np.abs(total - 1) > 0.05)
        if off.any():
            raise ValueError(
                f"the fractions {', '.join(columns)} of a galaxy must add up to 1, not {total[off].iloc[0]:.3g} "
                f"({galaxies(catalog, off)}); give the columns of all answers, or counts of votes"
            )
        labels = table.div(total, axis=0)
    labels = labels.where(labels.notna().all(axis=1))
    labels.columns = [f"votes_{k}" for k in range(len(columns))]
    return Reading(Fractions(tuple(columns)), labels, rule)


def _refuse_percentages(columns: tuple[str, ...], whole: pd.DataFrame) -> None:
    if len(whole) > 1 and (np.abs(whole.sum(axis=1) - 100) < 1.5).mean() > 0.95:
        raise ValueError(f"the columns {', '.join(columns)} add up to 100 for every galaxy: divide percentages by 100")


def _refuse_no_counts(catalog: pd.DataFrame, table: pd.DataFrame) -> None:
    """Refuses 9999 for an unknown number of votes, and fractions among counts."""
    many = (table > MOST_VOTES).any(axis=1)
    if many.any():
        raise ValueError(f"{table[many].to_numpy().max():g} is no number of votes ({galaxies(catalog, many)})")
    fractions = (np.abs(table.sum(axis=1) - 1) < 0.02) & (table % 1 != 0).any(axis=1)
    if fractions.mean() > 0.05:
        raise ValueError(
            f"the columns {', '.join(table)} hold counts for some galaxies and fractions for others "
            f"({galaxies(catalog, fractions)})"
        )


def _numbers(catalog: pd.DataFrame, *columns: str) -> Reading:
    """One number or several, with sentinels refused: -99 is not a size."""
    labels = {}
    for i, name in enumerate(columns):
        values = _measured(catalog, name)
        far = stand_for_unknown(values)
        if far.any():
            near = (values[far] == -1).all() and -1.0 not in far_from_all_others(values)
            apart = "the only negative value" if near else "far from all other values"
            raise ValueError(
                f"column {name!r} holds {some(f'{v:g}' for v in values[far].unique())} ({galaxies(catalog, far)}), "
                f"{apart}: leave cells empty where the number is unknown"
            )
        for end in far_from_all_others(values):
            log.warning(
                "column %r: %g (%s) is far from all other values, and will dominate the fit if it is trained on",
                *(name, end, galaxies(catalog, values == end)),
            )
        labels[f"number_{i}"] = values
    return Reading(Numbers(tuple(columns)), pd.DataFrame(labels), f"numbers of {', '.join(map(repr, columns))}")


def _measured(catalog: pd.DataFrame, name: str) -> pd.Series:
    """A column of finite numbers; NaN where a cell is empty."""
    values, words = as_numbers(catalog[name])
    if words.any():
        raise ValueError(
            f"column {name!r} must contain numbers, got {some(catalog[name][words].unique())} "
            f"({galaxies(catalog, words)})"
        )
    return values.where(np.isfinite(values))
