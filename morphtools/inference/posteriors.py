"""What a vote model believes about galaxies: fractions with intervals, and the votes to expect.

A model gives concentrations α, one per answer. For one model the posterior of an answer's fraction is Beta(α, A − α)
with A the sum over its question; several views or models are an equal mixture of these. All functions take
concentrations (S, N, A) of S views or models, or (N, A) of one.
"""

from functools import cache

import numpy as np
import pandas as pd
from scipy.special import betainc, betaln, gammaln, logsumexp

_ASKED = 0.5  # below this chance of being asked a fraction tells nothing about the galaxy
_CHUNK = 200_000  # components of mixtures at a time


def expected_fractions(concentrations, schema):
    """Vote fractions to expect, (N, A): the mean of α / A over views."""
    alpha, total = _totals(concentrations, schema)
    return (alpha / total).mean(axis=0)


def asked_probability(concentrations, schema):
    """How likely a volunteer is asked each question, (N, Q): the product of fractions down the tree."""
    return schema.asked(expected_fractions(concentrations, schema))


def credible_intervals(concentrations, schema, level=0.9):
    """Central credible intervals of all vote fractions.

    Args:
        concentrations: (S, N, A) or (N, A).
        schema: ``Schema`` with A answers.
        level: probability inside.

    Returns:
        (N, A, 2) lower and upper ends, to 1e-5: quantiles of the mixture, not means of the views' quantiles, which
        would be too narrow where views disagree.

    Raises:
        ValueError: a level that is no probability, or another number of answers.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    alpha, total = _totals(concentrations, schema)
    views, galaxies, answers = alpha.shape
    a, b = alpha.reshape(views, -1), (total - alpha).reshape(views, -1)
    ends = np.empty((a.shape[1], 2))
    step = max(1, _CHUNK // views)
    for start in range(0, len(ends), step):
        part = slice(start, start + step)
        for k, q in enumerate((0.5 - level / 2, 0.5 + level / 2)):
            ends[part, k] = _beta_mixture_quantile()(a[:, part], b[:, part], q)
    return ends.reshape(galaxies, answers, 2)


@cache
def _beta_mixture_quantile():
    import tensorflow as tf
    import tensorflow_probability as tfp

    kind = tf.TensorSpec([None, None], tf.float64)

    @tf.function(input_signature=[kind, kind, tf.TensorSpec([], tf.float64)])
    def quantile(a, b, q):
        """Quantiles (n,) of equal mixtures of Beta(a, b), each (S, n)."""
        mean = a / (a + b)
        middle = tf.reduce_mean(mean, axis=0)
        variance = tf.reduce_mean(mean * (a + 1) / (a + b + 1), axis=0) - middle**2
        spread = tf.sqrt(tf.maximum(variance, 0.0))
        found = tfp.math.find_root_chandrupatla(
            lambda x: tf.reduce_mean(tfp.math.betainc(a, b, x), axis=0) - q,
            # No quantile of any distribution lies outside (Cantelli's inequality).
            low=tf.maximum(middle - spread * tf.sqrt((1 - q) / q), 0.0),
            high=tf.minimum(middle + spread * tf.sqrt(q / (1 - q)), 1.0),
            position_tolerance=1e-5,
        )
        return found.estimated_root

    return quantile


def posterior_cdf(fractions, concentrations, schema):
    """Posterior probability (N, A) that each fraction is below the one given; NaN where that is NaN.

    Uniform over galaxies if ``fractions`` are the truth and the model is calibrated.
    """
    alpha, total = _totals(concentrations, schema)
    return np.mean([betainc(a, t - a, fractions) for a, t in zip(alpha, total, strict=True)], axis=0)


def predictive(votes, concentrations, schema):
    """Chances of fewer votes than were given to each answer, and of just as many.

    Args:
        votes: (N, A) counts; how many answered a question is known, not predicted.
        concentrations: (S, N, A) or (N, A).
        schema: ``Schema`` with A answers.

    Returns:
        Two arrays (N, A), from the mixture of the views' beta-binomials. A question nobody answered has (0, 1).
    """
    alpha, total = _totals(concentrations, schema)
    k, n = np.asarray(votes, float), per_answer(np.asarray(votes, float), schema)
    fewer, same = np.zeros(k.shape), np.zeros(k.shape)
    for a, b in zip(alpha, total - alpha, strict=True):
        chance = np.exp(betaln(a, b + n) - betaln(a, b))  # of no vote at all
        for j in range(int(k.max(initial=0)) + 1):
            fewer += np.where(j < k, chance, 0)
            same += np.where(j == k, chance, 0)
            left = np.maximum(n - j, 0)
            chance = chance * left * (a + j) / ((j + 1) * np.where(left > 0, b + left - 1, 1))
    return fewer / len(alpha), same / len(alpha)


def log_score(votes, concentrations, schema):
    """Log probability (N, Q) of the votes for each question; exactly 0 where nobody answered.

    The Dirichlet-multinomial including its multinomial coefficient; for several views the log of the mean probability.
    """
    alpha, _ = _totals(concentrations, schema)
    votes, member = np.asarray(votes, float), schema.membership.T.astype(float)
    n, total = votes @ member, alpha @ member
    each = (gammaln(alpha + votes) - gammaln(alpha) - gammaln(votes + 1)) @ member
    each += gammaln(n + 1) + gammaln(total) - gammaln(total + n)
    return np.where(n > 0, logsumexp(each, axis=0) - np.log(len(alpha)), 0.0)


def vote_tables(id_str, concentrations, schema, level=0.9):
    """A table to read and a table with everything.

    Args:
        id_str: (N,) names.
        concentrations: (S, N, A) or (N, A).
        schema: ``Schema`` with A answers.
        level: of the credible intervals.

    Returns:
        Two tables by ``id_str``. To read: ``ANSWER_fraction``, missing where less than half of the volunteers would be
        asked the question. Everything: ``ANSWER_fraction``, ``ANSWER_low``, ``ANSWER_high`` for all,
        ``QUESTION_asked``, and ``ANSWER_concentration`` (``ANSWER_concentration_0``, ... of several views).
    """
    alpha, _ = _totals(concentrations, schema)
    fractions, ends = expected_fractions(alpha, schema), credible_intervals(alpha, schema, level)
    asked = schema.asked(fractions)
    numbers = [f"_{s}" for s in range(len(alpha))] if len(alpha) > 1 else [""]
    blocks = {
        "_fraction": fractions,
        "_low": ends[..., 0],
        "_high": ends[..., 1],
        **{f"_concentration{number}": each for number, each in zip(numbers, alpha, strict=True)},
    }
    full = [_table(block, schema.label_cols, ending) for ending, block in blocks.items()]
    full.insert(3, _table(asked, [q.text for q in schema.questions], "_asked"))
    relevant = asked @ schema.membership >= _ASKED
    friendly = _table(np.where(relevant, fractions, np.nan), schema.label_cols, "_fraction")
    names = pd.DataFrame({"id_str": np.asarray(id_str, dtype=str)})
    return pd.concat([names, friendly], axis=1), pd.concat([names, *full], axis=1)


def _table(values, columns, ending):
    return pd.DataFrame(values.astype("float32"), columns=[name + ending for name in columns])


def per_answer(values, schema):
    """Sums (..., A) over the question that each answer belongs to."""
    member = schema.membership.astype(float)
    return values @ member.T @ member


def _totals(concentrations, schema):
    """Concentrations as float64 (S, N, A), and their sums over questions."""
    alpha = np.asarray(concentrations, float)
    alpha = alpha[None] if alpha.ndim == 2 else alpha
    answers = len(schema.label_cols)
    if alpha.ndim != 3 or alpha.shape[-1] != answers:
        raise ValueError(
            f"concentrations for schema {schema.name!r} must be (galaxies, {answers}) or (views, galaxies, "
            f"{answers}), not {np.shape(concentrations)}"
        )
    if not (alpha > 0).all():
        raise ValueError("concentrations must be positive numbers")
    return alpha, per_answer(alpha, schema)
