import pytest

from tfrecords_builder.naming import band_names, some, unknown


def test_an_unknown_name_gets_the_known_ones_and_the_nearest():
    assert unknown("task", "ring", ["rings", "bars"]) == (
        "unknown task 'ring'; known tasks: bars, rings (did you mean 'rings'?)"
    )
    assert unknown("column", "xyz", ["bars"]) == "unknown column 'xyz'; known columns: bars"


@pytest.mark.parametrize(
    ("kind", "plural"),
    [
        ("survey", "surveys"),
        ("stretch", "stretches"),
        ("category", "categories"),
        ("key", "keys"),
        ("set of cuts", "sets of cuts"),
        ("way to learn", "ways to learn"),
    ],
)
def test_counted_nouns_have_the_right_plural(kind, plural):
    assert f"known {plural}: a" in unknown(kind, "b", ["a"])


def test_long_lists_are_cut_and_the_rest_is_counted():
    assert some([1, 2, 3]) == "1, 2, 3" and some(range(5), 2) == "0, 1 and 3 more" and some([]) == ""


@pytest.mark.parametrize(
    ("given", "names"), [("g, r,z", ["g", "r", "z"]), (("g", " r"), ["g", "r"]), ("", None), (None, None), ([], None)]
)
def test_bands_are_named_in_any_way(given, names):
    assert band_names(given) == names
