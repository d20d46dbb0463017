"""Positions are placed by the equations of Calabretta & Greisen 2002 written out here, and by SkyCoord."""

import numpy as np
import pytest
from astropy.coordinates import FK4, FK5, BarycentricMeanEcliptic, FK4NoETerms, SkyCoord, Supergalactic
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecords_builder.images import open_images, read_images
from tfrecords_builder.wcs import read_grid

N = 120
FRAMES = {
    "icrs": (("RA--", "DEC-"), {}, "icrs"),
    "fk5": (("RA--", "DEC-"), {"RADESYS": "FK5", "EQUINOX": 2000.0}, FK5(equinox="J2000")),
    "fk5 by equinox alone": (("RA--", "DEC-"), {"EQUINOX": 1991.25}, FK5(equinox="J1991.25")),
    "fk4": (("RA--", "DEC-"), {"RADESYS": "FK4", "EQUINOX": 1950.0}, FK4(equinox="B1950")),
    "fk4 by the old keyword": (("RA--", "DEC-"), {"EPOCH": 1950.0}, FK4(equinox="B1950")),
    "fk4 by equinox alone": (("RA--", "DEC-"), {"EQUINOX": 1975.0}, FK4(equinox="B1975")),
    "fk4 without e-terms": (("RA--", "DEC-"), {"RADESYS": "FK4-NO-E"}, FK4NoETerms(equinox="B1950")),
    "galactic": (("GLON", "GLAT"), {}, "galactic"),
    "galactic with RADESYS": (("GLON", "GLAT"), {"RADESYS": "FK5", "EQUINOX": 2000.0}, "galactic"),
    "ecliptic": (("ELON", "ELAT"), {}, BarycentricMeanEcliptic(equinox="J2000")),
    "ecliptic with RADESYS": (("ELON", "ELAT"), {"RADESYS": "ICRS"}, BarycentricMeanEcliptic(equinox="J2000")),
    "supergalactic": (("SLON", "SLAT"), {}, Supergalactic()),
}
MATRICES = {
    "north up": ((-1, 0), (0, 1)),
    "rolled": ((-0.8, 0.6), (0.6, 0.8)),
    "mirrored": ((0.6, -0.8), (0.8, 0.6)),
}
SCALE = 2.0 / 3600  # degrees
PLACES = np.array([[150.1, 2.2], [150.12, 2.23], [149.97, 2.17]])  # ICRS, degrees


def plane(lon, lat, lon0, lat0, projection):
    """Degrees in the plane of the projection, of degrees on the sky."""
    a, d, d0 = np.deg2rad(lon - lon0), np.deg2rad(lat), np.deg2rad(lat0)
    if projection == "CAR":  # about a point of the equator
        return (lon - lon0 + 180) % 360 - 180, lat
    x, y = np.cos(d) * np.sin(a), np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(a)
    depth = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(a)
    x, y = (x / depth, y / depth) if projection == "TAN" else (x, y)
    return np.rad2deg(x), np.rad2deg(y)


def sky_of(x, y, lon0, lat0):
    """The inverse of the gnomonic projection, degrees."""
    x, y, d0 = np.deg2rad(x), np.deg2rad(y), np.deg2rad(lat0)
    lon = lon0 + np.rad2deg(np.arctan2(x, np.cos(d0) - y * np.sin(d0)))
    return lon, np.rad2deg(np.arctan2(np.sin(d0) + y * np.cos(d0), np.hypot(x, np.cos(d0) - y * np.sin(d0))))


def make_header(kinds, crval, matrix, projection, swapped=False, crpix=(60.5, 50.5), **more):
    header = fits.Header({"NAXIS": 2, "NAXIS1": N, "NAXIS2": N})
    order = (1, 0) if swapped else (0, 1)
    for axis, which in enumerate(order, 1):
        header[f"CTYPE{axis}"] = kinds[which] + f"-{projection}"
        header[f"CRVAL{axis}"], header[f"CRPIX{axis}"] = crval[which], crpix[axis - 1]
        for pixel in (1, 2):
            header[f"CD{axis}_{pixel}"] = matrix[which][pixel - 1]
    header.update(more)
    return header


@pytest.mark.parametrize("swapped", [False, True], ids=["lon first", "lat first"])
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("projection", ["TAN", "SIN", "CAR"])
def test_an_icrs_position_is_found_in_any_frame_projection_orientation_and_order_of_axes(frame, projection, swapped):
    kinds, more, astropy_frame = FRAMES[frame]
    places = SkyCoord(PLACES, unit="deg").transform_to(astropy_frame).spherical
    lon, lat = places.lon.deg, places.lat.deg
    lat0 = 0.0 if projection == "CAR" else lat[0] + 0.02
    for name, unit in MATRICES.items():
        matrix = SCALE * np.array(unit)
        header = make_header(kinds, (lon[0] - 0.01, lat0), matrix, projection, swapped, **more)
        x, y = plane(lon, lat, lon[0] - 0.01, lat0, projection)
        expected = np.linalg.solve(matrix, np.stack([x, y])).T + np.array([60.5, 50.5]) - 1
        found, reasons = read_grid(header, None, "m.fits").to_pixels(PLACES)
        assert not any(reasons), (name, reasons)
        np.testing.assert_allclose(found, expected, atol=2e-3)  # 4 mas: how well FK4 is defined


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0, 360, exclude_max=True),
    st.floats(-89.9, 89.9),
    st.sampled_from(sorted(FRAMES)),
    st.sampled_from(sorted(MATRICES)),
    st.booleans(),
)
def test_pixels_and_sky_are_inverse_anywhere_on_the_sky(ra, dec, frame, matrix, swapped):
    kinds, more, astropy_frame = FRAMES[frame]
    place = SkyCoord(ra, dec, unit="deg").transform_to(astropy_frame).spherical
    crval = place.lon.deg, float(np.clip(place.lat.deg, -89, 89))
    header = make_header(kinds, crval, SCALE * np.array(MATRICES[matrix]), "TAN", swapped, **more)
    grid = read_grid(header, None, "m.fits")
    pixels = np.array([[3.0, 7.5], [60.0, 50.0], [119.0, 0.0]])
    sky = grid.to_sky(pixels)
    np.testing.assert_allclose(grid.to_pixels(sky)[0], pixels, atol=1e-3)


@pytest.mark.parametrize(
    "more, reason",
    [
        ({"RADESYS": "GAPPT"}, "RADESYS must be ICRS, .* got GAPPT"),
        ({"RADESYS": "J2000", "EQUINOX": 2000.0}, "RADESYS must be ICRS, .* got J2000"),
        ({"EQUINOX": 0.0}, "EQUINOX is 0"),
    ],
)
def test_a_frame_that_is_not_known_is_not_guessed(more, reason):
    grid = read_grid(make_header(("RA--", "DEC-"), (150.0, 2.0), SCALE * np.eye(2), "TAN", **more), None, "m.fits")
    with pytest.raises(ValueError, match=reason):
        grid.to_pixels(PLACES)


def test_positions_in_a_table_are_refused_and_a_table_of_wavelengths_does_not_matter():
    table = fits.BinTableHDU.from_columns(
        [fits.Column("SKY", "8D", dim="(2,2,2)", array=[[150.0, 2.0, 149.9, 2.0, 150.0, 2.1, 149.9, 2.1]]),
         fits.Column("WAVE", "4D", dim="(1,4)", array=[[5e-7, 5.1e-7, 5.3e-7, 6e-7]])], name="WCS-TAB", ver=1
    )  # fmt: skip
    sky = make_header(("RA--", "DEC-"), (1.0, 1.0), np.eye(2), "TAB", crpix=(1.0, 1.0))
    for axis in (1, 2):
        sky.update({f"PS{axis}_0": "WCS-TAB", f"PS{axis}_1": "SKY", f"PV{axis}_1": 1, f"PV{axis}_3": axis})
    grid = read_grid(sky, fits.HDUList([fits.PrimaryHDU(), table]), "m.fits")
    with pytest.raises(ValueError, match=r"has its positions on the sky in a table \(-TAB\)"):
        grid.to_pixels(PLACES)

    flat = make_header(("RA--", "DEC-"), (150.0, 2.0), SCALE * np.eye(2), "TAN")
    cube = flat.copy()
    cube.update({"NAXIS": 3, "NAXIS3": 4, "CTYPE3": "WAVE-TAB", "CRVAL3": 1.0, "CRPIX3": 1.0, "CDELT3": 1.0})
    cube.update({"CUNIT3": "m", "PS3_0": "WCS-TAB", "PS3_1": "WAVE", "PV3_1": 1, "PV3_3": 1, "CD3_3": 1.0})
    grid = read_grid(cube, fits.HDUList([fits.PrimaryHDU(), table]), "m.fits")
    np.testing.assert_allclose(grid.to_pixels(PLACES)[0], read_grid(flat, None, "m.fits").to_pixels(PLACES)[0])


SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 3e-5, "B_0_2": 2e-5, "A_0_2": 1e-5, "B_1_1": 1e-5}


@pytest.mark.parametrize("distorted", [True, False])
@pytest.mark.parametrize("swapped", [False, True], ids=["lon first", "lat first"])
@pytest.mark.parametrize("x, y", [(10.0, 100.0), (90.3, 20.7)])
def test_sip_counts_where_ctype_says_so_and_is_left_over_elsewhere(distorted, swapped, x, y):
    suffix = "TAN-SIP" if distorted else "TAN"
    matrix = SCALE * np.array(MATRICES["rolled"])
    header = make_header(("RA--", "DEC-"), (150.0, 2.0), matrix, suffix, swapped, **SIP)
    u, v = x + 1 - 60.5, y + 1 - 50.5
    if distorted:
        u, v = u + 3e-5 * u**2 + 1e-5 * v**2, v + 2e-5 * v**2 + 1e-5 * u * v
    sky = np.array([sky_of(*(matrix @ [u, v]), 150.0, 2.0)])
    found, _ = read_grid(header, None, "m.fits").to_pixels(sky)
    np.testing.assert_allclose(found, [[x, y]], atol=1e-3)


@pytest.mark.parametrize("projection", ["TPV", "TAN"], ids=["TPV", "TAN as SCAMP writes it"])
def test_tpv_polynomials_count_whichever_way_they_are_written(projection):
    terms = {f"PV{a}_{k}": v for a in (1, 2) for k, v in ((0, 0.0), (1, 1.0), (2, 0.0), (4, 2e-2), (7, 1e-1))}
    matrix = 20 * SCALE * np.array(MATRICES["rolled"])
    header = make_header(("RA--", "DEC-"), (150.0, 2.0), matrix, projection, **terms)
    pixels = np.array([[10.0, 100.0], [90.3, 20.7]])
    xi, eta = matrix @ (pixels + 1 - [60.5, 50.5]).T
    xi, eta = xi + 2e-2 * xi**2 + 1e-1 * xi**3, eta + 2e-2 * eta**2 + 1e-1 * eta**3  # of the second axis, of eta first
    sky = np.stack(sky_of(xi, eta, 150.0, 2.0), axis=1)
    np.testing.assert_allclose(read_grid(header, None, "m.fits").to_pixels(sky)[0], pixels, atol=1e-3)


def test_a_distortion_that_cannot_be_inverted_is_a_failure_of_that_galaxy_alone():
    strong = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 4e-3, "B_0_2": 4e-3}  # turns back beyond 125 pixels
    header = make_header(("RA--", "DEC-"), (150.0, 2.0), SCALE * np.eye(2), "TAN-SIP", **strong)
    near, far = sky_of(SCALE * 1.0, 0.0, 150.0, 2.0), sky_of(SCALE * -300.0, 0.0, 150.0, 2.0)  # none maps to it
    found, reasons = read_grid(header, None, "m.fits").to_pixels(np.array([near, far, near, (330.0, -2.0)]))
    x = (-1 + np.sqrt(1 + 4 * 4e-3)) / (2 * 4e-3)  # of x + 0.004 x² = 1
    np.testing.assert_allclose(found[[0, 2]], [[59.5 + x, 49.5]] * 2, atol=1e-3)
    assert np.isnan(found[[1, 3]]).all()
    assert "distortion of m.fits cannot be inverted" in reasons[1] and "outside m.fits" in reasons[3]
    assert reasons[0] == reasons[2] == ""


@pytest.mark.parametrize("projection", ["TAN", "SIN", "TPV"])
def test_what_lies_behind_the_projection_is_outside(projection):
    grid = read_grid(make_header(("RA--", "DEC-"), (150.0, 2.0), SCALE * np.eye(2), projection), None, "m.fits")
    found, reasons = grid.to_pixels(np.array([[150.0, 2.0], [330.0, -2.0], [300.0, 40.0]]))
    np.testing.assert_allclose(found[0], [59.5, 49.5], atol=1e-6)
    assert np.isnan(found[1:]).all() and all("outside" in reason for reason in reasons[1:])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("start", [0.0, 180.0, 357.5])
def test_a_map_of_the_whole_sky_has_every_longitude_wherever_it_starts(sign, start):
    header = make_header(("GLON", "GLAT"), (start, 0.0), np.diag([sign * 5.0, 5.0]), "CAR", crpix=(1.0, 19.0))
    lon = np.arange(0.0, 360.0, 7.0)
    sky = SkyCoord(lon, np.full(len(lon), 10.0), unit="deg", frame="galactic").icrs
    found, reasons = read_grid(header, None, "m.fits").to_pixels(np.stack([sky.ra.deg, sky.dec.deg], axis=1), (37, 72))
    expected = (sign * (lon - start) / 5.0 + 0.5) % 72 - 0.5
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-6)
    assert not any(reasons)


def test_pixels_beyond_the_poles_of_a_map_are_not_on_the_sky():
    header = make_header(("GLON", "GLAT"), (180.0, 0.0), np.diag([-5.0, 5.0]), "CAR", crpix=(36.5, 19.0))
    sky = read_grid(header, None, "m.fits").to_sky(np.array([[10.0, 40.0], [10.0, 18.0], [10.0, -3.0]]))
    assert np.isnan(sky[[0, 2]]).all() and np.isfinite(sky[1]).all()


def test_mosaics_without_sky_axes_need_x_and_y():
    grid = read_grid(fits.Header({"NAXIS": 2, "CTYPE1": "LINEAR", "CTYPE2": "LINEAR"}), None, "m.fits")
    with pytest.raises(ValueError, match="has no celestial WCS; give x and y"):
        grid.to_pixels(np.zeros((1, 2)))
    for kind, projection in (("TLON", "TAN"), ("HPLN", "TAN"), ("RA--", "XXX")):
        second = {"TLON": "TLAT", "HPLN": "HPLT", "RA--": "DEC-"}[kind]
        grid = read_grid(make_header((kind, second), (0.0, 2.0), SCALE * np.eye(2), projection), None, "m.fits")
        with pytest.raises(ValueError, match="give x and y"):
            grid.to_pixels(np.zeros((1, 2)))


def cube_file(path, axes, shape, star):
    """A file with its axes in any order, a star of one pixel at `star` (x, y) of the sky's axes."""
    header, keywords = fits.Header(), {"FREQ": (1.4e9, 1e6), "STOKES": (1.0, 1.0), "VELO-LSR": (0.0, 1e3)}
    for number, axis in enumerate(axes, 1):
        header[f"CTYPE{number}"] = {"x": "RA---SIN", "y": "DEC--SIN"}.get(axis, axis)
        value, step = {"x": (150.0, -SCALE), "y": (2.0, SCALE)}.get(axis) or keywords[axis]
        header[f"CRVAL{number}"], header[f"CDELT{number}"] = value, step
        header[f"CRPIX{number}"] = 20.0 if axis in "xy" else 1.0
    pixels = np.zeros(shape[::-1], "f4")
    pixels[tuple(slice(None) if axis not in "xy" else star["xy".index(axis)] for axis in axes[::-1])] = 7.0
    fits.PrimaryHDU(pixels, header).writeto(path)


@pytest.mark.parametrize("extra", [("FREQ", "STOKES"), ("STOKES", "FREQ"), ("FREQ",), ()])
@pytest.mark.parametrize("first", [False, True], ids=["behind", "before"])
@pytest.mark.parametrize("bands", [1, 3])
def test_axes_of_length_one_are_no_axes_and_one_other_holds_the_bands(tmp_path, extra, first, bands):
    if bands > 1 and not extra:
        return
    sizes = (bands, *[1] * (len(extra) - 1)) if extra else ()
    axes = (*extra, "x", "y") if first else ("x", "y", *extra)
    shape = (*sizes, 50, 40) if first else (50, 40, *sizes)
    cube_file(tmp_path / "m.fits", axes, shape, (30, 12))
    lon, lat = sky_of_sin(-(30 - 19) * SCALE, (12 - 19) * SCALE, 150.0, 2.0)
    (image,) = read_images(open_images(tmp_path / "m.fits", cutout=9), [{"ra": lon, "dec": lat}])
    assert image.shape == (9, 9, bands if extra else 1)
    assert (image.data[4, 4] == 7).all() and np.count_nonzero(image.data) == image.shape[2]


def sky_of_sin(x, y, lon0, lat0):
    """The inverse of the orthographic projection, degrees."""
    x, y, d0 = np.deg2rad(x), np.deg2rad(y), np.deg2rad(lat0)
    depth = np.sqrt(1 - x**2 - y**2)
    return lon0 + np.rad2deg(np.arctan2(x, depth * np.cos(d0) - y * np.sin(d0))), np.rad2deg(
        np.arcsin(y * np.cos(d0) + depth * np.sin(d0))
    )


def test_two_axes_besides_the_sky_are_refused_by_name(tmp_path):
    cube_file(tmp_path / "m.fits", ("x", "y", "FREQ", "STOKES"), (50, 40, 3, 4), (30, 12))
    (error,) = read_images(open_images(tmp_path / "m.fits", cutout=9), [{"ra": 150.0, "dec": 2.0}])
    assert "STOKES (4), FREQ (3)" in str(error)
