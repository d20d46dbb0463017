import numpy as np
import pytest

from morphtools.survey.schemas import GZ2, GZ_DECALS_DR5, SCHEMAS, Question, Schema


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_every_answer_belongs_to_exactly_one_question(schema):
    assert (schema.membership.sum(axis=0) == 1).all()
    assert schema.membership.sum(axis=1).tolist() == [len(q.answers) for q in schema.questions]
    assert len(set(schema.label_cols)) == len(schema.label_cols) == schema.membership.shape[1]


def test_the_trees_have_the_published_sizes():
    # DECaLS DR5: 34 answers to 10 questions (Walmsley et al. 2022). GZ2: 37 answers to 11 questions, of which
    # "no" ... "odd feature" with 7 (Willett et al. 2013, table 2).
    assert GZ_DECALS_DR5.membership.shape == (10, 34)
    assert GZ2.membership.shape == (11, 37)


def test_a_question_with_two_parents_is_met_by_the_sum_of_their_followers():
    a = Question("a", ("x", "y", "z"))
    schema = Schema("toy", (a, Question("b", ("p", "q"), ("a_x", "a_y")), Question("c", ("r",), ("b_p",))))
    fractions = np.array([0.2, 0.5, 0.3, 0.25, 0.75, 1.0])
    # By hand: b is met by 0.2 + 0.5; c by a quarter of those.
    np.testing.assert_allclose(schema.asked(fractions), [1, 0.7, 0.175])


def test_merging_is_asked_of_everyone_but_those_who_see_an_artifact():
    fractions = GZ_DECALS_DR5.membership.sum(axis=0) * 0.5
    fractions[:3] = 0.6, 0.3, 0.1
    merging = [q.text for q in GZ_DECALS_DR5.questions].index("merging-dr5")
    assert GZ_DECALS_DR5.asked(fractions)[merging] == pytest.approx(0.9)


def test_a_parent_that_no_earlier_question_answers_is_refused():
    with pytest.raises(ValueError, match=r"'b' is asked after.*a_x"):
        Schema("toy", (Question("b", ("p",), ("a_x",)),))
