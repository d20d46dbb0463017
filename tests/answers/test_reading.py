import numpy as np
import pandas as pd
import pytest

from morphtools.answers.classes import Classes
from morphtools.answers.fractions import Fractions
from morphtools.answers.numbers import Numbers
from morphtools.answers.reading import read_question
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.several import Several
from morphtools.survey.tasks import get_task

NAN = np.nan


def read(columns, asked, answer=None, task=None, **options):
    catalog = pd.DataFrame(columns)
    catalog["id_str"] = [f"g{i}" for i in range(len(catalog))]
    return read_question(catalog, task=task, columns=tuple(asked.split(",")) if asked else (), answer=answer, **options)


def labels(reading):
    return reading.labels.to_numpy(float).tolist()


@pytest.mark.parametrize(
    "values", [[1, 0, 1], [1.0, 0.0, 1.0], [True, False, True], ["yes", "no", "Yes"], ["ring", "no ring", "RING"]]
)
def test_two_classes_are_found_however_they_are_written(values):
    answer, table, _ = read({"ring": values}, "ring")
    want = ["no ring", "ring"]
    if "ring" in values:  # names are not converted
        assert answer == Classes(("no ring", "ring"))
    assert answer == Classes(tuple(want)) and table["label"].tolist() == [1, 0, 1]


def test_words_are_classes_in_alphabetical_order_and_empty_cells_are_unknown():
    reading = read({"type": ["S0", "E", "", None, "Sb ", "E", "n/a", "none"]}, "type")
    assert reading.answer == Classes(("E", "S0", "Sb", "none"))
    np.testing.assert_array_equal(reading.labels["label"], [1, 0, NAN, NAN, 2, 0, NAN, 3])
    assert "E 2, S0 1, Sb 1, none 1; unknown 3" in reading.rule


def test_spellings_of_a_class_are_one_and_a_warning_names_them(caplog):
    reading = read({"type": ["edge on", "edge_on", "Edge-On", "edge on", "spiral"]}, "type")
    assert reading.answer.names == ("edge on", "spiral")
    assert "edge on, edge_on, Edge-On are treated as one class, edge on" in caplog.text


def test_codes_are_classes_if_answer_is_classes():
    reading = read({"type": [3, 1, 1.0, NAN, 10]}, "type", "classes")
    assert reading.answer.names == ("1", "10", "3")
    np.testing.assert_array_equal(reading.labels["label"], [2, 0, 0, NAN, 1])


@pytest.mark.parametrize("answer", [None, "classes"])
def test_columns_of_classes_are_questions_each_with_answers_of_its_own(answer):
    columns = {"bar": [1, 0, NAN, 1], "type": ["Sb", None, "E", "E"], "is_ring": ["yes", "", "no", "no"]}
    reading = read(columns, "bar,type,is_ring", answer)
    yes_no = Classes(("no", "yes"))
    assert reading.answer == Several(("bar", "type", "is_ring"), (yes_no, Classes(("E", "Sb")), yes_no))
    np.testing.assert_array_equal(reading.labels, [[1, 1, 1], [0, NAN, NAN], [NAN, 0, 0], [1, 0, 0]])
    assert list(reading.labels) == list(reading.answer.label_cols)


def test_numbers_of_different_galaxies_are_still_numbers():
    reading = read({"mass": [9.1, 10.2, NAN, NAN], "size": [NAN, NAN, 2.5, 0.4]}, "mass,size")
    assert reading.answer == Numbers(("mass", "size"))


def test_measures_are_numbers():
    reading = read({"mass": [9.1, 10.2, 11.3, NAN, np.inf], "size": [1.5, 2.5, 3, 4, 5]}, "mass,size")
    assert reading.answer == Numbers(("mass", "size"))
    np.testing.assert_array_equal(reading.labels["number_0"], [9.1, 10.2, 11.3, NAN, NAN])


def test_a_fraction_is_that_of_yes():
    reading = read({"bar": [0.25, 1.0, NAN]}, "bar", "fractions")
    assert reading.answer == Fractions(("no bar", "bar"))
    np.testing.assert_array_equal(reading.labels, [[0.75, 0.25], [0, 1], [NAN, NAN]])


def test_fractions_that_add_up_are_the_answers_to_one_question():
    reading = read({"a": [0.2, 0.5], "b": [0.3, 0.5], "c": [0.5, 0.0]}, "a,b,c")
    assert reading.answer == Fractions(("a", "b", "c"))
    np.testing.assert_allclose(reading.labels.sum(axis=1), 1)


def test_votes_weigh_and_galaxies_with_fewer_than_five_are_left_out():
    reading = read({"a": [12, 3, 4], "b": [8, 1, 1]}, "a,b", "fractions")
    np.testing.assert_array_equal(reading.labels, [[12, 8], [NAN, NAN], [4, 1]])
    assert "of at least 5 (1 galaxies have fewer)" in reading.rule


def test_votes_of_a_known_campaign_need_not_be_explained_and_fractions_find_their_total():
    names = [f"bar_{answer}" for answer in ("no", "strong", "weak")]
    counts = dict(zip(names, ([10, 2], [0, 5], [10, 3]), strict=True))
    assert read(counts, ",".join(names)).answer == Fractions(tuple(names))
    fractions = {f"{name}_fraction": np.array(values) / [20, 10] for name, values in counts.items()}
    reading = read(fractions | {"bar_total-votes": [20, 10]}, ",".join(fractions))
    np.testing.assert_array_equal(reading.labels, [[10, 0, 10], [2, 5, 3]])


@pytest.mark.parametrize(
    ("columns", "asked", "answer", "message"),
    [
        ({"x": [1, 2, 3]}, "y", None, "unknown column 'y'; known columns"),
        ({"x": [1, 2, 3]}, "x", None, "3 whole numbers, 1, 2, 3: they may be codes.*classes or number"),
        ({"x": [0.1, 0.2, 0.9]}, "x", None, "from 0.1 to 0.9: they may be fractions of votes.*fractions or number"),
        ({"x": [1.5, "big", 2]}, "x", None, r"numbers and words, such as big \(galaxy g1\)"),
        ({"x": [1.5, "big", 2]}, "x", "number", r"must contain numbers, got big \(galaxy g1\)"),
        ({"x": [2.5, 2.5]}, "x", None, "has only one value, 2.5"),
        ({"x": [NAN, NAN]}, "x", None, "column 'x' is empty"),
        ({"x": ["a", "a"]}, "x", None, "has only one value, a"),
        ({"x": [0.5, 1.5]}, "x", "fractions", r"fractions from 0 to 1, got 1.5 \(galaxy g1\)"),
        ({"x": [1.2, 1.5, 1.9, 1.4, -99]}, "x", None, r"holds -99 \(galaxy g4\), far from all other values"),
        ({"x": list("ab"), "y": [0.5, 1.5]}, "x,y", None, "be of one kind: x holds classes, y holds a number"),
        ({"x": list("ab"), "y": [1, 2]}, "x,y", None, "column 'y' holds 2 whole numbers, 1, 2: .* classes or number"),
        ({"x": [0, 1], "y": [1, 1]}, "x,y", None, "column 'y' has only one value, 1"),
        ({"x": list("ab"), "y": list("ab")}, "x,x", None, "the columns x, x must all be different"),
        ({"x": [0.5, 0.1], "y": [0.6, 0.7]}, "x,y", None, "do not add up to 1: .* fractions or number"),
        ({"x": [0.5, 0.1], "y": [0.6, 0.7]}, "x,y", "fractions", r"must add up to 1, not 1.1 \(galaxy g0, g1\)"),
        ({"x": [5, 1], "y": [6, 7]}, "x,y", None, "hold whole numbers: .* fractions or number"),
        ({"x": [5, -1], "y": [6, 7]}, "x,y", "fractions", r"must not be negative \(galaxy g1\)"),
        ({"x": [1, 0]}, "x", "votes", "unknown answer 'votes'; known answers: classes, fractions, number"),
        ({"x": [str(i) + "a" for i in range(101)]}, "x", None, "101 different values.*too many classes"),
    ],
)
def test_an_ambiguous_column_ends_in_one_clear_error(columns, asked, answer, message):
    with pytest.raises(ValueError, match=message) as error:
        read(columns, asked, answer)
    assert "\n" not in str(error.value)


def test_a_task_knows_its_answer():
    rings = read({"ring_fraction": [0.9, 0.0]}, "", task=get_task("rings"))
    assert rings.answer == Classes(("no ring", "ring")) and labels(rings) == [[1], [0]]
    pdfs = Photoz(bins=7)
    redshifts = read({"z": [0.1, 0.2]}, "z", task=get_task("photoz"), photoz=pdfs)
    assert redshifts.answer == pdfs and labels(redshifts) == [[0.1], [0.2]]
    with pytest.raises(ValueError, match="give either task or answer"):
        read({"ring": [1, 0]}, "", "classes", task=get_task("rings"))


def test_a_code_and_its_negative_are_two_classes():
    answer, table, _ = read({"ttype": [-5, 5, -1, 1, 0, 5]}, "ttype", "classes")
    assert answer == Classes(("-1", "-5", "0", "1", "5"))
    assert table["label"].tolist() == [1, 4, 0, 3, 2, 4]


def test_two_unicode_forms_of_a_word_are_one_class():
    answer, table, _ = read({"type": ["\u00e9toile", "e\u0301toile", "\u00e9toile", "spirale"]}, "type")
    assert answer == Classes(("spirale", "\u00e9toile")) and table["label"].tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("code", [-99, 99, 999, -9999, 999999])
def test_codes_that_people_write_for_unknown_classes_are_refused_with_their_galaxies(code):
    with pytest.raises(ValueError, match=rf"column 'k' holds {code} \(galaxy g2\)"):
        read({"k": [1, 2, code, 3]}, "k", "classes")


@pytest.mark.parametrize(
    "cells", [["45%", "5 %", "0%"], ["1,234", "2,345", "12,000"], ["0,5", ",7", "1,5"], ["1D2", "1.5d-3", "2"]]
)
@pytest.mark.parametrize("other", [None, ["E", "S", "E"]])
def test_numbers_that_are_not_written_as_such_are_no_classes(cells, other):
    columns = {"x": cells} | ({} if other is None else {"y": other})
    with pytest.raises(ValueError, match=r"column .x. holds numbers (written as|and words)"):
        read(columns, ",".join(columns))
    assert read({"x": cells}, "x", "classes").answer == Classes(tuple(sorted(cells)))  # if people ask for it


@pytest.mark.parametrize("answer", [None, "fractions"])
@pytest.mark.parametrize("whole", [True, False])
def test_percentages_are_neither_votes_nor_measures(answer, whole):
    percent = 100 * np.random.default_rng(0).dirichlet((1, 1, 1), 50)
    percent = percent.round() if whole else percent
    percent[:, 2] = 100 - percent[:, :2].sum(axis=1)
    with pytest.raises(
        ValueError, match="the columns a, b, c add up to 100 for every galaxy: divide percentages by 100"
    ):
        read(dict(zip("abc", percent.T, strict=True)), "a,b,c", answer)
    with pytest.raises(ValueError, match=r"; divide percentages by 100$"):
        read({"a": percent[:, 0] + 1}, "a", "fractions")


def test_counts_hold_neither_fractions_nor_numbers_that_nobody_voted():
    rng = np.random.default_rng(0)
    yes, no = rng.integers(5, 20, (2, 40)).astype(float)
    assert read({"yes": yes, "no": no}, "yes,no", "fractions").labels.notna().all(axis=None)
    for i, (few, many) in {3: (0.25, 0.75), 7: (0.4, 0.6), 8: (0.9, 0.1)}.items():
        yes[i], no[i] = few, many
    with pytest.raises(ValueError, match=r"counts for some galaxies and fractions for others \(galaxy g3, g7, g8\)"):
        read({"yes": yes, "no": no}, "yes,no", "fractions")
    yes[[3, 7, 8]], no[[3, 7, 8]] = 6, 9999
    with pytest.raises(ValueError, match=r"9999 is no number of votes \(galaxy g3, g7, g8\)"):
        read({"yes": yes, "no": no}, "yes,no", "fractions")


@pytest.mark.parametrize("code", [-32768, -9.99, 0, -1, 40, -999.9])
def test_any_code_for_unknown_numbers_is_refused(code):
    """A value that occurs often and has no neighbours."""
    magnitudes = np.random.default_rng(0).normal(20, 0.5, 100)
    magnitudes[[5, 50, 95]] = code
    with pytest.raises(
        ValueError, match=rf"column 'mag' holds {code} \(galaxy g5, g50, g95\), far from all other values"
    ):
        read({"mag": magnitudes}, "mag", "number")


@pytest.mark.parametrize("scale", [1, 40])
def test_minus_one_is_refused_where_nothing_else_is_negative(scale):
    """EFIGI (Baillard et al. 2011, section 4): attributes from 0 to 1 in steps of 0.25, and -1 where undefined."""
    values = np.random.default_rng(0).integers(0, 5, 100) / 4 * scale + (scale > 1) * 0.5
    values[[5, 50, 95]] = -1
    with pytest.raises(ValueError, match=r"holds -1 \(galaxy g5, g50, g95\), the only negative value: leave cells"):
        read({"x": values}, "x", "number")


@pytest.mark.parametrize("cells", [[-1, 0, 1] * 5, [-1, 0, 1, 2, 3, 4] * 5, [-1, -0.5, 0, 0.5, 1.5, 2.25] * 5])
def test_minus_one_is_a_number_on_scales_and_beside_other_negative_numbers(cells):
    assert read({"x": cells}, "x", "number").labels.notna().all(axis=None)


@pytest.mark.parametrize("law", ["a tail", "many zeros", "one far away", "two groups"])
def test_numbers_that_are_only_unusual_are_kept(law, caplog):
    rng = np.random.default_rng(0)
    values = {"a tail": rng.pareto(1, 200), "many zeros": rng.poisson(0.3, 200) * rng.random(200)}
    values |= {
        "one far away": [*rng.random(200), 30.0],
        "two groups": [*rng.normal(0, 1, 100), *rng.normal(50, 1, 100)],
    }
    assert read({"x": values[law]}, "x", "number").labels.notna().all(axis=None)
    assert ("column 'x': 30 (galaxy g200) is far from all other values" in caplog.text) is (law == "one far away")


def test_a_class_without_a_letter_is_reported(caplog):
    read({"type": ["E", "?", "S", "-", "E"]}, "type")
    assert "column 'type': ?, - counts as a class; leave cells empty where it is unknown" in caplog.text


@pytest.mark.parametrize("word", ["Unknown", "n.a.", "UNCLASSIFIED", "missing"])
def test_a_class_that_may_mean_unknown_is_reported(word, caplog):
    reading = read({"type": ["E", "S", word, "E", None]}, "type")
    assert word in reading.answer.names and reading.labels["label"].isna().sum() == 1
    assert f"column 'type': {word} counts as a class" in caplog.text


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["Sb", "SB", "sb", "Sb"], ["SB", "Sb"]),  # de Vaucouleurs: Sb is not barred, SB is
        (["Sab", "SAB", "SBab", "Sbab"], ["SAB", "SBab", "Sab", "Sbab"]),
        (["E", "E-", "E+", "e", "E"], ["E", "E+", "E-"]),
        (["cD", "Cd", "Sd"], ["Cd", "Sd", "cD"]),
        (["SB pec", "Sb pec", "Sb_pec", "Sb pec"], ["SB pec", "Sb pec"]),
        (["ring", "RING", "Ring", "ring", "disc"], ["disc", "ring"]),
        (["edge on", "Edge-On", "edge_on", "EDGE ON", "edge on", "disc"], ["disc", "edge on"]),
    ],
)
def test_capitals_and_signs_of_types_are_kept_but_words_are_words(cells, classes):
    assert list(read({"type": cells}, "type").answer.names) == classes


@pytest.mark.parametrize(
    "cells", [["1.5±0.1", "2.5±0.2"], ["1.5 kpc", "3.5 kpc"], ["<0.5", ">2.5"], ["~ 1.5", "~2.25 "]]
)
def test_measurements_with_units_errors_or_limits_are_no_classes(cells):
    with pytest.raises(ValueError, match=r"holds numbers written as .* without units, errors or limits"):
        read({"size": cells}, "size")


@pytest.mark.parametrize("value", [1e20, -1e30, 3.4e38])
def test_enormous_stand_ins_for_unknown_numbers_are_refused(value):
    with pytest.raises(ValueError, match="far from all other values"):
        read({"size": [*np.linspace(15, 18, 30), value]}, "size", "number")
