"""How good a vote model is, question by question, and whether it is as certain as it should be.

All functions take votes (N, A) of galaxies the model has not seen, and concentrations (S, N, A) of S views or models,
or (N, A). A galaxy whose votes for a question are all 0 was not asked it and is left out there.
"""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from morphtools.answers.posteriors import expected_fractions, log_score, per_answer, posterior_cdf, predictive
from morphtools.survey.schemas import Schema
from tfrecords_builder.tables_out import write_csv


def vote_metrics(votes, concentrations, schema, *, baseline=None, truth=None, seed=0):
    """Scores of a vote model.

    Args:
        votes: (N, A) counts.
        concentrations: (S, N, A) or (N, A).
        schema: `Schema` with A answers.
        baseline: (A,) concentrations of the model that predicts the same for every galaxy, from the training's votes
            (`mean_concentrations`); None takes them from these votes, which favours it a little.
        truth: (N, A) true fractions where they are known, as on the mock sky.
        seed: Of the random part of the coverage of counts.

    Returns:
        One row per question, NaN for questions without votes:

        - `galaxies` with votes, and all their `votes`;
        - `loss`: minus the log probability of a galaxy's votes, in nats; `baseline_loss`; `gain`, their
          difference, and its standard error `gain_error`. The baseline may be as vague as is best: a model
          with smaller errors and no gain is too certain (see `fit_recalibration`);
        - over galaxies with two votes or more, the root mean square error `rmse` of vote fractions,
          `baseline_rmse`, and `noise`, the error of a model that knows the truth, due to the finite number of
          votes;
        - `explained`: the fraction explained of what can be explained, (baseline² - rmse²) / (baseline² - noise²);
        - `coverage_50`, `coverage_90`: how often the intervals for an answer's votes contain them;
        - with `truth`, `truth_50` and `truth_90`: how often the intervals for its fraction contain the true one.

    Raises:
        ValueError: The arrays do not belong together.
    """
    votes = _checked(votes, concentrations, schema)
    baseline = mean_concentrations(votes, schema) if baseline is None else np.asarray(baseline, float)
    predicted, constant = (expected_fractions(c, schema) for c in (concentrations, baseline[None]))
    total, member = per_answer(votes, schema), schema.membership.T.astype(float)
    observed = votes / np.maximum(total, 1)
    loss, constant_loss = (-log_score(votes, c, schema) for c in (concentrations, baseline[None]))
    gain = constant_loss - loss
    asked, several = (votes @ member > 0), (total > 1)

    def mean(values, where):
        return _divide(np.where(where, values, 0).sum(axis=0), where.sum(axis=0))

    def error(values):
        """Root mean square over galaxies and answers; values (N, A) are squares already."""
        return np.sqrt(_divide(np.where(several, values, 0).sum(axis=0) @ member, several.sum(axis=0) @ member))

    scores = {
        "galaxies": asked.sum(axis=0),
        "votes": np.rint(votes.sum(axis=0) @ member).astype(int),
        "loss": mean(loss, asked),
        "baseline_loss": mean(constant_loss, asked),
        "gain": mean(gain, asked),
        "gain_error": np.sqrt(_divide(mean((gain - mean(gain, asked)) ** 2, asked), asked.sum(axis=0))),
        "rmse": error((observed - predicted) ** 2),
        "baseline_rmse": error((observed - constant) ** 2),
        # p (1 - p) / n of a multinomial, unbiased although the fractions are observed ones.
        "noise": error(observed * (1 - observed) / np.maximum(total - 1, 1)),
    }
    explicable = scores["baseline_rmse"] ** 2 - scores["noise"] ** 2
    scores["explained"] = _divide(scores["baseline_rmse"] ** 2 - scores["rmse"] ** 2, explicable)
    ranks = {"coverage": vote_ranks(votes, concentrations, schema, seed=seed)}
    if truth is not None:
        ranks["truth"] = np.where(total > 0, posterior_cdf(truth, concentrations, schema), np.nan)
    for name, level in itertools.product(ranks, (50, 90)):
        inside = abs(ranks[name] - 0.5) <= level / 200
        scores[f"{name}_{level}"] = _divide(inside.sum(axis=0) @ member, (~np.isnan(ranks[name])).sum(axis=0) @ member)
    return pd.DataFrame({"question": [q.text for q in schema.questions]} | scores)


def vote_ranks(votes, concentrations, schema, *, seed=0):
    """Where the votes of each answer lie in their predicted distribution (the probability integral transform).

    Args:
        votes: (N, A) counts.
        concentrations: (S, N, A) or (N, A).
        schema: `Schema` with A answers.
        seed: Counts are discrete: their rank is drawn from the range that belongs to them.

    Returns:
        (N, A): uniform between 0 and 1 if the model is calibrated; NaN where nobody was asked, or where votes are not
        whole numbers (such as those made from probabilities): only counts have ranks.

    Reference:
        Czado, Gneiting & Held 2009 (Biometrics 65, 1254), section 2.1: the randomised transform.
    """
    votes = _checked(votes, concentrations, schema)
    fewer, same = predictive(votes, concentrations, schema)
    rank = fewer + np.random.default_rng(seed).random(votes.shape) * same
    return np.where((per_answer(votes, schema) > 0) & (votes % 1 == 0), rank, np.nan)


def mean_concentrations(votes, schema):
    """Concentrations (A,) of the best model that predicts the same for every galaxy.

    Its fractions are the means over galaxies, and its certainty is the one of greatest likelihood. A
    question without votes gets ones.
    """
    votes, best = np.asarray(votes, float), []
    start = 0
    for question in schema.questions:
        k = votes[:, start : start + len(question.answers)]
        start += len(question.answers)
        k = k[k.sum(axis=1) > 0]
        if not len(k):
            best.append(np.ones(len(question.answers)))
            continue
        mean = np.maximum((k / k.sum(axis=1, keepdims=True)).mean(axis=0), 1e-4)
        one = Schema(question.text, (type(question)(question.text, question.answers),))

        def loss(log_total, k=k, mean=mean, one=one):
            return -log_score(k, np.exp(log_total) * mean[None], one).mean()

        best.append(np.exp(minimize_scalar(loss, bounds=(-3, 9), method="bounded").x) * mean)
    return np.concatenate(best)


def compare_fractions(votes, concentrations, schema, by, bins=10):
    """Compares observed with predicted fractions of every answer, in bins.

    Args:
        votes: (N, A) counts.
        concentrations: (S, N, A) or (N, A).
        schema: `Schema` with A answers.
        by: "fraction", bins of the predicted fraction (reliability), or "votes", bins of how many answered the
            question, equally full (bias against vote count).
        bins: Number of them.

    Returns:
        A row per answer and bin: `question`, `answer`, `at` (mean of what the bins are of), `galaxies`,
        `predicted` and `observed` fractions, weighted by votes, and `error`, the standard error of their
        difference.
    """
    votes = _checked(votes, concentrations, schema)
    predicted, total = expected_fractions(concentrations, schema), per_answer(votes, schema)
    rows = []
    names = [(question.text, answer) for question in schema.questions for answer in question.answers]
    for (question, answer), k, n, f in zip(names, votes.T, total.T, predicted.T, strict=True):
        seen = n > 0
        k, n, f = k[seen], n[seen], f[seen]
        if by == "fraction":
            where = np.minimum((f * bins).astype(int), bins - 1)
        else:
            where = np.searchsorted(np.unique(np.quantile(n, np.arange(1, bins) / bins)) if len(n) else [], n)
        for here in np.unique(where):
            of = where == here
            weight = n[of] / n[of].sum()
            gap = k[of] / n[of] - f[of]
            rows.append(
                {
                    "question": question,
                    "answer": answer,
                    "at": f[of] @ weight if by == "fraction" else n[of].mean(),
                    "galaxies": of.sum(),
                    "predicted": f[of] @ weight,
                    "observed": k[of].sum() / n[of].sum(),
                    "error": np.sqrt(weight**2 @ (gap - gap @ weight) ** 2) if of.sum() > 1 else np.nan,
                }
            )
    return pd.DataFrame(rows)


def evaluate_votes(votes, concentrations, schema, *, out=None, baseline=None, truth=None, seed=0):
    """Scores a vote model in a table and figures.

    Args:
        votes: (N, A) counts.
        concentrations: (S, N, A) or (N, A).
        schema: `Schema` with A answers.
        out: Folder for `questions.csv` and `figures/`: `skill`, `coverage`, `ranks`, `reliability` and
            `bias` as PNG; None writes nothing.
        baseline: See `vote_metrics`.
        truth: See `vote_metrics`.
        seed: Of the random part of the ranks.

    Returns:
        The table of `vote_metrics`.

    Raises:
        ValueError: The arrays do not belong together, or nobody voted.
    """
    table = vote_metrics(votes, concentrations, schema, baseline=baseline, truth=truth, seed=seed)
    if not table["galaxies"].any():
        raise ValueError("nothing to evaluate: no galaxy has votes")
    if out is None:
        return table
    from morphtools.answers import vote_figures
    from morphtools.answers.class_figures import write_figures

    folder = Path(out) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(table, Path(out) / "questions.csv")
    drawn = {
        "skill": vote_figures.skill(table),
        "coverage": vote_figures.coverage(table),
        "ranks": vote_figures.ranks(vote_ranks(votes, concentrations, schema, seed=seed), schema),
        "reliability": vote_figures.reliability(compare_fractions(votes, concentrations, schema, "fraction")),
        "bias": vote_figures.bias(compare_fractions(votes, concentrations, schema, "votes", bins=6)),
    }
    write_figures(folder, drawn)
    return table


def _divide(a, b):
    """A / b, and NaN where b is 0."""
    return np.divide(a, b, out=np.full(np.shape(a), np.nan), where=np.asarray(b) != 0)


def _checked(votes, concentrations, schema):
    votes, shape = np.asarray(votes, float), np.shape(concentrations)[-2:]
    if votes.shape != shape or votes.shape[-1] != len(schema.label_cols):
        raise ValueError(
            f"votes {votes.shape} and concentrations {np.shape(concentrations)} must be of the same galaxies and of "
            f"the {len(schema.label_cols)} answers of schema {schema.name!r}"
        )
    if not (votes >= 0).all():
        raise ValueError("votes must be counts, 0 for questions without an answer")
    return votes
