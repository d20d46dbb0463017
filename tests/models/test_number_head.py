import keras
import numpy as np
import pytest

from morphtools.models.number_head import NumberHead, number_loss

pytestmark = pytest.mark.any_backend
RNG = np.random.default_rng(0)


def outputs(head, x):
    return keras.ops.convert_to_numpy(head(x))


def test_an_untrained_head_begins_near_the_centre_with_the_spread_of_the_numbers():
    head = NumberHead((10.0, 3.0), (2.0, 0.5), hidden=(), seed=1)
    head.build((None, 4))
    head.out.kernel.assign(np.zeros((4, 4)))
    np.testing.assert_allclose(outputs(head, np.ones((1, 4))), [[10, 3, np.log(2), np.log(0.5)]], rtol=1e-5)


def test_deviations_stay_between_a_millionth_and_a_million_times_the_spread():
    head = NumberHead((0.0,), (2.0,), hidden=(), seed=1)
    head.build((None, 1))
    head.out.kernel.assign([[0.0, 1e4]])
    for sign in (-1, 1):
        sigma = np.exp(outputs(head, np.full((1, 1), sign))[0, 1])
        assert sigma == pytest.approx(2 * 10.0 ** (6 * sign), rel=0.02)


def test_the_loss_is_least_at_the_truth_and_the_size_of_the_residuals():
    residual = RNG.normal(0, 0.3, 500)
    loss = [
        float(np.mean(keras.ops.convert_to_numpy(number_loss(residual, np.tile([0.0, np.log(s)], (500, 1))))))
        for s in (0.2, residual.std(), 0.45)
    ]
    assert np.argmin(loss) == 1


def test_the_gradient_of_an_unknown_number_is_nothing_not_nan():
    model = keras.Sequential([keras.Input((4,)), NumberHead((0.0, 0.0), (1.0, 1.0), hidden=(), seed=1)])
    before = keras.ops.convert_to_numpy(model.layers[-1].out.kernel)
    model.compile(keras.optimizers.SGD(0.1), number_loss)
    model.fit(RNG.normal(size=(6, 4)), np.stack([RNG.normal(size=6), np.full(6, np.nan)], axis=1), verbose=0)
    moved = keras.ops.convert_to_numpy(model.layers[-1].out.kernel) != before
    assert moved[:, [0, 2]].all() and not moved[:, [1, 3]].any()
