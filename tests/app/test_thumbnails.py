import io

import numpy as np
import pytest
from PIL import Image as Picture

from morphtools.app import thumbnails
from morphtools.app.thumbnails import Thumbnails, shown
from tfrecords_builder.images import Image


@pytest.fixture
def galaxies_shown(three_kinds):
    _, catalog, images = three_kinds
    return Thumbnails(None, catalog, images)


def test_pictures_have_the_requested_side_and_galaxy(galaxies_shown, three_kinds):
    for i, band in ((0, 0), (1, 1), (2, 2)):  # the three kinds are red, green and blue
        picture = np.asarray(Picture.open(io.BytesIO(galaxies_shown.jpeg(f"g{i:02d}", 48))))
        assert picture.shape == (48, 48, 3) and picture[24, 24].argmax() == band


def test_memory_is_bounded_and_the_last_ones_are_kept(galaxies_shown, monkeypatch):
    first = galaxies_shown.jpeg("g00", 64)
    monkeypatch.setattr(thumbnails, "_BYTES", 3 * len(first))
    for i in range(30):
        galaxies_shown.jpeg(f"g{i:02d}", 64)
    kept = galaxies_shown._kept
    assert galaxies_shown._bytes == sum(map(len, kept.values())) <= 3 * len(first)
    assert list(kept)[-1][0] == "g29" and "g00" not in {key[0] for key in kept}


def test_a_picture_in_memory_is_not_read_again(galaxies_shown, monkeypatch):
    first = galaxies_shown.jpeg("g03", 32)
    monkeypatch.setattr(thumbnails, "_read", lambda pictures, name: pytest.fail("read again"))
    assert galaxies_shown.jpeg("g03", 32) is first


def test_flux_is_stretched_from_its_noise_and_brighter_stays_brighter():
    flux = np.linspace(0, 300, 100, dtype=np.float32).reshape(10, 10, 1).repeat(3, axis=2)
    image = Image(flux, flux.shape)
    for stretch in thumbnails.STRETCHES:
        row = shown(image, (1.0, 1.0, 1.0), stretch)[..., 0].ravel()
        assert (np.diff(row) >= -1e-6).all() and row[0] == pytest.approx(0, abs=1e-6) and row[-1] == pytest.approx(1)
    linear = shown(image, (1.0, 1.0, 1.0), "linear")[..., 0]
    np.testing.assert_allclose(linear, flux[..., 0] / 300, atol=1e-5)


def test_a_missing_picture_is_reported_with_the_reason(galaxies_shown, three_kinds):
    (three_kinds[2] / "g05.png").write_bytes(b"x")
    with pytest.raises(LookupError, match=r"g05: .*not a readable"):
        galaxies_shown.jpeg("g05", 32)
    with pytest.raises(LookupError, match="there are no images: give records"):
        Thumbnails().jpeg("g05", 32)
