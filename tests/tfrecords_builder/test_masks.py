import itertools

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from click.testing import CliRunner

from morphtools.commands.records import build_records as build_command
from tfrecords_builder import build_records
from tfrecords_builder.images import open_images, read_images
from tfrecords_builder.records import Records

MP = {"MP_BAD": 0, "MP_SAT": 1, "MP_CR": 3, "MP_EDGE": 4, "MP_DETECTED": 5, "MP_NO_DATA": 8}
LAYOUTS = ["file", "packed file", "mosaic", "packed mosaic"]
KINDS, WIDE = ["u1", "i2", "u2", "i4", "u4"], ["i8", "u8", "f4"]  # the wide ones are not compressed without loss


def written(path, mask, names=None, name="MASK", packed=False):
    """An image of ones with a mask, in an extension of `name`."""
    make = fits.CompImageHDU if packed else fits.ImageHDU
    plane = make(mask, name=name)
    for key, bit in (names or {}).items():
        plane.header[f"HIERARCH {key}" if len(key) > 8 else key] = bit
    fits.HDUList([fits.PrimaryHDU(), make(np.ones((24, 24), "f4"), name="IMAGE"), plane]).writeto(path / "m.fits")


def bad(path, layout, mask="MASK", **options):
    """Which pixels of the middle 16 × 16 are bad, or why there is no image."""
    kind = {"cutout": 16} if "mosaic" in layout else {}
    row = {"id_str": "a", "file_loc": "m.fits", "x": 11.5, "y": 11.5}
    (image,) = read_images(open_images(path, mask=mask, **kind, **options), [row])
    if isinstance(image, ValueError):
        return str(image)
    marked = np.zeros(image.shape, bool) if image.mask is None else image.mask
    return marked[..., 0] if "mosaic" in layout else marked[4:20, 4:20, 0]


@pytest.mark.parametrize("layout, kind", [*itertools.product(LAYOUTS, KINDS), *itertools.product(LAYOUTS[::2], WIDE)])
def test_bits_are_those_of_the_values_whatever_their_type(tmp_path, layout, kind):
    top = {"u1": 7, "i2": 14, "u2": 15, "i4": 30, "u4": 31, "i8": 40, "u8": 62, "f4": 20}[kind]
    bits = np.random.default_rng(0).integers(0, 2, (3, 24, 24)).astype("u8")
    mask = (bits[0] + bits[1] * 8 + (bits[2] << np.uint64(top))).astype(kind)  # bits 0, 3 and the highest
    written(tmp_path, mask, packed="packed" in layout)
    for chosen, expected in (
        ("3", bits[1]),
        (f"{top}, 0", bits[2] | bits[0]),
        ((0, 3), bits[0] | bits[1]),
        (top, bits[2]),
    ):
        np.testing.assert_array_equal(bad(tmp_path, layout, mask_bits=chosen), expected[4:20, 4:20] == 1)
    np.testing.assert_array_equal(bad(tmp_path, layout), bits.any(axis=0)[4:20, 4:20])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_named_bits_are_looked_up_in_the_header(tmp_path, layout):
    mask = np.full((24, 24), 32, "i4")  # detected, all over
    mask[10, 11] |= 2
    mask[12, 13] |= 256
    written(tmp_path, mask, MP, packed="packed" in layout)
    for chosen in ("SAT,NO_DATA", "sat, MP_NO_DATA", "1,8", ("SAT", 8)):
        marked = bad(tmp_path, layout, mask_bits=chosen)
        assert marked.sum() == 2 and marked[10 - 4, 11 - 4] and marked[12 - 4, 13 - 4]
    assert "has no bit 'SATUR'; it has BAD, SAT, CR, EDGE, DETECTED, NO_DATA" in bad(
        tmp_path, layout, mask_bits="SATUR"
    )
    assert "has named bits; choose the bad ones" in bad(tmp_path, layout)  # DETECTED is no defect
    assert "no bit 256; bits are counted from 0, so 8 is bit 3" in bad(tmp_path, layout, mask_bits="256")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["WHT", "WEIGHT", "IVAR", "INVVAR", "IVAR_R", "VARMAP"])
def test_a_weight_map_is_bad_where_it_is_zero_if_its_name_or_the_bits_say_so(tmp_path, layout, name):
    weights = np.random.default_rng(0).uniform(0.5, 4, (24, 24)).astype("f4")
    weights[10, 11] = 0
    if "packed" not in layout:
        weights[12, 13] = np.nan
    exact = {"compression_type": "GZIP_1", "quantize_level": 0}
    hdu = fits.CompImageHDU(weights, name=name, **exact) if "packed" in layout else fits.ImageHDU(weights, name=name)
    image = fits.ImageHDU(np.ones((24, 24), "f4"), name="IMAGE")
    fits.HDUList([fits.PrimaryHDU(), image, hdu]).writeto(tmp_path / "m.fits")
    marked = bad(tmp_path, layout, mask=name, hdu="IMAGE", mask_bits="zero")
    assert marked[6, 7] and marked.sum() == (1 if "packed" in layout else 2)
    alone = bad(tmp_path, layout, mask=2, hdu="IMAGE")
    if name == "VARMAP":
        assert "VARMAP is not a mask: it holds numbers like" in alone and "--mask-bits zero" in alone
    else:
        np.testing.assert_array_equal(alone, marked)
    if np.isfinite(weights).all() and name == "VARMAP":
        assert "not a mask" in bad(tmp_path, layout, mask=name, hdu="IMAGE", mask_bits="3")


@pytest.mark.parametrize("layout", ["file", "mosaic"])
def test_a_galaxy_without_a_good_pixel_is_a_failure(tmp_path, layout):
    written(tmp_path, np.ones((24, 24), "u1"))
    assert bad(tmp_path, layout).endswith("every pixel is masked")
    assert not bad(tmp_path, layout, mask_bits="1").any()


def test_a_weight_map_known_by_its_name_is_remarked_on(tmp_path, caplog):
    for mask, bits, remarks in (("WHT", None, 1), ("WHT", "zero", 0), ("DQ", None, 0), (2, None, 0)):
        caplog.clear()
        open_images(tmp_path, mask=mask, mask_bits=bits)
        assert len(caplog.messages) == remarks
        assert all("WHT is read as a weight map" in message for message in caplog.messages)


def test_bits_without_a_mask_are_refused(tmp_path):
    with pytest.raises(ValueError, match="SAT, 3 needs a mask"):
        open_images(tmp_path, mask_bits="SAT,3")


def test_masked_galaxies_are_failures_and_masked_middles_findings_of_a_build(tmp_path):
    rng, rows = np.random.default_rng(0), []
    for i in range(30):
        mask = np.zeros((24, 24), "i2")
        mask[8:16, 8:16] = 32 if i % 3 == 0 else 0  # the galaxy, detected
        mask[:] = 1 if i == 29 else mask
        hdus = [
            fits.PrimaryHDU(),
            fits.ImageHDU(rng.normal(size=(24, 24)).astype("f4")),
            fits.ImageHDU(mask, name="MASK"),
        ]
        fits.HDUList(hdus).writeto(tmp_path / f"{i}.fits")
        rows.append({"id_str": f"g{i}", "file_loc": f"{i}.fits"})
    catalog = pd.DataFrame(rows)
    records = build_records(catalog, tmp_path / "all", images=tmp_path, mask="MASK")
    index = records.index()
    assert records.failed == 1
    assert index["findings"].str.contains("middle_missing").sum() == 10
    records = build_records(catalog, tmp_path / "some", images=tmp_path, mask="MASK", mask_bits="0")
    assert records.failed == 1 and not records.index()["findings"].str.contains("middle_missing").any()


def test_the_command_takes_the_same_bits(tmp_path):
    for i in range(12):
        mask = np.full((24, 24), 32, "i4")
        mask[10, 11] = 34
        written(tmp_path, mask, MP)
        (tmp_path / "m.fits").rename(tmp_path / f"{i}.fits")
    rows = {"id_str": [f"g{i}" for i in range(12)], "file_loc": [f"{i}.fits" for i in range(12)]}
    pd.DataFrame(rows).to_csv(tmp_path / "galaxies.csv", index=False)
    options = ["--images", str(tmp_path), "--hdu", "IMAGE", "--mask", "MASK", "--mask-bits", "SAT,CR"]
    result = CliRunner().invoke(build_command, [str(tmp_path / "galaxies.csv"), str(tmp_path / "out"), *options])
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(Records.open(tmp_path / "out").index()["missing_pixels"], 1 / 24**2)
