import io

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits, votable
from astropy.io.votable.ucd import check_ucd
from astropy.table import Table
from astropy.units import Unit

from tfrecords_builder.catalog import read_catalog
from tfrecords_builder.tables_out import MEANINGS, write_chunks, write_table

ENDINGS = ("csv", "csv.gz", "tsv", "tsv.gz", "parquet", "fits", "fits.gz", "ecsv", "vot", "xml")
COUNT = np.array([3, np.iinfo(np.int16).min, 7], np.int16)


def survey():
    return pd.DataFrame(
        {
            "id_str": ["0071", "NA", "588848900446224543"],
            "ra": [150.1, 0.0, 359.999999999],
            "dec": [-2.25, 90.0, np.nan],
            "redshift": np.array([0.1, np.nan, 0.3], np.float32),
            "votes": pd.array([5, None, 2**62], "Int64"),
            "small": pd.arrays.IntegerArray(COUNT, np.array([False, False, True])),
            "ring": pd.array([True, None, False], "boolean"),
            "edge_on": [True, False, True],
            "comment": ["a, b", None, "'quoted' \"twice\""],
        }
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_is_read_again(ending, tmp_path):
    """Compared with the table itself, cell by cell, through the project's reader."""
    table = survey()
    write_table(table, tmp_path / f"survey.{ending}")
    again = read_catalog(tmp_path / f"survey.{ending}")
    assert list(again.columns) == list(table.columns)
    assert again["id_str"].tolist() == table["id_str"].tolist()
    for name in ("ra", "dec"):
        np.testing.assert_array_equal(again[name].to_numpy(float), table[name].to_numpy(float))
    np.testing.assert_allclose(again["redshift"].to_numpy(float), [0.1, np.nan, 0.3], rtol=1e-6)
    assert again["votes"].isna().tolist() == [False, True, False] and int(again["votes"][2]) == 2**62
    assert [None if pd.isna(v) else int(v) for v in again["small"]] == [3, -32768, None]
    assert [None if pd.isna(v) else bool(v) for v in again["ring"]] == [True, None, False]
    assert again["edge_on"].tolist() == [True, False, True]
    assert [None if pd.isna(v) else v for v in again["comment"]] == ["a, b", None, "'quoted' \"twice\""]


@pytest.mark.filterwarnings("ignore:.*contains NULL")  # of astropy, which has no unknown truth values in FITS
@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv"])
def test_other_programs_see_units_and_unknown_values(ending, tmp_path):
    """astropy reads the file by itself, as TOPCAT would."""
    write_table(survey(), tmp_path / f"survey.{ending}")
    table = Table.read(tmp_path / f"survey.{ending}")
    assert table["ra"].unit == Unit("deg") == table["dec"].unit
    assert np.ma.getmaskarray(table["votes"]).tolist() == [False, True, False] and table["votes"][2] == 2**62
    assert np.ma.getmaskarray(table["small"]).tolist() == [False, False, True]


def test_fits_has_ucds_and_descriptions(tmp_path):
    write_table(survey(), tmp_path / "survey.fits")
    header = fits.getheader(tmp_path / "survey.fits", 1)
    assert header["TTYPE2"] == "ra" and header["TUNIT2"] == "deg" and header["TUCD2"] == "pos.eq.ra;meta.main"
    assert header["TCOMM2"] == "Right ascension (ICRS)" and "COMMENT" not in header
    with fits.open(tmp_path / "survey.fits") as hdus:
        hdus.verify("exception")


def test_a_votable_is_valid(tmp_path):
    write_table(survey(), tmp_path / "survey.vot")
    report = io.StringIO()
    assert votable.validate(str(tmp_path / "survey.vot"), output=report), report.getvalue()
    fields = {field.name: field for field in votable.parse_single_table(tmp_path / "survey.vot").fields}
    assert fields["ra"].ucd == "pos.eq.ra;meta.main" and fields["ra"].description == "Right ascension (ICRS)"


@pytest.mark.parametrize("name", MEANINGS)
def test_units_and_ucds_are_those_of_the_standards(name):
    assert check_ucd(MEANINGS[name].ucd, check_controlled_vocabulary=True)
    assert Unit(MEANINGS[name].unit, format="vounit") == Unit(MEANINGS[name].unit, format="fits")


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_empty_table_keeps_its_columns(ending, tmp_path):
    write_table(survey().iloc[:0], tmp_path / f"empty.{ending}")
    again = read_catalog(tmp_path / f"empty.{ending}")
    assert len(again) == 0 and list(again.columns) == list(survey().columns)


@pytest.mark.parametrize("ending", ["csv.gz", "parquet", "vot"])
def test_pieces_make_the_same_table_as_the_whole(ending, tmp_path):
    table = survey()
    write_chunks((table.iloc[i : i + 1] for i in range(3)), tmp_path / f"pieces.{ending}")
    write_table(table, tmp_path / f"whole.{ending}")
    pd.testing.assert_frame_equal(*(read_catalog(tmp_path / f"{n}.{ending}") for n in ("pieces", "whole")))


def test_unsigned_and_short_numbers_keep_their_values(tmp_path):
    numbers = {
        name: np.array([0, np.iinfo(name).max], name) for name in ("int8", "uint8", "uint16", "uint32", "uint64")
    }
    for ending in ("fits", "vot"):
        write_table(pd.DataFrame(numbers), tmp_path / f"numbers.{ending}")
        again = read_catalog(tmp_path / f"numbers.{ending}")
        assert {name: int(again[name][1]) for name in numbers} == {n: np.iinfo(n).max for n in numbers}


def test_accents_survive_where_the_format_has_them_and_are_refused_by_fits(tmp_path):
    table = pd.DataFrame({"id_str": ["a"], "observer": ["Zoë"]})
    for ending in ("csv", "parquet", "ecsv", "vot"):
        write_table(table, tmp_path / f"accents.{ending}")
        assert read_catalog(tmp_path / f"accents.{ending}")["observer"][0] == "Zoë"
    with pytest.raises(ValueError, match="column 'observer' contains 'Zoë', but FITS is ASCII only"):
        write_table(table, tmp_path / "accents.fits")
    assert not (tmp_path / "accents.fits").exists()


@pytest.mark.parametrize(
    ("columns", "name", "message"),
    [
        ({"ra": [1.0], "RA": [2.0]}, "t.fits", "columns that differ only in capitalisation: ra, RA"),
        ({"pdf": [[0.1, 0.9]]}, "t.vot", "several numbers per cell do not fit into a VOTable: pdf; write parquet"),
        ({"ra": [1.0]}, "t.docx", "unknown table format '.docx'; known table formats: .csv"),
    ],
)
def test_what_a_format_cannot_hold_is_one_sentence(columns, name, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_table(pd.DataFrame(columns), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_text_and_numbers_in_one_column_are_text(tmp_path):
    write_table(pd.DataFrame({"field": [1, "1b", None]}), tmp_path / "t.parquet")
    assert pd.read_parquet(tmp_path / "t.parquet")["field"].tolist()[:2] == ["1", "1b"]
