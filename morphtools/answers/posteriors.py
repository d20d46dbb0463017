"""What a vote model predicts for galaxies: vote fractions with intervals, and expected votes.

A model gives concentrations α, one per answer. For one model the posterior of an answer's fraction is Beta(α, A − α)
with A the sum over its question; several views or models are an equal mixture of these. All functions take
concentrations (S, N, A) of S views or models, or (N, A) of one.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import betainc, betaln, gammaln, logsumexp

from morphtools.answers.predictions import check_table
from tfrecords_builder.checksums import reading
from tfrecords_builder.naming import some

ASKED = 0.5  # below this probability of being asked, a fraction says nothing about the galaxy
_CHUNK = 1_000_000  # densities at a time: as many as fit into a cache
_HIGHEST = 1e9  # of a concentration: no survey has so many volunteers


def expected_fractions(concentrations, schema):
    """Expected vote fractions, (N, A): the mean of α / A over views."""
    alpha, total = _totals(concentrations, schema)
    return (alpha / total).mean(axis=0)


def asked_probability(concentrations, schema):
    """Probability that a volunteer is asked each question, (N, Q): the product of fractions down the tree."""
    return schema.asked(expected_fractions(concentrations, schema))


def credible_intervals(concentrations, schema, level=0.9):
    """Central credible intervals of all vote fractions.

    Args:
        concentrations: (S, N, A) or (N, A).
        schema: `Schema` with A answers.
        level: Probability inside.

    Returns:
        (N, A, 2) lower and upper ends, to 3e-5 or better: quantiles of the mixture, not means of the views' quantiles,
        which would be too narrow where views disagree.

    Raises:
        ValueError: a level that is not a probability, or another number of answers.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    alpha, total = _totals(concentrations, schema)
    a, b = (each.reshape(len(alpha), -1) for each in (alpha, total - alpha))
    q, ends = np.array([0.5 - level / 2, 0.5 + level / 2]), np.empty((a.shape[1], 2))
    # The narrowest posterior has a standard deviation of 1 / (2 sqrt(A)) in the angle: nodes closer than that. Their
    # number changes in steps, so that the result for a galaxy hardly ever depends on the others.
    nodes = 128 * 2 ** max(0, math.ceil(math.log(total.max(initial=1) / 1024, 4)))
    step = max(1, _CHUNK // (nodes * len(a)))
    parts = [slice(start, start + step) for start in range(0, len(ends), step)]
    with ThreadPoolExecutor() as pool:
        parts_done = pool.map(lambda part: _beta_mixture_quantiles(a[:, part], b[:, part], q, nodes), parts)
        for part, values in zip(parts, parts_done, strict=True):
            ends[part] = values
    return ends.reshape(*alpha.shape[1:], 2)


def _beta_mixture_quantiles(a, b, q, nodes: int) -> np.ndarray:
    """(n, len(q)) of equal mixtures of Beta(a, b), each (S, n): found on a grid, then a step of Newton."""
    a, b = a[..., None], b[..., None]
    log_beta, single = betaln(a, b), np.float32
    # Over the angle arcsin(sqrt(x)) all these densities are smooth, and of much the same width.
    width = np.pi / 2 / nodes
    angle = (np.arange(nodes) + 0.5) * width
    log_sin, log_cos = single(np.log(np.sin(angle))), single(np.log(np.cos(angle)))
    log_density = single(2 * a - 1) * log_sin + single(2 * b - 1) * log_cos - single(log_beta)
    below = np.cumsum(np.exp(log_density).mean(axis=0), axis=1)
    below = np.pad(below / below[:, -1:], [(0, 0), (1, 0)])
    cell = (below[:, 1:, None] < single(q)).sum(axis=1)
    left, right = (np.take_along_axis(below, cell + k, axis=1) for k in (0, 1))
    place = cell + (single(q) - left) / (right - left)
    low, x, high = (np.sin(np.clip((place + k) * width, 1e-9, np.pi / 2 - 1e-9)) ** 2 for k in (-1, 0, 1))
    # Newton for the logarithm of the smaller tail, which is nearly straight.
    lower, within = q < 0.5, betainc(a, b, x).mean(axis=0)
    tail, aim = np.where(lower, within, 1 - within), np.where(lower, q, 1 - q)
    excess = np.where(lower, tail, -tail) * np.log(np.maximum(tail, 1e-300) / aim)
    density = np.exp((a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - log_beta).mean(axis=0)
    step = np.divide(excess, density, out=np.zeros_like(excess), where=density > 0)
    return np.clip(x - step, low, high)  # between modes far apart the density may vanish


def posterior_cdf(fractions, concentrations, schema):
    """Posterior probability (N, A) that each fraction is below the one given; NaN where that is NaN.

    Uniform over galaxies if `fractions` are the truth and the model is calibrated.
    """
    alpha, total = _totals(concentrations, schema)
    return np.mean([betainc(a, t - a, fractions) for a, t in zip(alpha, total, strict=True)], axis=0)


def predictive(votes, concentrations, schema):
    """Probabilities of fewer votes than each answer got, and of exactly as many.

    Args:
        votes: (N, A) counts; the number of answers to a question is known, not predicted.
        concentrations: (S, N, A) or (N, A).
        schema: `Schema` with A answers.

    Returns:
        Two arrays (N, A), from the mixture of the views' beta-binomials. A question without votes has (0, 1).
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
    """Log probability (N, Q) of the votes for each question; exactly 0 for questions without votes.

    The Dirichlet-multinomial including its multinomial coefficient; for several views the log of the mean probability.
    """
    alpha, _ = _totals(concentrations, schema)
    votes, member = np.asarray(votes, float), schema.membership.T.astype(float)
    n, total = votes @ member, alpha @ member
    each = (gammaln(alpha + votes) - gammaln(alpha) - gammaln(votes + 1)) @ member
    each += gammaln(n + 1) + gammaln(total) - gammaln(total + n)
    return np.where(n > 0, logsumexp(each, axis=0) - np.log(len(alpha)), 0.0)


def vote_tables(id_str, concentrations, schema, level=0.9):
    """A readable table and a full table.

    Args:
        id_str: (N,) names.
        concentrations: (S, N, A) or (N, A).
        schema: `Schema` with A answers.
        level: Of the credible intervals; None leaves them out, which saves most of the work.

    Returns:
        Two tables by `id_str`. To read: `ANSWER_fraction`, missing where fewer than half of the volunteers would be
        asked the question. Everything: `ANSWER_fraction`, `ANSWER_low`, `ANSWER_high` for all,
        `QUESTION_asked`, and `ANSWER_concentration` (`ANSWER_concentration_0`, ... of several views).
    """
    alpha, _ = _totals(concentrations, schema)
    fractions = expected_fractions(alpha, schema)
    asked = schema.asked(fractions)
    full = [_table(fractions, schema.label_cols, "_fraction")]
    if level is not None:
        low, high = np.moveaxis(credible_intervals(alpha, schema, level), -1, 0)
        full += [_table(low, schema.label_cols, "_low"), _table(high, schema.label_cols, "_high")]
    full.append(_table(asked, [q.text for q in schema.questions], "_asked"))
    numbers = [f"_{s}" for s in range(len(alpha))] if len(alpha) > 1 else [""]
    full += [_table(a, schema.label_cols, f"_concentration{n}") for n, a in zip(numbers, alpha, strict=True)]
    relevant = asked @ schema.membership >= ASKED
    friendly = _table(np.where(relevant, fractions, np.nan), schema.label_cols, "_fraction")
    names = pd.DataFrame({"id_str": np.asarray(id_str, dtype=str)})
    return pd.concat([names, friendly], axis=1), pd.concat([names, *full], axis=1)


def read_concentrations(table, schema):
    """The concentrations in a full table, as `vote_tables` and `predict` give it.

    Args:
        table: That table, or the folder that `predict` wrote.
        schema: `Schema` with A of its answers, all of them or fewer.

    Returns:
        (S, N, A) of S views, in the order of the rows and of the answers.

    Raises:
        ValueError: The table has no concentrations of these answers.
    """
    if not isinstance(table, pd.DataFrame):
        path = check_table(Path(table) / "predictions-full.parquet")
        with reading(path):
            table = pd.read_parquet(path)
    first = f"{schema.label_cols[0]}_concentration"
    endings = [name.removeprefix(first) for name in table.columns if name.startswith(first)]
    wanted = [[f"{name}_concentration{ending}" for name in schema.label_cols] for ending in endings]
    missing = [name for view in wanted for name in view if name not in table.columns]
    if missing or not wanted:
        raise ValueError(
            f"the table has no column {some(missing or [first])}: is it predictions-full of these questions?"
        )
    return np.stack([table[view].to_numpy(float) for view in wanted])


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
    if not ((alpha > 0) & (alpha <= _HIGHEST)).all():
        raise ValueError(f"concentrations must be positive numbers, at most {_HIGHEST:g}")
    return alpha, per_answer(alpha, schema)
