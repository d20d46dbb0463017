"""VOTables written by hand, as services write them; FITS and ECSV by astropy."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from tfrecords_builder.catalog import read_catalog

FIELDS = '<FIELD name="id_str" ID="a" datatype="char" arraysize="*"/><FIELD name="n" ID="b" datatype="int"/>'


def votable(*tables, before="", after=""):
    return (
        '<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        f'<RESOURCE type="results">{before}{"".join(tables)}{after}</RESOURCE></VOTABLE>'
    )


def table(rows, fields=FIELDS, name="galaxies"):
    rows = "".join(f"<TR>{''.join(f'<TD>{cell}</TD>' for cell in row)}</TR>" for row in rows)
    return f'<TABLE name="{name}">{fields}<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE>'


def read(folder, text, name="c.vot"):
    (folder / name).write_text(text)
    return read_catalog(folder / name)


def test_a_table_that_its_service_cut_off_is_reported(tmp_path, caplog):
    status = '<INFO name="QUERY_STATUS" value="{}"/>'
    full = votable(table([("x", 1)]), before=status.format("OK"))
    assert read(tmp_path, full)["n"].tolist() == [1] and not caplog.text
    cut = votable(table([("x", 1)]), before=status.format("OK"), after=status.format("OVERFLOW"))
    assert read(tmp_path, cut, "cut.vot")["n"].tolist() == [1]
    assert "cut.vot: the service truncated this table" in caplog.text


def test_the_answer_to_a_query_that_failed_is_refused_with_the_reason_of_the_service(tmp_path):
    with pytest.raises(ValueError, match="a failed query: no such column: raj2000"):
        read(tmp_path, votable('<INFO name="QUERY_STATUS" value="ERROR">no such column: raj2000</INFO>'))


def test_of_several_tables_in_a_file_the_first_is_read_and_all_are_named(tmp_path, caplog):
    assert read(tmp_path, votable(table([("x", 1)]), table([("y", 2)], name="stars")))["id_str"].tolist() == ["x"]
    assert "only the first of its 2 tables (galaxies, stars) is read" in caplog.text
    caplog.clear()
    parts = [fits.BinTableHDU(Table({"id_str": [name], "n": [1]}), name=name) for name in ("GALAXIES", "STARS")]
    fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(tmp_path / "c.fits")
    assert read_catalog(tmp_path / "c.fits")["id_str"].tolist() == ["GALAXIES"]
    assert "c.fits: only the first of its 2 tables (GALAXIES, STARS) is read" in caplog.text


def test_two_columns_of_one_name_are_refused_in_every_format(tmp_path):
    fields = FIELDS + '<FIELD name="n" ID="c" datatype="int"/>'
    header = "# %ECSV 1.0\n# ---\n# datatype:\n" + "".join(
        f"# - {{name: {name}, datatype: {kind}}}\n"
        for name, kind in (("id_str", "string"), ("n", "int64"), ("n", "int64"))
    )
    Table({"id_str": ["x"], "n": [1], "m": [2]}).write(tmp_path / "c.fits")
    content = (tmp_path / "c.fits").read_bytes()
    (tmp_path / "c.fits").write_bytes(content.replace(b"TTYPE3  = 'm", b"TTYPE3  = 'n"))
    files = {"c.vot": votable(table([("x", 1, 2)], fields)), "c.ecsv": header + "id_str n n\nx 1 2\n"}
    for name, text in files.items():
        with pytest.raises(ValueError, match=f"{name}: several columns of the catalogue are called 'n'"):
            read(tmp_path, text, name)
    with pytest.raises(ValueError, match="several columns of the catalogue are called 'n'"):
        read_catalog(tmp_path / "c.fits")


@pytest.mark.parametrize("kind", ["fits", "vot"])
@pytest.mark.parametrize("dtype", ["int32", "int64", "float64"])
def test_positions_in_another_unit_are_degrees_whatever_the_type_of_the_numbers(tmp_path, kind, dtype):
    catalog = Table({"id_str": ["x"], "RA": np.array([7200], dtype), "DEC": np.array([-3600], dtype)})
    catalog["RA"].unit = catalog["DEC"].unit = "arcsec"
    catalog.write(tmp_path / f"c.{kind}", format={"fits": "fits", "vot": "votable"}[kind])
    read = read_catalog(tmp_path / f"c.{kind}")
    assert read["ra"][0] == pytest.approx(2) and read["dec"][0] == pytest.approx(-1)
