"""Cards with any field mistyped are refused in one line that names the file, and are never half read."""

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
