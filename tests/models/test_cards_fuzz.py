"""Cards with a wrong type in any field are refused in one line that names the file, and never half read."""

import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from morphtools.models.cards import Card, list_pretrained

GOOD = json.loads(json.dumps(dataclasses.asdict(list_pretrained()[0])))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(sorted(GOOD)), value=JSON)
def test_any_value_of_any_field_is_read_or_refused_in_one_line(field, value, tmp_path):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(GOOD | {field: value}))
    try:
        card = Card.open(path)
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert len(card.input_shape) == 3 and all(n > 0 for n in card.input_shape)


@pytest.mark.parametrize("field", ["image_size", "bands", "encoder", "kind", "range"])
@pytest.mark.parametrize("value", [None, [], 3, {}, "x", [0, 96], True])
def test_a_field_that_makes_no_sense_is_named(field, value, tmp_path):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(GOOD | {field: value}))
    with pytest.raises(ValueError, match=rf"card\.json .*{field}"):
        Card.open(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("image_size", [10**9, 10**9]), ("image_size", [10**9, 1]), ("middle_of", [40000, 40000]), ("hidden", [10**9])],
)
def test_a_card_cannot_ask_for_more_memory_than_any_machine_has(field, value, tmp_path):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(GOOD | {field: value}))
    with pytest.raises(ValueError, match=rf"card\.json .*{field}"):
        Card.open(path)


@pytest.mark.parametrize("bins", [10**9, 0, -1, 2.5, "many", None, True])
def test_redshift_bins_of_a_card_are_a_sensible_whole_number(bins, tmp_path):
    path = tmp_path / "card.json"
    redshifts = {"bins": bins, "range": [0, 1], "pdf": "softmax", "estimate": "mean"}
    path.write_text(json.dumps(GOOD | {"kind": "redshifts", "schema": None, "redshifts": redshifts}))
    with pytest.raises(ValueError, match=r"card\.json .*bins must be a whole number from 1 to 10000"):
        Card.open(path)
