"""Vote counts out of catalogues: which columns hold them, and counts from fractions.

Votes of a question ``bar-gz2`` with the answers yes and no are found, in this order, as

1. ``bar-gz2_yes``, ``bar-gz2_no``, or without the campaign's suffix, ``bar_yes``, ``bar_no``: counts;
2. ``t03_bar_a06_bar_count``, ... (Galaxy Zoo 2 as published): counts;
3. any of these with ``_fraction`` or ``_weighted_fraction`` (instead of ``_count``): fractions. How many people
   answered is in ``bar-gz2_total-votes``, ``bar_total-votes`` or ``t03_bar_total_count``; where no such column is, it
   follows down the tree from everyone who classified the galaxy (``total_classifications``, or the column named).

Debiased fractions are estimates of what would have been said at another redshift, not votes, and are never read.
"""

import difflib
import logging

import numpy as np
import pandas as pd

from morphtools.survey.campaigns import CAMPAIGNS, GZ2_TASKS
from morphtools.survey.schemas import SCHEMAS, get_schema
from tfrecords_builder.naming import some, unknown

logger = logging.getLogger(__name__)

_SUFFIXES = sorted({campaign.suffix for campaign in CAMPAIGNS.values()} - {""})
_SLACK = 0.03  # published fractions are rounded, and weighted ones need not add up to the last digit


def read_votes(catalog, schema, total=None):
    """Vote counts of a catalogue, in the columns of a schema.

    Args:
        catalog: one row per galaxy. A question may be missing everywhere, or have empty cells in some rows: nobody
            answered it.
        schema: as ``get_schema`` takes it.
        total: column with the number of people who classified the galaxy, for catalogues of fractions
            (``total_classifications`` where there is one).

    Returns:
        Table of whole numbers, one column per answer, with the catalogue's index.

    Raises:
        ValueError: no question is found, one lacks some of its answers, or numbers that can be no votes: negative,
            not whole, or more than the people who were asked.
    """
    schema = get_schema(schema)
    if total is not None and total not in catalog.columns:
        raise ValueError(unknown("column", total, catalog.columns))
    total = total or ("total_classifications" if "total_classifications" in catalog.columns else None)
    everyone = _whole(catalog, [total])[:, 0] if total else None
    found = _match(schema, catalog.columns)
    votes = {}
    for question in schema.questions:
        columns, asked = found.get(question.text), None
        if columns is None:
            counts = np.zeros((len(catalog), len(question.answers)), int)
        elif columns[0].endswith("_fraction"):
            said = _total_column(question, schema, catalog.columns)
            if said is None and everyone is None:
                raise ValueError(f"{columns[0]!r} holds fractions: name the column of all votes with total")
            asked = _whole(catalog, [said])[:, 0] if said else _reached(question, votes, everyone)
            counts = _rounded(_fractions(catalog, columns), asked)
        else:
            counts = _whole(catalog, columns)
            said = _total_column(question, schema, catalog.columns)
            if said:
                over = counts.sum(axis=1) > _whole(catalog, [said])[:, 0]
                _refuse(catalog, over, f"more votes for {question.text!r} than {said!r} says")
        votes |= dict(zip(question.label_cols, counts.T, strict=True))
    return pd.DataFrame(votes, index=catalog.index)


def counts_from_fractions(fractions, totals, schema):
    """Vote counts from vote fractions, walking down the tree.

    Args:
        fractions: (N, A); NaN or all zero where nobody answered a question.
        totals: (N,) people who classified each galaxy, or (N, Q) who answered each question. With the former a
            question is answered by all who gave one of the answers that lead to it.
        schema: as ``get_schema`` takes it.

    Returns:
        int (N, A). Fractions are rounded so that the counts of a question add up to its total.

    Raises:
        ValueError: fractions outside 0 to 1, or that do not add up to 1; totals that are negative or not whole.
    """
    schema = get_schema(schema)
    table = pd.DataFrame(np.asarray(fractions, float), columns=list(schema.label_cols))
    totals = np.asarray(totals, float)
    known = pd.DataFrame(totals.reshape(len(table), -1)).add_prefix("total ")
    whole, votes = _whole(known, list(known.columns)), {}
    for k, question in enumerate(schema.questions):
        asked = whole[:, k] if totals.ndim == 2 else _reached(question, votes, whole[:, 0])
        counts = _rounded(_fractions(table, list(question.label_cols)), asked)
        votes |= dict(zip(question.label_cols, counts.T, strict=True))
    return np.stack([votes[name] for name in schema.label_cols], axis=1)


def _base(question, schema):
    """A question's text without its campaign's suffix, where that is unambiguous."""

    def bare(text):
        return next((text.removesuffix(s) for s in _SUFFIXES if text.endswith(s)), text)

    base = bare(question.text)
    return base if [bare(q.text) for q in schema.questions].count(base) == 1 else question.text


def _published(question):
    """Task and, by our answer, the column stem that the Galaxy Zoo 2 tables have for it."""
    for task, (ours, answers) in GZ2_TASKS.items():
        if question.text == f"{ours}-gz2":
            stems = {mine: f"{task}_{theirs}" for theirs, mine in answers}
            return task, [stems[answer] for answer in question.answers]
    return None, []


def _variants(question, schema):
    """The names under which a question's answers may stand, in order of preference."""
    names = [f"{text}_{{}}" for text in dict.fromkeys((question.text, _base(question, schema)))]
    plain = [[name.format(answer) for answer in question.answers] for name in names]
    _, stems = _published(question)
    published = [stems] if stems else []
    yield from plain
    yield from ([f"{stem}_count" for stem in each] for each in published)
    for ending in ("_fraction", "_weighted_fraction"):
        yield from ([stem + ending for stem in each] for each in plain + published)


def _total_column(question, schema, columns):
    task, _ = _published(question)
    names = [f"{question.text}_total-votes", f"{_base(question, schema)}_total-votes", f"{task}_total_count"]
    return next((name for name in names if name in columns), None)


def _match(schema, columns):
    """The columns of every question that the catalogue has."""
    columns, found, missing = set(map(str, columns)), {}, []
    for question in schema.questions:
        variants = list(_variants(question, schema))
        whole = next((names for names in variants if columns >= set(names)), None)
        partial = next((names for names in variants if columns & set(names)), None)
        if whole:
            found[question.text] = whole
        elif partial:
            missing += sorted(set(partial) - columns)
    used = {name for names in found.values() for name in names}
    ours = {name for known in SCHEMAS.values() for name in known.label_cols}
    free = columns - used - ours - {c for q in schema.questions for names in _variants(q, schema) for c in names}
    hints = _near(missing or [c for q in schema.questions if q.text not in found for c in q.label_cols], free)
    if missing:
        raise ValueError(f"schema {schema.name!r} also needs the columns {some(missing, 8)}{hints}")
    if not found:
        wanted = some(schema.label_cols, 4)
        others = [name for name, known in SCHEMAS.items() if columns >= set(known.questions[0].label_cols)]
        hints += f"; there are votes of {some(others)}" if others else ""
        raise ValueError(f"no votes for schema {schema.name!r}: none of the columns {wanted} is there{hints}")
    if hints:
        logger.warning("some questions of schema %r have no votes%s", schema.name, hints)
    return found


def _near(wanted, free):
    """Says which columns are nearly what was wanted."""
    pairs = []
    for name in wanted:
        close = difflib.get_close_matches(name, free, n=1, cutoff=0.85)
        pairs += [f"{close[0]!r} for {name!r}"] if close else []
    return f"; did you mean {some(pairs, 4)}?" if pairs else ""


def _refuse(catalog, bad, what):
    """ValueError that names the galaxies where ``bad``, if there are any."""
    if bad.any():
        names = catalog["id_str"] if "id_str" in catalog.columns else catalog.index
        raise ValueError(f"{what}: galaxy {some(np.asarray(names)[bad])}")


def _numbers(catalog, columns):
    """(N, a) floats; a row has all of them or none."""
    values = np.empty((len(catalog), len(columns)))
    for k, name in enumerate(columns):
        read = pd.to_numeric(catalog[name], errors="coerce").replace([np.inf, -np.inf], np.nan)
        _refuse(catalog, (read.isna() & catalog[name].notna()).to_numpy(), f"column {name!r} must hold numbers")
        values[:, k] = read
    empty = np.isnan(values)
    partly = empty.any(axis=1) & ~empty.all(axis=1)
    _refuse(catalog, partly, f"some of {some(columns)} are empty and others not")
    values[empty] = 0
    for k, name in enumerate(columns):
        _refuse(catalog, values[:, k] < 0, f"column {name!r} must not be negative")
    return values


def _whole(catalog, columns):
    """(N, a) counts."""
    values = _numbers(catalog, columns)
    for k, name in enumerate(columns):
        _refuse(catalog, values[:, k] % 1 != 0, f"column {name!r} holds counts of votes, which are whole numbers")
    return values.astype(int)


def _fractions(catalog, columns):
    """(N, a) fractions that add up to exactly 1, or 0 where nobody answered."""
    values = _numbers(catalog, columns)
    added = values.sum(axis=1, keepdims=True)
    wrong = (added > 0) & (abs(added - 1) > _SLACK)
    _refuse(catalog, wrong[:, 0], f"fractions {some(columns)} must add up to 1")
    return values / np.where(added > 0, added, 1)


def _reached(question, votes, everyone):
    """How many were asked: everyone, or those who gave an answer that leads here."""
    return sum(votes[name] for name in question.asked_after) if question.asked_after else everyone


def _rounded(fractions, asked):
    """Whole votes nearest to fractions: what rounding down leaves over goes to the largest remainders."""
    exact = fractions * asked[:, None]
    counts = np.floor(exact + 1e-9)
    left = np.round(exact.sum(axis=1) - counts.sum(axis=1))
    rank = np.argsort(np.argsort(counts - exact, axis=1, kind="stable"), axis=1)
    return (counts + (rank < left[:, None])).astype(int)
