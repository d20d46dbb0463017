"""Reads cells of label columns: numbers and words as people write them; reports galaxies with anything else."""

import logging
import re
import unicodedata

import numpy as np
import pandas as pd

from tfrecords_builder.naming import some

log = logging.getLogger(__name__)

_YES, _NO = ("yes", "y", "true", "t"), ("no", "n", "false", "f")
SENTINELS = [sign * value for sign in (-1, 1) for value in (99, 99.99, 999, 9999, 99999, 999999)]
_FEW = 4  # values that are more than yes, no and perhaps
_SEVERAL = 10  # values, to know how far they lie apart
_EMPTY = ("", "nan", "na", "n/a", "none", "null")
_PERHAPS_UNKNOWN = ("unknown", "undefined", "unclassified", "missing", "n.a.", "not available", "no data")


def galaxies(catalog: pd.DataFrame, where) -> str:
    """Names the galaxies of some rows: `galaxy a, b and 7 more`, or row numbers if they have no ids."""
    where = np.asarray(where, bool)
    if "id_str" in catalog.columns:
        return f"galaxy {some(catalog['id_str'][where])}"
    return f"row {some(catalog.index[where])}"


def as_numbers(values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Converts cells to numbers, and tells which are not numbers.

    Returns:
        Float, NaN where a cell is empty or not a number; and bool, true where it is neither empty nor a number.
    """
    numbers = pd.to_numeric(values.astype(object), errors="coerce").astype(float)
    empty = values.isna() | values.astype(str).str.strip().str.lower().isin(_EMPTY)
    return numbers, ~empty & numbers.isna()


def stand_for_unknown(values: pd.Series) -> pd.Series:
    """Which numbers of a measure stand for an unknown one: those far from all others that people write for it.

    Those are `SENTINELS`, numbers beyond 10¹⁹, and values in several cells, at either end, that are farther from all
    others than these are from each other: -32768, 9.99, or 0 among magnitudes; and -1 where nothing else is negative.
    """
    written = values.isin(SENTINELS) | (values.abs() > 1e19)
    rest = values[~written].dropna()
    if rest.empty:
        return written & False
    low, high = np.percentile(rest, (25, 75))
    margin = 10 * max(high - low, 1e-12)
    unknown = written & ~values.between(low - margin, high + margin)
    for end in far_from_all_others(rest):
        if (values == end).sum() >= 3:
            unknown |= values == end
    if only_negative(rest):
        unknown |= values == -1
    return unknown


def only_negative(values: pd.Series) -> bool:
    """Whether several -1 are the only negative numbers of a measure, as in EFIGI, where they stand for undefined."""
    others = values[values != -1].dropna()
    measure = others.nunique() >= _FEW and bool((others % 1 != 0).any())  # not a scale from -1 to 3
    return measure and bool((others >= 0).all()) and int((values == -1).sum()) >= 3


def far_from_all_others(values: pd.Series) -> list[float]:
    """The lowest and the highest value, if they are farther from all others than these are from each other."""
    known = np.unique(values.dropna())
    ends = ((known[0], known[1:]), (known[-1], known[:-1])) if len(known) > _SEVERAL else ()
    return [float(end) for end, others in ends if np.abs(others - end).min() > np.ptp(others)]


def read_answers(catalog: pd.DataFrame, name: str, classes: tuple[str, str]) -> pd.Series:
    """Reads the answers to a yes-or-no question, one for every row.

    Args:
        catalog: One row per galaxy.
        name: The column: 0 and 1, fractions in between, or words (yes/no, true/false, the names of the classes).
        classes: Names of the negative and the positive class.

    Returns:
        From 0 to 1; NaN where the cell is empty.

    Raises:
        ValueError: A cell contains anything else, such as -99 for unknown.
    """
    values = catalog[name]
    numbers, words = as_numbers(values)
    meanings = dict.fromkeys((*_NO, classes[0], f"no {classes[1]}", f"not {classes[1]}"), 0.0)
    meanings |= dict.fromkeys((*_YES, classes[1]), 1.0)
    meanings = {plain_word(word): meaning for word, meaning in meanings.items()}
    read = values[words].astype(str).map(plain_word).map(meanings)
    numbers[words] = read.astype(float)
    bad = (words & numbers.isna()) | ~(numbers.between(0, 1) | numbers.isna())
    if bad.any():
        percent = numbers[bad].between(0, 100).all() and numbers.max() > 2 and not numbers[bad].isin(SENTINELS).all()
        percent |= values[bad].astype(str).str.strip().str.endswith("%").any()
        raise ValueError(
            f"column {name!r} must contain 0/1 or fractions from 0 to 1, got {some(values[bad].unique())} "
            f"({galaxies(catalog, bad)}); words may be yes/no, true/false or {classes[1]}/{classes[0]}; "
            + ("divide percentages by 100" if percent else "leave cells empty where the answer is unknown")
        )
    return numbers


def is_yes_or_no(values: pd.Series) -> bool:
    """Whether a column contains only 0/1, yes/no or true/false, and empty cells."""
    numbers, words = as_numbers(values)
    plain = values[words].astype(str).map(plain_word).isin((*_YES, *_NO))
    return bool(numbers.dropna().isin((0, 1)).all() and plain.all() and (numbers.notna().any() or len(plain)))


def read_words(catalog: pd.DataFrame, name: str) -> pd.Series:
    """Reads the names of classes, one for every row; integers have no decimal point.

    Spellings of a word that differ only in capitalisation, spaces, hyphens or underscores are one class, which gets its
    most common spelling, with a warning in the log; but Hubble types such as Sb and SB, or Sab and SAB, differ. `none`
    is a class like any other.

    Args:
        catalog: One row per galaxy.
        name: The column.

    Returns:
        Text, missing where the cell is empty.
    """
    values = catalog[name]
    numbers = pd.to_numeric(values.astype(object), errors="coerce").astype(float)
    words = values.astype(object).where(numbers.isna(), numbers.map(lambda x: f"{x:g}"))
    empty = values.isna() | values.astype(str).str.strip().str.lower().isin(set(_EMPTY) - {"none"})
    words = words.astype(str).str.strip().where(~empty)
    doubtful = words[words.str.fullmatch(r"[\W_]+", na=False) | words.str.lower().isin(_PERHAPS_UNKNOWN)].unique()
    if len(doubtful):
        log.warning("column %r: %s counts as a class; leave cells empty where it is unknown", name, some(doubtful, 8))
    bare = words.map(class_word, na_action="ignore")
    chosen = words.groupby(bare).agg(lambda same: same.value_counts().index[0])
    several = words.groupby(bare).nunique()
    for spelling in several.index[several > 1]:
        log.warning(
            "column %r: %s are treated as one class, %s", name, some(words[bare == spelling].unique()), chosen[spelling]
        )
    capitals = chosen.groupby(chosen.map(plain_word)).agg(list)
    for differing in capitals[capitals.map(len) > 1]:
        log.warning("column %r: %s are different classes, as types such as Sb and SB are", name, some(differing))
    return bare.map(chosen, na_action="ignore")


def plain_word(word: str) -> str:
    """Normalises capitals, underscores, hyphens and double spaces, so that different spellings of a word are equal.

    A hyphen before a number is its sign, -1 is not 1; one at the end is part of a type, E- is not E.
    """
    return _spelling(word.lower())


def class_word(word: str) -> str:
    """Like `plain_word`, but keeps the capitals of types: SB and SAB are barred, Sb and Sab are not."""
    parts = re.findall(r"[^\W\d_]+", word)
    letters = "".join(parts)
    usual = all(len(part) == 1 or part[1:].islower() for part in parts)
    if letters.isupper():
        usual = len(letters) not in (2, 3)
    return plain_word(word) if usual else _spelling(word)


def _spelling(word: str) -> str:
    word = unicodedata.normalize("NFC", word.strip().replace("_", " "))
    return " ".join(re.sub(r"(?<=.)-(?=.)|^-(?!\d)", " ", word).split())
