"""How uncertain an answer is, in one number for each galaxy."""

from collections.abc import Iterable

import numpy as np

from morphtools.answers.classes import Classes
from morphtools.answers.fractions import Fractions
from morphtools.answers.kinds import AnyAnswer
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.several import Several
from tfrecords_builder.naming import unknown


def typical_sigma(answer: AnyAnswer, outputs: Iterable[np.ndarray]) -> np.ndarray | None:
    """The mean standard deviation (n,) of each number over all galaxies; None for other answers, which do not need it.

    Args:
        answer: What was asked.
        outputs: What a head gives for all galaxies, a few at a time.
    """
    if not isinstance(answer, Numbers):
        return None
    total, galaxies = np.zeros(len(answer.columns)), 0
    for batch in outputs:
        total += _sigma(batch).sum(axis=0)
        galaxies += len(batch)
    return total / max(galaxies, 1)


def _sigma(outputs: np.ndarray) -> np.ndarray:
    """(N, n) standard deviations of n numbers, from their outputs."""
    return np.exp(np.split(np.asarray(outputs, float), 2, axis=1)[1])


def uncertainty_of(
    answer: AnyAnswer, outputs: np.ndarray, question: str | None = None, typical: np.ndarray | None = None
) -> np.ndarray:
    """How uncertain (N,) answers are, 0 for those that are certain.

    Classes and fractions: 1 minus the margin between the two most probable; for several questions, the mean. Numbers:
    the standard deviation; for several, the mean of each relative to its mean. Redshifts: the standard deviation of the
    PDF.

    Args:
        answer: What was asked.
        outputs: (N, `answer.outputs`) of a head.
        question: The question or number that counts, if there are several; by default all.
        typical: `typical_sigma` of all galaxies, if these are only some of them.

    Raises:
        ValueError: The answers are votes, which are not single labels; or there is no such question.
    """
    outputs = np.asarray(outputs, float)
    several = answer.questions if isinstance(answer, Several) else answer.columns if isinstance(answer, Numbers) else ()
    if question is not None and question not in several:
        one = f"`question` chooses among several, and the run answers one only, about {answer.kind}"
        raise ValueError(unknown("question", question, several) if len(several) > 1 else one)
    match answer:
        case Several():
            chosen = [(each, place) for name, each, place in answer if question in (None, name)]
            return np.mean([uncertainty_of(each, outputs[:, place]) for each, place in chosen], axis=0)
        case Classes() | Fractions():
            ordered = np.sort(outputs, axis=1)
            return 1 - (ordered[:, -1] - ordered[:, -2])
        case Numbers():
            sigma = _sigma(outputs)
            each = sigma / (sigma.mean(axis=0) if typical is None else typical)
            return each.mean(axis=1) if question is None else each[:, answer.columns.index(question)]
        case Photoz():
            z = np.linspace(*answer.redshift_range, answer.bins)
            mean = outputs @ z / outputs.sum(axis=1)
            return np.sqrt(np.maximum(outputs @ z**2 / outputs.sum(axis=1) - mean**2, 0))
    raise ValueError(f"suggestions are for classes, fractions, numbers and redshifts, not for {answer.kind}")
