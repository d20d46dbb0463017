import pandas as pd
import pytest
from click.testing import CliRunner

from morphtools.archives.convert_table import convert_table
from morphtools.cli import main
from tfrecords_builder.catalog import read_catalog


def test_published_tables_get_the_names_that_other_verbs_know(tmp_path):
    table = pd.DataFrame({"specObjID": ["299489677444933632"], "ra": [1.0], "dec": [2.0], "z": [0.1], "zWarning": [0]})
    table.to_csv(tmp_path / "spectra.csv", index=False)
    remarks = convert_table(tmp_path / "spectra.csv", tmp_path / "spectra.fits")
    again = read_catalog(tmp_path / "spectra.fits")
    assert again["id_str"].tolist() == ["299489677444933632"] and again["redshift"].tolist() == [0.1]
    assert "SDSS spectra" in remarks[0]


def test_tables_need_no_positions_and_are_never_overwritten(tmp_path):
    table = pd.DataFrame({"id_str": ["a", "b"], "probability": [0.1, None], "epoch": [3, 4]})
    assert convert_table(table, tmp_path / "out.vot") == []
    assert read_catalog(tmp_path / "out.vot")["probability"].isna().tolist() == [False, True]
    with pytest.raises(FileExistsError, match="already exists"):
        convert_table(table, tmp_path / "out.vot")


def test_the_commands_join_convert_and_send_tables(tmp_path):
    for name, ra in (("a", 10.0), ("b", 10.0002)):
        pd.DataFrame({"id_str": [name], "ra": [ra], "dec": [0.0]}).to_csv(tmp_path / f"{name}.csv", index=False)

    def run(*arguments):
        return CliRunner().invoke(main, [str(tmp_path / a) if "." in a and a[0] != "-" else a for a in arguments])

    done = run("cross-match", "a.csv", "b.csv", "out.csv", "--suffixes", "_a,_b")
    assert done.exit_code == 0 and "1 matches, median separation 0.72 arcsec" in done.output
    names = "id_str_a ra_a dec_a id_str_b ra_b dec_b separation_arcsec"
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == names.replace(" ", ",")
    assert run("convert-table", "out.csv", "out.fits").exit_code == 0 and (tmp_path / "out.fits").exists()
    failed = run("cross-match", "a.csv", "b.csv", "new.csv", "--find", "al")
    assert failed.exit_code == 2 and "unknown find 'al'" in failed.output
