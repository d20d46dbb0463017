from math import asinh, sin, sqrt

import numpy as np
import pytest

from morphtools.survey import stretch


@pytest.fixture(scope="module")
def grz():
    rng = np.random.default_rng(0)
    return (rng.standard_normal((2, 5, 4, 3)) * 0.02 + 10 ** rng.uniform(-3, 1.5, (2, 5, 4, 3))).astype("f4")


def shared_asinh(pixel, scales, m, q=20.0):
    """One pixel with the formula of the viewer, in plain Python; red, green, blue last to first band."""
    scaled = [v * s for v, s in zip(pixel, scales, strict=True)]
    intensity = sum(max(0.0, v + m) for v in scaled) / 3
    gain = asinh(q * intensity) / sqrt(q) / intensity
    return [min(1.0, max(0.0, (v + m) * gain)) for v in reversed(scaled)]


def decals_colours(pixel):
    """One pixel of the Galaxy Zoo DECaLS stretch in plain Python."""
    low, high = asinh(-0.5), asinh(300)
    rgb = [(asinh(v / s) - low) / (high - low) for v, s in zip(pixel[::-1], (0.019, 0.014, 0.008), strict=True)]
    grey = sum(rgb) / 3
    w = sin((1 - min(max(c / grey for c in rgb) / 2.5, 1)) * 3.141592653589793 / 2)
    return [min(1.0, max(0.0, c * w + grey * (1 - w) + grey * (1 - w) ** 2 * c)) for c in rgb]


def each_pixel(function, images):
    flat = [function([float(v) for v in p]) for p in images.reshape(-1, images.shape[-1])]
    return np.array(flat).reshape(*images.shape[:-1], 3)


def test_dr2_rgb_is_the_viewers_formula_pixel_by_pixel(grz):
    slow = each_pixel(lambda p: shared_asinh(p, (6.0, 3.4, 2.2), 0.03), grz)
    np.testing.assert_allclose(stretch.dr2_rgb(grz), slow, atol=2e-6)


def test_sdss_rgb_is_the_viewers_formula_pixel_by_pixel(grz):
    slow = each_pixel(lambda p: shared_asinh(p, (2.5, 1.5, 1.0), 0.02), grz)
    np.testing.assert_allclose(stretch.sdss_rgb(grz, bands="gri"), slow, atol=2e-6)


def test_gz_decals_is_the_published_formula_pixel_by_pixel(grz):
    bright = np.abs(grz)
    np.testing.assert_allclose(stretch.gz_decals(bright), each_pixel(decals_colours, bright), atol=2e-6)


def test_lupton_of_a_stack_is_astropys_picture_of_each_image(grz):
    from astropy.visualization import make_lupton_rgb

    each = [make_lupton_rgb(x[..., 2], x[..., 1], x[..., 0], stretch=0.5, Q=8) / 255 for x in grz]
    np.testing.assert_allclose(stretch.lupton(grz), each, atol=1e-6)


def test_asinh_is_black_at_zero_and_white_at_its_white_point():
    image = np.zeros((1, 2, 3), "f4")
    image[0, 1] = 5.0
    np.testing.assert_allclose(stretch.asinh(image)[0], [[0, 0, 0], [1, 1, 1]], atol=1e-6)


@pytest.mark.parametrize("name", sorted(stretch.STRETCHES))
def test_pictures_lie_between_black_and_white_even_without_data(grz, name):
    image = grz.copy()
    image[0, 0, 0], image[0, 1, 1], image[1, 2] = np.nan, -50.0, 1e6
    bands = "gri" if name == "sdss_rgb" else "grz"
    drawn = stretch.STRETCHES[name](image, bands=bands)
    assert drawn.dtype == np.float32 and drawn.shape == (*image.shape[:-1], 3)
    assert np.isfinite(drawn).all() and drawn.min() >= 0 and drawn.max() <= 1


def test_red_is_the_longest_wavelength_in_any_order_of_bands(grz):
    np.testing.assert_array_equal(stretch.dr2_rgb(grz[..., ::-1], bands="zrg"), stretch.dr2_rgb(grz))


def test_bands_that_cannot_be_shown_are_named():
    with pytest.raises(ValueError, match="from bands 'ug'; needed: irg or zrg"):
        stretch.asinh(np.zeros((4, 4, 2)), bands="ug")


def test_bands_get_the_stretches_that_can_show_them(grz):
    from morphtools.survey.stretch import dr2_rgb, stretches_for

    assert set(stretches_for("grz")) == {"asinh", "dr2_rgb", "gz_decals", "lupton"}  # sdss_rgb has no red but i
    assert set(stretches_for("gri")) == {"asinh", "lupton", "sdss_rgb"}
    assert set(stretches_for("ugriz")) == set(stretch.STRETCHES)
    assert stretches_for(("band0", "band1")) == {}
    np.testing.assert_array_equal(stretches_for("grz")["dr2_rgb"](grz), dr2_rgb(grz))
