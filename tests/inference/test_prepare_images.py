"""Pictures in every form become what weights expect."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

import morphtools
from morphtools.inference.prepare_images import prepare_images
from morphtools.models.cards import Card, find_card

CARD = Card.open(find_card("mobilenet_v3_small_gz2"))
PICTURE = np.random.default_rng(0).integers(0, 256, (*CARD.image_size, 3)).astype("u1")


@pytest.mark.parametrize("form", ["pil", "path", "integers", "numbers", "text"])
def test_every_form_of_a_picture_becomes_the_same_numbers_from_0_to_1(form, tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    image = {
        "pil": Image.fromarray(PICTURE),
        "path": tmp_path / "a.png",
        "text": str(tmp_path / "a.png"),
        "integers": PICTURE,
        "numbers": PICTURE / 255.0,
    }[form]
    expected = PICTURE[np.newaxis].astype("f4") / 255
    np.testing.assert_allclose(prepare_images("mobilenet_v3_small_gz2", image), expected, atol=1e-7)
    np.testing.assert_allclose(prepare_images(CARD, [image, image]), np.repeat(expected, 2, axis=0), atol=1e-7)


def test_other_sizes_and_grey_pictures_fit():
    large = np.full((200, 200), 128, np.uint8)
    images = morphtools.prepare_images(CARD, [large, Image.fromarray(large)])
    assert images.shape == (2, *CARD.image_size, 3)
    np.testing.assert_allclose(images, 128 / 255, atol=1e-6)


def test_the_middle_is_cut_out_where_the_network_saw_the_middle():
    card = dataclasses.replace(CARD, image_size=(4, 4), middle_of=(8, 8))
    image = np.zeros((8, 8, 3))
    image[2:6, 2:6] = 1
    np.testing.assert_array_equal(prepare_images(card, image), np.ones((1, 4, 4, 3)))


def test_a_picture_of_a_camera_held_sideways_is_turned_upright():
    sideways = Image.fromarray(PICTURE)
    sideways.getexif()[0x0112] = 6  # 90 degrees
    expected = np.rot90(PICTURE, -1)[np.newaxis] / np.float32(255)
    np.testing.assert_allclose(prepare_images(CARD, sideways), expected, atol=1e-7)


DEEP = Image.fromarray(PICTURE[..., 0].astype("u2") * 257)  # which Pillow's own conversion cuts off at 255


@pytest.mark.parametrize(
    "image",
    [
        PICTURE * 1.0,
        DEEP,
        PICTURE / 255 / 255,
        PICTURE / -600.0,
        np.full((8, 8, 3), -3.0),
        np.zeros((8, 8, 2)),
        np.zeros(8),
    ],
)
def test_what_cannot_be_a_picture_is_refused_with_what_it_has(image):
    with pytest.raises(ValueError, match=r"image 0 has (values from|shape)"):
        prepare_images(CARD, image)
