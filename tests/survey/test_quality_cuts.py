import itertools

import numpy as np
import pandas as pd
import pytest

from morphtools.survey.quality_cuts import OPERATORS, class_of, columns_of, list_cuts, passes, read_cuts


def passed(test, table, **about):
    """The result of one cut for a table, as a list of True, False and None."""
    cuts = read_cuts({"cuts": [test | about]})
    answer = passes(cuts.cuts[0].test, table, columns_of(cuts, table.columns))
    return [None if pd.isna(value) else bool(value) for value in answer]


def condition(column, operator, value):
    return {"column": column, "operator": operator, "value": value}


NUMBERS = pd.DataFrame({"x": [1.0, 2.0, 3.0, np.nan]})


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (">", 2, [False, False, True, None]),
        (">=", 2, [False, True, True, None]),
        ("<", 2, [True, False, False, None]),
        ("<=", 2, [True, True, False, None]),
        ("==", 2, [False, True, False, None]),
        ("!=", 2, [True, False, True, None]),
        ("in", [1, 3], [True, False, True, None]),
        ("not in", [1, 3], [False, True, False, None]),
        ("any bit of", [1], [True, False, True, None]),
        ("no bit of", [1, 4], [False, True, False, None]),
    ],
)
def test_every_operator_compares_what_is_known_and_leaves_the_rest_unknown(operator, value, expected):
    assert passed(condition("x", operator, value), NUMBERS) == expected


def test_the_test_above_knows_every_operator():
    marks = test_every_operator_compares_what_is_known_and_leaves_the_rest_unknown.pytestmark
    assert {case[0] for case in marks[0].args[1]} == set(OPERATORS)


@pytest.mark.parametrize(("how", "join"), [("all", min), ("any", max)])
def test_joined_conditions_follow_the_logic_of_three_values(how, join):
    values = {True: 1.0, False: 0.0, None: np.nan}
    pairs = list(itertools.product(values, repeat=2))
    table = pd.DataFrame([[values[a], values[b]] for a, b in pairs], columns=["a", "b"])
    test = {how: [condition("a", "==", 1), condition("b", "==", 1)]}
    rank = {False: 0, None: 1, True: 2}  # Kleene: and is the smaller one, or the larger one
    assert passed(test, table) == [join(pair, key=rank.get) for pair in pairs]


def test_flags_are_tested_bit_by_bit_also_where_they_are_long_numbers_kept_as_text():
    flags = [1 << 63, (1 << 63) | 2, 2, -(1 << 63)]
    table = pd.DataFrame({"flags": list(map(str, flags))})
    assert passed(condition("flags", "any bit of", [1 << 63]), table) == [True, True, False, True]
    with pytest.raises(ValueError, match=r"column 'flags' contains '2\.5', but bits need integers"):
        passed(condition("flags", "any bit of", [1]), pd.DataFrame({"flags": [2.5]}))


@pytest.mark.parametrize("cells", [[True, False], ["True", "false"], [1, 0], pd.array([True, False], "boolean")])
def test_true_and_false_are_what_they_are_however_a_table_writes_them(cells):
    assert passed(condition("x", "==", False), pd.DataFrame({"x": cells})) == [False, True]


def test_words_and_ids_are_compared_as_text():
    table = pd.DataFrame({"class": ["GALAXY", " QSO", None], "id": ["007", "7", "8"]})
    assert passed(condition("class", "==", "GALAXY"), table) == [True, False, None]
    assert passed(condition("class", "in", ["QSO", "STAR"]), table) == [False, True, None]
    assert passed(condition("id", "==", "7"), table) == [False, True, False]


def test_a_word_among_numbers_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="column 'x' contains 'bright', which cannot be compared with a number"):
        passed(condition("x", "<", 17), pd.DataFrame({"x": ["16.5", "bright"]}))


def test_the_first_column_that_is_there_is_used_in_whatever_capitals_and_all_missing_ones_are_listed():
    cuts = read_cuts({"cuts": [condition(["a", "b"], ">", 0), condition("c", ">", 0)]})
    assert columns_of(cuts, pd.Index(["B", "c", "C"])) == {"a": "B", "c": "c"}
    assert columns_of(cuts, pd.Index(["x", "c"]), {"b": "x"}) == {"a": "x", "c": "c"}
    with pytest.raises(ValueError, match="lacks columns of the cuts: a or b, c; it has x"):
        columns_of(cuts, pd.Index(["x"]))
    with pytest.raises(ValueError, match="the cuts use no column z"):
        columns_of(cuts, pd.Index(["a", "c"]), {"z": "x"})


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (condition("x", "=>", 2), "=>"),
        (condition("x", ">", "__import__('os')"), "> needs a number"),
        (condition("x", ">", True), "> needs a number"),
        (condition("x", ">", float("nan")), "> needs a number"),
        (condition("x", "in", 3), "'in' needs a list"),
        (condition("x", "any bit of", [0.5]), "bits as whole numbers"),
        (condition(3, ">", 2), "column must be a name"),
        ({"any": []}, "a list all or any"),
        ({"column": "x", "operator": ">"}, "column, operator and value"),
        ("x > 2", "column, operator and value"),
        (condition("x", ">", 2) | {"unknown": "guess"}, "unknown rule|rule for unknown values"),
        (condition("x", ">", 2) | {"sectoin": "2"}, "column, operator and value"),
    ],
)
def test_what_is_not_a_cut_is_named_with_its_number(cut, message):
    with pytest.raises(ValueError, match=rf"cut 2: .*({message})"):
        read_cuts({"cuts": [condition("x", ">", 2), cut]})


@pytest.mark.parametrize("text", ["cuts: []", "[1, 2]", "a: b: c", "", "cuts: !!python/object/apply:os.getcwd []"])
def test_a_file_that_holds_no_cuts_is_an_error(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"mine\.yaml"):
        read_cuts(path)


def test_an_unknown_set_is_told_which_there_are():
    with pytest.raises(ValueError, match=r"gz_decal.*gz_decals"):
        read_cuts("gz_decal")


@pytest.mark.parametrize("name", list_cuts())
def test_every_set_of_a_paper_names_the_paper_and_a_section_for_each_cut(name):
    cuts = read_cuts(name)
    assert "arXiv:" in cuts.source and all(cut.section for cut in cuts.cuts)


def test_galaxy_zoo_2_keeps_what_its_paper_keeps():
    row = {"petroMag_r": 16.0, "petroR90_r": 5.0, "z": 0.05, "flags": 0}
    others = [
        ({}, True),
        ({"petroMag_r": 17.0}, False),
        ({"petroR90_r": 3.0}, False),
        ({"z": 0.25}, False),
        ({"z": 0.0005}, False),
        ({"z": np.nan}, True),  # galaxies without a spectrum
        ({"flags": 0x2}, False),  # BRIGHT
        ({"flags": 0x40000}, False),  # SATURATED
        ({"flags": 0x8}, False),  # BLENDED
        ({"flags": 0x8 | 0x40}, True),  # but not deblended
    ]
    table = pd.DataFrame([row | other for other, _ in others])
    cuts = read_cuts("gz2")
    columns = columns_of(cuts, table.columns)
    kept = np.ones(len(table), bool)
    for cut in cuts.cuts:
        kept &= passes(cut.test, table, columns).fillna(cut.keep_unknown).to_numpy(bool)
    assert kept.tolist() == [expected for _, expected in others]


def test_a_set_with_classes_gives_each_galaxy_the_first_class_that_it_passes():
    classes = {"small": condition("x", "<", 2), "low": condition("x", "<", 3), "far": condition("y", ">", 0)}
    cuts = read_cuts({"column": "kind", "classes": classes})
    table = pd.DataFrame({"x": [1.0, 2.0, 3.0, np.nan, np.nan], "y": [1.0, np.nan, 1.0, 1.0, np.nan]})
    columns = columns_of(cuts, table.columns)
    assert list(class_of(cuts, table, columns)) == ["small", "low", "far", "far", ""]
    kept = passes(cuts.cuts[-1].test, table, columns)
    assert [None if pd.isna(each) else bool(each) for each in kept] == [True, True, True, True, None]


def test_the_three_shapes_are_those_of_galaxies_about_which_volunteers_agree():
    cuts = read_cuts("mohale2023")
    smooth, disk, edge, face = (
        [0.9, 0.1, 0.05, 0.05],
        [0.05, 0.95, 0.0, 0.95],
        [0.1, 0.9, 0.85, 0.05],
        [0.5, 0.5, 0.2, 0.3],
    )
    table = pd.DataFrame([smooth, disk, edge, face], columns=["Class1.1", "Class1.2", "Class2.1", "Class2.2"])
    assert list(class_of(cuts, table, columns_of(cuts, table.columns))) == ["smooth", "featured", "edge-on", ""]


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        ({"classes": {"a": condition("x", "<", 2)}}, r"the set of cuts: classes need a `column` for their names"),
        ({"column": "kind", "classes": ["a"]}, r"the set of cuts: classes are conditions by name, got \['a'\]"),
        (
            {"column": "kind", "classes": {"a": 3}},
            r"the set of cuts: class a: a condition must have column, operator and value",
        ),
        ({"column": "kind"}, "needs a list `cuts` with at least one cut"),
    ],
)
def test_classes_that_cannot_be_read_are_refused_in_one_sentence(cuts, message):
    with pytest.raises(ValueError, match=message):
        read_cuts(cuts)
