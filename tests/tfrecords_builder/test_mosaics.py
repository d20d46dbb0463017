import bz2
import gc
import gzip
import lzma

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from tfrecords_builder import build_records, mosaic_files, read_pixels
from tfrecords_builder.images import open_images, read_images
from tfrecords_builder.mosaics import cutout_size

SHAPE = (150, 200)


def world() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150.0, 2.0], [90.0, 70.0]
    angle = np.deg2rad(20)
    wcs.wcs.cd = 0.25 / 3600 * np.array([[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return wcs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path, rng = tmp_path_factory.mktemp("mosaics"), np.random.default_rng(0)
    header = world().to_header()
    for name in ("g", "r"):
        fits.PrimaryHDU(rng.normal(size=SHAPE).astype("f4"), header).writeto(path / f"t1_{name}.fits")
    whole = fits.ImageHDU(rng.integers(-99, 99, SHAPE).astype("i2"), header)
    whole.header["BSCALE"], whole.header["BZERO"] = 0.1, 3.0
    fits.HDUList([fits.PrimaryHDU(), whole]).writeto(path / "scaled.fits")
    packed = fits.CompImageHDU(rng.integers(-99, 99, SHAPE).astype("i2"), header, compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path / "packed.fits.fz")
    fits.PrimaryHDU(rng.normal(size=(2, *SHAPE)).astype("f4"), header).writeto(path / "cube.fits")
    return path


def places(number: int, seed: int = 1) -> np.ndarray:
    """(N, 2) x, y: in the middle, over every edge and over the corners."""
    inside = np.random.default_rng(seed).uniform((0, 0), (SHAPE[1], SHAPE[0]), (number, 2))
    return np.concatenate([inside, [[0, 0], [199, 149], [-5.2, 30], [100.5, 152.5], [0.49, 149.51]]])


@pytest.mark.parametrize("name", ["t1_g.fits", "scaled.fits", "packed.fits.fz"])
@pytest.mark.parametrize("size", [24, 25])
def test_cutouts_are_those_of_astropy_with_nan_outside(folder, name, size):
    with fits.open(folder / name) as hdus:
        full = next(hdu.data.copy() for hdu in hdus if hdu.data is not None)
    positions = world().all_pix2world(places(30), 0)
    rows = [{"file_loc": name, "ra": ra, "dec": dec} for ra, dec in positions]
    for row, image in zip(rows, read_images(open_images(folder, cutout=size), rows), strict=True):
        position = world().all_world2pix([[row["ra"], row["dec"]]], 0)[0]
        expected = Cutout2D(full.astype("f4"), position, size, mode="partial", fill_value=np.nan).data
        np.testing.assert_array_equal(image.data[..., 0], expected)
        share = np.isnan(expected).mean()
        assert image.flag == (f"{share:.1%} of the cutout lies outside the mosaic" if share else "")


def test_x_and_y_count_from_zero_and_a_cube_gives_all_its_bands(folder):
    (image,) = read_images(open_images(folder, cutout=11), [{"file_loc": "cube.fits", "x": 50.0, "y": 60.0}])
    np.testing.assert_array_equal(np.moveaxis(image.data, -1, 0), fits.getdata(folder / "cube.fits")[:, 55:66, 45:56])


def test_what_has_no_pixels_is_a_failure_with_a_reason(folder):
    rows = [
        {"file_loc": "t1_g.fits", "x": 500.0, "y": 5.0},
        {"file_loc": "t1_g.fits", "ra": 330.0, "dec": -2.0},
        {"file_loc": "t1_g.fits", "ra": float("nan"), "dec": 2.0},
        {"file_loc": "none.fits", "ra": 150.0, "dec": 2.0},
        {"file_loc": "t1_g.fits"},
    ]
    reasons = [str(e) for e in read_images(open_images(folder, cutout=11), rows)]
    for reason, expected in zip(
        reasons, ("outside t1_g", "", "no position", "No such file", "ra and dec"), strict=True
    ):
        assert expected in reason
    (alone,) = read_images(open_images(folder, cutout=11), rows[4:])
    assert "ra and dec, or x and y" in str(alone)


def test_a_band_per_mosaic_and_a_mask_are_cut_alike(folder, tmp_path):
    source = open_images(folder, cutout=9, template="{tile}_{band}.fits", bands=("r", "g"))
    (image,) = read_images(source, [{"tile": "t1", "x": 20.0, "y": 30.0}])
    for band, name in enumerate("rg"):
        expected = fits.getdata(folder / f"t1_{name}.fits")[26:35, 16:25]
        np.testing.assert_array_equal(image.data[..., band], expected)
    bad = np.zeros(SHAPE, "i4")
    bad[30, 20] = 1
    hdus = fits.HDUList([fits.PrimaryHDU(fits.getdata(folder / "t1_g.fits")), fits.ImageHDU(bad, name="DQ")])
    hdus.writeto(tmp_path / "m.fits")
    (image,) = read_images(open_images(tmp_path / "m.fits", cutout=9, mask="DQ"), [{"x": 20.0, "y": 30.0}])
    assert image.mask[4, 4, 0] and image.mask.sum() == 1


def test_sizes_are_read_in_pixels_arcsec_and_columns():
    row = {"petro": 3.0, "n": 40}
    assert cutout_size(64, row, 0.25) == 64
    assert cutout_size("30 arcsec", row, 0.25) == 120
    assert cutout_size("4*petro arcsec", row, 0.25) == 48
    assert cutout_size("1.5 * n pixels", row, 0.25) == 60
    for wrong, said in (
        ("4*size", "'size'"),
        ("wide", "'wide'"),
        ("4+4", "'4+4'"),
        (0, "0 pixels"),
        ("-3", "'-3'"),
    ):
        with pytest.raises(ValueError, match=said.replace("*", r"\*").replace("+", r"\+")):
            cutout_size(wrong, row, 0.25)


def test_resampling_keeps_surface_brightness_and_the_place_of_the_galaxy(tmp_path):
    y, x = np.mgrid[:200, :200]
    wide = 5.0 + np.exp(-((x - 101.3) ** 2 + (y - 97.8) ** 2) / (2 * 12.0**2)).astype("f4")
    fits.PrimaryHDU(wide, world().to_header()).writeto(tmp_path / "m.fits")
    source = open_images(tmp_path / "m.fits", cutout="8*r", image_size=32)
    for radius in (5.0, 8.3, 12.0):
        (image,) = read_images(source, [{"x": 101.3, "y": 97.8, "r": radius}])
        assert image.shape == (32, 32, 1)
        step = 8 * radius / 32
        grid = (np.arange(32) - 15.5) * step  # the galaxy is exactly in the middle
        expected = 5.0 + np.exp(-(grid[:, None] ** 2 + grid**2) / (2 * 12.0**2))
        np.testing.assert_allclose(image.data[..., 0], expected, atol=0.012)


def test_resampling_does_not_spread_missing_pixels(tmp_path):
    pixels = np.ones((100, 100), "f4")
    pixels[40, 40] = np.nan
    fits.PrimaryHDU(pixels, world().to_header()).writeto(tmp_path / "m.fits")
    source = open_images(tmp_path / "m.fits", cutout=80, image_size=20)
    for place, outside in ((50.0, 0), (20.0, 0.4)):
        (image,) = read_images(source, [{"x": place, "y": 50.0}])
        assert np.isnan(image.data).mean() == pytest.approx(outside / 1.6 if outside else 0, abs=0.06)
        np.testing.assert_allclose(image.data[np.isfinite(image.data)], 1, rtol=1e-6)


@pytest.mark.parametrize(
    "cutout, image_size, scale", [(24, None, 0.25), ("6 arcsec", None, 0.25), (48, 24, 0.5), ("2*r arcsec", 24, None)]
)
def test_records_of_cutouts_know_the_scale_of_their_pixels_and_the_telescope(tmp_path, cutout, image_size, scale):
    header = world().to_header()
    header["TELESCOP"] = "Blanco"
    pixels = np.random.default_rng(0).normal(size=SHAPE).astype("f4")
    fits.HDUList([fits.PrimaryHDU(header=header[-1:]), fits.ImageHDU(pixels, world().to_header())]).writeto(
        tmp_path / "m.fits"
    )
    rows = [
        {"id_str": f"g{i}", "file_loc": "m.fits", "x": 60.0 + 3 * i, "y": 70.0, "r": 3.0 * 1.2**i} for i in range(20)
    ]
    records = build_records(
        pd.DataFrame(rows), tmp_path / "r", images=tmp_path, cutout=cutout, image_size=image_size, max_failures=0.5
    )
    assert records.telescope == "Blanco"
    assert records.pixel_scale == (None if scale is None else pytest.approx(scale))
    assert not any("scale" in finding for finding in records.findings())


def test_pixels_of_a_mosaic_without_a_place_on_the_sky_have_no_scale(tmp_path):
    fits.PrimaryHDU(np.random.default_rng(0).normal(size=SHAPE).astype("f4")).writeto(tmp_path / "m.fits")
    (image,) = read_images(open_images(tmp_path, cutout=9), [{"file_loc": "m.fits", "x": 50.0, "y": 60.0}])
    assert image.pixel_scale is None


def test_every_mosaic_is_opened_once_per_shard_and_few_stay_open(tmp_path, monkeypatch):
    rng, header = np.random.default_rng(0), world().to_header()
    for i in range(40):
        fits.PrimaryHDU(rng.normal(size=SHAPE).astype("f4"), header).writeto(tmp_path / f"{i}.fits")
    opened, opener = [], mosaic_files.Mosaic.__init__
    monkeypatch.setattr(
        mosaic_files.Mosaic, "__init__", lambda self, path, *a: (opened.append(path), opener(self, path, *a))[1]
    )
    mosaic_files._keep_open.cache_clear()
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(200)], "x": 80.0, "y": 70.0})
    catalog["file_loc"] = [f"{i % 40}.fits" for i in range(200)]
    records = build_records(catalog, tmp_path / "out", images=tmp_path, cutout=16)
    assert len(opened) <= 40 * len(records.checksums) + 1
    assert mosaic_files._keep_open.cache_info().currsize <= mosaic_files._OPEN_FILES
    full = fits.getdata(tmp_path / "7.fits")[62:78, 72:88]
    (pixels,) = read_pixels(records, ["g47"])
    np.testing.assert_array_equal(pixels[..., 0], full)


def test_a_mosaic_that_is_cut_off_fails_before_it_is_mapped(folder, tmp_path):
    data = (folder / "t1_g.fits").read_bytes()
    (tmp_path / "m.fits").write_bytes(data[:60000])
    (error,) = read_images(open_images(tmp_path, cutout=9), [{"file_loc": "m.fits", "x": 5.0, "y": 5.0}])
    assert "truncated" in str(error)


@pytest.mark.parametrize("name", ["m.fits", "m.fits.gz", "m.fits.xz"])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_mosaic_that_is_compressed_as_a_whole_is_refused_in_one_sentence(folder, tmp_path, name, pack, recwarn):
    (tmp_path / name).write_bytes(pack((folder / "t1_g.fits").read_bytes()))
    (error,) = read_images(open_images(tmp_path, cutout=9), [{"file_loc": name, "x": 5.0, "y": 5.0}])
    assert str(error) == (
        f"cannot read the mosaic {name}: it is not a FITS file that can be read in parts: unpack it, or compress it "
        "with fpack"
    )
    gc.collect()
    assert not recwarn.list  # of an exception in a destructor


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "kind, scale, zero", [("u1", 1, 0), ("i2", 1, 0), ("i2", 0.5, 100), ("i2", 1, 32768), ("i4", 1, 2**31)]
)
def test_undefined_integers_are_missing_whatever_their_scaling(tmp_path, kind, scale, zero, packed):
    raw = np.random.default_rng(0).integers(1, 100, SHAPE).astype(kind)
    raw[60:64, 50:58] = blank = 7
    hdu = (fits.CompImageHDU if packed else fits.ImageHDU)(
        raw.copy(), world().to_header(), do_not_scale_image_data=True
    )
    hdu.header["BLANK"], hdu.header["BSCALE"], hdu.header["BZERO"] = blank, scale, zero
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "m.fits")
    (image,) = read_images(open_images(tmp_path, cutout=20), [{"file_loc": "m.fits", "x": 53.0, "y": 61.0}])
    cut = raw[51:71, 43:63].astype(float)
    expected = np.where(cut == blank, np.nan, cut * scale + zero)
    np.testing.assert_array_equal(image.data[..., 0], expected.astype("f4"))


def test_sexagesimal_positions_reach_the_shards(folder, tmp_path):
    middle = world().all_pix2world([[90.0, 70.0]], 0)[0]
    hours, minutes = np.round(middle[0] / 15 * 3600, 4), np.round(middle[1] * 3600, 3)
    text = [f"{value // 3600:02.0f}:{value // 60 % 60:02.0f}:{value % 60:07.4f}" for value in (hours, minutes)]
    rows = {"id_str": [f"g{i}" for i in range(20)], "file_loc": "t1_g.fits", "RA": text[0], "Dec": text[1]}
    pd.DataFrame(rows).to_csv(tmp_path / "catalog.csv", index=False)
    records = build_records(tmp_path / "catalog.csv", tmp_path / "out", images=folder, cutout=9)
    full = fits.getdata(folder / "t1_g.fits")
    (pixels,) = read_pixels(records, ["g3"])
    np.testing.assert_array_equal(pixels[..., 0], full[66:75, 86:95])


def test_all_mosaics_are_read_from_one_extension_and_others_fail_by_name(tmp_path):
    header, rng = world().to_header(), np.random.default_rng(0)
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(40)], "x": 60.0, "y": 60.0})
    catalog["file_loc"] = [f"{i % 20}.fits" for i in range(40)]
    for i in range(20):
        planes = {"SCI": rng.normal(size=SHAPE), "WHT": np.ones(SHAPE)} if i else {"RAW": rng.normal(size=SHAPE)}
        planes = {"SCI": np.zeros(SHAPE), "WHT": np.ones(SHAPE)} if i == 1 else planes
        hdus = [fits.ImageHDU(plane.astype("f4"), header, name=name) for name, plane in planes.items()]
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / f"{i}.fits")
    records = build_records(catalog, tmp_path / "out", images=tmp_path, cutout=9)
    assert records.failed == 2 and records.hdu == "SCI"
    failures = pd.read_parquet(tmp_path / "out" / "failures.parquet")
    assert failures["reason"].str.contains("from extension RAW, but the records are from SCI").all()
    (pixels,) = read_pixels(records, ["g1"])
    assert (pixels == 0).all()  # blank, and not its weights


def test_positions_that_cannot_be_used_are_failures_of_their_galaxies_alone(folder):
    rows = [{"file_loc": "t1_g.fits", "ra": ra, "dec": 2.0} for ra in (150.0, "25:00:00", -9999.0, "10:00:00", -210.0)]
    images = list(read_images(open_images(folder, cutout=9), rows))
    assert [isinstance(image, ValueError) for image in images] == [False, True, True, False, False]
    assert "ra is '25:00:00'" in str(images[1]) and "ra is -9999" in str(images[2])
    np.testing.assert_array_equal(images[3].data, images[0].data)
    np.testing.assert_array_equal(images[4].data, images[0].data)


def test_a_damaged_tile_is_a_failure_of_the_galaxies_on_it(folder, tmp_path):
    data = bytearray((folder / "packed.fits.fz").read_bytes())
    with fits.open(folder / "packed.fits.fz", disable_image_compression=True) as hdus:
        place = hdus[1].fileinfo()["datLoc"]
    for row in range(70, 90):  # descriptors (length, offset) of the tiles of these rows of the image
        at = place + row * 8
        data[at : at + 4] = (2**20).to_bytes(4, "big")
    (tmp_path / "m.fits.fz").write_bytes(bytes(data))
    images = list(
        read_images(open_images(tmp_path, cutout=9), [{"file_loc": "m.fits.fz", "x": 50, "y": y} for y in (80, 20)])
    )
    assert isinstance(images[0], ValueError) and not isinstance(images[1], ValueError)
