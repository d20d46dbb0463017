"""What is in a YAML file is compared with what was written by hand."""

import time

import pytest

from tfrecords_builder.yaml_files import read_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


def written(folder, text):
    (folder / "s.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / "s.yaml"


def test_plain_values_are_what_they_are(tmp_path):
    path = written(tmp_path, "\ufeffname: gz\nbands: [g, r]\nepochs: 3\nshares: &s {a: .5}\nagain: *s\nnone:\n")
    expected = {"name": "gz", "bands": ["g", "r"], "epochs": 3, "shares": {"a": 0.5}, "again": {"a": 0.5}, "none": None}
    assert read_yaml(path) == expected
    assert read_yaml(written(tmp_path, "")) is None


def test_words_stay_words_where_that_is_wanted(tmp_path):
    assert read_yaml(written(tmp_path, "answers: [yes, no, 1.0]"), words=True) == {"answers": ["yes", "no", "1.0"]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "expand to more than 100000 values"),
        ("&a [*a]", "nested too deeply"),
        ("[" * 600 + "]" * 600, "nested too deeply"),
        ("[" * 101 + "]" * 101, "nested too deeply"),
        ("a: 1\nb: {c: 1, d: 2, c: 3}", "below line 2, c occurs more than once"),
        ("labels: 200\ntask: rings\nlabels: 300", "below line 1, labels occurs more than once"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: [", "is not YAML"),
        ("a: 1\n---\nb: 2", "is not YAML"),
        ("? [1, 2]\n: 3", "is not YAML"),
        ("when: 2020-13-45", "is not YAML"),
        (f"epochs: {'9' * 5000}", "is not YAML"),
        (b"a: \xff\xfe", "is not YAML"),
        ("a: \0", "is not YAML"),
        ("a: " + "x" * 2**20, "at most 1048576"),
    ],
)
@pytest.mark.parametrize("words", [False, True])
def test_anything_else_is_one_short_sentence_soon(tmp_path, text, reason, words):
    if words and reason in ("is not YAML", "could not determine a constructor") and text[:3] not in ("a: ", b"a: "):
        pytest.skip("a word like any other")
    start = time.process_time()
    with pytest.raises(ValueError, match=reason) as error:
        read_yaml(written(tmp_path, text), words=words)
    assert "s.yaml" in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 600
    assert time.process_time() - start < 30


def test_a_file_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "s.yaml")
