import keras
import numpy as np
import pytest

from morphtools.training.optimizers import build_optimizer, stepping
from morphtools.training.settings import Optimization

pytestmark = pytest.mark.any_backend


def stepped(name, rate=0.1, factors=(1.0, 0.1), steps=3):
    """Where two variables are after some steps down the same straight slope."""
    variables = [keras.Variable(np.zeros(2), dtype="float32") for _ in factors]
    optimizer = stepping(name, rate, list(factors))
    optimizer.build(variables)
    for _ in range(steps):
        optimizer.apply([keras.ops.ones(2) for _ in variables], variables)
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def test_each_variable_has_its_own_learning_rate():
    # SGD with momentum 0.9: the velocities of three steps are 1, 1.9 and 2.71 times −rate; Adam steps by the rate
    for name, far in (("sgd", 0.1 * (1 + 1.9 + 2.71)), ("adam", 0.3)):
        fast, slow = stepped(name)
        np.testing.assert_allclose(fast, -far, rtol=1e-5)
        np.testing.assert_allclose(slow, -far / 10, rtol=1e-5)


def test_it_follows_a_schedule():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.1, 0.01])  # steps 0 and 1, then 2
    fast, slow = stepped("adam", schedule)
    np.testing.assert_allclose(fast, -0.21, rtol=1e-4)
    np.testing.assert_allclose(slow, -0.021, rtol=1e-4)


def rates(how, steps, at, **options):
    optimizer = build_optimizer(how, steps, **options)
    schedule = optimizer._learning_rate
    return [float(schedule(step)) if callable(schedule) else float(optimizer.learning_rate) for step in at]


def test_the_rate_rises_over_the_warm_up_and_falls_to_zero_as_a_cosine():
    how = Optimization(10, 16, 0.2, 0.0, None, 2.0, None)  # 2 of 10 epochs of warm-up: 20 of 100 steps
    expected = [0.0, 0.1, 0.2, 0.1, 0.0]  # half-way up, at the top, half-way down the cosine, at the end
    np.testing.assert_allclose(rates(how, 100, [0, 10, 20, 60, 100]), expected, atol=1e-6)


def test_a_constant_rate_is_constant():
    how = Optimization(10, 16, 0.2, 0.0, None, 0.0, None, schedule="constant")
    np.testing.assert_allclose(rates(how, 100, [0, 50, 100]), 0.2, rtol=1e-6)


def test_gradients_are_clipped_together_only_where_that_is_requested():
    for clip, expected in ((None, None), (1.5, 1.5)):
        assert build_optimizer(Optimization(1, 1, 0.1, 0.0, None, None, clip), 10).global_clipnorm == expected
