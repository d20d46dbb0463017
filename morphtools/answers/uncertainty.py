"""How uncertain an answer is, in one number for each galaxy."""

import numpy as np

from morphtools.answers.classes import Classes
from morphtools.answers.fractions import Fractions
from morphtools.answers.kinds import AnyAnswer
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz


def uncertainty_of(answer: AnyAnswer, outputs: np.ndarray) -> np.ndarray:
    """How uncertain (N,) answers are, 0 for those that are certain.

    Classes and fractions: 1 minus the margin between the two most probable. Numbers: the standard deviation, of several
    the mean of each over its mean. Redshifts: the standard deviation of the PDF.

    Args:
        answer: What was asked.
        outputs: (N, `answer.outputs`) of a head.

    Raises:
        ValueError: Votes, whose galaxies need no single label.
    """
    outputs = np.asarray(outputs, float)
    match answer:
        case Classes() | Fractions():
            ordered = np.sort(outputs, axis=1)
            return 1 - (ordered[:, -1] - ordered[:, -2])
        case Numbers():
            sigma = np.exp(np.split(outputs, 2, axis=1)[1])
            return (sigma / sigma.mean(axis=0)).mean(axis=1)
        case Photoz():
            z = np.linspace(*answer.redshift_range, answer.bins)
            mean = outputs @ z / outputs.sum(axis=1)
            return np.sqrt(np.maximum(outputs @ z**2 / outputs.sum(axis=1) - mean**2, 0))
    raise ValueError(f"suggestions are for classes, fractions, numbers and redshifts, not for {answer.kind}")
