import keras
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from morphtools.data.augment import RandomErase, RandomView

pytestmark = pytest.mark.any_backend


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def blob(size=33, bands=3, x0=4.0, y0=-3.0):
    """A Gaussian off the centre, small compared with the frame, so that borders do not matter."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    image = np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * 2.5**2))
    return (image[..., None] * np.arange(1, bands + 1)).astype("float32")


@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("shape", [(32, 32), (24, 40)])
def test_any_shape_and_number_of_bands(bands, shape):
    images = np.random.default_rng(0).uniform(size=(4, *shape, bands)).astype("float32")
    views = numpy(RandomView(seed=1)(images))
    assert views.shape == images.shape and np.isfinite(views).all()
    assert not np.allclose(views, images)


def test_resampling_agrees_with_scipy():
    images = np.stack([blob()] * 6)
    layer = RandomView(seed=3)
    state = np.array(numpy(layer.seed_generator.state))
    transform = numpy(layer.draw(6, 33, 33))
    layer.seed_generator.state.assign(state)
    views = numpy(layer(images))
    y, x = np.mgrid[:33, :33].astype(float)
    for view, (a0, a1, a2, b0, b1, b2, _, _) in zip(views, transform, strict=True):
        where = [b0 * x + b1 * y + b2, a0 * x + a1 * y + a2]
        expected = map_coordinates(blob()[..., 0], where, order=1, mode="reflect")
        np.testing.assert_allclose(view[4:-4, 4:-4, 0], expected[4:-4, 4:-4], atol=2e-3)


def test_all_bands_move_together():
    views = numpy(RandomView(seed=4)(np.stack([blob()] * 8)))
    np.testing.assert_allclose(views[..., 2], 3 * views[..., 0], rtol=1e-4, atol=1e-5)


def test_drawn_maps_are_rotations_with_the_requested_zoom_shift_and_mirror():
    n = 4000
    maps = numpy(RandomView(zoom=0.2, shift=0.1, seed=5).draw(n, 65, 33))
    linear = maps[:, [0, 1, 3, 4]].reshape(n, 2, 2)
    determinant = np.linalg.det(linear)
    scale = np.sqrt(np.abs(determinant))
    np.testing.assert_allclose(  # a similarity: scale times an orthogonal matrix
        np.einsum("nij,nik->njk", linear, linear), scale[:, None, None] ** 2 * np.eye(2)[None], atol=1e-5
    )
    assert abs(np.mean(determinant < 0) - 0.5) < 4 * 0.5 / np.sqrt(n)
    assert scale.min() >= 1 / 1.2 - 1e-5 and scale.max() <= 1.2 + 1e-5
    assert abs(np.mean(np.log(scale))) < 4 * np.log(1.2) / np.sqrt(3 * n)
    angle = np.arctan2(linear[:, 1, 0], linear[:, 0, 0] * np.sign(determinant))
    assert np.abs(np.histogram(angle, 8, (-np.pi, np.pi))[0] - n / 8).max() < 5 * np.sqrt(n / 8)
    centre = np.array([16.0, 32.0])
    moved = np.einsum("nij,j->ni", linear, centre) + maps[:, [2, 5]] - centre
    assert (np.abs(moved) <= [3.3 + 1e-4, 6.5 + 1e-4]).all() and (np.abs(moved).max(axis=0) > [3.1, 6.2]).all()


def test_no_augmentation_changes_nothing():
    images = np.stack([blob()] * 3)
    layer = RandomView(rotation=0, flip=False, zoom=0, shift=0)
    np.testing.assert_allclose(numpy(layer(images)), images, atol=1e-6)


def test_jitter_alone_moves_whole_pixels_and_resamples_nothing():
    images = np.random.default_rng(0).uniform(size=(200, 23, 23, 2)).astype("float32")
    layer = RandomView(rotation=0, flip=False, zoom=0, shift=0, jitter=3, size=12, seed=2)
    seen = set()
    for image, view in zip(images, numpy(layer(images)), strict=True):
        places = [(y, x) for y in range(2, 9) for x in range(2, 9)]  # (23 - 12) // 2 = 5, give or take 3
        same = [p for p in places if np.allclose(view, image[p[0] : p[0] + 12, p[1] : p[1] + 12], atol=1e-5)]
        assert len(same) == 1
        seen.add(same[0])
    assert len(seen) > 40  # of 49: all of them are drawn, none much more often than another


def test_whole_pixels_of_jitter_are_equally_frequent():
    maps = numpy(RandomView(rotation=0, flip=False, zoom=0, shift=0, jitter=7, seed=5).draw(30000, 64, 64))
    for moved in maps[:, 2], maps[:, 5]:
        counts = np.bincount(np.round(moved).astype(int) + 7, minlength=15)
        assert len(counts) == 15 and np.abs(counts - 2000).max() < 5 * np.sqrt(2000)


def test_rotations_and_flips_conserve_flux_and_magnification_multiplies_it():
    images = np.stack([blob(x0=0, y0=0)] * 64)
    turned = numpy(RandomView(zoom=0, shift=0, seed=1)(images))
    np.testing.assert_allclose(turned.sum(axis=(1, 2)), images.sum(axis=(1, 2)), rtol=5e-3)
    larger = numpy(RandomView(zoom=(1.2, 1.4), shift=0, seed=1)(images))
    ratio = np.sqrt(larger.sum(axis=(1, 2)) / images.sum(axis=(1, 2)))[:, 0]  # surface brightness is conserved
    assert ratio.min() > 1.19 and ratio.max() < 1.41 and abs(ratio.mean() - 1.3) < 4 * 0.2 / np.sqrt(12 * 64)


def test_a_resized_crop_shows_a_window_inside_the_image_of_the_requested_share():
    layer = RandomView(rotation=0, flip=False, zoom=0, shift=0, crop=0.5, aspect=1.3, size=20, seed=3)
    maps = numpy(layer.draw(4000, 60, 80))
    first = maps[:, [2, 5]]
    last = first + 19 * maps[:, [0, 4]]
    assert (first > -0.5).all() and (last < [79.5, 59.5]).all()
    share = (maps[:, 0] * 20 / 80) * (maps[:, 4] * 20 / 60)
    free = (maps[:, 0] * 20 / 80 < 0.999) & (maps[:, 4] * 20 / 60 < 0.999)  # not clipped to the image
    assert share.min() >= 0.5 * 0.76 and share.max() <= 1 + 1e-5
    stretch = (maps[:, 0] / 80) / (maps[:, 4] / 60)
    assert stretch.max() <= 1.3 + 1e-4 and stretch.min() >= 1 / 1.3 - 1e-4 and stretch[free].std() > 0.05
    square = RandomView(rotation=0, flip=False, zoom=0, shift=0, crop=0.5, seed=3).draw(4000, 64, 64)
    share = numpy(square)[:, 0] ** 2
    assert abs(share.mean() - 0.75) < 4 * 0.5 / np.sqrt(12 * 4000)


def test_the_chance_decides_rotation_and_crop_independently():
    maps = numpy(RandomView(flip=False, zoom=0, shift=0, crop=0.7, chance=0.7, seed=8).draw(5000, 64, 64))
    turned = np.abs(maps[:, 1]) > 1e-6
    cropped = np.hypot(maps[:, 0], maps[:, 3]) < 1 - 1e-6
    for happened, chance in ((turned, 0.7), (cropped, 0.7), (turned & cropped, 0.49)):
        assert abs(happened.mean() - chance) < 4 * 0.5 / np.sqrt(5000)


def test_a_slant_is_that_of_torchvision():
    """Matrix of `torchvision.transforms.functional._get_inverse_affine_matrix`, written out: R·[[1, tan], [tan, 1]]."""
    maps = numpy(RandomView(rotation=0, flip=False, zoom=0, shift=0, shear=20, seed=8).draw(3000, 32, 32))
    for slant in maps[:, 1], maps[:, 3]:
        degrees = np.degrees(np.arctan(slant))
        assert degrees.min() >= 0 and degrees.max() <= 20.001 and abs(degrees.mean() - 10) < 4 * 20 / np.sqrt(12 * 3000)
    np.testing.assert_allclose(maps[:, [0, 4]], 1, atol=1e-6)


def test_a_view_can_be_smaller_than_the_image_but_not_larger():
    images = np.stack([blob()] * 3)
    layer = RandomView(size=17, rotation=0, flip=False, zoom=0, shift=0)
    np.testing.assert_allclose(numpy(layer(images)), images[:, 8:25, 8:25], atol=1e-5)
    np.testing.assert_array_equal(numpy(layer(images, training=False)), images[:, 8:25, 8:25])
    assert layer.compute_output_shape((None, 33, 33, 3)) == (None, 17, 17, 3)
    with pytest.raises(ValueError, match="views of 40 pixels cannot be cut from images of 33"):
        RandomView(size=40)(images)


def test_it_acts_in_training_only():
    images = np.stack([blob()] * 3)
    model = keras.Sequential([keras.Input((33, 33, 3)), RandomView(seed=0)])
    np.testing.assert_array_equal(model.predict(images, verbose=0), images)
    assert not np.allclose(numpy(model(images, training=True)), images, atol=0.1)


def test_the_seed_decides_the_views():
    images = np.stack([blob()] * 3)
    first, again, other = (numpy(RandomView(seed=s)(images)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=0.1)


def test_it_survives_saving():
    layer = RandomView(rotation=0.25, flip=False, zoom=0.3, jitter=2, crop=0.7, size=16, fill_mode="constant", seed=9)
    assert RandomView.from_config(layer.get_config()).get_config() == layer.get_config()


def test_erased_rectangles_hide_the_requested_share_of_the_image():
    shape = (400, 60, 80, 2)
    layer = RandomErase(patches=1, area=(0.05, 0.1), aspect=2.0, fill=-1.0, seed=3)
    hidden = numpy(layer(np.ones(shape, "float32"))) == -1
    assert (hidden[..., 0] == hidden[..., 1]).all()
    share = hidden[..., 0].mean(axis=(1, 2))
    assert abs(share.mean() - 0.075) < 0.002 and share.min() > 0.04 and share.max() < 0.11
    rows, columns = hidden[..., 0].any(axis=2).sum(axis=1), hidden[..., 0].any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(rows * columns, hidden[..., 0].sum(axis=(1, 2)))  # one rectangle
    ratio = (columns / 80) / (rows / 60)
    assert ratio.max() < 2.4 and ratio.min() > 1 / 2.4 and abs(np.log(ratio).mean()) < 0.1
    where = hidden[..., 0].mean(axis=0)  # anywhere
    assert where[:30].sum() / where.sum() == pytest.approx(0.5, abs=0.08)  # three and a half standard deviations
    many = numpy(RandomErase(patches=5, seed=1)(np.ones((100, 64, 64, 1), "float32"))) == 0
    assert many.mean() == pytest.approx(5 * 0.0045, rel=0.1)
    again = RandomErase.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(numpy(layer(np.ones(shape, "float32"), training=False)), 1)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data runs TensorFlow's operations")
def test_it_runs_in_tf_data():
    import tensorflow as tf

    images = np.stack([blob()] * 8)
    layer = RandomView(seed=1)
    views = next(iter(tf.data.Dataset.from_tensor_slices(images).batch(8).map(layer))).numpy()
    assert views.shape == images.shape and not np.allclose(views, images, atol=0.1)


def test_keras_compiles_a_model_with_views_by_xla_only_where_xla_can_resample():
    """Otherwise a fit on a GPU with TensorFlow ends in "no registered ImageProjectiveTransformV3"."""
    supported = keras.Sequential([keras.Input((8, 8, 3)), RandomView(seed=0)]).layers[0].supports_jit
    assert supported == (keras.backend.backend() != "tensorflow")
