"""The possible names of vote columns, and which of them a catalogue uses."""

import difflib
import logging

from morphtools.survey.campaigns import CAMPAIGNS
from morphtools.survey.published import PUBLISHED
from morphtools.survey.schemas import SCHEMAS
from tfrecords_builder.naming import some

logger = logging.getLogger(__name__)

SUFFIXES = sorted({campaign.suffix for campaign in CAMPAIGNS.values()} - {""})
FRACTIONS = ("_fraction", "_weighted_fraction", "_frac", "_weighted_frac")  # endings


def base_of(question, schema):
    """A question's text without its campaign's suffix, if that is unambiguous."""

    def bare(text):
        return next((text.removesuffix(s) for s in SUFFIXES if text.endswith(s)), text)

    base = bare(question.text)
    return base if [bare(q.text) for q in schema.questions].count(base) == 1 else question.text


def variants(question, schema):
    """Possible names of a question's answers, in order of preference: stems of their columns, and the ending."""
    names = [f"{text}_{{}}" for text in dict.fromkeys((question.text, base_of(question, schema)))]
    plain = [[name.format(answer) for answer in question.answers] for name in names]
    plain += [_in_archives(stems) for stems in plain if _in_archives(stems) != stems]
    published = [[PUBLISHED[question.text].stems[a] for a in question.answers]] if question.text in PUBLISHED else []
    yield from ((stems, "") for stems in plain)
    yield from ((stems, "_count") for stems in published)
    for ending in FRACTIONS:
        yield from ((stems, ending) for stems in plain + published)


def _in_archives(names):
    """Names as in archives and databases, whose languages do not allow hyphens in names."""
    return [name.replace("-", "_") for name in names]


def total_column(question, schema, columns):
    """The column with the number of people who answered a question; None if there is none."""
    names = [f"{question.text}_total-votes", f"{base_of(question, schema)}_total-votes"]
    names += _in_archives(names)
    names += [PUBLISHED[question.text].total] if question.text in PUBLISHED else []
    return next((name for name in names if name in columns), None)


def match(schema, columns):
    """The columns of every question that the catalogue has."""
    columns, matches, missing = set(map(str, columns)), {}, []
    for question in schema.questions:
        places = [[stem + ending for stem in stems] for stems, ending in variants(question, schema)]
        whole = next((names for names in places if columns >= set(names)), None)
        partial = next((names for names in places if columns & set(names)), None)
        if whole:
            matches[question.text] = whole
        elif partial:
            missing += sorted(set(partial) - columns)
    used = {name for names in matches.values() for name in names}
    ours = {name for known in SCHEMAS.values() for name in known.label_cols}
    possible = {stem + end for q in schema.questions for stems, end in variants(q, schema) for stem in stems}
    hints = _near(
        missing or [c for q in schema.questions if q.text not in matches for c in q.label_cols],
        columns - used - ours - possible,
    )
    if missing:
        raise ValueError(f"schema {schema.name!r} also needs the columns {some(missing, 8)}{hints}")
    if not matches:
        wanted = some(schema.label_cols, 4)
        others = [name for name, known in SCHEMAS.items() if columns >= set(known.questions[0].label_cols)]
        hints += f"; there are votes of {some(others)}" if others else ""
        raise ValueError(f"no votes for schema {schema.name!r}: none of the columns {wanted} exists{hints}")
    if hints:
        logger.warning("some questions of schema %r have no votes%s", schema.name, hints)
    return matches


def _near(wanted, free):
    """Suggests columns with names similar to the missing ones."""
    pairs = []
    for name in wanted:
        close = difflib.get_close_matches(name, free, n=1, cutoff=0.85)
        pairs += [f"{close[0]!r} for {name!r}"] if close else []
    return f"; did you mean {some(pairs, 4)}?" if pairs else ""
