import keras
import numpy as np
import pytest

from morphtools.training.stages import stepping

pytestmark = pytest.mark.any_backend


def stepped(name, rate=0.1, factors=(1.0, 0.1), steps=3):
    """Where two variables are after some steps down the same straight slope."""
    variables = [keras.Variable(np.zeros(2), dtype="float32") for _ in factors]
    optimizer = stepping(name, rate, list(factors))
    optimizer.build(variables)
    for _ in range(steps):
        optimizer.apply([keras.ops.ones(2) for _ in variables], variables)
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def test_each_variable_goes_at_its_own_rate():
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
