import json

import numpy as np
import pytest

from morphtools.survey.campaigns import CAMPAIGNS
from morphtools.survey.schemas import SCHEMAS, Question, Schema, get_schema, list_schemas

# Questions and answers of the public tables: Walmsley et al. 2022 (MNRAS 509, 3966), Willett et al. 2013 and 2017,
# Simmons et al. 2017, and the tables of the later campaigns. GZ2's odd features (7) are not in them.
PUBLISHED = {
    "gz2": (10, 30),
    "gz_ukidss": (10, 30),
    "gz_hubble": (12, 34),
    "gz_hubble_v2": (9, 28),
    "gz_candels": (11, 32),
    "gz_decals_dr12": (10, 30),
    "gz_decals_dr5": (10, 34),
    "gz_decals_dr8": (10, 34),
    "gz_desi": (10, 34),
    "gz_cosmic_dawn": (13, 45),
    "gz_euclid": (13, 46),
    "gz_jwst_ceers": (12, 39),
    "gz_jwst_cosmos": (11, 36),
    "rings": (1, 2),
}
TOY = {
    "name": "toy",
    "questions": [
        {"question": "a", "answers": ["x", "y", "z"]},
        {"question": "b", "answers": ["p", "q"], "asked_after": ["a_x", "a_y"]},
        {"question": "c", "answers": ["r", "s"], "asked_after": ["b_p"]},
    ],
}


def parents(schema, question):
    return next(q.asked_after for q in schema.questions if q.text == question)


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_every_answer_belongs_to_exactly_one_question(schema):
    assert (schema.membership.sum(axis=0) == 1).all()
    assert schema.membership.sum(axis=1).tolist() == [len(q.answers) for q in schema.questions]
    assert len(set(schema.label_cols)) == len(schema.label_cols) == schema.membership.shape[1]


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_published_trees_have_the_published_sizes_and_one_parent_at_most(name):
    published = get_schema(name, compat="published")
    assert published.membership.shape == PUBLISHED[name]
    assert all(len(q.asked_after) <= 1 for q in published.questions)


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_ours_asks_what_the_published_tree_asks_in_the_same_words_and_order(name):
    published, ours = get_schema(name, compat="published").label_cols, SCHEMAS[name].label_cols
    assert tuple(c for c in ours if not c.startswith("odd-feature")) == published


def test_galaxy_zoo_2_has_37_answers_to_11_questions():
    # Willett et al. 2013, table 2; seven of them are odd features.
    assert SCHEMAS["gz2"].membership.shape == (11, 37)


def test_our_trees_are_those_volunteers_met():
    face_on, spiral = ("disk-edge-on-gz2_no",), ("has-spiral-arms-hubble_yes",)
    assert parents(SCHEMAS["gz2"], "bar-gz2") == face_on
    assert parents(get_schema("gz2", "published"), "bar-gz2") == ("smooth-or-featured-gz2_featured-or-disk",)
    assert parents(SCHEMAS["gz_hubble"], "spiral-winding-hubble") == spiral
    assert parents(get_schema("gz_hubble", "published"), "spiral-winding-hubble") == ("disk-edge-on-hubble_no",)


def test_a_question_with_two_parents_is_met_by_the_sum_of_their_followers():
    fractions = np.array([0.2, 0.5, 0.3, 0.25, 0.75, 1.0, 0.0])
    # By hand: b is met by 0.2 + 0.5; c by a quarter of those.
    np.testing.assert_allclose(Schema.from_dict(TOY).asked(fractions), [1, 0.7, 0.175])


@pytest.mark.parametrize("name", [n for n in CAMPAIGNS if "merging" in str(CAMPAIGNS[n].rows)])
def test_merging_is_asked_of_everyone_but_those_who_see_an_artifact(name):
    schema = SCHEMAS[name]
    fractions = schema.membership.sum(axis=0) * 0.5
    fractions[:3] = 0.6, 0.3, 0.1
    merging = [q.text.startswith("merging") for q in schema.questions].index(True)
    assert schema.asked(fractions)[merging] == pytest.approx(0.9)
    assert get_schema(name, "published").asked(fractions)[merging] == 1


def test_a_parent_that_no_earlier_question_answers_is_refused():
    with pytest.raises(ValueError, match=r"'b' is asked after 'a_x', which is not an answer to any question"):
        Schema("toy", (Question("b", ("p", "q"), ("a_x",)),))
    with pytest.raises(ValueError, match=r"'b' is asked after 'b_p', whose question must come before it"):
        Schema("toy", (Question("b", ("p", "q"), ("b_p",)),))


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_survives_json(schema):
    assert get_schema(json.loads(json.dumps(schema.to_dict()))) == schema


def test_a_tree_of_ones_own_is_read_from_yaml_with_every_word_a_word(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nquestions:\n- {question: bar, answers: [yes, no]}\n"
        "- question: arms\n  answers: [1, 2, off]\n  asked_after: bar_yes\n"
    )
    # YAML itself would read True, False, 1, 2 and False.
    assert get_schema(path).label_cols == ("bar_yes", "bar_no", "arms_1", "arms_2", "arms_off")
    assert get_schema(str(path)).questions[1].asked_after == ("bar_yes",)


def test_all_faults_of_a_tree_are_listed_at_once(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "nam: mine\nquestions:\n- {question: bar, answers: [yes, no]}\n- {question: bar, answers: [a, a]}\n"
        "- {question: one, answers: [x], asked_after: [baar_yes]}\n- {question: no list, answers: x, asked: y}\n"
        "- {question: early, answers: [p, q], asked_after: [late_p]}\n- {question: late, answers: [p, q]}\n- 7\n"
    )
    with pytest.raises(ValueError) as error:
        get_schema(path)
    for fault in (
        "unknown key 'nam'",
        "it has no name",
        "'bar' is asked twice",
        "'bar' has the answer 'a' twice",
        "'one' needs at least two answers",
        "'baar_yes', which is not an answer to any question (did you mean 'bar_yes'?)",
        "question 4: unknown key 'asked'",
        "'answers' must be a list of words, got 'x'",
        "'early' is asked after 'late_p', whose question must come before it",
        "question 7: must be a mapping",
    ):
        assert fault in str(error.value), fault
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "a: [b\n", ""])
def test_a_file_that_is_not_a_tree_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ValueError) as error:
        get_schema(tmp_path / "x.yaml")
    assert "\n" not in str(error.value)


def test_nothing_is_executed_from_a_file(tmp_path):
    (tmp_path / "x.yaml").write_text("name: !!python/object/apply:os.system ['exit 3']\nquestions: []\n")
    with pytest.raises(ValueError, match=r"is not YAML|has no name|no questions"):
        get_schema(tmp_path / "x.yaml")


def test_several_campaigns_are_asked_one_after_another():
    both = get_schema("gz2, gz_decals_dr5")
    assert both.label_cols == SCHEMAS["gz2"].label_cols + SCHEMAS["gz_decals_dr5"].label_cols
    assert both.name == "gz2,gz_decals_dr5" and get_schema(["gz2", SCHEMAS["gz_decals_dr5"]]) == both
    with pytest.raises(ValueError, match="'smooth-or-featured-jwst' is asked twice"):
        get_schema("gz_jwst_ceers,gz_jwst_cosmos")


def test_names_that_are_nearly_right_are_offered():
    with pytest.raises(ValueError, match=r"unknown schema 'gz_decals'.*did you mean 'gz_decals_dr"):
        get_schema("gz_decals")
    with pytest.raises(ValueError, match=r"unknown compat 'theirs'; known compats: ours, published"):
        get_schema("gz2", compat="theirs")
    with pytest.raises(FileNotFoundError, match=r"no schema at .*mine\.yaml"):
        get_schema("mine.yaml")


def test_the_tree_is_drawn_with_every_question_below_the_answer_that_leads_to_it():
    assert str(Schema.from_dict(TOY)) == "a: x | y | z\n└─ x or y → b: p | q\n   └─ p → c: r | s"
    for schema in SCHEMAS.values():
        drawn = str(schema)
        assert all(drawn.count(f"{q.text}:") == 1 for q in schema.questions)


def test_campaigns_are_listed_with_their_sizes():
    lines = list_schemas().splitlines()
    assert len(lines) == len(CAMPAIGNS) and all(len(line) < 120 for line in lines)
    assert lines[0].split()[:5] == ["gz2", "11", "questions,", "37", "answers"]
    assert "10 questions, 30 answers" in list_schemas("gz2", compat="published")
