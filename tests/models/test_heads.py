import keras
import numpy as np
import pytest

from morphtools.models.heads import classification_head, projection_head, regression_head

pytestmark = pytest.mark.any_backend


def representations(n=200, width=10, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(5, 1, (n, width)) * 10.0 ** rng.uniform(-4, 3, width)).astype("float32")


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def test_class_probabilities_sum_to_one_and_regression_is_unbounded():
    x = representations()
    assert numpy(classification_head(4, seed=0)(x)).sum(axis=1) == pytest.approx(np.ones(len(x)))
    head = regression_head(2, dropout=0.0, seed=0)
    head.build(x.shape)
    head.out.bias.assign([-1e6, 1e6])
    assert (np.sign(numpy(head(x))) == [-1, 1]).all()


def test_the_output_is_the_written_out_network():
    """By hand, in NumPy: standardise, two ReLU layers, softmax."""
    x = representations()
    head = classification_head(3, seed=1)
    head.standardize.adapt(x)
    got = numpy(head(x))
    y = (x - x.mean(0)) / x.std(0)
    for layer in head.dense:
        y = np.maximum(y @ numpy(layer.kernel) + numpy(layer.bias), 0)
    y = y @ numpy(head.out.kernel) + numpy(head.out.bias)
    expected = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


def test_dropout_acts_in_training_only():
    x = representations()
    head = classification_head(2, seed=1)
    head.standardize.adapt(x)
    np.testing.assert_array_equal(numpy(head(x)), numpy(head(x)))
    assert not np.allclose(numpy(head(x, training=True)), numpy(head(x)), atol=1e-3)


def test_it_learns_what_is_linearly_separable():
    x = representations(400)
    label = (x[:, 3] > np.median(x[:, 3])).astype(int)
    head = classification_head(2, seed=2)
    head.standardize.adapt(x)
    model = keras.Sequential([keras.Input((10,)), head])
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    for _ in range(150):
        model.train_on_batch(x, label)
    assert np.mean(model.predict(x, verbose=0).argmax(1) == label) > 0.9


def test_the_seed_decides_the_first_weights():
    x = representations()
    first, again, other = (numpy(classification_head(2, seed=s)(x)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_heads_survive_saving(tmp_path):
    x = representations()
    head = classification_head(2, hidden=(8,), dropout=0.1, seed=1)
    head.standardize.adapt(x)
    model = keras.Sequential([keras.Input((10,)), head])
    model.save(tmp_path / "head.keras")
    loaded = keras.saving.load_model(tmp_path / "head.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6)


def test_a_projection_has_two_dense_layers_normalised_if_requested_and_a_seed():
    # He et al. 2020 (MoCo v2) has no batch normalisation; Grill et al. 2020 (BYOL) has it between the two.
    plain, normalised = (projection_head(10, 4, hidden=6, batch_norm=each, seed=1) for each in (False, True))
    kinds = [type(layer).__name__ for layer in normalised.layers]
    assert kinds == ["Dense", "BatchNormalization", "ReLU", "Dense"]
    assert [type(layer).__name__ for layer in plain.layers] == ["Dense", "ReLU", "Dense"]
    first, last = plain.layers[0], plain.layers[-1]
    x = representations(5)
    expected = np.maximum(x @ numpy(first.kernel) + numpy(first.bias), 0) @ numpy(last.kernel) + numpy(last.bias)
    np.testing.assert_allclose(numpy(plain(x)), expected, rtol=1e-4)
    np.testing.assert_array_equal(numpy(projection_head(10, 4, hidden=6, seed=1)(x)), numpy(plain(x)))
