"""Stored pixels have the bits of the file, in the named order; bad ones are marked and not altered."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from astropy.io import fits

from tfrecords_builder import build_records, parse, read_pixels
from tfrecords_builder.images import Image, from_pixels, open_images, read_images
from tfrecords_builder.pixels import bands_last
from tfrecords_builder.tfrecord import decode, encode, frame

N = 24


def built(tmp_path, image, **options):
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(N)], "file_loc": range(N)})
    return build_records(catalog, tmp_path / "r", images=lambda name: image(int(name)), **options)


def parsed(records) -> dict[str, dict]:
    """Every galaxy as TensorFlow parses it, a batch at a time."""
    found = {}
    for split in records.splits:
        for serialized in tf.data.TFRecordDataset([str(p) for p in records.shards(split)]).batch(5):
            batch = {name: value.numpy() for name, value in parse(serialized, records).items()}
            found |= {i.decode(): {k: v[j] for k, v in batch.items()} for j, i in enumerate(batch["id_str"])}
    return found


def noise(i: int, shape=(12, 13, 3)) -> np.ndarray:
    return np.random.default_rng(i).normal(size=shape).astype("f4")


@pytest.mark.parametrize("unit", [1e40, 1e-42])
def test_numbers_beyond_float32_are_refused_with_the_reason(tmp_path, unit):
    """Neither taken for missing pixels, nor rounded to zero."""
    fits.PrimaryHDU(unit * noise(0, (12, 12)).astype("f8")).writeto(tmp_path / "a.fits")
    np.save(tmp_path / "a.npy", unit * noise(0).astype("f8"))
    for name, options in (("a.fits", {}), ("a.npy", {}), ("a.fits", {"cutout": 5})):
        (error,) = read_images(open_images(tmp_path, **options), [{"file_loc": name, "x": 6.0, "y": 6.0}])
        assert "outside the range of float32: use another unit" in str(error)


def test_a_single_number_beyond_float32_is_a_missing_pixel():
    pixels = noise(0).astype("f8")
    pixels[3, 4, 1] = 1e300
    assert np.argwhere(~np.isfinite(from_pixels(pixels).data)).tolist() == [[3, 4, 1]]


@pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 16_500, 200_000])
def test_examples_and_frames_are_tensorflows_own(tmp_path, size):
    features = {
        "id_str": b"J1",
        "image": bytes(size),
        "shape": (107, 300_000, 5),
        "z_ü": np.float32(np.nan),
        "A": np.float32(2),
    }
    kinds = {bytes: "bytes_list", tuple: "int64_list", np.float32: "float_list"}
    example = tf.train.Example()
    for name, value in features.items():
        getattr(example.features.feature[name], kinds[type(value)]).value.extend(
            value if isinstance(value, tuple) else [value]
        )
    ours = b"".join(encode(features))
    assert ours == example.SerializeToString(deterministic=True)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        writer.write(ours)
    assert b"".join(frame([ours])) == (tmp_path / "theirs").read_bytes()
    np.testing.assert_equal(
        decode(ours), {k: v if isinstance(v, bytes | tuple) else float(v) for k, v in features.items()}
    )


def test_batches_are_parsed_bit_for_bit(tmp_path):
    special = noise(3)
    special[0, 0] = [np.nan, np.inf, -0.0]
    records = built(tmp_path, lambda i: from_pixels(special if i == 3 else noise(i)))
    for name, galaxy in parsed(records).items():
        expected = special if name == "g3" else noise(int(name[1:]))
        assert galaxy["image"].tobytes() == expected.tobytes()
    assert records.incomplete == 1 and records.masked == 0


def test_float16_halves_the_space_and_refuses_what_does_not_fit(tmp_path):
    records = built(tmp_path, lambda i: from_pixels(noise(i) * (1e6 if i == 3 else 1)), dtype="float16")
    for name, galaxy in parsed(records).items():
        np.testing.assert_array_equal(galaxy["image"], noise(int(name[1:])).astype("f2").astype("f4"))
    assert "beyond the ±65504" in pd.read_parquet(records.folder / "failures.parquet")["reason"][0]
    np.testing.assert_array_equal(next(read_pixels(records, ["g7"])), noise(7).astype("f2"))


@pytest.mark.parametrize(
    ("unit", "sky", "fits"), [(1, 0, True), (1e-3, 0, True), (1e-9, 0, False), (0.1, 1000, False), (30, 1000, True)]
)
def test_float16_is_refused_where_it_would_round_away_the_noise(tmp_path, unit, sky, fits):
    """As of maggies, or of a sky that was not subtracted: float16 has steps of 6e-8 at 0 and of 0.5 at 1000."""

    def image(i):
        return from_pixels((sky + unit * noise(i)).astype("f4"))

    if fits:
        records = built(tmp_path, image, dtype="float16")
        spread = np.std(next(read_pixels(records, ["g7"])) - image(7).data)
        assert records.failed == 0 and spread < 0.1 * unit
    else:
        with pytest.raises(ValueError, match="which float16 would round away; store it as float32"):
            built(tmp_path, image, dtype="float16")


def test_masks_are_carried_and_leave_the_pixels_alone(tmp_path):
    masks = {i: noise(i + 100) > 1 for i in range(0, N, 2)}
    records = built(tmp_path, lambda i: Image(noise(i), (12, 13, 3), masks.get(i)))
    for name, galaxy in parsed(records).items():
        np.testing.assert_array_equal(galaxy["mask"], masks.get(int(name[1:]), np.zeros((12, 13, 3), bool)))
        np.testing.assert_array_equal(galaxy["image"], noise(int(name[1:])))
        np.testing.assert_array_equal(records.source()(name).mask, masks.get(int(name[1:])))
    assert records.masked == len(masks)
    index = records.index().set_index("id_str")
    assert index.loc["g4", "missing_pixels"] == pytest.approx(masks[4].mean())


@pytest.mark.parametrize("step", [0.1, 1.0])
def test_zeros_among_values_in_steps_are_masked_only_where_they_are_far_more_common(tmp_path, step):
    """As of integers, or of tiles compressed without dither."""

    def image(i):
        pixels = np.round(np.random.default_rng(i).normal(size=(40, 40, 3)) / step) * step
        if i == 5:
            pixels[:25, :, 1] = 0  # never exposed
        return from_pixels(pixels.astype("f4"))

    records = built(tmp_path, image)
    masks = {name: galaxy["mask"] for name, galaxy in parsed(records).items()}
    assert records.masked == 1 and masks["g5"][:25, :, 1].all() and not masks["g5"][..., [0, 2]].any()


def test_exact_zeros_in_a_noisy_band_are_masked_and_reported(tmp_path):
    def dead(i):
        pixels = noise(i)
        pixels[:4, :, 1] = 0
        return from_pixels(pixels)

    records = built(tmp_path, lambda i: dead(i) if i == 5 else from_pixels(noise(i)))
    expected = np.zeros((12, 13, 3), bool)
    expected[:4, :, 1] = True
    np.testing.assert_array_equal(parsed(records)["g5"]["mask"], expected)
    assert records.index().set_index("id_str").loc["g5", "pixel_flag"] == "exactly zero: 33% of band1"


def test_a_picture_without_noise_may_be_zero(tmp_path):
    records = built(tmp_path, lambda i: from_pixels(np.maximum(noise(i), 0)))
    assert records.masked == 0


def test_bands_named_by_the_file_are_put_into_the_order_requested(tmp_path):
    def image(i):
        names = ("z", "r", "g") if i == 7 else ("g", "r", "z") if i != 9 else ("g", "r", "i")
        return from_pixels(noise(i))._replace(bands=names)

    records = built(tmp_path, image, bands=("g", "r", "z"))
    np.testing.assert_array_equal(next(read_pixels(records, ["g7"])), noise(7)[..., ::-1])
    np.testing.assert_array_equal(next(read_pixels(records, ["g8"])), noise(8))
    assert "bands g, r, i" in pd.read_parquet(records.folder / "failures.parquet")["reason"][0]


def test_another_aspect_is_padded_not_stretched(tmp_path):
    records = built(tmp_path, lambda i: from_pixels(noise(i, (7, 10, 3) if i == 7 else (10, 10, 3))))
    (padded,) = read_pixels(records, ["g7"])
    np.testing.assert_array_equal(padded[1:8], noise(7, (7, 10, 3)))
    assert np.isnan(padded[[0, 8, 9]]).all() and records.uniform is not False


def test_a_mask_is_resized_with_its_image(tmp_path):
    mask = np.zeros((8, 8, 1), bool)
    mask[:, :4] = True
    records = built(tmp_path, lambda i: Image(np.ones((8, 8, 1), "f4"), (8, 8, 1), mask), image_size=4)
    (path, *_) = records.shards("train")
    galaxy = parse(next(iter(tf.data.TFRecordDataset(str(path)))), records)
    np.testing.assert_array_equal(galaxy["mask"][..., 0], np.repeat([[True, True, False, False]], 4, axis=0))
    assert galaxy["image"].shape == (4, 4, 1)


def test_building_needs_no_tensorflow(tmp_path):
    np.save(tmp_path / "stack.npy", np.stack([noise(i) for i in range(N)]))
    code = f"""
import sys, pandas as pd
from tfrecords_builder import build_records, read_pixels, verify_records
catalog = pd.DataFrame({{"id_str": [f"g{{i}}" for i in range({N})], "file_loc": range({N})}})
records = build_records(catalog, {str(tmp_path / "r")!r}, images={str(tmp_path / "stack.npy")!r})
assert not verify_records(records) and next(read_pixels(records, ["g3"])).shape == (12, 13, 3)
assert not {{"tensorflow", "astropy", "matplotlib"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 20, 20), (20, 20, 3)),
        ((20, 20, 3), (20, 20, 3)),
        ((50, 20, 20), (20, 20, 50)),  # a cube with more planes than pixels on a side
        ((20, 20, 50), (20, 20, 50)),
        ((5, 4, 40), (4, 40, 5)),
    ],
)
def test_the_bands_are_the_axis_beside_a_square_or_the_shorter_one(shape, expected):
    assert bands_last(np.zeros(shape)).shape == expected
