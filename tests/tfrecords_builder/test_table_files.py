"""Expected values are what was put into the tables; files are written by astropy, pandas or by hand."""

import bz2
import gzip
import lzma
import zipfile
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table

from tfrecords_builder import bounded
from tfrecords_builder.catalog import check_catalog, read_catalog, read_chunks
from tfrecords_builder.table_files import for_spreadsheets

IDS = ["0012", "NA", "8647475121430856586"]
LONG = 8647475121430856586


def written(folder, table, kind, **options):
    """A masked astropy table as a file of some kind."""
    path = folder / f"c.{kind}"
    if kind == "csv":
        table.write(path, format="ascii.csv")
    elif kind == "parquet":
        table.to_pandas().to_parquet(path)
    else:
        formats = {"fits": "fits", "ecsv": "ascii.ecsv", "vot": "votable"}
        table.write(path, format=formats[kind], **options)
    return path


def listed(values):
    return [None if pd.isna(value) else value for value in values]


@pytest.mark.parametrize("kind", ["csv", "parquet", "fits", "ecsv", "vot"])
@pytest.mark.parametrize(
    ("dtype", "values"),
    [("int16", [1, 0, 1]), ("int32", [5, 7, 255]), ("int64", [1, 2, 3]), ("uint16", [1, 2, 40000]),
     ("float32", [0.5, 2.0, 3.0]), ("float64", [0.1, 2.0, 3.0]), ("U2", ["x", "NaN", "z"])],
)  # fmt: skip
def test_a_masked_cell_is_unknown_and_the_others_are_what_they_were(tmp_path, kind, dtype, values):
    if (kind, dtype) in (("csv", "U2"), ("vot", "uint16")):
        pytest.skip("csv cannot tell the text NaN from an empty cell, and a VOTable has no such numbers")
    table = Table({"id_str": IDS}, masked=True)
    table["n"] = MaskedColumn(np.array(values, dtype), mask=[False, True, False])
    read = read_catalog(written(tmp_path, table, kind))
    assert read["id_str"].tolist() == IDS
    assert listed(read["n"]) == [pytest.approx(values[0]) if dtype[0] == "f" else values[0], None, values[2]]


def test_ecsv_with_masks_in_columns_of_their_own_is_read_as_masked(tmp_path):
    table = Table({"id_str": IDS}, masked=True)
    table["n"] = MaskedColumn(np.array([1, 999999, 3]), mask=[False, True, False])
    table["yes"] = MaskedColumn(np.array([True, True, False]), mask=[False, True, False])
    read = read_catalog(written(tmp_path, table, "ecsv", serialize_method="data_mask"))
    assert list(read) == ["id_str", "n", "yes"]
    assert listed(read["n"]) == [1, None, 3] and listed(read["yes"]) == [True, None, False]


@pytest.mark.parametrize("null", [-1, 255, 999999])
def test_the_null_of_a_fits_column_is_unknown(tmp_path, null):
    column = fits.Column("n", "J", null=null, array=np.array([5, null, 0], np.int32))
    ids = fits.Column("id_str", "A20", array=IDS)
    fits.BinTableHDU.from_columns([ids, column]).writeto(tmp_path / "c.fits")
    assert listed(read_catalog(tmp_path / "c.fits")["n"]) == [5, None, 0]


def test_a_logical_null_is_neither_true_nor_false(tmp_path):
    column = fits.Column("yes", "L", array=np.array([True, False, True]))
    fits.BinTableHDU.from_columns([fits.Column("id_str", "A20", array=IDS), column]).writeto(tmp_path / "c.fits")
    content = (tmp_path / "c.fits").read_bytes()
    row = content.index(b"NA".ljust(20, b"\0")) + 20
    assert content[row : row + 1] == b"F"
    (tmp_path / "c.fits").write_bytes(content[:row] + b"\0" + content[row + 1 :])
    assert listed(read_catalog(tmp_path / "c.fits")["yes"]) == [True, None, True]


def test_blanks_in_an_ascii_table_are_unknown_not_zero(tmp_path):
    ids = fits.Column("id_str", "A20", array=IDS)
    numbers = fits.Column("n", "I6", null="--", array=np.array([123456, 222222, 345678]))
    fits.TableHDU.from_columns([ids, numbers]).writeto(tmp_path / "c.fits")
    content = (tmp_path / "c.fits").read_bytes()
    for blank in (b"      ", b"    --"):
        (tmp_path / "d.fits").write_bytes(content.replace(b"222222", blank))
        assert listed(read_catalog(tmp_path / "d.fits")["n"]) == [123456, None, 345678]


@pytest.mark.parametrize("kind", ["parquet", "fits", "ecsv", "vot"])
def test_columns_with_several_numbers_in_a_cell_are_left_out_by_name(tmp_path, kind, caplog):
    table = Table({"id_str": IDS, "n": [1, 2, 3], "spectrum": np.ones((3, 4))})
    if kind == "parquet":
        rows = {"id_str": IDS, "n": [1, 2, 3], "spectrum": [[1.0] * 4] * 3}
        pd.DataFrame(rows).to_parquet(tmp_path / "c.parquet")
    else:
        written(tmp_path, table, kind)
    assert list(read_catalog(tmp_path / f"c.{kind}")) == ["id_str", "n"]
    assert "left out: spectrum" in caplog.text


@pytest.mark.parametrize("kind", ["csv", "parquet", "fits", "ecsv", "vot"])
@pytest.mark.parametrize("rows", [1, 2, 10])
def test_object_ids_keep_all_digits_though_some_are_missing(tmp_path, kind, rows):
    table = Table({"id_str": IDS}, masked=True)
    table["objid"] = MaskedColumn(np.array([17, 0, LONG]), mask=[False, True, False])
    chunks = list(read_chunks(written(tmp_path, table, kind), rows))
    assert len(chunks) == -(-3 // rows)
    assert [value for chunk in chunks for value in listed(chunk["objid"])] == ["17", None, str(LONG)]


@pytest.mark.parametrize("kind", ["parquet", "fits", "ecsv", "vot"])
def test_ids_stored_as_whole_numbers_become_exact_text(tmp_path, kind):
    path = written(tmp_path, Table({"id_str": [LONG, 5], "file_loc": ["a", "b"]}), kind)
    assert read_catalog(path)["id_str"].tolist() == [str(LONG), "5"]


def test_a_number_sign_in_ecsv_is_part_of_the_value(tmp_path):
    table = Table({"id_str": ["a#1", "#2", "c"], "n": [1, 2, 3]})
    assert read_catalog(written(tmp_path, table, "ecsv"))["id_str"].tolist() == ["a#1", "#2", "c"]


CELLS = {"id_str": ["007", "NA"], "file_loc": ["a.jpg", "b.jpg"], "ring": [0.8, 0.05]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.csv", "id_str,file_loc,ring\n007,a.jpg,0.8\nNA,b.jpg,0.05\n"),
        ("c.csv", "id_str, file_loc, ring\n007, a.jpg, 0.8\nNA, b.jpg, 0.05\n"),
        ("c.csv", "\ufeffid_str,file_loc,ring\r\n007,a.jpg,0.8\r\nNA,b.jpg,0.05\r\n"),
        ("c.csv", "id_str;file_loc;ring\n007;a.jpg;0,8\nNA;b.jpg;0,05\n"),
        ("c.csv", "id_str;file_loc;ring\r\n007;a.jpg;0.8\r\nNA;b.jpg;0.05\r\n"),
        ("c.tsv", "id_str\tfile_loc\tring\n007\ta.jpg\t0.8\nNA\tb.jpg\t0.05\n"),
        ("c.csv", "ID_STR,File_Loc,ring\n007,a.jpg,0.8\nNA,b.jpg,0.05\n"),
        ("c.CSV", '"id_str","file_loc","ring"\n"007","a.jpg","0.8"\n"NA","b.jpg","0.05"\n'),
    ],
)
def test_text_tables_of_every_kind_are_read_alike(tmp_path, name, content):
    (tmp_path / name).write_text(content, newline="")
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    (tmp_path / f"16-{name}").write_bytes(content.removeprefix("\ufeff").encode("utf-16"))
    for each in (name, f"{name}.gz", f"16-{name}"):
        assert read_catalog(tmp_path / each).to_dict("list") == CELLS


def test_text_that_is_not_utf8_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "c.csv").write_bytes("id_str,name\na,Schödel\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"c.csv: it is not UTF-8 text \(byte \d+\); save it as UTF-8"):
        read_catalog(tmp_path / "c.csv")


@pytest.mark.parametrize("attribute", ["href", "xlink:href", "HREF"])
@pytest.mark.parametrize("stream", ["STREAM", "vo:STREAM"])
def test_a_votable_whose_data_is_elsewhere_is_refused_unopened(tmp_path, stream, attribute, monkeypatch):
    (tmp_path / "secret").write_text("secret")
    text = f"""<?xml version="1.0"?><VOTABLE version="1.3"><RESOURCE><TABLE>
    <FIELD name="id_str" datatype="char" arraysize="6"/><DATA><BINARY>
    <{stream} {attribute}="file://{tmp_path}/secret"/></BINARY></DATA></TABLE></RESOURCE></VOTABLE>"""
    (tmp_path / "c.vot").write_text(text)
    monkeypatch.setattr(Table, "read", None)  # astropy is not even asked
    with pytest.raises(ValueError, match=r"its data is not in the file but at 'file://.*secret'; save the table with"):
        read_catalog(tmp_path / "c.vot")


def test_names_win_over_identifiers_in_a_votable(tmp_path):
    table = Table({"id_str": ["a"], "bar-dr5_strong": [3]})
    path = written(tmp_path, table, "vot")
    path.write_text(path.read_text().replace('ID="bar-dr5_strong"', 'ID="col2"'))
    assert list(read_catalog(path)) == ["id_str", "bar-dr5_strong"]


def test_formulas_are_escaped_on_request_only(monkeypatch):
    cells = ["=1+1", "+1", "-cmd", "@x", "a=1", None]
    table = pd.DataFrame({"id_str": cells, "z": [-1.0] * 6})
    pd.testing.assert_frame_equal(for_spreadsheets(table), table)
    monkeypatch.setenv("MORPHTOOLS_ESCAPE_FORMULAS", "1")
    escaped = for_spreadsheets(table)
    assert listed(escaped["id_str"]) == ["'=1+1", "'+1", "'-cmd", "'@x", "a=1", None]
    assert escaped["z"].tolist() == [-1.0] * 6
    arrow = pa.table({"id_str": cells, "z": [-1.0, None, 1, 2, 3, 4], "n": pa.array([1, None, 2, 3, 4, 5], pa.int64())})
    pd.testing.assert_series_equal(for_spreadsheets(arrow).to_pandas()["id_str"], escaped["id_str"])
    assert for_spreadsheets(arrow).drop(["id_str"]) == arrow.drop(["id_str"])


def test_a_fits_table_that_promises_endless_axes_is_refused_at_once(tmp_path):
    fits.BinTableHDU.from_columns([fits.Column("id_str", "A3", array=["a"])]).writeto(tmp_path / "c.fits")
    content = (tmp_path / "c.fits").read_bytes()
    assert content.count(b"TFIELDS =                    1") == 1
    (tmp_path / "c.fits").write_bytes(
        content.replace(b"TFIELDS =                    1", b"TFIELDS =            999999999")
    )
    with pytest.raises(ValueError, match="its header has TFIELDS"):
        read_catalog(tmp_path / "c.fits")


@pytest.mark.parametrize("rows", ["a,a.jpg,1,\nb,b.jpg,0,7\n", "a,a.jpg,1,2\nb,b.jpg,0,2\n", "a,a.jpg,1,2,3\n"])
def test_rows_with_more_cells_than_the_header_has_names_are_refused_not_shifted(tmp_path, rows):
    (tmp_path / "c.csv").write_text("id_str,file_loc,ring\n" + rows)
    with pytest.raises(ValueError, match=r"more cells than there are column names .id_str, file_loc, ring"):
        read_catalog(tmp_path / "c.csv")


def test_a_comma_at_the_end_of_every_row_is_not_a_cell(tmp_path):
    (tmp_path / "c.csv").write_text("id_str,file_loc,ring,\na,a.jpg,1,\nb,b.jpg,0,\n")
    read = read_catalog(tmp_path / "c.csv")
    assert read[["id_str", "file_loc", "ring"]].values.tolist() == [["a", "a.jpg", 1], ["b", "b.jpg", 0]]


def test_errors_of_readers_are_one_line(tmp_path):
    (tmp_path / "c.csv").write_text("id_str,file_loc\na,a.jpg\nb,b.jpg,0\n")
    with pytest.raises(ValueError, match=r"Expected 2 fields in line 3, saw 3$"):
        read_catalog(tmp_path / "c.csv")


def test_two_columns_of_one_name_are_refused_by_name():
    with pytest.raises(ValueError, match="several columns of the catalogue are called 'ring'"):
        check_catalog(pd.DataFrame([["a", "a", 1, 2]], columns=["id_str", "file_loc", "ring", "ring"]))


@pytest.mark.parametrize("kind", ["fits", "ecsv", "vot"])
@pytest.mark.parametrize(("unit", "degree"), [("deg", 1.0), ("rad", np.pi / 180), ("arcsec", 3600.0), ("h", 1 / 15)])
def test_positions_are_degrees_whatever_angle_the_table_declares(tmp_path, kind, unit, degree):
    table = Table({"id_str": ["a"], "RA": Column([150.0 * degree], unit=unit), "dec": Column([2.0], unit="deg")})
    read = read_catalog(written(tmp_path, table, kind))
    assert read["ra"].tolist() == pytest.approx([150.0]) and read["dec"].tolist() == [2.0]


def test_positions_in_a_unit_that_is_not_an_angle_are_remarked_on(tmp_path, caplog):
    table = Table({"id_str": ["a"], "ra": Column([150.0], unit="Jy")})
    assert read_catalog(written(tmp_path, table, "ecsv"))["ra"].tolist() == [150.0]
    assert "column 'ra' is declared to be in Jy, but is read as degrees" in caplog.text


@pytest.mark.parametrize("name", ["c.csv.gz", "c.fits.bz2", "c.vot.xz", "c.ecsv.lzma", "c.csv", "c.fits"])
def test_a_compressed_table_is_read_whatever_it_is_called(tmp_path, name):
    """By what it holds: a server unpacks a file, or does not, and leaves it its name."""
    path = written(tmp_path, Table({"id_str": ["007", "b"], "n": [1, 2]}), name.split(".")[1])
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "lzma": partial(lzma.compress, format=lzma.FORMAT_ALONE)}
    (tmp_path / name).write_bytes(pack.get(name.rpartition(".")[2], lzma.compress)(path.read_bytes()))
    assert read_catalog(tmp_path / name).to_dict("list") == {"id_str": ["007", "b"], "n": [1, 2]}


def test_a_zip_is_not_unpacked_where_a_table_should_be(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.fits", "w") as file:
        file.write(written(tmp_path, Table({"id_str": ["a"]}), "fits"), "c.fits")
    with pytest.raises(ValueError, match="not a FITS file: it starts with b'PK"):
        read_catalog(tmp_path / "z.fits")


@pytest.mark.parametrize("kind", ["csv", "fits"])
def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(bounded, "LIMITS", bounded.LIMITS._replace(bytes=2**20))
    path = written(tmp_path, Table({"id_str": ["a" * 8] * 2**18}), kind)
    packed = tmp_path / f"c.{kind}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert path.stat().st_size > 100 * packed.stat().st_size
    with pytest.raises(ValueError, match=f"its {packed.stat().st_size} bytes unpack to more than"):
        read_catalog(packed)
    assert len(read_catalog(path)) == 2**18


def test_pictures_in_a_parquet_file_are_left_out_of_the_catalogue_and_named(tmp_path, caplog):
    struct = pa.array([{"bytes": b"\xff\xd8", "path": "1.jpg"}])
    columns = {"id_str": ["a"], "image": struct, "mask": pa.array([b"\x89PNG"]), "n": [3], "vector": [[1, 2]]}
    pa.parquet.write_table(pa.table(columns), tmp_path / "c.parquet")
    assert list(read_catalog(tmp_path / "c.parquet")) == ["id_str", "n"]
    assert "columns of pictures (image, mask) are ignored; to read them, give the file as images" in caplog.text
    assert "columns with several numbers per cell are left out: vector" in caplog.text


def test_numbers_are_numbers_whatever_way_parquet_stores_them(tmp_path):
    numbers = pa.array([1.5, None, 3.0])
    stored = {"decimal": numbers.cast(pa.decimal128(20, 3)), "dictionary": numbers.dictionary_encode()}
    stored["half"] = pa.array(np.array([1.5, np.nan, 3.0], np.float16))
    words = pa.array(["x", None, "y"]).dictionary_encode()
    pa.parquet.write_table(pa.table({"id_str": ["a", "b", "c"], "word": words} | stored), tmp_path / "c.parquet")
    read = read_catalog(tmp_path / "c.parquet")
    for name in stored:
        np.testing.assert_array_equal(read[name].astype(float), [1.5, np.nan, 3.0])
    assert listed(read["word"]) == ["x", None, "y"]
