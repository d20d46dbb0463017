import keras
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from morphtools.data.augment import RandomView

pytestmark = pytest.mark.any_backend


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def blob(size=33, bands=3, x0=4.0, y0=-3.0):
    """A Gaussian off the centre: small against the frame, so that borders play no part."""
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


def test_drawn_maps_are_rotations_with_the_asked_zoom_shift_and_mirror():
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


def test_nothing_asked_changes_nothing():
    images = np.stack([blob()] * 3)
    layer = RandomView(rotation=0, flip=False, zoom=0, shift=0)
    np.testing.assert_allclose(numpy(layer(images)), images, atol=1e-6)


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
    layer = RandomView(rotation=0.25, flip=False, zoom=0.3, shift=0.0, fill_mode="constant", seed=9)
    assert RandomView.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data runs TensorFlow's operations")
def test_it_runs_in_tf_data():
    import tensorflow as tf

    images = np.stack([blob()] * 8)
    layer = RandomView(seed=1)
    views = next(iter(tf.data.Dataset.from_tensor_slices(images).batch(8).map(layer))).numpy()
    assert views.shape == images.shape and not np.allclose(views, images, atol=0.1)
