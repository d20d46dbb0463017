import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from morphtools.app.columns import Columns, rows_of

IDS = pa.array(["a", "b", "c", "d"], pa.large_string())


@pytest.fixture
def columns(tmp_path):
    made = Columns(IDS)
    table = {
        "id_str": ["d", "a", "x", "b"],
        "z": [0.4, None, 9.0, 0.2],
        "kind": ["E", "S", "E", None],
        "n": [1, 2, 3, 4],
    }
    made.add_table(pd.DataFrame(table), "catalogue", tmp_path / "table")
    return made


def test_columns_are_in_the_order_of_the_store_whatever_that_of_the_table(columns):
    np.testing.assert_array_equal(columns["z"].values, [np.nan, 0.2, np.nan, 0.4])
    assert columns["kind"].cells(np.arange(4)) == ["S", None, None, "E"]
    assert columns["n"].cells(np.arange(4)) == [2, 4, None, 1]


def test_single_cells_are_those_of_whole_columns(columns):
    rows = np.array([3, 0, 2])
    cells = columns.cells(["z", "kind", "n"], rows)
    assert cells == [
        {"z": 0.4, "kind": "E", "n": 1},
        {"z": None, "kind": "S", "n": 2},
        dict.fromkeys(("z", "kind", "n")),
    ]
    assert columns.cells([], rows) == [{}, {}, {}]


def test_every_column_has_a_kind_and_an_origin_and_ids_are_none(columns):
    columns.add("cluster", "clusters", np.array([0, 1, -1, 0]), np.array(["0", "1"], object))
    about = {each["name"]: (each["kind"], each["from"]) for each in columns.about()}
    assert about == {
        "z": ("number", "catalogue"),
        "kind": ("category", "catalogue"),
        "n": ("number", "catalogue"),
        "cluster": ("category", "clusters"),
    }


def test_columns_of_one_name_in_two_tables_are_told_apart(columns, tmp_path):
    columns.add_table(pd.DataFrame({"id_str": list("abcd"), "z": [1.0, 2, 3, 4]}), "predictions", tmp_path / "other")
    assert columns["predictions_z"].cells(np.arange(4)) == [1, 2, 3, 4] and columns["z"].cells(np.array([1])) == [0.2]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"name": ["a"]}, "has no column id_str"),
        ({"id_str": ["a", "a"]}, "more than once"),
        (
            {"id_str": ["p", "q"]},
            "contains none of the 4 galaxies: its id_str look like 'p', those of the store like 'a'",
        ),
    ],
)
def test_a_table_of_other_galaxies_is_refused(tmp_path, table, words):
    with pytest.raises(ValueError, match=words):
        Columns(IDS).add_table(pd.DataFrame(table), "catalogue", tmp_path / "table")


def test_an_unknown_column_is_named_with_the_nearest(columns):
    for ask in (lambda: columns["kindd"], lambda: columns.cells(["kindd"], np.arange(2))):
        with pytest.raises(ValueError, match=r"unknown column 'kindd'.*did you mean 'kind'"):
            ask()


def test_rows_are_found_by_name():
    assert rows_of(IDS, IDS) is None
    assert rows_of(pa.chunked_array([["d"], ["b"]]), IDS).tolist() == [-1, 1, -1, 0]


def test_positions_and_files_are_known_where_a_table_has_them(tmp_path):
    columns = Columns(IDS)
    table = {"id_str": ["d", "a"], "ra": ["10:00:00", "00:40:00"], "dec": ["+10:00:00", "-01:00:00"]}
    columns.add_table(pd.DataFrame(table | {"file_loc": ["d.png", "a.png"]}), "catalogue", tmp_path / "table")
    np.testing.assert_allclose(columns.sky, [[10, -1], [np.nan] * 2, [np.nan] * 2, [150, 10]])
    assert columns.file_locs(np.array([3, 1])) == ["d.png", None]


def test_images_are_found_through_a_table_with_file_names_only(tmp_path):
    columns = Columns(pa.array(["a", "b"], pa.large_string()))
    columns.add_table(pd.DataFrame({"id_str": ["b", "a"], "file_loc": ["b.png", "a.png"]}), "catalogue", tmp_path / "t")
    assert columns.file_locs(np.array([0, 1])) == ["a.png", "b.png"] and columns.about() == []
