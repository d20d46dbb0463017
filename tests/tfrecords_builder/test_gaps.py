"""Missing and bad pixels are shown as the sky of their image, at any size; expected by NumPy and astropy."""

import numpy as np
import pandas as pd
import pytest
from astropy.convolution import convolve

from morphtools.data.dataset import load_dataset, load_shards
from tfrecords_builder import build_records, parse, read_pixels
from tfrecords_builder.gaps import filled, sky_of
from tfrecords_builder.pixels import Image

N, SKY = 24, np.array([1000.0, 50.0])


def galaxy(i: int, size=32) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    profile = 200 * np.exp(-(x**2 + y**2) / 30)[..., np.newaxis]
    return (SKY + profile + np.random.default_rng(i).normal(0, 1, (size, size, 2))).astype("f4")


def gap(i: int) -> Image:
    """Every third galaxy has a gap of NaN, every fourth a masked corner of cosmic rays."""
    pixels, mask = galaxy(i), None
    if i % 3 == 0:
        pixels[:, 4:9, 0] = np.nan
    if i % 4 == 0:
        mask = np.zeros(pixels.shape, bool)
        mask[:6, :6] = True
        pixels[:6, :6] = 1e6
    return Image(pixels, pixels.shape, mask)


def good_of(image: Image) -> np.ndarray:
    return np.isfinite(image.data) & (True if image.mask is None else ~image.mask)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(N)], "file_loc": range(N)})
    folder = tmp_path_factory.mktemp("gaps") / "r"
    return build_records(catalog, folder, images=lambda name: gap(int(name)), bands=("a", "b"))


def images_of(records, **options) -> dict[int, np.ndarray]:
    return {
        int(name[1:]): image
        for split in records.splits
        for batch in load_dataset(records, split, batch_size=5, **options).as_numpy_iterator()
        for name, image in zip(batch["id_str"].astype(str), batch["image"], strict=True)
    }


def test_every_reader_shows_the_median_of_the_good_pixels(records):
    places = dict.fromkeys(records.checksums, 0)
    shards = {
        int(name[1:]): image
        for batch in load_shards(records, places, batch_size=5).as_numpy_iterator()
        for name, image in zip(batch["id_str"].astype(str), batch["image"], strict=True)
    }
    single = dict(enumerate(read_pixels(records, [f"g{i}" for i in range(N)], fill=True)))
    for images in (images_of(records), shards, single):
        assert set(images) == set(range(N))
        for i, image in images.items():
            stored, good = gap(i).data, good_of(gap(i))
            sky = np.nanmedian(np.where(good, stored, np.nan), axis=(0, 1))
            np.testing.assert_array_equal(image, np.where(good, stored, sky.astype("f4")))


def test_a_gap_does_not_reach_its_neighbours_when_images_are_resized(records):
    """Half the size by TensorFlow's triangle kernel: (1, 3, 3, 1) / 8 along each side, over the good pixels alone."""
    kernel = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64.0
    for i, image in images_of(records, image_size=16).items():
        stored, good = gap(i).data, good_of(gap(i))
        for band in range(2):
            plane = np.where(good[..., band], stored[..., band], np.nan).astype(float)
            share = convolve_at_halves(good[..., band].astype(float), kernel)
            mean = convolve_at_halves(np.nan_to_num(plane), kernel) / np.maximum(share, 1e-9)
            sky = np.nanmedian(plane)
            inside = np.s_[1:-1, 1:-1]  # at the edge there are fewer pixels below
            expected = np.where(share >= 0.5, mean, sky)[inside]
            sure = abs(share - 0.5)[inside] > 1e-6
            np.testing.assert_allclose(image[..., band][inside][sure], expected[sure], rtol=1e-5)


def convolve_at_halves(plane: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Astropy's convolution at the middles of 2 × 2 pixels."""
    odd = np.zeros((5, 5))
    odd[:4, :4] = kernel  # a convolution turns it over: from one pixel before to two after
    return convolve(plane, odd, boundary="extend", normalize_kernel=False)[::2, ::2]


@pytest.mark.parametrize("image_size", [None, 16, 48])
def test_complete_images_are_the_same_to_the_bit_beside_others_with_gaps(records, tmp_path, image_size):
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(N)], "file_loc": range(N)})
    plain = build_records(catalog, tmp_path / "r", images=lambda name: Image(galaxy(int(name)), (32, 32, 2)))
    alone, beside = images_of(plain, image_size=image_size), images_of(records, image_size=image_size)
    for i in range(N):
        if i % 3 and i % 4:
            assert alone[i].tobytes() == beside[i].tobytes()


def test_what_is_stored_is_not_touched(records):
    for i, pixels in enumerate(read_pixels(records, [f"g{i}" for i in range(N)])):
        assert pixels.tobytes() == gap(i).data.tobytes()


def test_without_filling_gaps_stay_gaps(records):
    import tensorflow as tf

    (path, *_) = records.shards("train")
    for serialized in tf.data.TFRecordDataset(str(path)):
        galaxy = parse(serialized, records)
        i = int(galaxy["id_str"].numpy()[1:])
        np.testing.assert_array_equal(np.isnan(galaxy["image"]), np.isnan(gap(i).data))


def test_a_band_without_a_pixel_gets_the_sky_of_the_others(tmp_path):
    def image(name):
        pixels = galaxy(int(name))
        if int(name) == 3:
            pixels[..., 1] = np.nan
        return Image(pixels, pixels.shape)

    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(N)], "file_loc": range(N)})
    records = build_records(catalog, tmp_path / "r", images=image)
    np.testing.assert_allclose(images_of(records)[3][..., 1], records.sky[1], rtol=1e-6)
    assert abs(records.sky[1] - SKY[1]) < 5


def test_complete_pixels_are_handed_on_as_they_are():
    pixels = galaxy(1)
    assert filled(pixels) is pixels
    assert sky_of(pixels, np.zeros(pixels.shape, bool), (3, 4)).tolist() == [3, 4]
