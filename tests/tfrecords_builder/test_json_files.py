import dataclasses
import json

import pytest

from tfrecords_builder.json_files import check_fields, read_json, write_json

FIELDS = {"shape": [3, 4], "noise": [0.5, 1], "name": "Ärger", "scale": None, "counts": {"train": 3}}


@dataclasses.dataclass
class Kind:
    shape: tuple[int, int]
    noise: tuple[float, ...] | None
    name: str
    scale: float | None
    counts: dict[str, int]
    more: bool = False


@pytest.fixture
def path(tmp_path):
    write_json(tmp_path / "a.json", FIELDS)
    return tmp_path / "a.json"


def test_what_was_written_is_read_with_or_without_the_checksum(path):
    assert read_json(path) == FIELDS
    path.write_text(json.dumps(FIELDS))
    assert read_json(path) == FIELDS


def test_every_flipped_bit_is_noticed_or_changes_nothing(path):
    content = path.read_bytes()
    noticed = 0
    for place in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            try:
                fields = read_json(path)
            except ValueError as error:
                assert str(path) in str(error) and "\n" not in str(error)
                noticed += 1
            else:
                assert {name: fields.get(name) for name in FIELDS} == FIELDS
    assert noticed > 7 * len(content)


@pytest.mark.parametrize("text", ["", "[]", "null", "3", '"a"', "{", "[" * 100_000, "\xff", '{"a": 1}}'])
def test_what_is_not_an_object_is_named_in_one_sentence(path, text):
    path.write_bytes(text.encode("latin1"))
    with pytest.raises(ValueError, match=r"^\S*a\.json is damaged: [^\n]+$"):
        read_json(path)


def test_fields_are_compared_with_their_types(path):
    checked = check_fields(Kind, FIELDS, path)
    assert Kind(**checked) == Kind((3, 4), (0.5, 1), "Ärger", None, {"train": 3})
    wrong = {"shape": [[3, 4, 5], [3.0, 4], "ab", None, {}], "noise": [["a"], 3.0, [True]], "name": [None, 3, ["a"]]}
    wrong |= {"scale": ["1", [1.0]], "counts": [[], {"train": 1.5}, {"train": None}], "more": [1, None]}
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(ValueError, match=rf"^\S*a\.json is damaged: '{name}' cannot be "):
                check_fields(Kind, FIELDS | {name: value}, path)
    with pytest.raises(ValueError, match="it has no 'shape'"):
        check_fields(Kind, {}, path)
    with pytest.raises(ValueError, match="has unknown fields"):
        check_fields(Kind, FIELDS | {"colour": 1}, path)
