"""Pixel scale and telescope of FITS headers, as astropy's WCS has them; images of another camera are findings."""

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area

from tfrecords_builder import build_records
from tfrecords_builder.headers import camera


def header(scale=0.262, *, turn=0.0, matrix="PC", telescope=None, frame=("RA---TAN", "DEC--TAN")):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = frame, (150.0, 2.0)
    cos, sin = np.cos(turn), np.sin(turn)
    if matrix == "CD":
        wcs.wcs.cd = np.array([[-cos, sin], [sin, cos]]) * scale / 3600
    else:
        wcs.wcs.cdelt, wcs.wcs.pc = [-scale / 3600, scale / 3600], [[cos, -sin], [sin, cos]]
    cards = wcs.to_header()
    if matrix == "CD":
        for key in [key for key in cards if key.startswith(("PC", "CDELT"))]:
            del cards[key]
        for i, j in np.ndindex(2, 2):
            cards[f"CD{i + 1}_{j + 1}"] = wcs.wcs.cd[i, j]
    if telescope:
        cards["TELESCOP"] = telescope
    return cards


@pytest.mark.parametrize("matrix", ["PC", "CD"])
@pytest.mark.parametrize("turn", [0.0, 0.5])
@pytest.mark.parametrize("frame", [("RA---TAN", "DEC--TAN"), ("GLON-CAR", "GLAT-CAR")])
def test_the_scale_is_the_root_of_the_area_astropy_has(matrix, turn, frame):
    cards = header(0.4, turn=turn, matrix=matrix, frame=frame)
    scale, _ = camera(cards.get)
    assert scale == pytest.approx(np.sqrt(proj_plane_pixel_area(WCS(cards).celestial)) * 3600, rel=1e-6)


@pytest.mark.parametrize("unit", ["deg", "arcmin", "arcsec", "mas", "rad"])
@pytest.mark.parametrize("matrix", ["PC", "CD"])
def test_the_scale_is_the_same_whatever_unit_the_header_uses(unit, matrix):
    cards, factor = header(0.4, matrix=matrix), u.deg.to(unit)
    for key in cards:
        if key.startswith("CUNIT"):
            cards[key] = unit
        elif key.startswith(("CDELT", "CRVAL", "CD1_", "CD2_")):
            cards[key] *= factor
    area = proj_plane_pixel_area(WCS(cards).celestial)  # square degrees, whatever the header has
    assert camera(cards.get)[0] == pytest.approx(np.sqrt(area) * 3600) == pytest.approx(0.4)
    cards["CUNIT1"] = "furlong"
    assert camera(cards.get)[0] is None


def test_headers_that_do_not_tell_give_nothing():
    assert camera(fits.Header().get) == (None, "")
    assert camera(header(frame=("LINEAR", "LINEAR")).get)[0] is None
    assert camera({"CTYPE1": "RA---TAN", "CDELT1": "x", "CDELT2": 1}.get) == (None, "")


@pytest.mark.parametrize("ending", ["fits", "fits.gz"])
@pytest.mark.parametrize("extension", [False, True])
def test_another_scale_or_telescope_among_files_is_a_finding(tmp_path, ending, extension):
    rows = []
    for i in range(20):
        cards = header(0.05 if i == 3 else 0.262, telescope="HST" if i == 4 else "Blanco")
        pixels = np.random.default_rng(i).normal(size=(16, 16)).astype("f4")
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(pixels, cards)] if extension else [fits.PrimaryHDU(pixels, cards)]
        fits.HDUList(hdus).writeto(tmp_path / f"{i}.{ending}")
        rows.append({"id_str": f"g{i}", "file_loc": f"{i}.{ending}"})
    records = build_records(pd.DataFrame(rows), tmp_path / "r", images=tmp_path)
    index = records.index().set_index("id_str")
    assert index.loc[["g3", "g4", "g5"], "findings"].tolist() == ["other_scale", "other_telescope", ""]
    assert index.loc["g3", "pixel_flag"] == 'pixels of 0.05", not 0.262"'
    assert records.pixel_scale == pytest.approx(0.262) and records.telescope == "Blanco"


def test_where_every_image_has_a_pixel_scale_of_its_own_the_records_have_none_and_nothing_is_odd(tmp_path):
    for i in range(20):
        pixels = np.random.default_rng(i).normal(size=(16, 16)).astype("f4")
        fits.PrimaryHDU(pixels, header(0.1 * 1.2**i)).writeto(tmp_path / f"{i}.fits")
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(20)], "file_loc": [f"{i}.fits" for i in range(20)]})
    records = build_records(catalog, tmp_path / "r", images=tmp_path)
    assert records.pixel_scale is None and records.findings() == []
    assert build_records(catalog, tmp_path / "given", images=tmp_path, pixel_scale=0.5).pixel_scale == 0.5


def test_a_scale_that_contradicts_the_headers_is_a_finding_and_resized_images_have_their_own(tmp_path):
    for i in range(20):
        fits.PrimaryHDU(np.random.default_rng(i).normal(size=(16, 16)), header(0.2)).writeto(tmp_path / f"{i}.fits")
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(20)], "file_loc": [f"{i}.fits" for i in range(20)]})
    given = build_records(catalog, tmp_path / "a", images=tmp_path, pixel_scale=0.5)
    assert given.pixel_scale == 0.5 and "20 of 20" in given.findings()[0] and "(other_scale)" in given.findings()[0]
    resized = build_records(catalog, tmp_path / "b", images=tmp_path, image_size=8)
    assert resized.pixel_scale == pytest.approx(0.4) and resized.findings() == []
