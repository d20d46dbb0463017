"""Votes for some answers to a question, added up over all campaigns that asked it.

Only answers in a question tree are counted; `bar-dr5_total-votes` and `bar-dr5_mean-radius` are not answers.
"""

import logging

import pandas as pd

from morphtools.survey.label_values import as_numbers, galaxies
from morphtools.survey.schemas import SCHEMAS, Schema
from morphtools.survey.vote_columns import count_votes, count_whole, read_votes
from morphtools.survey.vote_names import FRACTIONS, SUFFIXES, base_of, total_column, variants
from tfrecords_builder.naming import some

log = logging.getLogger(__name__)


def votes_for(catalog, question, answers):
    """Votes for some answers, and all votes, added up over campaigns.

    Args:
        catalog: One row per galaxy.
        question: Without a campaign's suffix, such as `bar`.
        answers: The answers to count.

    Returns:
        (votes for, all votes) of every row; None where the catalogue has no votes on this question.

    Raises:
        ValueError: Numbers that cannot be votes, as in `read_votes`.
    """
    columns, used, tables = set(map(str, catalog.columns)), set(), []
    for schema, asked in _asking(question):
        for stems, ending in variants(asked, schema):
            names = [stem + ending for stem in stems]
            if columns >= set(names) and not used & set(stems):
                counts = _counts(catalog, asked, schema, names, ending)
                if counts is not None:
                    tables.append(pd.DataFrame(counts, catalog.index, asked.answers))
                    used |= set(stems)
                break
    tables += [table for table, stems in _incomplete(catalog, question, answers) if not used & stems]
    tables = [table for table in tables if set(answers) & set(table.columns)]
    if not tables:
        return None
    chosen = [table[[answer for answer in answers if answer in table]].sum(axis=1) for table in tables]
    return sum(chosen).astype(float), sum(table.sum(axis=1) for table in tables).astype(float)


def fraction_for(catalog, question, answers):
    """The fraction of votes for some answers, if the number of votes is unknown.

    Args:
        catalog: One row per galaxy.
        question: Without a campaign's suffix.
        answers: The answers to count.

    Returns:
        (fraction, the columns that were added up); (None, []) where the catalogue has no such fractions.

    Raises:
        ValueError: Numbers that cannot be fractions.
    """
    for schema, asked in _asking(question):
        wanted = [asked.answers.index(answer) for answer in answers if answer in asked.answers]
        for stems, ending in variants(asked, schema):
            names = [stems[k] + ending for k in wanted]
            if names and ending in FRACTIONS and set(names) <= set(catalog.columns):
                return sum(_fraction(catalog, name) for name in names), names
    return None, []


def _fraction(catalog, name):
    values, words = as_numbers(catalog[name])
    bad = words | ~(values.between(0, 1) | values.isna())
    if bad.any():
        shown = some(catalog[name][bad].unique())
        raise ValueError(f"column {name!r} must contain fractions from 0 to 1, got {shown} ({galaxies(catalog, bad)})")
    return values


def _asking(question):
    """The campaigns that ask a question, those with the most answers first, and the question in each."""
    pairs = [(schema, q) for schema in SCHEMAS.values() for q in schema.questions if base_of(q, schema) == question]
    return sorted(pairs, key=lambda pair: -len(pair[1].answers))


def _counts(catalog, question, schema, names, ending):
    """(N, A) counts; None for fractions of an unknown number of votes."""
    total = total_column(question, schema, catalog.columns)
    if ending not in FRACTIONS or total:
        return count_votes(catalog, question.text, names, total)
    tree = _leading_to(question, schema)
    places = [[[s + ending for s in stems] for stems, ending in variants(q, schema)] for q in tree.questions]
    complete = all(any(set(p) <= set(catalog.columns) for p in each) for each in places)
    if "total_classifications" not in catalog.columns or not complete:
        return None
    return read_votes(catalog, tree)[list(question.label_cols)].to_numpy()


def _leading_to(question, schema):
    """The part of a tree that leads to a question."""
    kept, wanted = [], set(question.label_cols)
    for each in reversed(schema.questions):
        if wanted & set(each.label_cols):
            kept.insert(0, each)
            wanted |= set(each.asked_after)
    answers = {name for each in kept for name in each.label_cols}
    return Schema(schema.name, tuple(kept)) if wanted <= answers else schema


def _incomplete(catalog, question, answers):
    """Counts of a question without columns for some answers; those votes are in the column of all votes."""
    known = {answer for _, asked in _asking(question) for answer in asked.answers} or {"yes", "no", *answers}
    for text in (question, *(question + suffix for suffix in SUFFIXES)):
        names = {f"{text}_{answer}": answer for answer in sorted(known) if f"{text}_{answer}" in catalog.columns}
        total = f"{text}_total-votes"
        if set(answers) & set(names.values()) and (set(names.values()) - set(answers) or total in catalog.columns):
            everyone = total if total in catalog.columns else None
            counts = count_votes(catalog, text, list(names), everyone)
            table = pd.DataFrame(counts, catalog.index, list(names.values()))
            if everyone:
                table["others"] = count_whole(catalog, [total])[:, 0] - table.sum(axis=1)
            yield table, set(names)
