import pandas as pd
import pytest
from click.testing import CliRunner

import morphtools
from morphtools import cli

MINE = """
name: Large and seen by many
cuts:
  - {column: radius, operator: ">=", value: 3, section: "2.2"}
  - {column: votes, operator: ">=", value: 36}
  - {column: redshift, operator: "<", value: 0.1, unknown: keep}
"""


@pytest.fixture
def table(tmp_path):
    ids = [f"{i:04d}" for i in range(6)]
    radius, votes = [5, 2, 3, 9, None, 7], [40, 40, 36, 35, 50, 60]
    made = pd.DataFrame({"id_str": ids, "radius": radius, "votes": votes, "redshift": [0.05, 0.05, None, 0.05, 0, 0.2]})
    made.to_csv(tmp_path / "galaxies.csv", index=False)
    (tmp_path / "mine.yaml").write_text(MINE)
    return tmp_path


@pytest.mark.parametrize("rows", [2, 100])
def test_each_cut_counts_what_the_cuts_before_have_left_whatever_the_pieces(table, monkeypatch, rows):
    monkeypatch.setattr("morphtools.archives.kept_tables.ROWS", rows)
    selection = morphtools.select_galaxies(table / "galaxies.csv", table / "out.csv", table / "mine.yaml")
    # by hand: 0001 is small and 0004 of unknown size, 0003 has 35 votes, 0005 is too far, 0002 of unknown redshift
    assert selection.steps[["left_out", "unknown", "left"]].to_numpy().tolist() == [[2, 1, 4], [1, 0, 3], [1, 1, 2]]
    assert list(selection.steps["section"]) == ["2.2", "", ""] and selection.galaxies == 2
    kept = pd.read_csv(table / "out.csv", dtype=str, keep_default_na=False)
    assert list(kept["id_str"]) == ["0000", "0002"] and list(kept.columns) == ["id_str", "radius", "votes", "redshift"]


def test_the_command_prints_the_steps_and_takes_other_names_of_columns(table):
    renamed = pd.read_csv(table / "galaxies.csv", dtype=str).rename(columns={"radius": "PETRO_TH"})
    renamed.to_csv(table / "other.csv", index=False)
    arguments = [
        "select-galaxies",
        str(table / "other.csv"),
        str(table / "out.vot"),
        "--cuts",
        str(table / "mine.yaml"),
    ]
    done = CliRunner().invoke(cli.main, arguments)
    assert done.exit_code == 2 and "lacks columns of the cuts: radius" in done.output
    done = CliRunner().invoke(cli.main, [*arguments, "--column", "radius=PETRO_TH"])
    assert done.exit_code == 0, done.output
    assert "radius >= 3" in done.output and "2 galaxies in" in done.output


def test_cuts_that_leave_nothing_are_an_error_with_the_steps_and_write_nothing(table):
    cuts = {
        "cuts": [{"column": "votes", "operator": ">", "value": 36}, {"column": "votes", "operator": "<", "value": 1}]
    }
    with pytest.raises(ValueError, match=r"none are left after 'votes < 1'\n[^\0]*votes > 36"):
        morphtools.select_galaxies(table / "galaxies.csv", table / "out.csv", cuts)
    assert not (table / "out.csv").exists()
    (table / "out.csv").write_text("mine")
    with pytest.raises(FileExistsError, match="choose another out"):
        morphtools.select_galaxies(table / "galaxies.csv", table / "out.csv", table / "mine.yaml")


def test_a_published_table_has_the_names_that_other_verbs_know(tmp_path):
    made = pd.DataFrame({"iauname": ["J1", "J2"], "RA": [1.0, 2.0], "dec": 0.0, "petro_theta": [4.0, 2.0]})
    made["smooth-or-featured_total-votes"], made["wrong_size_warning"] = [40, 40], [False, False]
    selection = morphtools.select_galaxies(made, tmp_path / "out.csv", "gz_decals")
    assert selection.galaxies == 1 and list(pd.read_csv(tmp_path / "out.csv")["id_str"]) == ["J1"]


def test_a_set_with_classes_adds_their_names_and_leaves_out_the_others(table):
    classes = {
        "large": {"column": "radius", "operator": ">", "value": 6},
        "odd": {"column": "votes", "operator": "==", "value": 36},
    }
    cuts = {"column": "kind", "classes": classes}
    selection = morphtools.select_galaxies(table / "galaxies.csv", table / "out.csv", cuts)
    kept = pd.read_csv(table / "out.csv", dtype=str)
    assert dict(zip(kept["id_str"], kept["kind"], strict=True)) == {"0002": "odd", "0003": "large", "0005": "large"}
    assert selection.steps[["left_out", "left"]].to_numpy().tolist() == [[3, 3]]
    with pytest.raises(ValueError, match="the table has a column 'votes' already"):
        morphtools.select_galaxies(table / "galaxies.csv", table / "other.csv", cuts | {"column": "votes"})
