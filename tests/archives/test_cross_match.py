import logging

import numpy as np
import pandas as pd
import pytest

import morphtools
from morphtools.archives.cross_match import cross_match, to_degrees
from tfrecords_builder.catalog import read_catalog
from tfrecords_builder.tables_out import write_table

ARCSEC = 1 / 3600


@pytest.fixture
def tables():
    a = pd.DataFrame(
        {"id_str": ["001", "002", "003", "004"], "ra": [10.0, 359.99999, 50.0, np.nan], "dec": [0.0, 5, -60, 1]}
    )
    b = pd.DataFrame({"objID": [588848900446224543, 588848900446224544, 7], "RA": [10 + ARCSEC, 1e-5, 51.0]})
    return a.assign(file_loc=a["id_str"] + ".fits"), b.assign(DEC=[0.0, 5.0, -60.0], bar=[1, 0, 1])


def test_rows_at_the_same_place_are_joined(tables):
    match = cross_match(*tables)
    assert match.rows_a.tolist() == [0, 1] and match.rows_b.tolist() == [0, 1]
    assert match.table.columns.tolist() == "id_str ra dec file_loc objID ra_b dec_b bar separation_arcsec".split()
    assert match.table["id_str"].tolist() == ["001", "002"] and match.table["objID"][0] == "588848900446224543"
    expected = [1.0, 2e-5 * 3600 * np.cos(np.radians(5))]
    np.testing.assert_allclose(match.table["separation_arcsec"], expected, rtol=1e-6)
    assert "table a: 1 rows have no position and match nothing" in match.remarks


def test_rows_without_a_match_may_stay(tables):
    table = cross_match(*tables, unmatched=True).table
    assert table["id_str"].tolist() == ["001", "002", "003", "004"]
    assert table["bar"].tolist()[:2] == [1, 0] and table["bar"].isna().tolist() == [False, False, True, True]
    assert table["separation_arcsec"].isna().tolist() == [False, False, True, True]


@pytest.mark.parametrize("ending", ["csv", "parquet", "fits", "vot", "ecsv", "tsv.gz"])
def test_every_format_goes_in_and_out(tables, ending, tmp_path):
    for name, table in zip("ab", tables, strict=True):
        write_table(table, tmp_path / f"{name}.{ending}")
    match = cross_match(tmp_path / f"a.{ending}", tmp_path / f"b.{ending}", tmp_path / f"out.{ending}", unmatched=True)
    again = read_catalog(match.out)
    assert again["id_str"].tolist() == ["001", "002", "003", "004"]
    assert again["objID"].dropna().tolist() == ["588848900446224543", "588848900446224544"]
    assert again["bar"].to_numpy(float, na_value=np.nan).tolist()[:2] == [1, 0]
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.{ending}" for name in ("a", "b", "out")}


CROWD_A = pd.DataFrame({"id_str": ["p", "q"], "ra": [0.0, 0.0], "dec": [0.0, ARCSEC]})
CROWD_B = pd.DataFrame({"name": ["x", "y"], "ra": [0.0, 0.0], "dec": [0.9 * ARCSEC, -1.5 * ARCSEC]})


@pytest.mark.parametrize(
    ("find", "pairs"),
    [("nearest", ["px", "qx"]), ("one-to-one", ["py", "qx"]), ("all", ["px", "py", "qx"])],  # q and y: 2.5 arcsec
)
def test_matches_in_a_crowded_field_are_one_to_one_nearest_or_all(find, pairs):
    table = cross_match(CROWD_A, CROWD_B, find=find).table
    assert (table["id_str"] + table["name"]).tolist() == pairs


def test_duplicates_leave_the_most_complete_row_and_are_listed(tmp_path):
    a = pd.DataFrame({"id_str": list("pqrs"), "ra": [9.0, 9.0, 9.0, 20.0], "dec": [0, ARCSEC, 2 * ARCSEC, 0]})
    a["z"], a["mass"] = [np.nan, 0.1, 0.2, 0.3], [np.nan, 1.0, 1.0, 1.0]
    b = pd.DataFrame({"ra": [9.0, 20.0], "dec": [0.0, 0.0]})
    match = cross_match(a, b, tmp_path / "out.csv", radius="3 arcsec", deduplicate="1.1 arcsec", find="nearest")
    assert read_catalog(match.out)["id_str"].tolist() == ["q", "s"]
    listed = read_catalog(tmp_path / "out-duplicates.csv")
    assert listed["table"].tolist() == ["a", "a"] and listed["id_str"].tolist() == ["p", "r"]
    assert listed["row"].tolist() == [0, 2] and listed["kept_row"].tolist() == [1, 1]
    np.testing.assert_allclose(listed["separation_arcsec"], [1, 1], rtol=1e-6)
    assert cross_match(a, b, deduplicate=1.1, unmatched=True).table["id_str"].tolist() == ["q", "s"]


def test_positions_may_be_written_in_any_way():
    a = pd.DataFrame({"id_str": ["a"], "RA": ["10:00:28.6"], "DEC": ["+02:12:21"]})
    b = pd.DataFrame({"RAJ2000": [150.119166667], "DEJ2000": [2.2058333333]})
    match = cross_match(a, b)
    assert len(match.rows_a) == 1 and match.separations[0] < 0.01
    assert "table b: positions are from RAJ2000 and DEJ2000" in match.remarks
    own = b.rename(columns={"RAJ2000": "alpha", "DEJ2000": "delta"})
    assert len(cross_match(a, own, position_b=("alpha", "delta")).rows_a) == 1
    with pytest.raises(ValueError, match=r"no positions: the table needs ra and dec .* has the columns alpha, delta"):
        cross_match(a, own)


def test_a_position_that_cannot_be_read_costs_one_row(tables):
    bad = tables[0].assign(ra=["10", "five", "50", "-999"])
    match = cross_match(bad, tables[1])
    assert match.rows_a.tolist() == [0]
    remark = next(remark for remark in match.remarks if "cannot be used" in remark)
    assert "row 1: ra is 'five'" in remark and "row 3: ra is -999" in remark


@pytest.mark.parametrize(
    ("columns", "moving"),
    [("pmra pmdec", True), ("pmRA ref_epoch", True), ("pm_ra_cosdec EPOCH", True), ("pmfield apm epochs", False)],
)
def test_proper_motions_and_epochs_are_ignored_and_reported(columns, moving, caplog, tables):
    with caplog.at_level(logging.INFO, "morphtools"):
        match = cross_match(tables[0].assign(**dict.fromkeys(columns.split(), 1.0)), tables[1])
    assert any("proper motions and epochs are ignored" in remark for remark in match.remarks) == moving
    assert ("proper motions" in caplog.text) == moving


def test_matches_can_be_matched_again(tables):
    once = cross_match(*tables).table
    with pytest.raises(ValueError, match=r"two columns are called ra_b, dec_b.*; choose others"):
        cross_match(once, tables[1])
    twice = cross_match(once, tables[1], suffixes=("", "_c")).table
    assert {"separation_arcsec", "separation_arcsec_2", "bar", "bar_c"} <= set(twice.columns)
    assert twice["separation_arcsec_2"].tolist() == twice["separation_arcsec"].tolist()


def test_columns_of_pieces_become_one_type(tmp_path, monkeypatch):
    """A csv file whose later rows are words or fractions where the first ones are whole numbers."""
    monkeypatch.setattr("morphtools.archives.kept_tables.ROWS", 2)
    a = pd.DataFrame({"id_str": ["1", "2", "3", "4"], "ra": range(4), "dec": 0, "field": ["1", "2", "3", "3b"]})
    a.assign(mass=[1, 2, 3, 4.5], note=[None, None, None, "x"]).to_csv(tmp_path / "a.csv", index=False)
    table = cross_match(tmp_path / "a.csv", a[["ra", "dec"]]).table
    assert table["field"].tolist() == ["1", "2", "3", "3b"] and table["note"].tolist()[3] == "x"
    assert table["mass"].tolist() == [1, 2, 3, 4.5]


def test_nothing_is_overwritten(tables, tmp_path):
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(FileExistsError, match="already exists"):
        cross_match(*tables, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "mine"


def test_what_a_killed_call_left_is_removed(tables, tmp_path):
    for left in (".out.csv.work/a", ".out.csv.work/b"):
        (tmp_path / left).mkdir(parents=True)
        (tmp_path / left / "0.arrow").write_bytes(b"half")
    (tmp_path / ".77-abc.partial.out.csv").write_text("half")
    cross_match(*tables, tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize(
    ("angle", "degrees"),
    [
        (3.6, 0.001),
        ("3.6", 0.001),
        ("1.98arcsec", 0.00055),
        ("0.06 arcmin", 0.001),
        ("1 deg", 1),
        ("0.1mas", 1 / 3.6e7),
    ],
)
def test_angles_are_read_in_every_spelling(angle, degrees):
    assert to_degrees(angle, "radius") == pytest.approx(degrees, rel=1e-12)


@pytest.mark.parametrize("angle", ["2 metres", "near", 0, -1, "100 deg", "nan"])
def test_what_is_not_an_angle_is_refused_by_name(angle, tables):
    with pytest.raises(ValueError, match="radius must be"):
        cross_match(*tables, radius=angle)


def test_arguments_are_refused_by_name(tables):
    with pytest.raises(ValueError, match=r"unknown find 'nearset'; .*did you mean 'nearest'"):
        cross_match(*tables, find="nearset")
    with pytest.raises(ValueError, match="two different endings"):
        cross_match(*tables, suffixes=("_a", "_a"))
    with pytest.raises(FileNotFoundError, match="there is no catalogue at"):
        cross_match("nowhere.csv", tables[1])


def test_empty_tables_match_nothing(tables):
    match = cross_match(tables[0].iloc[:0], tables[1])
    assert len(match.table) == 0 and match.summary == "0 matches" and "id_str" in match.table


def test_labels_of_volunteers_reach_a_catalogue_of_images():
    """From positions and Galaxy Zoo 1 as it is published to the labels of a task."""
    images = pd.DataFrame({"id_str": ["g1", "g2", "g3"], "file_loc": list("abc"), "ra": [0.5, 1.5, 2.5], "dec": 10.0})
    zoo = pd.DataFrame({"OBJID": [587727178986356823, 587727227300741210, 587727225153257596]})
    zoo = zoo.assign(RA=["00:02:00.00", "00:06:00.00", "00:10:00.00"], DEC="+10:00:00.0", NVOTE=40)
    zoo = zoo.assign(P_EL_DEBIASED=0.1, P_CS_DEBIASED=0.8, SPIRAL=[1, 0, 0], ELLIPTICAL=[0, 1, 0], UNCERTAIN=[0, 0, 1])
    match = morphtools.cross_match(images, zoo)
    assert match.table["id_str"].tolist() == ["g1", "g2", "g3"] and match.table["id_str_b"][0] == "587727178986356823"
    np.testing.assert_array_equal(match.table["gz1_spiral"].to_numpy(float, na_value=np.nan), [1, 0, np.nan])


@pytest.mark.parametrize(
    ("unit", "ra", "dec"), [("ra in hours", 15, 1), ("ra and dec in radians", 57.29577951, 57.29577951)]
)
def test_positions_in_other_units_are_recognised_where_nothing_matches(unit, ra, dec):
    a = pd.DataFrame({"ra": [150.0, 200.0], "dec": [2.0, -10.0]})
    b = pd.DataFrame({"ra": [200.0 / ra, 20.0 / ra], "dec": [-10.0 / dec, 5.0 / dec]})
    expected = f"no matches, but 1 if table b has {unit}: convert them to degrees"
    assert expected in cross_match(a, b).remarks
    assert expected.replace("b has", "a has") in cross_match(b, a).remarks
    assert not cross_match(a, a).remarks and not cross_match(a, a.assign(ra=a["ra"] + 50)).remarks
