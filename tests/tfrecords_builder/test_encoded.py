"""Pictures of every kind are stored exactly as the file shows them, or refused in one true sentence."""

import io
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Picture

from tfrecords_builder import build_records, read_pixels
from tfrecords_builder.bounded import LIMITS
from tfrecords_builder.encoded import read_picture
from tfrecords_builder.image_files import decode

RGB = np.random.default_rng(0).integers(1, 255, (12, 15, 3), np.uint8)

TWO = {"save_all": True, "append_images": [Picture.new("RGB", (15, 12))]}


def saved(picture, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def deep_png(levels: np.ndarray) -> bytes:
    """A 16-bit RGB PNG, written by hand: Pillow writes none."""
    height, width, _ = levels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def levels_of(image) -> np.ndarray:
    return np.asarray(Picture.open(io.BytesIO(image.data)))


@pytest.mark.parametrize("kind", ["png", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("levels", [RGB, RGB[..., 0]], ids=["rgb", "grey"])
def test_pictures_without_loss_keep_every_level(kind, levels):
    if kind == "webp" and levels.ndim == 2:
        return  # WebP has no grey
    data = saved(Picture.fromarray(levels), kind, **({"lossless": True} if kind == "webp" else {}))
    image = decode(f"a.{kind.upper()}", data)
    np.testing.assert_array_equal(levels_of(image), levels)
    assert image.shape == (12, 15, levels.shape[2] if levels.ndim == 3 else 1)
    assert image.data[:4] == b"\x89PNG" and (image.data == data) == (kind == "png")


def test_a_palette_is_looked_up():
    few = Picture.fromarray(RGB).quantize(8)
    expected = np.array(few.getpalette()[:24]).reshape(8, 3)[np.asarray(few)]
    for kind in ("gif", "tiff"):
        np.testing.assert_array_equal(levels_of(decode(f"a.{kind}", saved(few, kind))), expected)


def test_jpeg_and_png_bytes_are_kept():
    for kind in ("jpeg", "png"):
        data = saved(Picture.fromarray(RGB), kind)
        assert read_picture(data).data == data


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_16_bits_and_floats_become_pixels_with_their_numbers(kind):
    numbers = RGB[..., 0].astype(np.uint16) * 257
    image = decode(f"a.{kind}", saved(Picture.fromarray(numbers), kind))
    assert image.data.dtype == np.float32 and image.shape == (12, 15, 1)
    np.testing.assert_array_equal(image.data[..., 0], numbers)
    if kind == "tiff":
        floats = np.random.default_rng(1).normal(size=(12, 15)).astype("f4")
        np.testing.assert_array_equal(decode("a.tif", saved(Picture.fromarray(floats), kind)).data[..., 0], floats)


def test_the_upper_8_of_16_bits_per_colour_are_used_and_it_is_noted(tmp_path):
    levels = np.random.default_rng(2).integers(0, 2**16, (16, 16, 3)).astype(np.uint16)
    for i in range(12):
        (tmp_path / f"{i}.png").write_bytes(deep_png(levels))
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(12)], "file_loc": [f"{i}.png" for i in range(12)]})
    records = build_records(catalog, tmp_path / "records", images=tmp_path)
    assert read_picture(deep_png(levels)).findings == ("fewer_bits",)
    np.testing.assert_array_equal(np.round(255 * next(read_pixels(records, ["g3"]))), levels >> 8)
    assert (records.index()["findings"] == "fewer_bits repeated").all()


def test_transparency_is_not_used_and_it_is_noted():
    clear = Picture.fromarray(np.dstack([RGB, np.full(RGB.shape[:2], 100, np.uint8)]), "RGBA")
    for kind, options in (("png", {}), ("tiff", {}), ("webp", {"lossless": True, "exact": True})):
        image = decode(f"a.{kind}", saved(clear, kind, **options))
        assert image.findings == ("transparent",) and image.shape[2] == 3
        np.testing.assert_array_equal(np.asarray(Picture.open(io.BytesIO(image.data)).convert("RGB")), RGB)
    opaque = saved(Picture.fromarray(RGB).convert("RGBA"), "png")
    assert read_picture(opaque).findings == ()


@pytest.mark.parametrize(
    ("orientation", "turn"), [(1, lambda a: a), (3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1))]
)
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_picture_that_tells_how_the_camera_was_held_is_upright(kind, orientation, turn):
    exif = Picture.Exif()
    exif[0x0112] = orientation
    data = saved(Picture.fromarray(RGB), kind, exif=exif)
    expected = turn(np.asarray(Picture.open(io.BytesIO(data))))
    image = read_picture(data)
    np.testing.assert_array_equal(levels_of(image), expected)
    assert image.shape == expected.shape and (image.data == data) == (orientation == 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (saved(Picture.fromarray(RGB).convert("CMYK"), "jpeg"), "a.jpg: stores printing inks"),
        (saved(Picture.fromarray(RGB).convert("LAB"), "tiff"), "colours in mode LAB"),
        (
            saved(Picture.fromarray(RGB), "gif", save_all=True, append_images=[Picture.new("RGB", (15, 12))]),
            "2 pictures",
        ),
        (
            saved(Picture.fromarray(RGB), "tiff", save_all=True, append_images=[Picture.new("RGB", (15, 12))]),
            "2 pictures",
        ),
        (b"<!DOCTYPE html><html>404", "HTML"),
        (b"", "a.jpg: not a readable JPEG.*empty"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "starts with b'%!PS-Ado'"),
        (saved(Picture.fromarray(RGB), "png")[:90], "not a readable PNG"),
    ],
)
def test_what_is_not_used_is_named_with_the_true_reason(data, reason):
    with pytest.raises(ValueError, match=reason) as error:
        decode("a.jpg", data)
    assert "BytesIO" not in str(error.value)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded():
    data = saved(Picture.new("RGB", (1000, 1000)), "png")
    with pytest.raises(ValueError, match="3000000 values, but max_pixels allows 2999999"):
        read_picture(data, LIMITS._replace(pixels=2_999_999))
    assert read_picture(data, LIMITS._replace(pixels=3_000_000)).shape == (1000, 1000, 3)


def test_every_kind_ends_in_records_that_training_and_looking_see_alike(tmp_path):
    import tensorflow as tf

    from tfrecords_builder import parse

    names = []
    for kind in ("png", "webp", "gif", "bmp", "tiff", "jpeg"):
        names.append(f"a.{kind}")
        (tmp_path / names[-1]).write_bytes(saved(Picture.fromarray(RGB), kind))
    catalog = pd.DataFrame({"id_str": names, "file_loc": names, "split": "train"})
    records = build_records(catalog, tmp_path / "records", images=tmp_path)
    assert records.failed == 0 and records.encoding == "encoded" and records.bands == ("r", "g", "b")
    seen = {}
    for serialized in tf.data.TFRecordDataset([str(path) for path in records.shards("train")]):
        galaxy = parse(serialized, records)
        seen[galaxy["id_str"].numpy().decode()] = galaxy["image"].numpy()
    for name in names:
        with Picture.open(tmp_path / name) as picture:
            shown = np.asarray(picture.convert("RGB")) / np.float32(255)
        np.testing.assert_allclose(seen[name], shown, atol=1e-6)
        np.testing.assert_allclose(next(read_pixels(records, [name])), shown, atol=1e-6)


def test_a_tiff_whose_header_promises_more_rows_than_it_has_is_refused():
    from PIL.TiffImagePlugin import ROWSPERSTRIP

    data = bytearray(saved(Picture.fromarray(RGB), "tiff", tiffinfo={ROWSPERSTRIP: 12}))
    place = (
        data.index(struct.pack("<HH", 257, 4)) if struct.pack("<HH", 257, 4) in data else data.index(b"\x01\x01\x03\0")
    )
    data[place + 8 : place + 10] = struct.pack("<H", 500)
    with pytest.raises(ValueError, match="truncated"):
        decode("a.tif", bytes(data))
