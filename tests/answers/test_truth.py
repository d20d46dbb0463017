import numpy as np
import pandas as pd
import pytest

from morphtools.answers.classes import Classes
from morphtools.answers.fractions import Fractions
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.several import Several
from morphtools.answers.truth import read_truth
from morphtools.answers.votes import Votes
from morphtools.survey.schemas import Schema
from morphtools.survey.tasks import PHOTOZ, TASKS

TREE = Schema.from_dict({"name": "one", "questions": [{"question": "bar", "answers": ["yes", "no"]}]})
TYPES, YES_NO = Classes(("E", "S0", "SB")), Classes(("no", "yes"))
CATALOG = pd.DataFrame(
    {
        "id_str": ["a", "b", "c"],
        "ring_fraction": [0.5, 0.01, None],
        "type": ["s0", "E", None],
        "barred": ["yes", None, "no"],
        "size": [1.5, None, 3.5],
        "mass": [None, None, 9.5],
        "red_disk": [0.25, 0.5, None],
        "smooth": [8, 2, 1],
        "disk": [2, 8, 0],
        "redshift": [0.1, -1.0, 0.3],
        "bar_yes": [3, 0, 1],
        "bar_no": [1, 0, 4],
    }
)


@pytest.mark.parametrize(
    ("answer", "columns", "expected", "known"),
    [
        (Classes(("no ring", "ring")), (), [[1], [0], [np.nan]], [1, 1, 0]),
        (Classes(("E", "S0", "SB")), ("type",), [[1], [0], [np.nan]], [1, 1, 0]),
        (Several(("type", "red"), (TYPES, YES_NO)), (), [[1, np.nan], [0, np.nan], [np.nan] * 2], [1, 1, 0]),
        (Several(("q", "r"), (TYPES, YES_NO)), ("type", "barred"), [[1, 1], [0, np.nan], [np.nan, 0]], [1, 1, 1]),
        (Numbers(("size", "mass")), (), [[1.5, np.nan], [np.nan, np.nan], [3.5, 9.5]], [1, 0, 1]),
        (Numbers(("radius",)), ("size",), [[1.5], [np.nan], [3.5]], [1, 0, 1]),
        (Fractions(("no red disk", "red disk")), (), [[0.75, 0.25], [0.5, 0.5], [np.nan, np.nan]], [1, 1, 0]),
        (Photoz(), (), [[0.1], [np.nan], [0.3]], [1, 0, 1]),
        (Votes(TREE), (), [[3, 1], [0, 0], [1, 4]], [1, 0, 1]),
    ],
)
def test_the_truth_is_read_as_the_results_of_an_answer_take_it(answer, columns, expected, known):
    truth, there, _ = read_truth(answer, CATALOG, columns)
    np.testing.assert_allclose(truth, expected)
    assert there.tolist() == [bool(each) for each in known]


def test_the_truth_keeps_barred_and_unbarred_types_apart():
    catalog = pd.DataFrame({"id_str": list("abcd"), "type": ["SB", "Sb", "sb", "E"]})
    truth, _, _ = read_truth(Classes(("E", "SB", "Sb")), catalog, ("type",))
    assert truth[:, 0].tolist() == [1, 2, 2, 0]


@pytest.mark.parametrize("columns", [(), ("disk", "smooth")])
def test_fractions_are_in_the_order_of_the_predictions_or_of_the_columns(columns):
    truth, _, _ = read_truth(Fractions(("disk", "smooth")), CATALOG, columns)
    np.testing.assert_allclose(truth, [[2, 8], [8, 2], [np.nan, np.nan]])  # one vote is too few


@pytest.mark.parametrize(
    ("answer", "columns", "message"),
    [
        (Classes(("a", "b")), (), "which column has the classes a, b"),
        (Several(("q", "r"), (TYPES, YES_NO)), (), "answer q, r, and the catalogue has none of these columns"),
        (Several(("q", "r"), (TYPES, YES_NO)), ("type",), "answer q, r: give as many columns, in this order, got type"),
        (Classes(("a", "b", "c")), ("type",), r"column 'type' holds s0, E, none of which is a class of .*\(a, b, c\)"),
        (Classes(("a", "b")), ("ring_fraction",), r"holds fractions, such as 0.5 \(galaxy a.*classes \(a, b\): give"),
        (Classes(("a", "b")), ("type", "size"), "the predictions are classes: give one `column`, got type, size"),
        (Numbers(("radius",)), (), "the predictions are the numbers radius, and the catalogue has no column radius"),
        (Numbers(("radius",)), ("type",), "must contain numbers, got s0, E .*; the predictions are the numbers radius"),
        (Numbers(("a", "b")), ("size",), "the numbers a, b: give as many columns, in this order, got size"),
        (Fractions(("x", "y")), ("type", "size"), "must contain numbers.*; the predictions are the fractions x, y"),
        (Photoz(), ("type",), "column 'type' contains no redshifts"),
        (Votes(TREE), ("size",), "the predictions are votes, whose columns are found by their names"),
        (Numbers(("size",)), ("sise",), "unknown column 'sise'.*did you mean 'size'"),
    ],
)
def test_truths_of_another_kind_are_refused_with_what_was_predicted(answer, columns, message):
    with pytest.raises(ValueError, match=message) as error:
        read_truth(answer, CATALOG, columns)
    assert "\n" not in str(error.value)


def test_a_task_is_a_rule_for_two_classes():
    truth, _, _ = read_truth(Classes(("plain", "ringed")), CATALOG, ("ring_fraction",), TASKS["rings"])
    np.testing.assert_array_equal(truth[:, 0], [1, 0, np.nan])
    with pytest.raises(ValueError, match="a `task` is a rule for two classes, and the predictions are numbers"):
        read_truth(Numbers(("size",)), CATALOG, (), TASKS["rings"])


def test_a_task_about_redshifts_is_refused_in_words():
    with pytest.raises(ValueError, match="rule for two classes here: give the `column` with redshifts"):
        read_truth(Classes(("no ring", "ring")), CATALOG, task=PHOTOZ)
