import warnings

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from click.testing import CliRunner

import morphtools
from morphtools import cli

POSITIONS = SkyCoord(np.array([10.0, 150.0, 266.4, 83.8, 0.0]), np.array([41.0, 2.2, -28.9, -5.4, -89.0]), unit="deg")


def linear(galactic):
    """A sky whose brightness is linear in the coordinates of the projection's plane, where interpolation is exact."""
    # Lambert's zenithal equal-area projection of the sphere's halves (Calabretta & Greisen 2002, equation 69), in units
    # of the sphere's radius
    north = galactic.b.rad >= 0
    r = 2 * np.sin((np.pi / 2 - np.abs(galactic.b.rad)) / 2)
    x, y = r * np.sin(galactic.l.rad), -np.where(north, 1, -1) * r * np.cos(galactic.l.rad)
    return 1.0 + 0.2 * x - 0.1 * y


@pytest.fixture
def maps(tmp_path):
    """A pair of maps as those of Schlegel, Finkbeiner & Davis, with 128 pixels on a side."""
    side, folder = 128, tmp_path / "maps"
    folder.mkdir()
    scale = 2.9 / side  # radii of the sphere per pixel, so that a hemisphere (2√2) fits
    axis = (np.arange(side) - (side - 1) / 2) * scale
    for pole, latitude in (("ngp", 90.0), ("sgp", -90.0)):
        header = {"CTYPE1": "GLON-ZEA", "CTYPE2": "GLAT-ZEA", "CRVAL1": 0.0, "CRVAL2": latitude, "LONPOLE": 180.0}
        header |= {"CRPIX1": (side + 1) / 2, "CRPIX2": (side + 1) / 2}
        header |= {"CDELT1": np.degrees(scale), "CDELT2": np.degrees(scale)}
        hdu = fits.PrimaryHDU((1.0 + 0.2 * axis[np.newaxis, :] - 0.1 * axis[:, np.newaxis]).astype("f4"))
        hdu.header.update(header)
        hdu.writeto(folder / f"SFD_dust_4096_{pole}.fits")
    return folder


def test_between_the_pixels_of_a_pair_of_maps_values_are_interpolated(maps):
    values = morphtools.ebv_at(POSITIONS.ra.deg, POSITIONS.dec.deg, maps)
    assert np.allclose(values, linear(POSITIONS.galactic), atol=2e-6)
    alone = morphtools.ebv_at(POSITIONS.ra.deg, POSITIONS.dec.deg, maps / "SFD_dust_4096_sgp.fits")
    assert np.array_equal(values, alone)


def test_the_values_are_those_of_dustmaps(maps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has no configuration yet
        sfd = pytest.importorskip("dustmaps.sfd")
        theirs = sfd.SFDQuery(map_dir=str(maps))(POSITIONS)
    assert np.allclose(morphtools.ebv_at(POSITIONS.ra.deg, POSITIONS.dec.deg, maps), theirs, rtol=1e-6)


@pytest.mark.parametrize(("ordering", "frame"), [("RING", "G"), ("NESTED", "G"), ("RING", "C")])
def test_of_a_healpix_map_the_pixel_at_the_position_is_taken(tmp_path, ordering, frame):
    from astropy_healpix import HEALPix

    grid = HEALPix(4, "ring" if ordering == "RING" else "nested")
    pixels = np.arange(grid.npix, dtype="f4")
    pixels[5] = -1.6375e30
    table = fits.BinTableHDU.from_columns([fits.Column("T", "64E", array=pixels.reshape(-1, 64))])
    table.header.update({"ORDERING": ordering, "COORDSYS": frame, "NSIDE": 4})
    table.writeto(tmp_path / "map.fits")
    centres = SkyCoord(*grid.healpix_to_lonlat(np.arange(grid.npix)), frame="galactic" if frame == "G" else "icrs")
    values = morphtools.ebv_at(centres.icrs.ra.deg, centres.icrs.dec.deg, tmp_path / "map.fits")
    assert np.isnan(values[5]) and np.array_equal(np.delete(values, 5), np.delete(pixels, 5))


def test_the_recalibrated_scale_is_0_86_of_the_map_and_has_a_column_of_its_own(maps, tmp_path):
    sky = pd.DataFrame({"id_str": list("abcde"), "RA": POSITIONS.ra.deg, "Dec": POSITIONS.dec.deg})
    plain = morphtools.add_ebv(sky, tmp_path / "a.parquet", map=maps)
    scaled = morphtools.add_ebv(sky, tmp_path / "b.csv", map=maps, scale="sf11")
    assert np.allclose(scaled.ebv_sf11, 0.86 * plain.ebv) and "ebv" not in scaled
    assert np.allclose(pd.read_parquet(tmp_path / "a.parquet").ebv, plain.ebv)


def test_the_dereddening_of_models_expects_the_scale_of_the_map():
    from morphtools.survey.extinction import transmission

    # Schlafly & Finkbeiner 2011, table 6: for SDSS r at R_V = 3.1, A / E(B-V) of SFD98 is 2.285
    assert transmission(0.1, bands="r", survey="sdss")[0] == pytest.approx(10 ** (-0.4 * 0.2285))


def test_a_row_without_a_position_has_no_dust_and_the_others_do(maps, tmp_path):
    sky = pd.DataFrame({"ra": ["10:00:00", None, "150.0"], "dec": ["+02:00:00", "1", "2.0"]})
    table = morphtools.add_ebv(sky, tmp_path / "out.csv", map=maps)
    assert table.ebv.isna().tolist() == [False, True, False] and table.ebv[0] == pytest.approx(table.ebv[2])


def test_maps_that_cannot_be_used_are_named(maps, tmp_path):
    for path, reason in (
        (tmp_path / "nowhere.fits", "no dust map exists at .*nowhere"),
        (tmp_path, "does not hold one map"),
    ):
        with pytest.raises(FileNotFoundError, match=reason):
            morphtools.ebv_at([1.0], [2.0], path)
    (maps / "SFD_dust_4096_ngp.fits").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"cannot read the map .*ngp"):
        morphtools.ebv_at(POSITIONS.ra.deg, POSITIONS.dec.deg, maps)
    (maps / "SFD_dust_4096_ngp.fits").unlink()
    with pytest.raises(FileNotFoundError, match="other hemisphere"):
        morphtools.ebv_at([1.0], [2.0], maps / "SFD_dust_4096_sgp.fits")


def test_a_column_of_dust_is_never_overwritten(maps, tmp_path):
    sky = pd.DataFrame({"ra": [1.0], "dec": [2.0], "ebv": [0.1]})
    with pytest.raises(ValueError, match="already has a column ebv"):
        morphtools.add_ebv(sky, tmp_path / "out.csv", map=maps)
    (tmp_path / "there.csv").write_text("x")
    with pytest.raises(FileExistsError, match=r"there\.csv already exists"):
        morphtools.add_ebv(sky.drop(columns="ebv"), tmp_path / "there.csv", map=maps)


def test_the_command_adds_the_column(maps, tmp_path):
    pd.DataFrame({"id_str": ["007"], "ra": [150.0], "dec": [2.2]}).to_csv(tmp_path / "sky.csv", index=False)
    command = ["add-ebv", str(tmp_path / "sky.csv"), str(tmp_path / "dust.csv"), "--map", str(maps)]
    done = CliRunner().invoke(cli.main, command)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "dust.csv", dtype={"id_str": str})
    assert list(table.columns) == ["id_str", "ra", "dec", "ebv"] and table.id_str[0] == "007"


def test_fetched_cutouts_get_the_column(archive, maps, tmp_path):
    archive.answer = lambda path, query, n: archive.fits(float(query["ra"]), float(query["dec"]))
    sky = pd.DataFrame({"id_str": ["a", "b"], "ra": [150.0, 10.0], "dec": [2.0, 41.0]})
    options = {"survey": "legacy-dr10", "size": 16, "base_url": archive.url, "ebv_map": maps}
    cutouts = morphtools.fetch_cutouts(sky, tmp_path / "out", per_second=1e4, **options)
    assert np.allclose(pd.read_parquet(cutouts.catalog).ebv, morphtools.ebv_at(sky.ra, sky.dec, maps))
