"""Files from anywhere never read other files, wait forever, or unpack without limit."""

import bz2
import gzip
import io
import lzma
import os
import re
import subprocess
import sys
import unicodedata
import zipfile
from functools import partial

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from tfrecords_builder import build_records
from tfrecords_builder.bounded import LIMITS, unpacked
from tfrecords_builder.images import open_images, read_images


def fits_bytes(pixels=None) -> bytes:
    buffer = io.BytesIO()
    fits.PrimaryHDU(np.ones((4, 5), "f4") if pixels is None else pixels).writeto(buffer)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    """`images` with a.fits, and secret.fits beside it."""
    (tmp_path / "images" / "sub").mkdir(parents=True)
    (tmp_path / "images" / "a.fits").write_bytes(fits_bytes())
    (tmp_path / "images" / "sub" / "b.fits").write_bytes(fits_bytes())
    (tmp_path / "secret.fits").write_bytes(fits_bytes())
    (tmp_path / "images" / "link.fits").symlink_to(tmp_path / "secret.fits")
    (tmp_path / "images" / "inner.fits").symlink_to(tmp_path / "images" / "a.fits")
    return tmp_path / "images"


def read(images, name: str, **options):
    (image,) = read_images(open_images(images, **options), [{"id_str": "a", "file_loc": name, "x": 2.0, "y": 2.0}])
    return image


@pytest.mark.parametrize(
    "name", ["../secret.fits", "sub/../../secret.fits", "link.fits", "SECRET", "../images-2/a.fits"]
)
@pytest.mark.parametrize("cutout", [None, 3])
def test_files_outside_the_folder_are_read_only_where_it_is_allowed(folder, name, cutout):
    (folder.parent / "images-2").mkdir()
    (folder.parent / "images-2" / "a.fits").write_bytes(fits_bytes())
    name = str(folder.parent / "secret.fits") if name == "SECRET" else name
    error = read(folder, name, cutout=cutout)
    assert isinstance(error, ValueError) and "points outside the images folder" in str(error) and name in str(error)
    assert read(folder, name, cutout=cutout, limits=LIMITS._replace(outside=True)).data[0, 0, 0] == 1
    assert read(folder.parent, str(folder.parent / "secret.fits"), cutout=cutout).data[0, 0, 0] == 1


@pytest.mark.parametrize("name", ["a.fits", "sub/b.fits", "sub/../a.fits", "./a.fits", "inner.fits", "ABSOLUTE"])
def test_files_inside_the_folder_are_read_however_they_are_called(folder, name):
    name = str(folder / "sub" / "b.fits") if name == "ABSOLUTE" else name
    assert read(folder, name).shape == (4, 5, 1)
    linked = folder.parent / "linked"
    linked.symlink_to(folder)
    assert read(linked, name).shape == (4, 5, 1)


@pytest.mark.parametrize("written", ["\u00e9.fits", "e\u0301.fits"])
@pytest.mark.parametrize("catalogued", ["\u00e9.fits", "e\u0301.fits"])
def test_files_are_found_whichever_unicode_form_their_names_have(folder, written, catalogued):
    (folder / written).write_bytes(fits_bytes())
    assert read(folder, catalogued).shape == (4, 5, 1)


def test_the_flag_is_an_argument_of_builds_and_part_of_their_settings(folder, tmp_path):
    catalog = pd.DataFrame({"id_str": ["a", "b"], "file_loc": ["a.fits", "../secret.fits"]})
    options = {"images": folder, "max_failures": 0.5}
    assert build_records(catalog, tmp_path / "r", **options).failed == 1
    assert build_records(catalog, tmp_path / "r2", **options, outside=True).failed == 0
    with pytest.raises(FileExistsError):
        build_records(catalog, tmp_path / "r", **options, outside=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_pipes_and_devices_are_refused_at_once(folder, tmp_path):
    os.mkfifo(folder / "pipe.fits")
    (folder / "zero.fits").symlink_to("/dev/zero")
    code = f"""
from tfrecords_builder.bounded import LIMITS
from tfrecords_builder.images import open_images, read_images
for name in ("pipe.fits", "zero.fits"):
    for options in ({{}}, {{"cutout": 3}}):
        source = open_images({str(folder)!r}, limits=LIMITS._replace(outside=True), **options)
        (error,) = read_images(source, [{{"id_str": "a", "file_loc": name, "x": 1.0, "y": 1.0}}])
        assert "pipe, socket or device" in str(error), error
for ending in ("npy", "h5", "zip", "fits"):
    import os
    os.mkfifo({str(tmp_path)!r} + "/all." + ending)
    try:
        open_images({str(tmp_path)!r} + "/all." + ending)
    except ValueError as error:
        assert "pipe" in str(error)
    else:
        raise SystemExit(ending)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)


def archive(path, **members) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)


def test_a_member_of_a_zip_is_found_below_a_folder_where_only_one_fits(tmp_path):
    path, data = tmp_path / "i.zip", fits_bytes()
    archive(
        path,
        **{"images/a.fits": data, "x/b.fits": data, "y/b.fits": data, "__MACOSX/images/._a.fits": b"", "c.fits": data},
    )
    archive(tmp_path / "empty.zip")
    for name in ("a.fits", "images/a.fits", "c.fits", "x/b.fits"):
        assert read(path, name).shape == (4, 5, 1)
    assert "could be any of x/b.fits, y/b.fits" in str(read(path, "b.fits"))
    assert "no d.fits in i.zip, which contains images/a.fits, x/b.fits" in str(read(path, "d.fits"))
    assert "which contains no file" in str(read(tmp_path / "empty.zip", "d.fits"))
    assert isinstance(read(path, str(tmp_path / "secret.fits")), ValueError)


def test_paths_written_on_windows_and_paths_from_here_are_found(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.fits").write_bytes(fits_bytes())
    archive(tmp_path / "slash.zip", **{"x/1.fits": fits_bytes()})
    archive(tmp_path / "backslash.zip", **{"x\\1.fits": fits_bytes()})
    for place in (tmp_path, tmp_path / "slash.zip", tmp_path / "backslash.zip"):
        for name in ("x/1.fits", "x\\1.fits", "./x/1.fits"):
            assert read(place, name).shape == (4, 5, 1)
    assert "points outside" in str(read(tmp_path / "x", "..\\slash.zip"))


@pytest.mark.parametrize("stored", ["NFC", "NFD", "as macOS writes it"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
def test_an_accented_name_is_found_in_a_zip_in_whichever_form_either_has_it(tmp_path, stored, asked):
    names = [f"é/{name}.fits" for name in ("ñ", "a")]
    with zipfile.ZipFile(tmp_path / "i.zip", "w") as file:
        for name in names:
            file.writestr("images/" + unicodedata.normalize("NFC" if stored == "NFC" else "NFD", name), fits_bytes())
    if stored.startswith("as"):  # without the flag that tells that names are UTF-8
        data = bytearray((tmp_path / "i.zip").read_bytes())
        for magic, place in ((b"PK\3\4", 7), (b"PK\1\2", 9)):
            for found in re.finditer(re.escape(magic), bytes(data)):
                data[found.start() + place] &= ~0x08
        (tmp_path / "i.zip").write_bytes(data)
    for name in names:
        name = unicodedata.normalize(asked, name)
        for each in (name, f"images/{name}", name.rpartition("/")[2]):
            assert read(tmp_path / "i.zip", each).shape == (4, 5, 1)


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        partial(lzma.compress, format=lzma.FORMAT_ALONE),
        lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:]),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_what_is_compressed_comes_back_up_to_the_limit(pack, size):
    data = np.random.default_rng(0).integers(0, 3, size, np.uint8).tobytes()
    assert unpacked(pack(data), LIMITS._replace(bytes=size)) == data
    if size:
        with pytest.raises(ValueError, match=f"more than the {size - 1} bytes that max_bytes allows"):
            unpacked(pack(data), LIMITS._replace(bytes=size - 1))
        with pytest.raises(ValueError, match="damaged"):
            unpacked(pack(data)[:-6], LIMITS)


@pytest.mark.parametrize(
    "name", ["a.fits.gz", "a.fits.bz2", "a.fits.xz", "a.fits.lzma", "a.fits", "A.FITS", "a.fts", "a.FIT.GZ"]
)
def test_fits_files_are_read_whatever_they_are_called(tmp_path, name):
    data = fits_bytes()
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    pack["lzma"] = partial(lzma.compress, format=lzma.FORMAT_ALONE)
    (tmp_path / name).write_bytes(pack.get(name.lower().rpartition(".")[2], bytes)(data))
    assert read(tmp_path, name).shape == (4, 5, 1)


def test_memory_stays_bounded_whatever_a_file_would_unpack_to(tmp_path):
    """A zip, a gzip, a bzip2, an xz and an npz of about 100 kB that would be 120 MB, read with a limit of 5 MB."""
    block, options = bytes(2**20), {"compression": zipfile.ZIP_DEFLATED, "compresslevel": 1}
    with (
        zipfile.ZipFile(tmp_path / "b.zip", "w", **options) as file,
        file.open("b.fits", "w") as member,
    ):
        for _ in range(120):
            member.write(block)
    for name, pack in (
        ("b.fits.gz", partial(gzip.open, compresslevel=1)),
        ("b.fits.bz2", partial(bz2.open, compresslevel=1)),
        ("b.fits.xz", partial(lzma.open, preset=0)),
    ):
        with pack(tmp_path / name, "wb") as file:
            for _ in range(120):
                file.write(block)
    with (
        zipfile.ZipFile(tmp_path / "b.npz", "w", **options) as file,
        file.open("images.npy", "w") as member,
    ):
        np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": (120, 512, 512)})
        for _ in range(120):
            member.write(block)
    code = f"""
import resource, sys
from tfrecords_builder.bounded import LIMITS
from tfrecords_builder.images import open_images, read_images
import astropy.io.fits
limits, folder = LIMITS._replace(bytes=5_000_000), {str(tmp_path)!r}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for images, name in (
    ("/b.zip", "b.fits"), ("", "b.fits.gz"), ("", "b.fits.bz2"), ("", "b.fits.xz"), ("/b.npz", "0")
):
    (error,) = read_images(open_images(folder + images, limits=limits), [{{"id_str": "a", "file_loc": name}}])
    assert "max_bytes" in str(error), error
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert grown * (1 if sys.platform == "darwin" else 1024) < 40e6
