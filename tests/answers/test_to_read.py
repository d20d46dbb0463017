import numpy as np
import pandas as pd
import pytest

from morphtools.answers.classes import Classes
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.several import Several
from morphtools.answers.to_read import beside_catalog, choose
from morphtools.answers.votes import Votes
from morphtools.survey.schemas import Schema

TREE = Schema.from_dict(
    {
        "name": "mine",
        "questions": [
            {"question": "featured", "answers": ["yes", "no"]},
            {"question": "bar", "answers": ["yes", "no"], "asked_after": ["featured_yes"]},
        ],
    }
)


def test_galaxies_and_columns_are_those_of_the_catalogue_in_its_order_with_the_predictions_to_the_right():
    catalog = pd.DataFrame({"ra": [1.0, 2, 3], "id_str": ["a", "b", "c"], "mag": [15.123456, 16, 17]})
    predicted = pd.DataFrame({"id_str": ["c", "z", "a"], "ring": [0.3, 0.9, 0.1]})
    table = beside_catalog(catalog, predicted)
    assert list(table) == ["ra", "id_str", "mag", "ring"]
    assert table.to_numpy().tolist() == [[1, "a", 15.123456, 0.1], [3, "c", 17, 0.3]]


def test_columns_of_the_catalogue_never_hide_predictions_nor_each_other():
    catalog = pd.DataFrame({"id_str": ["a"], "ring": [7], "ring_catalog": [8], "familiarity": [9]})
    predicted = pd.DataFrame({"id_str": ["a"], "ring": [0.5], "familiarity": [0.1]})
    table = beside_catalog(catalog, predicted)
    assert table.iloc[0].to_dict() == {
        "id_str": "a",
        "ring_catalog_catalog": 7,
        "ring_catalog": 8,
        "familiarity_catalog": 9,
        "ring": 0.5,
        "familiarity": 0.1,
    }


def test_votes_to_read_are_fractions_of_the_questions_that_most_would_be_asked():
    alpha = np.array([[[9.0, 1.0, 3.0, 7.0], [2.0, 8.0, 3.0, 7.0]]])
    read, full = Votes(TREE).tables(["a", "b"], alpha, 0.9)
    assert list(read) == ["id_str", *(f"{name}_fraction" for name in TREE.label_cols)]
    np.testing.assert_allclose(read["bar_yes_fraction"], [0.3, np.nan])
    np.testing.assert_allclose(full["bar_yes_fraction"], [0.3, 0.3])
    assert list(Votes(TREE).to_read(full, ("bar",))) == ["id_str", "bar_yes_fraction", "bar_no_fraction"]


@pytest.mark.parametrize(
    ("answer", "outputs"),
    [
        (Classes(("a", "b", "c")), np.array([[[0.70001, 0.2, 0.09999]], [[0.5, 0.25, 0.25]]])),
        (
            Several(("q", "r"), (Classes(("a", "b", "c")), Classes(("no", "yes")))),
            np.array([[[0.70001, 0.2, 0.09999, 0.4, 0.6]], [[0.5, 0.25, 0.25, 0.1, 0.9]]]),
        ),
        (Numbers(("r_concentration", "mass")), np.array([[[3.1, 10.2, np.log(0.3), np.log(0.01)]]])),
        (Photoz(4, (0.0, 0.4)), np.array([[[0.125, 0.5, 0.25, 0.125]]])),
        (Votes(TREE), np.array([[[9.0, 1.0, 3.0, 7.0]], [[2.0, 8.0, 3.0, 7.0]]])),
    ],
)
def test_the_full_table_has_all_outputs_of_a_model(answer, outputs):
    read, full = answer.tables(["x"], outputs, 0.9)
    mean = outputs if answer.every_view else outputs.mean(axis=0)
    np.testing.assert_allclose(answer.outputs_in(full), mean, rtol=1e-3)
    assert answer.to_read(full).equals(read) and set(read) <= set(full)


def test_only_vote_models_take_a_choice_of_questions():
    assert choose(Votes(TREE), "bar", ()) == ("bar",)
    assert choose(Classes(("a", "b")), None, ()) == ()
    with pytest.raises(ValueError, match="`questions` choose among several, and these weights predict cla"):
        choose(Classes(("a", "b")), "bar", ())
