import numpy as np
import pandas as pd

from morphtools.answers.vote_totals import votes_of

NAMES = ("bar_no", "bar_strong", "bar_weak")  # of DECaLS DR5


def fractions(**more):
    table = {f"{name}_fraction": share for name, share in zip(NAMES, ([0.5, 0.1], [0.2, 0.1], [0.3, 0.8]), strict=True)}
    return pd.DataFrame(table | more)


def test_fractions_times_the_total_are_counts_whatever_the_order_of_the_columns():
    catalog = fractions(**{"bar_total-votes": [20, 10]})
    columns = tuple(f"{name}_fraction" for name in (NAMES[2], NAMES[0], NAMES[1]))
    np.testing.assert_allclose(votes_of(catalog, columns), [[6, 10, 4], [8, 1, 1]])


def test_fractions_without_a_total_have_no_counts():
    assert votes_of(fractions(), tuple(f"{name}_fraction" for name in NAMES)) is None


def test_only_all_answers_of_a_question_are_counts():
    catalog = pd.DataFrame([[1, 1, 1], [2, 2, 2]], columns=NAMES)
    assert votes_of(catalog, NAMES[:2]) is None and votes_of(catalog, (*NAMES, "ring_yes")) is None
    assert votes_of(catalog, NAMES).tolist() == [[1, 1, 1], [2, 2, 2]]


def test_a_galaxy_without_answers_is_unknown():
    catalog = pd.DataFrame([[np.nan] * 3, [2, 2, 2]], columns=NAMES)
    np.testing.assert_array_equal(votes_of(catalog, NAMES), [[np.nan] * 3, [2, 2, 2]])
