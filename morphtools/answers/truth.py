"""What is known about galaxies, of the kind that was predicted for them."""

import dataclasses
import logging

import numpy as np
import pandas as pd

from morphtools.answers.classes import Classes
from morphtools.answers.fractions import Fractions
from morphtools.answers.kinds import AnyAnswer
from morphtools.answers.numbers import Numbers
from morphtools.answers.reading import read_question
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.several import Several
from morphtools.answers.votes import Votes
from morphtools.survey.label_values import class_word, galaxies, read_answers, read_words
from morphtools.survey.tasks import PHOTOZ, TASKS, RedshiftTask, Task, task_labels, task_redshifts
from morphtools.survey.vote_columns import read_votes
from tfrecords_builder.naming import some, unknown

log = logging.getLogger(__name__)


def read_truth(
    answer: AnyAnswer, catalog: pd.DataFrame, columns: tuple[str, ...] = (), task: Task | RedshiftTask | None = None
) -> tuple[np.ndarray, np.ndarray, str]:
    """Reads the true answers to predictions from a catalogue.

    Args:
        answer: What was predicted.
        catalog: One row per galaxy.
        columns: Those that have it. By default the columns of the votes, of a built-in task with these classes, of
            these questions, fractions or numbers, or of redshifts.
        task: Rule for what counts as a yes, where two classes were predicted.

    Returns:
        (N, L) as `answer.results` takes it, NaN where unknown; (N,) which galaxies have something to score; and in
        words how it was read.

    Raises:
        ValueError: A column is missing, or contains another kind of answer; the message names the predicted kind.
    """
    for name in columns:
        if name not in catalog.columns:
            raise ValueError(unknown("column", name, catalog.columns))
    if isinstance(task, RedshiftTask):
        raise ValueError("a `task` is a rule for two classes here: give the `column` with redshifts instead")
    if task is not None and not (isinstance(answer, Classes) and len(answer.names) == 2):
        what = "several questions" if isinstance(answer, Several) else answer.kind
        raise ValueError(f"a `task` is a rule for two classes, and the predictions are {what}")
    match answer:
        case Votes():
            if columns:
                raise ValueError("the predictions are votes, whose columns are found by their names: give no `column`")
            truth = read_votes(catalog, answer.schema).to_numpy(float)
            return truth, (truth > 0).any(axis=1), f"votes of {answer.schema.name}"
        case Classes():
            labels, rule = _labels(answer, catalog, columns, task)
            truth = labels.to_numpy(float)[:, np.newaxis]
        case Several():
            truth, rule = _questions(answer, catalog, columns)
        case Photoz():
            _one(columns, "redshifts")
            redshifts, rule = task_redshifts(PHOTOZ, catalog, *columns)
            truth = redshifts.to_numpy(float)[:, np.newaxis]
        case Fractions() | Numbers():
            truth, rule = _several(answer, catalog, columns)
    return truth, np.isfinite(truth).any(axis=1), rule


def _one(columns: tuple[str, ...], what: str) -> None:
    if len(columns) > 1:
        raise ValueError(f"the predictions are {what}: give one `column`, got {', '.join(columns)}")


def _labels(answer: Classes, catalog: pd.DataFrame, columns: tuple[str, ...], task: Task | None):
    """Numbers of the classes, and how they were read."""
    _one(columns, "classes")
    task = task or next((each for each in TASKS.values() if each.classes == answer.names), None)
    if task is not None and len(answer.names) == 2:
        task = dataclasses.replace(task, classes=answer.names)
        return task_labels(task, catalog, *columns)
    if not columns:
        raise ValueError(f"which column has the classes {', '.join(answer.names)}? give `column`")
    (name,) = columns
    if len(answer.names) == 2:
        labels = read_answers(catalog, name, answer.names)
        between = labels.notna() & ~labels.isin((0, 1))
        if between.any():
            raise ValueError(
                f"column {name!r} holds fractions, such as {labels[between].iloc[0]:g} ({galaxies(catalog, between)}), "
                f"and the predictions are classes ({', '.join(answer.names)}): give a `task`, whose rule decides what "
                "counts as a yes"
            )
        return labels, f"column {name!r}"
    words = read_words(catalog, name)
    codes = {class_word(each): float(k) for k, each in enumerate(answer.names)}
    labels = words.map(lambda word: codes.get(class_word(word)), na_action="ignore").astype(float)
    strange = words.notna() & labels.isna()
    if strange.any() and labels.isna().all():
        raise ValueError(
            f"column {name!r} holds {some(words[strange].unique())}, none of which is a class of the predictions "
            f"({', '.join(answer.names)})"
        )
    if strange.any():
        log.warning(
            "column %r: left out, because the predictions have no such classes: %s (%d galaxies)", name,
            some(words[strange].unique(), 6), strange.sum(),
        )  # fmt: skip
    return labels, f"column {name!r}"


def _questions(answer: Several, catalog: pd.DataFrame, columns: tuple[str, ...]):
    """Classes of each question, of those at least that the catalogue has a column for."""
    if columns and len(columns) != len(answer.questions):
        raise ValueError(
            f"the predictions answer {', '.join(answer.questions)}: give as many columns, in this order, got "
            f"{', '.join(columns)}"
        )
    read, rules = [], []
    for question, each, name in zip(answer.questions, answer.answers, columns or answer.questions, strict=True):
        if name in catalog.columns:
            labels, rule = _labels(each, catalog, (name,), None)
            rules.append(rule)
        else:
            log.info("the catalogue has no column %r: the question is not scored", question)
            labels = pd.Series(np.nan, catalog.index)
        read.append(labels.to_numpy(float))
    if not rules:
        raise ValueError(
            f"the predictions answer {', '.join(answer.questions)}, and the catalogue has none of these columns: give "
            "`column`"
        )
    return np.stack(read, axis=1), ", ".join(rules)


def _several(answer: Fractions | Numbers, catalog: pd.DataFrame, columns: tuple[str, ...]):
    """Fractions or numbers, in the order of those that were predicted."""
    names = answer.answers if isinstance(answer, Fractions) else answer.columns
    fractions = isinstance(answer, Fractions)
    single = fractions and len(names) == 2 and names[0] == f"no {names[1]}"  # of one column, see `read_question`
    if not columns and single:
        columns = tuple(name for name in catalog.columns if name.replace("_", " ") == names[1])
    columns = columns or names
    what = f"the {'fractions' if fractions else 'numbers'} {', '.join(names)}"
    missing = [name for name in columns if name not in catalog.columns]
    if missing:
        raise ValueError(f"the predictions are {what}, and the catalogue has no column {some(missing)}: give `column`")
    if len(columns) != (1 if single and len(columns) == 1 else len(names)):
        raise ValueError(f"the predictions are {what}: give as many columns, in this order, got {', '.join(columns)}")
    try:
        read = read_question(catalog, task=None, columns=columns, answer="fractions" if fractions else "number")
    except ValueError as error:
        raise ValueError(f"{error}; the predictions are {what}") from None
    return read.labels.to_numpy(float), read.rule
