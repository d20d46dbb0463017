import keras
import numpy as np
import pytest
from keras import layers, ops

from morphtools.models.batch_norm import BatchNormalization

pytestmark = pytest.mark.any_backend


def both(**options):
    """Ours and Keras' layer with the same weights, none of them at its default."""
    rng = np.random.default_rng(1)
    values = [rng.normal(size=3), rng.normal(size=3), rng.normal(size=3), rng.uniform(0.5, 2, 3)]
    made = []
    for kind in (BatchNormalization, layers.BatchNormalization):
        layer = kind(momentum=0.9, epsilon=1e-5, **options)
        layer.build((None, 5, 7, 3))
        layer.set_weights(values)
        made.append(layer)
    return made


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_it_gives_the_same_outputs_and_averages_as_the_layer_of_keras(training, trainable):
    ours, theirs = both()
    ours.trainable = theirs.trainable = trainable
    images = np.random.default_rng(0).normal(3.0, 2.0, size=(4, 5, 7, 3)).astype("float32")
    np.testing.assert_allclose(ours(images, training=training), theirs(images, training=training), atol=2e-5)
    for mine, its in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_a_step_of_training_changes_the_same_weights_by_the_same(training):
    rng = np.random.default_rng(0)
    images = rng.normal(1.0, 2.0, size=(8, 5, 7, 3)).astype("float32")
    wanted = rng.normal(size=(8, 5, 7, 3)).astype("float32")
    kernels = rng.normal(size=(1, 1, 3, 3))
    after = []
    for layer in both():
        layer.trainable = training
        before = layers.Conv2D(3, 1, use_bias=False)
        model = keras.Sequential([keras.Input((5, 7, 3)), before, layer])
        before.set_weights([kernels])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(images, wanted, batch_size=8, epochs=3, verbose=0)
        after.append(model.get_weights())
    for mine, its in zip(*after, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-5)
    assert np.abs(after[0][0] - kernels).max() > 1e-3


def test_half_precision_in_half_precision_out_with_averages_in_float32():
    ours, theirs = both(dtype="mixed_bfloat16")
    images = ops.cast(np.random.default_rng(0).normal(3.0, 2.0, size=(4, 5, 7, 3)), "bfloat16")
    mine, its = ours(images, training=True), theirs(images, training=True)
    assert keras.backend.standardize_dtype(mine.dtype) == "bfloat16"
    np.testing.assert_allclose(ops.cast(mine, "float32"), ops.cast(its, "float32"), atol=0.05)
    np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, rtol=1e-3)


def test_weights_of_the_layer_of_keras_are_read_and_the_other_way_round(tmp_path):
    def network(kind):
        return keras.Sequential([keras.Input((5, 7, 3)), kind(name="norm"), layers.Conv2D(2, 3), kind()])

    ours, theirs = network(BatchNormalization), network(layers.BatchNormalization)
    for writer, reader in ((ours, theirs), (theirs, ours)):
        writer.set_weights([np.random.default_rng(0).uniform(size=w.shape) for w in writer.weights])
        writer.save_weights(tmp_path / "some.weights.h5")
        reader.load_weights(tmp_path / "some.weights.h5")
        for mine, its in zip(writer.weights, reader.weights, strict=True):
            np.testing.assert_array_equal(mine, its)
