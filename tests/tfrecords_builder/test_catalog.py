import unicodedata

import numpy as np
import pandas as pd
import pytest

from tfrecords_builder.catalog import check_catalog, read_catalog

LONG = 8647475121430856586


def catalog(ids, **columns):
    return pd.DataFrame({"id_str": ids, "file_loc": "a.jpg"} | columns)


@pytest.mark.parametrize(
    "ids", [["NA", "nan"], ["None", "null"], ["007", "7"], ["a b", "é"], ["$x^{$", "=1+1"], [LONG, 5]]
)
def test_any_printable_text_is_a_name(ids):
    assert check_catalog(catalog(ids))["id_str"].tolist() == [str(name) for name in ids]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", ""], r"1 rows without id_str \(rows 1\)"),
        (["a", None], r"1 rows without id_str \(rows 1\)"),
        (["a", "b\nc"], r"1 id_str with a line break or another control character \('b\\nc'\)"),
        (["a", "b\0"], r"control character \('b\\x00'\)"),
        (["a", "a"], r"1 id_str more than once \(a\)"),
        ([1.0, 2.0], "id_str holds floating-point numbers"),
        (["12.0", "7.0"], r"contains floating-point numbers as text \(12.0, 7.0\)"),
        (["b'a'", "b'b'"], r"contains bytes as Python prints them \(b'a', b'b'\)"),
        (["a", "a ", "b"], r"1 id_str more than once \(a\)"),
        (["8.64747512143086E+18", "a"], r"was rounded by a spreadsheet .*\(8.64747512143086E\+18\)"),
        ([unicodedata.normalize(form, "é") for form in ("NFC", "NFD")], "2 id_str that look alike .* Unicode forms"),
    ],
)
def test_what_is_not_a_name_is_refused_in_one_sentence(ids, message):
    with pytest.raises(ValueError, match=message) as error:
        check_catalog(catalog(ids))
    assert "\n" not in str(error.value)


def test_empty_ids_of_a_file_are_missing_and_the_text_na_is_not(tmp_path):
    (tmp_path / "c.csv").write_text("id_str,file_loc\nNA,a\n,b\n")
    with pytest.raises(ValueError, match=r"1 rows without id_str \(rows 1\)"):
        check_catalog(read_catalog(tmp_path / "c.csv"))


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_blanks_around_ids_and_paths_are_no_part_of_them(tmp_path, kind):
    """Fixed-width columns are padded with them and csv readers strip them, so galaxies would not match."""
    table = pd.DataFrame({"id_str": [" a", "b  ", "c d"], "file_loc": ["a.png ", " b.png", "c.png"]})
    if kind != "frame":
        getattr(table, f"to_{kind}")(tmp_path / f"c.{kind}", index=False)
        table = read_catalog(tmp_path / f"c.{kind}")
    checked = check_catalog(table)
    assert checked["id_str"].tolist() == ["a", "b", "c d"]
    assert checked["file_loc"].tolist() == ["a.png", "b.png" if kind == "csv" else " b.png", "c.png"]


def test_columns_with_numbers_for_names_and_sparse_ones_are_columns_as_any(tmp_path):
    table = catalog(["a", "b"], sparse=pd.arrays.SparseArray([0, 3]), none=pd.arrays.SparseArray([np.nan, 1.5]))
    checked = check_catalog(table.assign(**{"n": [1, 2]}).rename(columns={"n": 0}))
    assert checked["0"].tolist() == [1, 2] and checked["sparse"].tolist() == [0, 3]
    assert checked["none"].fillna(-1).tolist() == [-1, 1.5]
    with pytest.raises(ValueError, match="several columns of the catalogue are called '0'"):
        check_catalog(catalog(["a"], **{"0": 1, "n": 2}).rename(columns={"n": 0}))


def test_an_index_called_id_str_is_the_column(tmp_path):
    table = pd.DataFrame({"file_loc": ["a"]}, index=pd.Index([str(LONG)], name="id_str"))
    table.to_parquet(tmp_path / "c.parquet")
    for given in (table, read_catalog(tmp_path / "c.parquet")):
        assert check_catalog(given)["id_str"].tolist() == [str(LONG)]


def test_columns_in_capitals_are_found_unless_both_are_there():
    table = pd.DataFrame({"ID_STR": ["a"], "FILE_LOC": ["b"], "RA": [1.0], "DEC": [2.0], "Z": [3]})
    assert list(check_catalog(table)) == ["id_str", "file_loc", "ra", "dec", "Z"]
    assert list(check_catalog(catalog(["a"], ra=1.0, RA=2.0))) == ["id_str", "file_loc", "ra", "RA"]


def test_long_numbers_of_a_frame_stay_exact_when_rows_are_missing():
    checked = check_catalog(catalog(["a", "b"], objid=[LONG, 3], n=[1, 2])).set_index("id_str").reindex(["b", "c", "a"])
    assert checked["objid"].fillna("").tolist() == ["3", "", str(LONG)] and checked["n"].dtype == float
