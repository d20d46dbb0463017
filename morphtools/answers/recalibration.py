"""Two numbers per question that make a vote model as certain as it should be.

The head's concentrations are between 1 and 101. So it can express neither that all volunteers will agree on an unknown
answer (concentrations below 1), nor more certainty than about a hundred votes; and networks tend to be too certain
about galaxies they have not seen. Fitted on validation galaxies,

    α' = scale · (α − 1 + floor)

fixes both, question by question; scale = floor = 1 changes nothing. A floor below 1 also takes away the head's pull
towards equal fractions.
"""

import numpy as np
from scipy.optimize import minimize

from morphtools.answers.posteriors import log_score
from morphtools.survey.schemas import Question, Schema

_FEWEST = 50  # galaxies with votes on a question: fewer are not enough


def fit_recalibration(votes, concentrations, schema):
    """Finds the scale and floor of every question that make the votes most probable.

    Args:
        votes: (N, A) counts of galaxies the model was not trained on, and will not be tested on.
        concentrations: (S, N, A) or (N, A).
        schema: `Schema` with A answers.

    Returns:
        (Q, 2): scale and floor; (1, 1) for a question that fewer than 50 galaxies were asked.
    """
    votes, alpha = np.asarray(votes, float), np.asarray(concentrations, float)
    factors = np.ones((len(schema.questions), 2))
    for each, member, question in zip(factors, schema.membership > 0, schema.questions, strict=True):
        asked = votes[:, member].sum(axis=1) > 0
        if asked.sum() < _FEWEST:
            continue
        k, a = votes[asked][:, member], alpha[..., asked, :][..., member]
        alone = Schema(question.text, (Question(question.text, question.answers),))

        def loss(logs, k=k, a=a, alone=alone):
            return -log_score(k, recalibrate(a, np.exp(logs)[None], alone), alone).mean()

        each[:] = np.exp(minimize(loss, [0.0, 0.0], method="Nelder-Mead", bounds=[(-6, 6), (-6, 3)]).x)
    return factors


def recalibrate(concentrations, recalibration, schema):
    """Concentrations with the certainty that `fit_recalibration` found.

    Args:
        concentrations: (S, N, A) or (N, A), at least 1 as the head gives them.
        recalibration: (Q, 2) scale and floor, or the list of lists in a model card.
        schema: `Schema` with A answers and Q questions.

    Returns:
        Concentrations of the same shape.

    Raises:
        ValueError: Another number of questions.
    """
    recalibration = np.asarray(recalibration, float)
    if recalibration.shape != (len(schema.questions), 2):
        raise ValueError(
            f"the recalibration {recalibration.shape} is not of schema {schema.name!r}, which needs "
            f"({len(schema.questions)}, 2)"
        )
    scale, floor = recalibration.T @ schema.membership
    return scale * (np.asarray(concentrations, float) - 1 + floor)
