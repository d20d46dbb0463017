import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morphtools.explore.pictures import Pictures, data_url, represent_pixels, thumbnails
from tfrecords_builder import build_records


def test_records_and_folder_show_the_same_picture(three_kinds, tmp_path):
    _, catalog, images = three_kinds
    build_records(catalog, tmp_path / "records", images=images)
    ours = thumbnails(Pictures(records=tmp_path / "records"), ["g03", "g00"], 24)
    theirs = thumbnails(Pictures(catalog=catalog, images=images), ["g03", "g00"], 24)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(ours[0], np.asarray(Image.open(images / "g03.png")))


def test_flux_of_several_bands_becomes_a_picture_with_the_galaxy_in_it(tmp_path):
    rng = np.random.default_rng(0)
    flux = rng.normal(size=(5, 16, 16)).astype("f4")
    flux[:, 6:10, 6:10] += 200
    flux[0, 0, 0] = np.nan
    np.save(tmp_path / "g.npy", np.moveaxis(flux, 0, -1))
    catalog = pd.DataFrame({"id_str": ["g"], "file_loc": ["g.npy"]})
    (picture,) = thumbnails(Pictures(catalog=catalog, images=tmp_path), ["g"], 16)
    assert picture.shape == (16, 16, 3) and picture[7:9, 7:9].min() > 200 > 100 > np.median(picture)


@pytest.mark.parametrize(("crop", "rows"), [(8, slice(8, 16)), (100, slice(None))])
def test_a_crop_shows_the_middle_pixels(three_kinds, crop, rows):
    _, catalog, images = three_kinds
    (picture,) = thumbnails(Pictures(catalog=catalog, images=images, crop=crop), ["g03"], min(crop, 24))
    np.testing.assert_array_equal(picture, np.asarray(Image.open(images / "g03.png"))[rows, rows])


def test_a_crop_without_pixels_is_refused(three_kinds):
    with pytest.raises(ValueError, match="crop must be at least 1 pixel, got 0"):
        Pictures(catalog=three_kinds[1], images=three_kinds[2], crop=0)


def test_a_picture_stands_for_itself_in_a_page():
    picture = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    data = base64.b64decode(data_url(picture).removeprefix("data:image/jpeg;base64,"))
    np.testing.assert_allclose(np.asarray(Image.open(io.BytesIO(data)), int), picture, atol=4)


def test_pixels_are_the_pictures_and_what_is_there_is_not_read_again(three_kinds, tmp_path, caplog):
    _, catalog, images = three_kinds
    (images / "g05.png").write_bytes(b"damaged")
    options = {"images": images, "image_size": 24}
    store = represent_pixels(tmp_path / "p", catalog=catalog.iloc[:20], **options)
    assert "1 of 20 galaxies cannot be read and are left out: g05" in caplog.text
    store = represent_pixels(tmp_path / "p", catalog=catalog, **options)
    assert len(store) == 59 and len(set(store.id_str)) == 59 and len(store.parts) == 2
    expected = np.asarray(Image.open(images / "g07.png"), np.float32).ravel() / 255
    np.testing.assert_array_equal(store.values()[list(store.id_str).index("g07")], expected)
    with pytest.raises(ValueError, match="another dimension"):
        represent_pixels(tmp_path / "p", catalog=catalog, images=images, image_size=8)


def test_pictures_need_a_source(three_kinds):
    _, catalog, images = three_kinds
    with pytest.raises(ValueError, match="pictures need records, or a catalog with its images"):
        Pictures(catalog=catalog)
    with pytest.raises(ValueError, match="the catalogue does not contain x"):
        thumbnails(Pictures(catalog=catalog, images=images), ["g00", "x"])
