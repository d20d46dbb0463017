import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Picture

from tfrecords_builder import build_records, read_pixels
from tfrecords_builder.crop import crop, crop_box
from tfrecords_builder.images import from_pixels, open_images, read_images


def sky(height=64, width=64, seed=0):
    return np.random.default_rng(seed).normal(5, 1, (height, width, 2)).astype("f4")


def test_the_box_is_twice_the_source_in_the_middle_and_leaves_its_neighbour_out():
    pixels = sky()
    pixels[28:38, 29:36] += 100  # 10 rows, 7 columns, centred on row 33, column 32.5
    pixels[2:22, 2:22] += 500
    rows, columns = crop_box(pixels)
    assert (rows.start, rows.stop) == (23, 43)
    assert columns.stop - columns.start == 20 and columns.start == 22  # 22.5, rounded


def test_the_threshold_is_four_deviations_of_the_clipped_sky():
    pixels = np.zeros((64, 64, 1), "f4")
    pixels[::4], pixels[1::4] = -1.0, 1.0  # median 0 and deviation √½: the threshold is 2.83 by hand
    pixels[28:36, 28:36] = 2.7
    with pytest.raises(ValueError, match="nothing at the centre is brighter"):
        crop_box(pixels)
    pixels[28:36, 28:36] = 2.9
    assert crop_box(pixels)[0] == slice(24, 40)
    pixels[0, :5] = 1e6
    assert crop_box(pixels)[0] == slice(24, 40)


def test_the_box_stays_inside_and_keeps_the_aspect():
    pixels = sky(40, 80)
    pixels[18:22, 20:60] += 100
    assert crop_box(pixels) == (slice(0, 40), slice(0, 80))
    pixels = sky(40, 80)
    pixels[18:23, 38:54] += 100  # 16 of 80 columns, doubled: 0.4 of each side
    rows, columns = crop_box(pixels)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (16, 32)
    pixels = sky()
    pixels[10:34, 30:33] += 100  # 48 rows around row 21.5 would begin at -2.5
    assert crop_box(pixels)[0] == slice(0, 48)


@pytest.mark.parametrize(
    ("add", "reason"),
    [
        (lambda p: p, "nothing at the centre is brighter than 4 sigma"),
        (lambda p: p[31:33, 30:34].__iadd__(100), "the central source has only 2×4 pixels"),
        (lambda p: p.fill(np.nan), "every pixel is missing"),
    ],
)
def test_an_image_without_a_source_stays_whole_and_says_why(add, reason):
    image = from_pixels(sky())._replace(flag="padded")
    add(image.data)
    cut = crop(image)
    assert cut.data is image.data and cut.flag == f"padded; not cropped: {reason}"


def test_missing_pixels_are_no_source_and_the_mask_is_cut_along():
    image = from_pixels(sky())
    image.data[24:40, 24:40] += 100
    image.data[:10] = np.nan
    mask = np.zeros(image.shape, bool)
    mask[30, 30] = True
    cut = crop(image._replace(mask=mask))
    assert cut.shape == (32, 32, 2) and cut.flag == "" and cut.mask[14, 14].all() and cut.mask.sum() == 2
    np.testing.assert_array_equal(cut.data, image.data[16:48, 16:48])


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_part_of_an_encoded_image_loses_nothing(tmp_path, mode):
    levels = np.random.default_rng(0).integers(0, 30, (32, 32, len(mode))).astype("uint8")
    levels[12:20, 12:20] += 200
    Picture.fromarray(levels.squeeze()).save(tmp_path / "g.png")
    (cut,) = read_images(open_images(tmp_path, crop=True), [{"file_loc": "g.png"}])
    found = np.asarray(Picture.open(io.BytesIO(cut.data))).reshape(16, 16, -1)
    np.testing.assert_array_equal(found, levels[8:24, 8:24])


def test_records_hold_the_crops_and_the_reasons(tmp_path):
    images = {str(i): sky(seed=i) for i in range(12)}
    for name in list(images)[:8]:
        images[name][24:40, 24:40] += 100
    catalog = pd.DataFrame({"id_str": list(images), "file_loc": list(images)})
    with pytest.raises(ValueError, match="give image_size"):
        build_records(catalog, tmp_path / "r", images=lambda name: from_pixels(images[name]), crop=True)
    options = {"images": lambda name: from_pixels(images[name]), "image_size": 32}
    records = build_records(catalog, tmp_path / "r", **options, crop=True)
    assert [p.shape[0] for p in read_pixels(records, ["0", "11"])] == [32, 64]
    flags = records.index().set_index("id_str")["pixel_flag"]
    assert (flags[list("01234567")] == "").all() and flags["11"].startswith("not cropped: nothing")
    with pytest.raises(FileExistsError, match="other settings"):
        build_records(catalog, tmp_path / "r", **options)
