"""Any bytes given as an image become pixels or one clear ValueError."""

import bz2
import gzip
import io
import warnings

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from PIL import Image as Picture

from tfrecords_builder import build_records, verify_records
from tfrecords_builder.image_files import decode
from tfrecords_builder.images import Image, open_images, read_images

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

CASES = int(__import__("os").environ.get("FUZZ_CASES", 150))
many = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def seeds() -> dict[str, bytes]:
    rng, found = np.random.default_rng(0), {}

    def add(name, *hdus):
        buffer = io.BytesIO()
        fits.HDUList(list(hdus)).writeto(buffer)
        found[name] = buffer.getvalue()

    cube = rng.normal(size=(3, 12, 14)).astype("f4")
    scaled = fits.PrimaryHDU((cube[0] * 100).astype("i2"))
    scaled.header["BSCALE"], scaled.header["BZERO"] = 0.5, 2.0
    add("cube.fits", fits.PrimaryHDU(cube))
    add("scaled.fits", scaled)
    add("extensions.fits", fits.PrimaryHDU(), *(fits.ImageHDU(plane) for plane in cube))
    add("packed.fits.fz", fits.PrimaryHDU(), fits.CompImageHDU((cube[0] * 100).astype("i2"), compression_type="RICE_1"))
    found["cube.fits.gz"] = gzip.compress(found["cube.fits"])
    found["cube.fits.bz2"] = bz2.compress(found["cube.fits"])
    for kind in ("png", "jpeg", "webp", "gif", "bmp", "tiff"):
        buffer = io.BytesIO()
        Picture.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(buffer, kind)
        found[f"picture.{kind}"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, cube)
    found["array.npy"] = buffer.getvalue()
    return found


SEEDS = seeds()
VALUES = st.sampled_from(["-1", "0", "3", "17", "999999999", "1E400", "NaN", "T", "'x'", "-64", "8", "-32", ""])
KEYS = ["SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "BSCALE", "BZERO", "BLANK", "XTENSION", "PCOUNT"]
KEYS += ["GCOUNT", "TFIELDS", "ZNAXIS1", "ZBITPIX", "ZTILE1", "ZCMPTYPE", "EXTEND", "END", "BANDS", "TFORM1", "THEAP"]


@st.composite
def hostile(draw) -> tuple[str, bytes]:
    """A good file with cards of its header replaced, bytes changed, and its end cut off."""
    name = draw(st.sampled_from(sorted(SEEDS)))
    data = bytearray(SEEDS[name])
    if ".fits" in name and not name.endswith(".gz"):
        for key, value in draw(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=3)):
            place = data.find(f"{key:8}=".encode())
            place = place if place >= 0 else 80 * draw(st.integers(0, min(30, len(data) // 80 - 1)))
            data[place : place + 80] = f"{key:8}= {value:>20}".ljust(80).encode()
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    return name, bytes(data)


def check(image: Image) -> None:
    if isinstance(image.data, bytes):
        assert len(image.shape) == 3
    else:
        assert image.data.dtype == np.float32 and image.data.shape == image.shape and np.isfinite(image.data).any()


@many
@given(hostile())
def test_damaged_files_are_pixels_or_one_clear_error(case):
    name, data = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = decode(name, data)
        except ValueError as error:
            assert str(error)
        else:
            check(image)


@many
@given(st.binary(max_size=4000), st.sampled_from([*SEEDS, "a.fits", "a.gif", "a"]))
def test_any_bytes_are_pixels_or_one_clear_error(data, name):
    try:
        check(decode(name, data))
    except ValueError as error:
        assert str(error)


@many
@given(hostile())
def test_plain_files_read_the_short_way_are_what_astropy_reads(case):
    from tfrecords_builder import fits as reading

    data = case[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            plain = reading._plain(data)
            expected, header = (
                (None, {}) if plain is None else fits.getdata(io.BytesIO(data), memmap=False, header=True)
            )
        except Exception:
            return
    if plain is not None:
        np.testing.assert_array_equal(plain[0].astype("f4"), reading._bands_last(expected, header.get).astype("f4"))


@settings(parent=many, max_examples=max(10, CASES // 30))
@given(st.lists(hostile(), min_size=20, max_size=20), st.integers(0, 2**32))
def test_a_folder_of_damaged_files_gives_whole_records_or_none(tmp_path_factory, cases, seed):
    folder = tmp_path_factory.mktemp("hostile")
    names = []
    for i, (name, data) in enumerate(cases):
        names.append(f"{i}_{name}")
        (folder / names[-1]).write_bytes(data)
    catalog = pd.DataFrame({"id_str": names, "file_loc": names})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            records = build_records(catalog, folder / "out", images=folder, max_failures=1, seed=seed)
        except ValueError:
            assert not (folder / "out").exists() or not list((folder / "out").iterdir())
            return
    assert verify_records(records) == []
    assert sum(records.splits.values()) + records.failed == len(catalog)
    assert not [path for path in (folder / "out").iterdir() if path.name.startswith(".")]


@many
@given(st.binary(max_size=3000), st.sampled_from(["npy", "npz", "h5"]), st.booleans())
def test_a_damaged_stack_or_mosaic_is_one_clear_error(tmp_path_factory, data, ending, as_mosaic):
    folder = tmp_path_factory.mktemp("stack")
    path = folder / ("m.fits" if as_mosaic else f"s.{ending}")
    path.write_bytes(SEEDS["cube.fits"][: len(data)] if as_mosaic else data)
    source = open_images(folder, cutout=5) if as_mosaic else open_images(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (found,) = read_images(source, [{"file_loc": path.name if as_mosaic else "0", "x": 3.0, "y": 3.0}])
    assert isinstance(found, ValueError) and str(found)
