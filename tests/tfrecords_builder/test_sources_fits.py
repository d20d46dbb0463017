import gzip
import io

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from tfrecords_builder.fits import read_fits
from tfrecords_builder.images import open_images, read_images


def written(*hdus, **options) -> bytes:
    buffer = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(buffer, **options)
    return buffer.getvalue()


@pytest.fixture
def cube():
    return np.random.default_rng(0).normal(size=(5, 9, 11)).astype("f4")


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(7, 8), (3, 7, 8), (1, 5, 5)])
def test_plain_files_are_what_astropy_reads(kind, shape):
    pixels = (100 * np.random.default_rng(1).random(shape)).astype(kind)
    data = written(fits.PrimaryHDU(pixels))
    expected = fits.getdata(io.BytesIO(data))
    expected = expected[..., None] if expected.ndim == 2 else np.moveaxis(expected, 0, -1)
    image = read_fits(data)
    assert image.data.dtype == np.float32
    np.testing.assert_array_equal(image.data, expected.astype(np.float32))


@pytest.mark.parametrize("shape", [(80, 50, 30), (40, 40, 30), (20, 50, 30), (30, 40, 40), (9, 50, 9)])
@pytest.mark.parametrize("first", [False, True], ids=["channels last in the header", "channels first in the header"])
@pytest.mark.parametrize("extension", [False, True])
def test_the_channels_of_a_cube_are_the_axis_that_is_not_on_the_sky(shape, first, extension):
    """However many there are: cubes of integral-field units and radio telescopes have more channels than pixels."""
    kinds = ("VRAD", "RA---SIN", "DEC--SIN") if first else ("RA---SIN", "DEC--SIN", "VRAD")
    header = fits.Header({f"CTYPE{axis}": kind for axis, kind in enumerate(kinds, 1)})
    expected = np.random.default_rng(0).normal(size=(*shape[1:], shape[0])).astype("f4")
    stored = expected if first else np.moveaxis(expected, -1, 0)
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(stored, header)] if extension else [fits.PrimaryHDU(stored, header)]
    np.testing.assert_array_equal(read_fits(written(*hdus)).data, expected)


def test_an_array_of_colours_is_one_whatever_its_header_says_of_the_sky():
    pixels = np.random.default_rng(0).normal(size=(20, 24, 3)).astype("f4")
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})  # of the flat image it was made from
    np.testing.assert_array_equal(read_fits(written(fits.PrimaryHDU(pixels, header))).data, pixels)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_an_array_file_may_have_its_bands_first_or_last(tmp_path, channels):
    pixels = np.random.default_rng(0).normal(size=(20, 24, channels)).astype("f4")
    np.save(tmp_path / "last.npy", pixels)
    np.save(tmp_path / "first.npy", np.moveaxis(pixels, -1, 0))
    for image in read_images(open_images(tmp_path), [{"file_loc": "last.npy"}, {"file_loc": "first.npy"}]):
        np.testing.assert_array_equal(image.data, pixels)


def test_a_version_of_an_extension_is_not_taken_for_two_bands(tmp_path):
    with pytest.raises(ValueError, match="hdu SCI,2 may mean two extensions or version 2 of SCI: give the numbers"):
        open_images(tmp_path, hdu=("SCI", 2))


def test_special_values_keep_their_bits(cube):
    cube[0, 0] = [np.inf, -np.inf, np.nan, -0.0, 1e-42, 3.4e38, 0, 1, 2, 3, 4]
    image = read_fits(written(fits.PrimaryHDU(cube)))
    assert np.moveaxis(image.data, -1, 0).tobytes() == cube.tobytes()


def test_scaled_and_unsigned_integers_are_what_astropy_reads():
    raw = np.arange(-50, 50, dtype="i2").reshape(10, 10)
    scaled = fits.PrimaryHDU(raw)
    scaled.header["BSCALE"], scaled.header["BZERO"], scaled.header["BLANK"] = 0.25, 7.5, -3
    for hdu in (scaled, fits.PrimaryHDU((raw.astype("i4") + 60).astype("u2"))):
        data = written(hdu)
        np.testing.assert_array_equal(read_fits(data).data[..., 0], fits.getdata(io.BytesIO(data)).astype("f4"))


def test_gzip_and_tile_compression_are_undone(cube):
    data = written(fits.PrimaryHDU(cube))
    np.testing.assert_array_equal(read_fits(gzip.compress(data)).data, read_fits(data).data)
    flat = (1000 * cube[0]).astype("i2")
    packed = written(fits.PrimaryHDU(), fits.CompImageHDU(flat, compression_type="RICE_1"))
    np.testing.assert_array_equal(read_fits(packed).data[..., 0], flat)


def test_extensions_become_bands_in_the_order_requested(cube):
    data = written(fits.PrimaryHDU(), *(fits.ImageHDU(plane, name=n) for plane, n in zip(cube, "UGRIZ", strict=True)))
    image = read_fits(data, hdu=("R", "U", 2))
    np.testing.assert_array_equal(np.moveaxis(image.data, -1, 0), cube[[2, 0, 1]])


def test_the_first_image_that_is_not_empty_is_the_default(cube):
    data = written(fits.PrimaryHDU(np.zeros((9, 11), "f4")), fits.ImageHDU(cube[3]), fits.ImageHDU(cube[4]))
    np.testing.assert_array_equal(read_fits(data).data[..., 0], cube[3])


def test_a_mask_extension_marks_pixels_and_changes_none(cube):
    bad = np.zeros((9, 11), "u1")
    bad[2, 3] = 4
    image = read_fits(written(fits.PrimaryHDU(cube), fits.ImageHDU(bad, name="DQ")), hdu=0, mask="DQ")
    np.testing.assert_array_equal(np.moveaxis(image.data, -1, 0), cube)
    np.testing.assert_array_equal(image.mask, np.repeat(bad[..., None] > 0, 5, axis=-1))


def test_band_names_come_from_the_header(cube):
    hdu = fits.PrimaryHDU(cube)
    hdu.header["BANDS"] = "ugriz"
    assert read_fits(written(hdu)).bands == tuple("ugriz")
    for i, name in enumerate(("F435W", "F606W", "F775W", "F814W", "F850LP")):
        hdu.header[f"BAND{i}"] = name
    del hdu.header["BANDS"]
    assert read_fits(written(hdu)).bands == ("F435W", "F606W", "F775W", "F814W", "F850LP")


def test_what_is_broken_is_named(cube):
    data = written(fits.PrimaryHDU(cube))
    with pytest.raises(ValueError, match="truncated: the header promises 4860 bytes, the file has 4000"):
        read_fits(data[:4000])
    with pytest.raises(ValueError, match="damaged gzip"):
        read_fits(gzip.compress(data)[:200])
    with pytest.raises(ValueError, match="every pixel is missing"):
        read_fits(written(fits.PrimaryHDU(cube * np.nan)))
    with pytest.raises(ValueError, match="contains no image"):
        read_fits(written(fits.PrimaryHDU()))
    with pytest.raises(ValueError, match=r"no extension.*SCI"):
        read_fits(data, hdu="SCI")


def test_one_file_per_band_is_stored_in_the_named_order(tmp_path, cube):
    for name, plane in zip("ugriz", cube, strict=True):
        (tmp_path / "f1").mkdir(exist_ok=True)
        fits.PrimaryHDU(plane).writeto(tmp_path / "f1" / f"a_{name}.fits")
    source = open_images(tmp_path, template="f{field}/{id_str}_{band}.fits", bands=("r", "g"))
    assert source.needs == ("id_str", "field")
    image, lost = read_images(source, [{"id_str": "a", "field": 1}, {"id_str": "b", "field": 1}])
    np.testing.assert_array_equal(np.moveaxis(image.data, -1, 0), cube[[2, 1]])
    assert "f1/b_r.fits" in str(lost)


def test_whole_numbers_in_a_template_are_whole_though_another_row_has_none(tmp_path, cube):
    (tmp_path / "f7.fits").write_bytes(written(fits.PrimaryHDU(cube)))
    rows = pd.DataFrame({"id_str": ["a", "b", "c"], "field": [7, None, 1.5]}).to_dict("records")
    found, none, half = read_images(open_images(tmp_path, template="f{field}.fits"), rows)
    assert found.shape == (9, 11, 5)
    assert "has no field, which the template 'f{field}.fits' needs" in str(none) and "f1.5.fits" in str(half)


def test_a_template_without_its_column_is_named(tmp_path):
    source = open_images(tmp_path, template="{field}.fits")
    (error,) = read_images(source, [{"id_str": "a"}])
    assert "'field'" in str(error) and "id_str" in str(error)
    with pytest.raises(ValueError, match="names of the bands"):
        open_images(tmp_path, template="{id_str}_{band}.fits")


@pytest.mark.parametrize("key", ["GCOUNT", "PCOUNT", "NAXIS1", "NAXIS2"])
def test_text_where_a_header_counts_is_refused_before_astropy_multiplies_it(cube, key):
    data = bytearray(written(fits.PrimaryHDU(), fits.ImageHDU(cube)))
    for name, value in (("PCOUNT", "999999999"), (key, "'SCI'")):
        place = data.index(f"{name:8}=".encode(), 2880)
        data[place : place + 80] = f"{name:8}= {value:>20}".ljust(80).encode()
    with pytest.raises(ValueError, match=f"its header has {key} .*SCI"):
        read_fits(bytes(data))
