"""Which HDU holds the galaxy, and what its pixels are worth."""

import io

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from tfrecords_builder import build_records
from tfrecords_builder.fits import read_fits
from tfrecords_builder.hdus import image_hdu, is_plane, pixel_values

PIXELS = np.random.default_rng(0).normal(size=(8, 9)).astype("f4")


def written(*hdus) -> bytes:
    buffer = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(buffer)
    return buffer.getvalue()


def named(**planes) -> list:
    return [fits.ImageHDU(np.asarray(pixels, "f4"), name=name) for name, pixels in planes.items()]


@pytest.mark.parametrize(
    "name",
    "WHT WEIGHT ERR ERROR DQ MASK VAR VARIANCE IVAR INVVAR INVERSE_VARIANCE RMS SIGMA UNCERT BPM BADPIX FLAGS EXPMAP "
    "CON CTX SEGMAP VAR_POISSON WGT MSK 3-4.RMS VIS_FLG WEIGHTMAP ERR1 wht COVERAGE "
    "PSF PSFEX_KERNEL BKG BACKGROUND RESID".split(),
)
def test_weight_mask_and_error_maps_are_never_the_image(name):
    data = written(fits.PrimaryHDU(), *named(**{name: np.full((8, 9), 7.5), "SCI": PIXELS}))
    np.testing.assert_array_equal(read_fits(data).data[..., 0], PIXELS)


@pytest.mark.parametrize(
    "name",
    "SCI IMAGE DATA G F814W CUTOUT VIS NIR-H SCI_1 CALEXP SIMULATED BARRED BKG_SUB BACKGROUND_SUBTRACTED".split(),
)
def test_names_of_images_are_not_taken_for_maps(name):
    assert not is_plane(fits.ImageHDU(PIXELS, name=name).header)


@pytest.mark.parametrize(("key", "value"), [("EXTTYPE", "VARIANCE"), ("PRODTYPE", "wtmap"), ("HDUCLAS2", "ERROR")])
def test_other_keywords_tell_maps_from_images(key, value):
    plane = fits.ImageHDU(np.ones((8, 9), "f4"))
    plane.header[key] = value
    np.testing.assert_array_equal(read_fits(written(fits.PrimaryHDU(), plane, *named(A=PIXELS))).data[..., 0], PIXELS)


@pytest.mark.parametrize("blank", [np.zeros((8, 9)), np.full((8, 9), np.nan)])
def test_a_blank_image_is_blank_and_never_its_weight_map(blank):
    data = written(fits.PrimaryHDU(), *named(SCI=blank, WHT=np.full((8, 9), 7.5), ERR=PIXELS))
    if np.isnan(blank).all():
        with pytest.raises(ValueError, match="every pixel is missing"):
            read_fits(data)
    else:
        assert not read_fits(data).data.any()


def test_a_blank_primary_is_the_image_where_only_maps_follow():
    data = written(fits.PrimaryHDU(np.zeros((8, 9), "f4")), *named(WHT=np.full((8, 9), 7.5)))
    assert not read_fits(data).data.any()


def test_a_file_of_maps_alone_is_refused_by_their_names():
    data = written(fits.PrimaryHDU(), *named(WHT=PIXELS, DQ=PIXELS))
    with pytest.raises(ValueError, match=r"only the weight, mask or error map WHT, DQ.*hdu"):
        read_fits(data)
    np.testing.assert_array_equal(read_fits(data, hdu="WHT").data[..., 0], PIXELS)


def test_a_set_is_read_from_one_extension_and_other_files_fail_by_name(tmp_path):
    for i in range(40):
        planes = named(SCI=PIXELS + i, WHT=np.full((8, 9), 7.5))
        if i in (3, 17):
            planes = named(MODEL=PIXELS, SCI=PIXELS + i)
        if i == 5:
            planes = planes[1:]
        (tmp_path / f"{i}.fits").write_bytes(written(fits.PrimaryHDU(), *planes))
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(40)], "file_loc": [f"{i}.fits" for i in range(40)]})
    records = build_records(catalog, tmp_path / "records", images=tmp_path)
    failures = pd.read_parquet(records.folder / "failures.parquet").set_index("id_str")["reason"]
    assert records.hdu == "SCI" and set(failures.index) == {"g3", "g5", "g17"}
    assert "extension MODEL, but the records are from SCI" in failures["g3"] and "WHT" in failures["g5"]
    whole = build_records(catalog.drop(5), tmp_path / "named", images=tmp_path, hdu="SCI")
    assert whole.failed == 0 and whole.hdu == ""


def test_cutouts_named_after_the_detector_they_come_from_are_one_set(tmp_path):
    """As of DECam: one primary image a file, EXTNAME N4, N29, S7."""
    for i in range(12):
        primary = fits.PrimaryHDU(PIXELS + i)
        primary.header["EXTNAME"] = f"N{i}"
        (tmp_path / f"{i}.fits").write_bytes(written(primary))
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(12)], "file_loc": [f"{i}.fits" for i in range(12)]})
    records = build_records(catalog, tmp_path / "records", images=tmp_path)
    assert records.failed == 0 and records.hdu == ""
    np.testing.assert_array_equal(records.source()("g7").data[..., 0], PIXELS + 7)


def test_image_hdu_gives_the_number_for_mosaics():
    hdus = fits.open(io.BytesIO(written(fits.PrimaryHDU(), *named(WHT=PIXELS, SCI=PIXELS))))
    assert image_hdu(hdus) == 2


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "i8"])
@pytest.mark.parametrize(("scale", "zero"), [(None, None), (1, 0), (0.5, 100.0), (1.0, 32768.0), (-0.1, 7.0)])
@pytest.mark.parametrize("compressed", [False, True])
def test_blank_integers_are_nan_whatever_their_scale(kind, scale, zero, compressed):
    raw = np.arange(72).reshape(8, 9).astype(kind)
    blank = 255 if kind == "u1" else -77
    raw[2, 3:7] = blank
    expected = raw.astype(float) * (1 if scale is None else scale) + (zero or 0)  # the standard's equation
    expected[2, 3:7] = np.nan
    if compressed and kind == "i8":
        return  # the standard has no compression of 64-bit integers
    cards = {"BLANK": blank} | ({} if scale is None else {"BSCALE": scale, "BZERO": zero})
    data = _compressed(raw, cards) if compressed else _raw(raw, cards)
    np.testing.assert_allclose(read_fits(data).data[..., 0], expected, rtol=1e-6)


def _raw(raw, cards) -> bytes:
    header = fits.PrimaryHDU(raw).header.copy()
    header.update(cards)
    body = raw.astype(raw.dtype.newbyteorder(">")).tobytes()
    return header.tostring(endcard=True, padding=True).encode() + body + bytes(-len(body) % 2880)


def _compressed(raw, cards) -> bytes:
    """Tiles of the raw integers; the cards go into the bytes afterwards, as astropy would scale."""
    data = bytearray(written(fits.PrimaryHDU(), fits.CompImageHDU(raw, compression_type="RICE_1")))
    end = data.rindex(b"END" + b" " * 77, 0, data.index(b"ZIMAGE") + 2880)
    for key, value in cards.items():
        data[end : end + 80] = f"{key:8}= {value:>20}".ljust(80).encode()
        end += 80
    assert not bytes(data[end : end + 80]).strip()
    data[end : end + 3] = b"END"
    return bytes(data)


def test_unsigned_integers_stay_whole_so_that_bits_can_be_read():
    header = fits.Header({"BZERO": 2**31})
    values = pixel_values(np.array([-(2**31), 2**31 - 1], "i4"), header)
    assert values.dtype.kind == "i" and values.tolist() == [0, 2**32 - 1]


def stored(dtype: str, values, **cards) -> tuple[np.ndarray, fits.Header]:
    return np.array(values, dtype), fits.Header(cards)


def test_unsigned_integers_of_64_bits_are_exact():
    """Stored less 2⁶³ (FITS standard 4.0, table 11), where sums of floating-point numbers lose the last ten bits."""
    small, large = 5, 2**53
    values = pixel_values(*stored("i8", [small - 2**63, large - 2**63, -7 - 2**62], BZERO=2**63, BLANK=-7 - 2**62))
    assert values[0] == small and values[1] == large and np.isnan(values[2])
    np.testing.assert_array_equal(pixel_values(*stored("i8", [1 - 2**63, -(2**63)], BZERO=2.0**63)), [1, 0])


@pytest.mark.parametrize("blank", [-99, -99.0])
def test_blank_is_missing_whether_it_is_written_as_a_whole_number_or_not(blank):
    np.testing.assert_array_equal(pixel_values(*stored("i2", [1, -99, 3], BLANK=blank)), [1, np.nan, 3])


@pytest.mark.parametrize("key", ["BLANK", "BSCALE", "BZERO"])
def test_text_where_the_header_must_have_a_number_is_refused(key):
    with pytest.raises(ValueError, match=f"{key} must be a number, got '-99'"):
        pixel_values(*stored("i2", [1, -99, 3], **{key: "-99"}))
