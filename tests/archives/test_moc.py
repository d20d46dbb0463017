import sys

import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from click.testing import CliRunner
from mocpy import MOC

from morphtools.archives.moc import make_moc
from morphtools.cli import main

GALAXIES = pd.DataFrame({"RA": [10.0, 359.999, None, 45.0], "DEC": [0.0, -89.9, 3.0, 60.0]})


@pytest.mark.parametrize("ending", ["fits", "json", "txt"])
def test_the_cells_of_all_galaxies_are_covered_and_no_others(ending, tmp_path):
    """At order 5 the sky has 12 × 4^5 cells, and these three galaxies are far apart."""
    assert make_moc(GALAXIES, tmp_path / f"moc.{ending}", order=5) == pytest.approx(3 / (12 * 4**5))
    moc = MOC.load(tmp_path / f"moc.{ending}", format={"txt": "ascii"}.get(ending, ending))
    inside = SkyCoord([10.0, 359.999, 45.0, 200.0], [0.0, -89.9, 60.0, 10.0], unit="deg")
    assert moc.contains_skycoords(inside).tolist() == [True, True, True, False]


def test_what_is_wrong_is_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no galaxy of the catalogue has a position"):
        make_moc(GALAXIES.iloc[2:3], tmp_path / "moc.fits")
    with pytest.raises(ValueError, match=r"unknown MOC format '\.png'"):
        make_moc(GALAXIES, tmp_path / "moc.png")
    with pytest.raises(ValueError, match="order must be from 0 to 29, got 30"):
        make_moc(GALAXIES, tmp_path / "moc.fits", order=30)
    monkeypatch.setitem(sys.modules, "mocpy", None)
    with pytest.raises(ImportError, match=r"pip install 'morphtools\[moc\]'"):
        make_moc(GALAXIES, tmp_path / "moc.fits")
    assert not list(tmp_path.iterdir())


def test_command(tmp_path):
    GALAXIES.to_csv(tmp_path / "galaxies.csv", index=False)
    done = CliRunner().invoke(main, ["make-moc", str(tmp_path / "galaxies.csv"), str(tmp_path / "moc.fits")])
    assert done.exit_code == 0 and "of the sky" in done.output
