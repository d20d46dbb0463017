import numpy as np
import pandas as pd
import pytest

from morphtools.explore.tables import (
    all_but,
    column_of,
    digest_of,
    known_in,
    known_of,
    left_out,
    open_catalog,
    with_known,
)
from morphtools.inference.representations import Representations
from tfrecords_builder.tables_out import write_csv

CATALOG = pd.DataFrame({"id_str": ["c", "a", "b"], "file_loc": ["3", "1", "2"], "size": [3.0, 1.0, 2.0]})


def test_what_is_known_comes_in_the_order_of_the_galaxies_and_is_nan_where_nothing_is():
    known = known_of(["a", "x", "c"], CATALOG)
    assert known.index.tolist() == ["a", "x", "c"] and list(known) == ["file_loc", "size"]
    np.testing.assert_array_equal(known["size"], [1, np.nan, 3])
    assert known_of(["a"], None).shape == (1, 0)


def test_a_catalogue_of_other_galaxies_is_refused_with_both_kinds_of_name():
    with pytest.raises(ValueError, match=r"none of these 1 galaxies: its id_str are like 'c', .* like 'J12'"):
        known_of(["J12"], CATALOG)


def test_columns_that_both_tables_have_stay_apart():
    table = with_known(pd.DataFrame({"id_str": ["b", "c"], "size": [20, 30]}), CATALOG)
    assert table.to_dict("list") == {"id_str": ["b", "c"], "size": [20, 30], "catalog_size": [2.0, 3.0]}


@pytest.fixture
def store(tmp_path):
    made = Representations.create(tmp_path / "store", 1, {"weights": "w"})
    made.append(["a", "b"], [[0], [1]])
    made.append(["c"], [[2]])
    return made


def test_a_list_of_galaxies_leaves_them_out_wherever_they_stand(store, tmp_path):
    CATALOG[:2].to_csv(tmp_path / "list.csv", index=False)
    for exclude in (CATALOG[:2], tmp_path / "list.csv", str(tmp_path / "list.csv")):
        rows = left_out(store, exclude)
        assert rows.tolist() == [0, 2] and all_but(store, rows).tolist() == [False, True, False]
    assert not len(left_out(store, None)) and all_but(store, left_out(store, None)) is None


def test_a_catalogue_is_joined_to_a_store_by_name_whichever_is_longer(store):
    catalog = pd.DataFrame({"id_str": ["c", "x", "a"], "row": [7, 8, 9]})
    known, rows = known_in(store, catalog)
    assert known["row"].to_dict() == {"c": 7, "a": 9} and rows.tolist() == [2, 0]
    known, rows = known_in(store, catalog, np.array([False, True, True]))
    assert list(known.index) == ["c"] and rows.tolist() == [2]
    with pytest.raises(ValueError, match=r"none of these 3 galaxies: .* like 'c', .* like 'a'"):
        known_in(store, catalog, np.array([False, True, False]))


def test_a_missing_column_is_named_with_the_nearest_one():
    with pytest.raises(ValueError, match=r"unknown column 'siz'.*did you mean 'size'"):
        column_of(CATALOG, "siz")


def test_a_set_of_galaxies_has_one_name_whatever_its_order():
    assert digest_of(np.array(["a", "b"])) == digest_of(np.array(["b", "a"])) != digest_of(np.array(["ab"]))
    assert digest_of(np.array([])) is None


def test_what_is_written_is_read_again(tmp_path):
    write_csv(CATALOG, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(
        open_catalog(tmp_path / "t.csv").astype({"file_loc": str, "id_str": str}),
        CATALOG.astype({"file_loc": str, "id_str": str}),
        check_dtype=False,
    )
    assert open_catalog(None) is None and open_catalog(CATALOG) is CATALOG
