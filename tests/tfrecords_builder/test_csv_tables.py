"""Expected values are those written into the text by hand."""

import logging

import pandas as pd
import pytest

from tfrecords_builder.catalog import read_catalog


def read(folder, text, name="c.csv"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_catalog(folder / name)


@pytest.mark.parametrize(
    "header", ["id_str,id_str,file_loc", "id_str,ra,ra", "id_str,bar, bar ", '"id_str","bar","bar"', "id_str;ra;ra"]
)
def test_two_columns_of_one_name_are_refused_rather_than_numbered(tmp_path, header):
    name = {"id_str,id_str,file_loc": "id_str"}.get(header, "ra" if "ra;" in header or "ra," in header else "bar")
    row = "a;1;2" if ";" in header else "a,1,2"
    with pytest.raises(ValueError, match=f"several columns of the catalogue are called '{name}'"):
        read(tmp_path, f"{header}\n{row}\n")


@pytest.mark.parametrize(
    ("text", "ra"),
    [
        ("id_str;ra\na;150,25\nb;151\n", [150.25, 151]),
        ('"id_str";"ra"\n"a";"150,25"\n"b";"151,5"\n', [150.25, 151.5]),
        ("id_str\tra\r\na\t-0,5\r\nb\t,5\r\n", [-0.5, 0.5]),
        ("id_str|ra\na|150.25\nb|151\n", [150.25, 151]),
        ("id_str;ra;box\na;150.25;3,4\nb;151;5,6\n", [150.25, 151]),  # points are decimal: 3,4 is something else
        ("\ufeff#id_str\tra\r\na\t150.25\r\nb\t151\r\n", [150.25, 151]),
    ],
)
def test_numbers_are_read_whatever_the_separator_and_the_decimal_sign(tmp_path, text, ra):
    catalog = read(tmp_path, text)
    assert catalog["ra"].tolist() == ra and catalog["id_str"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        (["1", "2", "?"], "?"),
        (['"1,234"', '"2,345"', "7"], "1,234, 2,345"),
        (['"0,5"', '"0,7"', '"1,5"'], "0,5, 0,7, 1,5"),
        (["45%", "10 %", "0"], "45%, 10 %"),
        (["1.5D+02", "2.5D+02", "3D0"], "1.5D+02, 2.5D+02, 3D0"),
    ],
)
def test_a_column_of_numbers_that_is_read_as_text_is_reported_once_with_the_cells(tmp_path, caplog, cells, named):
    read(tmp_path, "id_str,n,word\n" + "".join(f"g{i},{cell},spiral\n" for i, cell in enumerate(cells)))
    read_catalog(tmp_path / "c.csv")
    (report,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f"c.csv: column 'n' is read as text because these cells are not numbers: {named};" in report


NAMES, ROWS = "id_str,n", "a,1\nb,2\n"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "head",
    [
        "#Table1\n" + NAMES,  # SkyServer and CasJobs
        '# made by TOPCAT, of 2 tables, by me\n# it is 5" wide\n\n' + NAMES,
        "# from SDSS, DR17\n" + NAMES,
        "#\n# selected, galaxies\n# " + NAMES,  # NumPy
        "sep=,\n" + NAMES,  # Excel
    ],
)
def test_lines_of_comment_before_the_names_are_no_data_and_may_hold_the_names(tmp_path, head, line_end, encoding):
    catalog = read(tmp_path, f"{head}\n{ROWS}".replace("\n", line_end).encode(encoding))
    assert catalog.to_dict("list") == {"id_str": ["a", "b"], "n": [1, 2]}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("head", ["# query\n\n" + NAMES + "\n,mag\n-----,-", NAMES + "\n------,---"])
def test_a_ruler_below_the_names_or_their_units_is_no_galaxy(tmp_path, head, line_end):
    """As in tables of VizieR."""
    catalog = read(tmp_path, f"{head}\n{ROWS}".replace("\n", line_end))
    assert catalog.to_dict("list") == {"id_str": ["a", "b"], "n": [1, 2]}


def test_a_hash_in_a_cell_is_data(tmp_path):
    assert read(tmp_path, "id_str,n\n#a,1\nb#,2\n")["id_str"].tolist() == ["#a", "b#"]
    assert read(tmp_path, "id_str\n#a\nb\n")["id_str"].tolist() == ["#a", "b"]


def test_lines_are_counted_from_the_beginning_of_the_file(tmp_path):
    with pytest.raises(ValueError, match="line 5 has 1 cells"):
        read(tmp_path, f"# 1\n# 2\n{NAMES}\na,1\nb\n")
    with pytest.raises(ValueError, match="in line 5, saw 3"):
        read(tmp_path, f"# 1\n# 2\n{NAMES}\na,1\nb,2,3\n")


def test_tables_joined_with_their_names_are_refused_with_the_row(tmp_path):
    with pytest.raises(ValueError, match="row 2 repeats the column names"):
        read(tmp_path, f"{NAMES}\n{ROWS}{NAMES}\n{ROWS}")


def test_a_row_without_a_single_cell_is_no_repetition_of_the_names(tmp_path):
    assert read(tmp_path, "name,type\na,E\n,\nb,S\n")["name"].isna().tolist() == [False, True, False]
    assert read(tmp_path, "name,type\na,E\nname,\nb,S\n")["name"].tolist() == ["a", "name", "b"]


@pytest.mark.parametrize("word", ["--", "\\N", "NA", "nan", "NULL", ""])
def test_what_programs_write_for_an_unknown_number_is_unknown(tmp_path, word):
    catalog = read(tmp_path, f"id_str,n\na,{word}\nb,2\n")
    assert pd.isna(catalog["n"][0]) and catalog["n"][1] == 2


def test_none_is_a_word_among_words_and_unknown_among_numbers_and_booleans(tmp_path):
    catalog = read(tmp_path, "id_str,arms,n,ring\na,None,None,None\nb,Weak,2.5,True\nc,Strong,3,False\n")
    assert catalog["arms"].tolist() == ["None", "Weak", "Strong"]
    assert pd.isna(catalog["n"][0]) and catalog["n"][1:].tolist() == [2.5, 3]
    assert catalog["ring"].tolist() == [None, True, False]


@pytest.mark.parametrize("text", [",id_str,n\n0,a,5\n1,b,6\n", "id_str,n,\na,5,\nb,6,\n", "id_str, ,n\na,x,5\nb,y,6\n"])
def test_columns_without_a_name_are_no_labels(tmp_path, text):
    catalog = read(tmp_path, text)
    assert list(catalog) == ["id_str", "n"] and catalog["n"].tolist() == [5, 6]


def test_galaxies_swallowed_by_a_quote_that_is_not_closed_are_reported(tmp_path, caplog):
    read(tmp_path, 'id_str,remark\na,"5 arms\nb,bar\nc,no"\nd,x\n')
    assert "column 'remark' has line breaks in row 0: perhaps a quote is missing" in caplog.text
    with pytest.raises(ValueError, match="not a table: EOF inside string starting at row 1"):
        read(tmp_path, 'id_str,remark\na,"5 arms\nb,bar\nc,no\n')


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        ("id_str,n\na,1\n".encode("utf-16-le"), "not UTF-8 text"),
        ("id_str,n\n\xe9,1\n".encode("latin-1"), "not UTF-8 text"),
        ("id_str n\na 1\n", "its cells are separated by blanks"),
        (b"PK\3\4 a spreadsheet", "it is not text: it starts with b'PK"),
        ("<html>404</html>", "it is not text: it is an HTML or XML page"),
        ("id_str,n\na," + "y" * 70000 + "\n", "a cell of column 'n' has 70000 characters, more than 65536"),
    ],
)
def test_what_is_not_a_table_of_galaxies_is_refused_with_the_reason(tmp_path, content, reason):
    with pytest.raises(ValueError, match=reason):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("text", "line", "row"),
    [
        ("id_str,bar,ring\na,1,0\nb,1\nc,0,1\n", 3, "b, 1"),  # bar or ring?
        ('id_str;bar;ring\na;1;0\n"b\nb";1\n', 4, "b b, 1"),
        ("id_str\tbar\tring\na\t1\t0\n\nend of table\n", 4, "end of table"),
        ("id_str,bar,ring\na,1,0\nb,1,1\nc,0", 4, "c, 0"),  # cut off
        ("id_str,bar,ring,,\na,1,0\nb,1\n", 3, "b, 1"),
    ],
)
def test_a_row_with_fewer_cells_than_names_is_refused_with_its_line(tmp_path, text, line, row):
    with pytest.raises(ValueError) as error:
        read(tmp_path, text)
    assert f"line {line} has {row.count(',') + 1} cells ({row}) but there are 3 column names" in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "id_str,bar,ring,,\na,1,0\nb,1,\nc,0,1,,\n",
        "id_str,bar,ring\na,1,0\n\n   \nb,1,\nc,0,1\n\n",
        'id_str,bar,ring\na,1,0\nb,1,""\n"c",0,1',
        "id_str,bar,ring\r\na,1,0\r\nb,1,\r\nc,0,1\r\n".encode("utf-16"),
    ],
)
def test_empty_cells_at_the_end_of_a_row_are_unknown(tmp_path, text):
    catalog = read(tmp_path, text)
    assert catalog["id_str"].tolist() == ["a", "b", "c"]
    assert catalog["ring"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("cell", ["x" * 100_000, "x" * 1_000_000])
def test_a_long_cell_is_not_repeated_in_the_error(tmp_path, cell):
    with pytest.raises(ValueError) as error:
        read(tmp_path, f"id_str,bar\n{cell}\n")
    assert len(str(error.value)) < 1000
