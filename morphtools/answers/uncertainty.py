"""How uncertain an answer is, in one number for each galaxy."""

import numpy as np

from morphtools.answers.classes import Classes
from morphtools.answers.fractions import Fractions
from morphtools.answers.kinds import AnyAnswer
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.several import Several
from tfrecords_builder.naming import unknown


def uncertainty_of(answer: AnyAnswer, outputs: np.ndarray, question: str | None = None) -> np.ndarray:
    """How uncertain (N,) answers are, 0 for those that are certain.

    Classes and fractions: 1 minus the margin between the two most probable; for several questions, the mean. Numbers:
    the standard deviation; for several, the mean of each relative to its mean. Redshifts: the standard deviation of the
    PDF.

    Args:
        answer: What was asked.
        outputs: (N, `answer.outputs`) of a head.
        question: The question or number that counts, if there are several; by default all.

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
            sigma = np.exp(np.split(outputs, 2, axis=1)[1])
            each = sigma / sigma.mean(axis=0)
            return each.mean(axis=1) if question is None else each[:, answer.columns.index(question)]
        case Photoz():
            z = np.linspace(*answer.redshift_range, answer.bins)
            mean = outputs @ z / outputs.sum(axis=1)
            return np.sqrt(np.maximum(outputs @ z**2 / outputs.sum(axis=1) - mean**2, 0))
    raise ValueError(f"suggestions are for classes, fractions, numbers and redshifts, not for {answer.kind}")
