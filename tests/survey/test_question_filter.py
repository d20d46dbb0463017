import pytest

from morphtools.models.cards import Card, find_card
from morphtools.survey.question_filter import choose_questions
from morphtools.survey.schemas import Schema, get_schema

SHIPPED = Schema.from_dict(Card.open(find_card("efficientnet_lite0_gz2")).schema)
GZ2 = tuple(question.text for question in get_schema("gz2").questions)


def test_galaxies_of_a_survey_get_its_trees():
    assert set(choose_questions(SHIPPED, None, ["", "SDSS"])) == set(GZ2)
    assert set(choose_questions(SHIPPED, None, ["2.5m"])) == set(GZ2)
    several = get_schema("gz2,gz_decals_dr5")
    assert all(text.endswith("-dr5") for text in choose_questions(several, None, ["CTIO 4.0-m telescope", "SDSS"]))


def test_where_the_weights_do_not_know_the_tree_of_a_survey_the_next_one_counts():
    """Of the tree of DECaLS the shipped weights know a single question."""
    assert "smooth-or-featured-dr5" in [question.text for question in SHIPPED.questions]
    assert set(choose_questions(SHIPPED, None, ["DECaLS", "SDSS"])) == set(GZ2)


def test_questions_about_simulated_galaxies_are_never_chosen_by_default():
    for surveys in ([], ["SDSS"], ["somewhere"]):
        assert not [text for text in choose_questions(SHIPPED, None, surveys) if text.endswith("-mock")]
    assert len(choose_questions(SHIPPED, None)) == sum(not q.text.endswith("-mock") for q in SHIPPED.questions)
    only = Schema.from_dict({"name": "m", "questions": [{"question": "ring-mock", "answers": ["yes", "no"]}]})
    assert choose_questions(only) == ("ring-mock",)  # nothing else is there


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bar-gz2", ["bar-gz2"]),
        ("bar", ["bar-kaggle", "bar-gz2", "bar-na10"]),
        ("na10", ["ring-na10", "bar-na10", "t-type-na10"]),
        (["ring-na10", "bar-gz2"], ["bar-gz2", "ring-na10"]),
        ("ring-na10, gz2", [*GZ2, "ring-na10"]),
        ("ring-mock", ["ring-mock"]),
    ],
)
def test_questions_are_chosen_by_name_by_campaign_and_by_ending(wanted, expected):
    assert sorted(choose_questions(SHIPPED, wanted, ["SDSS"])) == sorted(expected)


def test_all_is_all_and_a_tree_of_ones_own_chooses_its_questions(tmp_path):
    assert choose_questions(SHIPPED, "all") == tuple(question.text for question in SHIPPED.questions)
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nquestions:\n  - question: bar-gz2\n    answers: [yes, no]\n")
    assert choose_questions(SHIPPED, str(path)) == ("bar-gz2",)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("bar-gz3", r"unknown question 'bar-gz3'; .*did you mean 'bar-gz2'"),
        ("gz_euclid", "the weights know none of the questions of gz_euclid; they know"),
        ("nowhere.yaml", "there is no schema at nowhere.yaml"),
    ],
)
def test_what_matches_no_question_is_refused(wanted, message):
    with pytest.raises((ValueError, OSError), match=message):
        choose_questions(SHIPPED, wanted)
