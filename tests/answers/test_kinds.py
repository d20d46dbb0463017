import json

import pytest

from morphtools.answers.classes import Classes
from morphtools.answers.fractions import Fractions
from morphtools.answers.kinds import KINDS, answer_metadata, answer_of, read_answer
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.several import Several
from morphtools.answers.votes import Votes
from morphtools.survey.schemas import Schema

ANSWERS = [
    Classes(("no ring", "ring"), (0.5, 3.0)),
    Several(("bar", "type"), (Classes(("no", "yes")), Classes(("E", "S0", "Sb")))),
    Fractions(("smooth", "disk"), 12.5),
    Numbers(("size", "mass"), (3.0, 10.0), (0.5, 1.0)),
    Photoz(40, (0.0, 0.3), "mixture", "mode"),
    Votes(Schema.from_dict({"name": "one", "questions": [{"question": "bar", "answers": ["yes", "no"]}]})),
]


def test_every_kind_of_answer_has_a_test():
    assert {answer.kind for answer in ANSWERS} == set(KINDS)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.kind)
def test_what_a_card_describes_is_read_from_its_json_again(answer):
    again = read_answer(**json.loads(json.dumps(answer.described())))
    assert again == answer and again.label_cols == answer.label_cols and again.outputs == answer.outputs


def test_numbers_keep_the_units_of_their_head():
    """They are left out of comparisons, but a model cannot be built without them."""
    again = read_answer(**ANSWERS[3].described())
    assert (again.centre, again.scale) == ((3.0, 10.0), (0.5, 1.0))


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.kind)
def test_the_metadata_of_a_table_tell_what_was_predicted_and_by_what(answer):
    metadata = answer_metadata(answer, {"weights": "abc"})
    stored = {name.encode(): text.encode() for name, text in metadata.items()}
    assert answer_of(stored) == (answer, {"weights": "abc"})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "rings"}, "unknown kind 'rings'; known kinds: classes, encoder, fractions"),
        ({"kind": "classes"}, "a card of kind 'classes' needs 'classes'"),
        ({"kind": "several", "answer": {"questions": ["bar"]}}, "of kind 'several' cannot be"),
        ({"kind": "several", "answer": {"questions": {"bar": 3, "ring": 4}}}, "of kind 'several' cannot be"),
        ({"kind": "several", "answer": {"questions": {"bar": ["no", "yes"]}}}, "two questions or more"),
        ({"kind": "several", "answer": {"columns": ["bar"]}}, "of kind 'several' cannot be"),
        ({"kind": "several", "answer": ["bar"]}, "of kind 'several' cannot be"),
        ({"kind": "numbers", "answer": {"answers": ["a"]}}, "of kind 'numbers' cannot be"),
        ({"kind": "redshifts", "redshifts": {"bins": 4}}, "of kind 'redshifts' cannot be"),
    ],
)
def test_a_card_that_lacks_something_is_refused_in_one_sentence(fields, message):
    with pytest.raises(ValueError, match=message) as error:
        read_answer(**fields)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("metadata", [None, {}, {b"morphtools": b"{"}, {b"morphtools": b"[]"}, {b"morphtools": b"{}"}])
def test_metadata_of_other_tables_are_refused(metadata):
    with pytest.raises(ValueError, match="the metadata do not tell what was predicted"):
        answer_of(metadata)
