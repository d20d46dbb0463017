"""Bands on grids that differ on the sky: one Gaussian galaxy and one star, drawn where they are on each grid."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from tfrecords_builder.images import open_images, read_images

N, SCALE = 200, 0.2  # pixels, arcsec
ROW = {"id_str": "a", "ra": 150.0, "dec": 2.0}


def write(path, roll=0.0, mirrored=False, shift=(0.0, 0.0), scale=1.0, size=N, width=1.5, crval=(150.0, 2.0), sky=3.0):
    """A field with a galaxy at `ROW` and a star 4″ east and 2″ north of it, as bright per square arcsec on any grid."""
    c, s = np.cos(np.deg2rad(roll)), np.sin(np.deg2rad(roll))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], crval
    wcs.wcs.crpix = size / 2 + 0.5 + shift[0], size / 2 + 0.5 + shift[1]
    wcs.wcs.cd = SCALE * scale / 3600 * np.array([[c, s], [-s, c]] if mirrored else [[-c, s], [s, c]])
    y, x = np.mgrid[:size, :size]
    plane = wcs.wcs.cd @ np.stack([x.ravel() + 1 - wcs.wcs.crpix[0], y.ravel() + 1 - wcs.wcs.crpix[1]]) * 3600
    east, north = plane + np.array([[(crval[0] - 150) * np.cos(np.deg2rad(2))], [crval[1] - 2]]) * 3600
    light = 10 * np.exp(-(east**2 + north**2) / (2 * width**2))
    light += 20 * np.exp(-((east - 4) ** 2 + (north - 2) ** 2) / (2 * (0.6 * width) ** 2))
    fits.PrimaryHDU((sky + light.reshape(size, size)).astype("f4"), wcs.to_header()).writeto(path)


def cut(folder, cutout="12 arcsec", bands=("g", "r"), **options):
    options = {"template": "f_{band}.fits", "bands": bands, **options}
    options |= {"cutout": cutout} if cutout else {}
    (image,) = read_images(open_images(folder, **options), [ROW])
    return image


DIFFERENT = {
    "rotated by 35°": {"roll": 35},
    "rotated by 90°": {"roll": 90},
    "rotated by 180°": {"roll": 180},
    "rotated by 0.5°": {"roll": 0.5},
    "mirrored": {"mirrored": True},
    "mirrored and rotated by 35°": {"mirrored": True, "roll": 35},
    "has pixels of 0.4″ instead of 0.2″": {"scale": 2.0},
    "has pixels of 0.198″ instead of 0.2″": {"scale": 1 / 1.01},
    "shifted by 0.40 pixels in x and 0.30 in y": {"shift": (0.4, 0.3)},
}


@pytest.mark.parametrize("words", DIFFERENT)
@pytest.mark.parametrize("cutout", ["12 arcsec", None], ids=["mosaics", "files"])
def test_bands_on_different_grids_are_refused_with_both_names_and_what_differs(tmp_path, words, cutout):
    write(tmp_path / "f_g.fits")
    write(tmp_path / "f_r.fits", **DIFFERENT[words])
    error = str(cut(tmp_path, cutout))
    assert error.startswith("f_r.fits and f_g.fits are on different grids: f_r.fits ")
    assert words in error and error.endswith("; to resample it, align the bands (--align)")


@pytest.mark.parametrize("words", DIFFERENT)
@pytest.mark.parametrize("options", [{}, {"image_size": 40}, {"cutout": None}], ids=["cut", "resampled", "files"])
def test_aligned_bands_show_the_same_sky_at_the_same_surface_brightness(tmp_path, words, options):
    """The grid of the first is the truth: drawn there, both bands are the same picture."""
    write(tmp_path / "f_g.fits")
    write(tmp_path / "f_r.fits", **DIFFERENT[words])
    image = cut(tmp_path, align=True, **options)
    first, second = image.data[..., 0], image.data[..., 1]
    good = np.isfinite(second)
    assert image.shape[:2] == ((200, 200) if "cutout" in options else (40, 40) if options else (60, 60))
    assert good.mean() > (0.7 if "cutout" in options else 0.999)  # the corners of a file that is rotated
    coarse = 0.25 if "scale" in DIFFERENT[words] else 0.1  # of 30: the star is smoothed by the larger pixels
    assert np.abs(second - first)[good].max() < 30 * coarse / 3
    np.testing.assert_allclose(second[good].sum(), first[good].sum(), rtol=1e-3)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 3.1])
@pytest.mark.parametrize("roll", [0, 20])
def test_aligning_keeps_a_flat_sky_flat_whatever_the_sizes_of_the_pixels(tmp_path, scale, roll):
    write(tmp_path / "f_g.fits")
    write(tmp_path / "f_r.fits", roll=roll, scale=scale, size=int(N / scale))
    with fits.open(tmp_path / "f_r.fits", "update") as hdus:
        hdus[0].data[:] = 7.25
    np.testing.assert_allclose(cut(tmp_path, align=True).data[..., 1], 7.25, rtol=1e-5)


@pytest.mark.parametrize("shift", [(7.0, -12.0), (0.04, 0.0), (3.03, 0.02)])
def test_whole_pixels_and_small_fractions_of_one_do_not_matter_to_cutouts(tmp_path, shift):
    write(tmp_path / "f_g.fits")
    write(tmp_path / "f_r.fits", shift=shift)
    image = cut(tmp_path)
    assert np.abs(image.data[..., 0] - image.data[..., 1]).max() < 30 * 0.04  # the steepest slope times the shift
    if shift[1] == -12:
        np.testing.assert_allclose(image.data[..., 0], image.data[..., 1], atol=2e-4)
        assert "shifted by 7.00 pixels in x and -12.00 in y" in str(cut(tmp_path, None))  # files are not cut


def test_positions_next_to_half_a_pixel_are_rounded_alike_in_all_bands(tmp_path):
    write(tmp_path / "f_g.fits")
    write(tmp_path / "f_r.fits", shift=(1e-5, -1e-5))
    for offset in (-1e-5, 0.0, 1e-5):
        row = {"id_str": "a", "x": 99.5 + offset, "y": 100.0 - offset}
        (image,) = read_images(open_images(tmp_path, template="f_{band}.fits", bands=("g", "r"), cutout=31), [row])
        np.testing.assert_allclose(image.data[..., 0], image.data[..., 1], atol=2e-3)


def test_x_and_y_are_pixels_of_the_first_band(tmp_path):
    write(tmp_path / "f_g.fits")
    write(tmp_path / "f_r.fits", shift=(7.0, -12.0))
    for bands, (x, y) in ((("g", "r"), (99.5, 99.5)), (("r", "g"), (106.5, 87.5))):
        row = {"id_str": "a", "x": x, "y": y}
        (image,) = read_images(open_images(tmp_path, template="f_{band}.fits", bands=bands, cutout=20), [row])
        for band in (0, 1):
            peak = np.unravel_index(image.data[5:15, 5:15, band].argmax(), (10, 10))
            assert set(peak) <= {4, 5}


def test_other_pixel_scales_are_fine_where_cutouts_are_resampled(tmp_path):
    write(tmp_path / "f_g.fits", width=3.0)
    write(tmp_path / "f_r.fits", scale=2.0, size=100, width=3.0, shift=(0.2, -0.3))
    for cutout in ("14.4 arcsec", 72):  # pixels are those of the first
        image = cut(tmp_path, cutout, image_size=36)
        np.testing.assert_allclose(image.data[..., 0], image.data[..., 1], atol=0.3)  # a hundredth of the peak


def test_missing_and_masked_pixels_stay_so_when_bands_are_aligned(tmp_path):
    write(tmp_path / "g.fits")
    for name, options in (("f_g.fits", {}), ("f_r.fits", {"roll": 180})):
        write(tmp_path / f"raw_{name}", **options)
        with fits.open(tmp_path / f"raw_{name}") as hdus:
            pixels, header = hdus[0].data, hdus[0].header
            mask = np.zeros((N, N), "i2")
            corner = (slice(90, 94), slice(80, 84)) if name == "f_g.fits" else (slice(106, 110), slice(116, 120))
            gap = (slice(104, 110), slice(110, 114)) if name == "f_g.fits" else (slice(90, 96), slice(86, 90))
            mask[corner], pixels[gap] = 4, np.nan
            image = fits.ImageHDU(pixels, header, name="SCI")
            fits.HDUList([fits.PrimaryHDU(), image, fits.ImageHDU(mask, name="DQ")]).writeto(tmp_path / name)
    image = cut(tmp_path, align=True, mask="DQ", hdu="SCI")
    np.testing.assert_array_equal(image.mask[..., 0], image.mask[..., 1])
    np.testing.assert_array_equal(np.isnan(image.data[..., 0]), np.isnan(image.data[..., 1]))
    assert image.mask[..., 1].sum() == 16 and np.isnan(image.data[..., 1]).sum() == 24


def test_extensions_of_one_file_are_compared_like_files(tmp_path):
    hdus = [fits.PrimaryHDU()]
    for name, options in (("G", {}), ("R", {"roll": 35})):
        write(tmp_path / f"{name}.fits", **options)
        hdus.append(fits.ImageHDU(*fits.getdata(tmp_path / f"{name}.fits", header=True), name=name))
    fits.HDUList(hdus).writeto(tmp_path / "m.fits")
    row = {**ROW, "file_loc": "m.fits"}
    for cutout in (60, None):
        (error,) = read_images(open_images(tmp_path, hdu=("G", "R"), cutout=cutout), [row])
        assert "m.fits[R] is rotated by 35°" in str(error)
        (image,) = read_images(open_images(tmp_path, hdu=("G", "R"), cutout=cutout, align=True), [row])
        good = np.isfinite(image.data).all(axis=-1)
        assert np.abs(image.data[..., 0] - image.data[..., 1])[good].max() < 1


def test_bands_in_different_frames_are_compared_and_aligned_on_the_sky(tmp_path):
    from astropy.coordinates import SkyCoord

    write(tmp_path / "f_g.fits")
    centre = SkyCoord(150.0, 2.0, unit="deg").galactic
    write(tmp_path / "f_r.fits", width=1.5)
    with fits.open(tmp_path / "f_r.fits", "update") as hdus:
        header = hdus[0].header
        header["CTYPE1"], header["CTYPE2"] = "GLON-TAN", "GLAT-TAN"
        header["CRVAL1"], header["CRVAL2"], header["LONPOLE"], header["LATPOLE"] = (
            centre.l.deg,
            centre.b.deg,
            180.0,
            0.0,
        )
        north = SkyCoord(150.0, 2.001, unit="deg").galactic
        angle = centre.position_angle(north).deg  # of celestial north, from galactic north
    assert f"rotated by {angle if angle < 180 else 360 - angle:.3g}°" in str(cut(tmp_path))
    image = cut(tmp_path, align=True)
    assert image.data[..., 1].argmax() != 0 and np.isfinite(image.data).all()
    middle = image.data[28:32, 28:32, 1]
    assert middle.min() > 12  # the galaxy, 10 above a sky of 3, is in the middle of both


def test_files_without_a_wcs_or_with_the_same_one_are_joined_as_they_are(tmp_path, monkeypatch):
    from tfrecords_builder import band_files

    write(tmp_path / "f_g.fits")
    write(tmp_path / "f_r.fits", width=2.0)
    monkeypatch.setattr(band_files, "read_grid", None)  # the same cards: astropy is not asked
    assert cut(tmp_path, None).shape == (N, N, 2)
    monkeypatch.undo()
    fits.PrimaryHDU(np.ones((N, N), "f4")).writeto(tmp_path / "f_z.fits")
    assert cut(tmp_path, None, bands=("g", "z")).shape == (N, N, 2)


def test_alignment_says_what_it_needs(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "reproject", None)
    with pytest.raises(ImportError, match=r"morphtools\[align\]"):
        open_images(tmp_path, align=True)


def without_place(path, how: str) -> None:
    """Replaces the WCS of a file: by none, or by one that cannot be used."""
    pixels, header = fits.getdata(path), fits.getheader(path)
    if how == "none":
        header = fits.Header()
    else:
        header["CTYPE1"], header["CTYPE2"] = {"table": ("RA---TAB", "DEC--TAB"), "nonsense": ("RA---XXX", "DEC--XXX")}[
            how
        ]
    fits.writeto(path, pixels, header, overwrite=True)


@pytest.mark.parametrize("how", ["none", "table", "nonsense"])
@pytest.mark.parametrize("cutout", ["60", None], ids=["mosaics", "files"])
def test_a_band_that_cannot_be_compared_with_the_others_is_a_finding(tmp_path, how, cutout):
    write(tmp_path / "f_g.fits")
    write(tmp_path / "f_r.fits", roll=90)
    without_place(tmp_path / "f_r.fits", how)
    image = cut(tmp_path, cutout)
    assert image.findings == ("not_compared",) and image.flag.startswith("f_r.fits has ")
    assert image.data.shape[2] == 2


@pytest.mark.parametrize("without", [(), ("f_g.fits", "f_r.fits")])
def test_bands_that_all_have_a_place_or_none_are_nothing_unusual(tmp_path, without):
    for name in ("f_g.fits", "f_r.fits"):
        write(tmp_path / name)
        if name in without:
            without_place(tmp_path / name, "none")
    assert cut(tmp_path, None).findings == ()
