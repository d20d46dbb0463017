"""Reads vote counts from catalogues: finds their columns, and converts fractions to counts.

Votes on a question `bar-gz2` with the answers yes and no are looked for, in this order, in

1. `bar-gz2_yes`, `bar-gz2_no`, or without the campaign's suffix, `bar_yes`, `bar_no`: counts;
2. `t03_bar_a06_bar_count`, ... (Galaxy Zoo 2 and Hubble as published): counts;
3. any of these with `_fraction` or `_weighted_fraction` (instead of `_count`), or CANDELS' `_frac` and
   `_weighted_frac`: fractions. The number of people who answered is in `bar-gz2_total-votes`, `bar_total-votes`,
   `t03_bar_total_count` or `t11_bar_feature_count`; without such a column, it is derived down the tree from the
   number who classified the galaxy (`total_classifications`, or the given column).

The columns of a question are all of one kind: counts, fractions and weighted fractions are never mixed.

Debiased fractions estimate the votes at another redshift; they are not votes, and are never read.
"""

import numpy as np
import pandas as pd

from morphtools.survey.label_values import as_numbers, galaxies
from morphtools.survey.schemas import get_schema
from morphtools.survey.vote_names import FRACTIONS, match, total_column
from tfrecords_builder.naming import some, unknown

MOST_VOTES = 9998  # no galaxy is shown to this many people; 9999 and 999999 are written for unknown
_MANY = 10  # galaxies, to recognise percentages
_SLACK = 0.03  # published fractions are rounded, and weighted ones may not add up exactly


def read_votes(catalog, schema, total=None):
    """Reads the vote counts of a catalogue, in the columns of a schema.

    Args:
        catalog: One row per galaxy. A question may be absent, or have empty cells in some rows: nobody answered it.
        schema: As for `get_schema`.
        total: Column with the number of people who classified the galaxy, for catalogues of fractions
            (default `total_classifications`, if present).

    Returns:
        Table of integers, one column per answer, with the catalogue's index.

    Raises:
        ValueError: No question is found, one lacks some of its answers, or numbers cannot be votes: negative, not
            integer, or more than the people who were asked.
    """
    schema = get_schema(schema)
    if total is not None and total not in catalog.columns:
        raise ValueError(unknown("column", total, catalog.columns))
    total = total or ("total_classifications" if "total_classifications" in catalog.columns else None)
    everyone = count_whole(catalog, [total])[:, 0] if total else None
    matches = match(schema, catalog.columns)
    votes = {}
    for question in schema.questions:
        columns = matches.get(question.text)
        if columns is None:
            counts = np.zeros((len(catalog), len(question.answers)), int)
        else:
            asked = _reached(question, votes, everyone)
            counts = count_votes(
                catalog, question.text, columns, total_column(question, schema, catalog.columns), asked
            )
        votes |= dict(zip(question.label_cols, counts.T, strict=True))
    return pd.DataFrame(votes, index=catalog.index)


def count_votes(catalog, question, columns, total=None, asked=None):
    """Reads the votes on one question, from counts or fractions.

    Args:
        catalog: One row per galaxy.
        question: Its name.
        columns: Columns of its answers, all counts or all fractions.
        total: Column with the number of people who answered, if there is one.
        asked: (N,) number of people asked, if there is no such column.

    Returns:
        Int (N, A).

    Raises:
        ValueError: They cannot be votes, or are fractions of an unknown number.
    """
    whole = count_whole(catalog, [total])[:, 0] if total else None
    if columns[0].endswith(FRACTIONS):
        if whole is None and asked is None:
            raise ValueError(
                f"{columns[0]!r} contains fractions: name the column of all votes with total, or call it "
                "total_classifications"
            )
        return _rounded(_fractions(catalog, columns), asked if whole is None else whole)
    counts = count_whole(catalog, columns)
    votes = counts.sum(axis=1)
    if total:
        _refuse(catalog, votes > whole, f"there are more votes for {question!r} than {total!r} gives")
    elif (votes > 0).sum() >= _MANY and (abs(votes[votes > 0] - 100) < 2).mean() > 0.95:
        raise ValueError(
            f"the columns {some(columns)} add up to 100 for almost every galaxy: divide percentages by 100 and let "
            f"their names end in _fraction; if 100 people answered, add a column {question}_total-votes"
        )
    return counts


def counts_from_fractions(fractions, totals, schema):
    """Converts vote fractions to vote counts, going down the tree.

    Args:
        fractions: (N, A); NaN or all zero for questions without votes.
        totals: (N,) people who classified each galaxy, or (N, Q) who answered each question. With the former a
            question is answered by all who gave one of the answers that lead to it.
        schema: As for `get_schema`.

    Returns:
        Int (N, A). Fractions are rounded so that the counts of a question add up to its total.

    Raises:
        ValueError: Fractions outside 0 to 1, or that do not add up to 1; totals that are negative or not whole.
    """
    schema = get_schema(schema)
    table = pd.DataFrame(np.asarray(fractions, float), columns=list(schema.label_cols))
    totals = np.asarray(totals, float)
    known = pd.DataFrame(totals.reshape(len(table), -1)).add_prefix("total ")
    whole, votes = count_whole(known, list(known.columns)), {}
    for k, question in enumerate(schema.questions):
        asked = whole[:, k] if totals.ndim == 2 else _reached(question, votes, whole[:, 0])
        counts = _rounded(_fractions(table, list(question.label_cols)), asked)
        votes |= dict(zip(question.label_cols, counts.T, strict=True))
    return np.stack([votes[name] for name in schema.label_cols], axis=1)


def _refuse(catalog, bad, what, hint=""):
    """Raises ValueError naming the bad galaxies, if there are any."""
    if bad.any():
        raise ValueError(f"{what}: {galaxies(catalog, bad)}{hint}")


def _numbers(catalog, columns):
    """(N, a) floats; a row has all of them or none."""
    values = np.empty((len(catalog), len(columns)))
    for k, name in enumerate(columns):
        values[:, k], words = as_numbers(catalog[name])
        _refuse(catalog, words | np.isinf(values[:, k]), f"column {name!r} must contain numbers")
    empty = np.isnan(values)
    partly = empty.any(axis=1) & ~empty.all(axis=1)
    _refuse(catalog, partly, f"some of {some(columns)} are empty and others not")
    values[empty] = 0
    for k, name in enumerate(columns):
        hint = "; leave the cells empty for questions without votes"
        _refuse(catalog, values[:, k] < 0, f"column {name!r} must not be negative", hint)
    return values


def count_whole(catalog, columns):
    """(N, a) counts; ValueError if a number cannot be a count of votes."""
    values = _numbers(catalog, columns)
    for k, name in enumerate(columns):
        _refuse(catalog, values[:, k] % 1 != 0, f"column {name!r} contains vote counts, which must be whole numbers")
        _refuse(
            catalog,
            values[:, k] > MOST_VOTES,
            f"column {name!r} contains {values[:, k].max():.0f}, which is not a number of votes",
        )
    return values.astype(int)


def _fractions(catalog, columns):
    """(N, a) fractions that add up to exactly 1, or 0 for questions without votes."""
    values = _numbers(catalog, columns)
    added = values.sum(axis=1, keepdims=True)
    wrong = (added > 0) & (abs(added - 1) > _SLACK)
    _refuse(catalog, wrong[:, 0], f"fractions {some(columns)} must add up to 1")
    return values / np.where(added > 0, added, 1)


def _reached(question, votes, everyone):
    """The number of people asked: everyone, or those who gave an answer that leads here."""
    return sum(votes[name] for name in question.asked_after) if question.asked_after else everyone


def _rounded(fractions, asked):
    """Rounds fractions to whole votes: votes left over by rounding down go to the largest remainders."""
    exact = fractions * asked[:, None]
    counts = np.floor(exact + 1e-9)
    left = np.round(exact.sum(axis=1) - counts.sum(axis=1))
    rank = np.argsort(np.argsort(counts - exact, axis=1, kind="stable"), axis=1)
    return (counts + (rank < left[:, None])).astype(int)
