import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from morphtools.archives.cutout_services import SERVICES, place_order
from morphtools.archives.polite import PoliteClient
from tfrecords_builder.fits import read_fits


def get(archive, survey, **options):
    service, order = place_order(survey, base_url=archive.url, **{"size": 16} | options)
    return service.get(order, PoliteClient(1e4, tries=1, pause=0.01), 150.0, 2.0)


def pixels(data):
    return fits.getdata(io.BytesIO(data))


# addresses and parameters as documented by the services (see morphtools/archives/cutout_requests.py)


def test_sdss_is_asked_for_a_picture_of_the_size_and_scale(archive):
    archive.answer = lambda path, query, n: archive.jpeg(150.0, 2.0, 64)
    assert get(archive, "sdss", size=64) == archive.jpeg(150.0, 2.0, 64)
    expected = {"ra": "150.0000000", "dec": "2.0000000", "scale": "0.396127", "width": "64", "height": "64"}
    assert archive.requests == [("/ImgCutout/getjpeg", expected)]


def test_hips2fits_is_asked_for_every_band_with_the_field_of_view_in_degrees(archive):
    archive.answer = lambda path, query, n: archive.fits(150.0, 2.0, query["hips"][-1], names=False)
    image = read_fits(get(archive, "hips:CDS/P/SDSS9/{band}", bands=("g", "r"), pixel_scale=0.9))
    assert [query["hips"] for _, query in archive.requests] == ["CDS/P/SDSS9/g", "CDS/P/SDSS9/r"]
    path, query = archive.requests[0]
    assert path == "/hips2fits" and float(query["fov"]) == pytest.approx(0.004)  # 16 × 0.9 / 3600
    assert (query["projection"], query["coordsys"], query["format"]) == ("TAN", "icrs", "fits")
    assert image.shape == (16, 16, 2) and image.bands == ("g", "r")


def test_bands_on_other_pixels_of_the_sky_are_not_put_together(archive):
    archive.answer = lambda path, query, n: archive.fits(150.0 + 1e-3 * (query["hips"] == "b/r"), 2.0, "x", names=False)
    with pytest.raises(ValueError, match=r"shifted|sky"):
        get(archive, "hips:b/{band}", bands=("g", "r"), pixel_scale=0.262)


def stacks(bands):
    rows = [f"1 2 {band} stack /rings/{band}.fits" for band in bands]
    return "\n".join(["projcell subcell filter type filename", *rows]).encode()


def test_panstarrs_is_asked_for_names_first_and_bands_stay_in_order(archive):
    def answer(path, query, n):
        if path == "/ps1filenames.py":
            return stacks("yrg")  # in an order of its own
        return archive.fits(150.0, 2.0, "x", fill=ord(query["red"][-6]), names=False)

    archive.answer = answer
    cube = pixels(get(archive, "panstarrs", bands=("g", "r")))
    assert [cube[i].flat[0] for i in (0, 1)] == [ord("g"), ord("r")]
    assert archive.requests[0][1] == {"ra": "150.0000000", "dec": "2.0000000", "filters": "gr", "type": "stack"}
    place = {"ra": "150.0000000", "dec": "2.0000000", "size": "16", "format": "fits"}
    assert archive.requests[1] == ("/fitscut.cgi", {**place, "red": "/rings/g.fits"})


def test_the_reddest_band_of_a_panstarrs_picture_is_red(archive):
    archive.answer = lambda path, query, n: stacks("gri") if n and "filenames" in path else archive.jpeg(150.0, 2.0)
    get(archive, "panstarrs", bands=("g", "r", "i"), format="jpeg")
    query = archive.requests[1][1]
    assert [query[c] for c in ("red", "green", "blue")] == ["/rings/i.fits", "/rings/r.fits", "/rings/g.fits"]


@pytest.mark.parametrize(("bands", "reason"), [("", "outside the footprint"), ("g", "no stacked image in r, i")])
def test_outside_the_footprint_of_panstarrs_and_without_a_band_are_told_apart(archive, bands, reason):
    archive.answer = lambda path, query, n: stacks(bands)
    with pytest.raises(ValueError, match=reason):
        get(archive, "panstarrs")


def mosaics(archive, tiles, bands=("VIS", "Y")):
    """The VOTable of an SIA query: science images and others, of Euclid and from the ground."""
    columns = ("obs_id", "energy_bandpassname", "dataproduct_subtype", "facility_name", "access_url")
    rows = [(f"{tile}_x", "VIS", "noise", "Euclid", f"{archive.url}/noise") for tile in tiles]
    rows += [(f"{tile}_x", "Y", "science", "CTIO", f"{archive.url}/ground") for tile in tiles]
    rows += [(f"{t}_x", b, "science", "Euclid", f"{archive.url}/ibe/{t}/{b}.fits") for t in tiles for b in bands]
    file = io.BytesIO()
    Table(rows=rows or None, names=columns, dtype=["U90"] * 5).write(file, format="votable")
    return file.getvalue()


def test_euclid_is_asked_for_mosaics_first_and_the_cutout_has_the_galaxy_in_its_middle(archive):
    def answer(path, query, n):
        if path == "/SIA":
            return mosaics(archive, ["102018211"])
        return archive.fits(150.0, 2.0, "x", size=20, scale=0.1, names=False)

    archive.answer = answer
    image = read_fits(get(archive, "euclid-q1", bands=("VIS", "Y")))
    assert image.shape == (16, 16, 2) and image.bands == ("VIS", "Y")
    whole = pixels(archive.fits(150.0, 2.0, "x", size=20, scale=0.1, names=False))
    assert np.array_equal(image.data[..., 0], whole[2:18, 2:18])
    position = "circle 150.0000000 2.0000000 0.000278"
    expected = {"COLLECTION": "euclid_DpdMerBksMosaic", "POS": position, "RESPONSEFORMAT": "VOTABLE"}
    assert archive.requests[0] == ("/SIA", expected)
    cut = {"center": "150.0000000,2.0000000deg", "size": "20px", "gzip": "false"}
    assert archive.requests[1:] == [(f"/ibe/102018211/{band}.fits", cut) for band in ("VIS", "Y")]


def test_a_euclid_cutout_over_the_edge_of_one_tile_is_taken_from_the_next(archive):
    def answer(path, query, n):
        if path == "/SIA":
            return mosaics(archive, ["102018211", "102018212"], bands=("VIS",))
        whole = archive.fits(150.0, 2.0, "x", size=20, scale=0.1, names=False)
        if "102018212" in path:
            return whole
        clipped = fits.open(io.BytesIO(whole))
        clipped[0].data = clipped[0].data[:9]
        file = io.BytesIO()
        clipped.writeto(file)
        return file.getvalue()

    archive.answer = answer
    assert pixels(get(archive, "euclid-q1")).shape == (16, 16)
    assert [path for path, _ in archive.requests[1:]] == ["/ibe/102018211/VIS.fits", "/ibe/102018212/VIS.fits"]


def test_outside_the_footprint_of_euclid_no_mosaic_is_listed(archive):
    archive.answer = lambda path, query, n: mosaics(archive, [])
    with pytest.raises(ValueError, match="outside the footprint"):
        get(archive, "euclid-q1")


@pytest.mark.parametrize("survey", ["panstarrs", "euclid-q1"])
def test_a_page_instead_of_a_list_is_not_an_empty_footprint(archive, survey):
    archive.answer = lambda path, query, n: b"<html>busy</html>"
    with pytest.raises(ConnectionError, match=r"the service sent no list of .*: it is an HTML"):
        get(archive, survey)


def test_an_empty_picture_and_a_truncated_one_are_told_apart(archive):
    archive.answer = lambda path, query, n: archive.jpeg(150.0, 2.0, 64, level=0)
    with pytest.raises(ValueError, match="outside the footprint"):
        get(archive, "sdss", size=64)
    archive.answer = lambda path, query, n: archive.jpeg(150.0, 2.0, 64)[:-200]
    with pytest.raises(ConnectionError, match="JPEG"):
        get(archive, "sdss", size=64)


@pytest.mark.parametrize(
    ("survey", "options", "reason"),
    [
        ("legacy-dr8", {}, r"unknown survey 'legacy-dr8'.*hips:NAME"),
        ("hips", {}, "unknown survey 'hips'"),
        ("legacy-dr9", {"bands": ("g", "i")}, "legacy-dr9 has no band i; it has g, r, z"),
        ("legacy-dr9", {"bands": ("g", "g")}, "named twice"),
        ("legacy-dr9", {"size": 4000}, "1 to 3000 pixels, got 4000"),
        ("legacy-dr9", {"size": "16parsec"}, "cannot read the size '16parsec'"),
        ("legacy-dr9", {"size": "16.5px"}, "whole number"),
        ("legacy-dr9", {"pixel_scale": 0.0}, "pixel scale"),
        ("sdss", {"size": 40}, "64 to 2048"),
        ("sdss", {"size": 64, "format": "fits"}, "sdss has no fits"),
        ("sdss", {"size": 64, "bands": ("g", "r", "i")}, "in this order"),
        ("panstarrs", {"pixel_scale": 0.5}, "pixels of 0.25 arcsec only, got 0.5"),
        ("hips:CDS/P/DSS2/red", {"bands": ("r",)}, "`pixel_scale`"),
        ("hips:CDS/P/DSS2/red", {"pixel_scale": 1.0}, "`bands`"),
        ("hips:CDS/P/DSS2/{band}", {"pixel_scale": 1.0, "format": "jpeg"}, "cannot be combined"),
    ],
)
def test_what_a_service_does_not_offer_is_refused_before_any_request(survey, options, reason):
    with pytest.raises(ValueError, match=reason):
        place_order(survey, **{"size": 16} | options)


def test_an_address_that_is_not_one_of_the_web_is_refused():
    with pytest.raises(ValueError, match="http://"):
        place_order("legacy-dr9", 16, base_url="file:///etc")


@pytest.mark.parametrize(
    ("size", "pixels"), [(152, 152), ("152px", 152), ("152", 152), ("20arcsec", 76), ("20 arcsec", 76)]
)
def test_a_size_in_arcsec_becomes_the_nearest_whole_number_of_pixels(size, pixels):
    assert place_order("legacy-dr9", size)[1].size == pixels  # 20 / 0.262 = 76.3


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_allows_what_it_has_by_default(name):
    service = SERVICES[name]
    assert set(service.default_bands) <= set(service.bands)
    assert service.base_url.startswith("https://") and service.at_once <= 10
