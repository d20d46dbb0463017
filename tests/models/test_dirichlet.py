"""Golden values: SciPy, `scipy.stats.dirichlet_multinomial.logpmf` and `betaln`."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import special, stats

from morphtools.models.dirichlet import DirichletHead, DirichletMultinomialLoss, dirichlet_multinomial_loss, log_gamma

pytestmark = pytest.mark.any_backend
MEMBERSHIP = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 1]], np.float32)


@pytest.mark.parametrize(
    ("votes", "concentrations", "expected"),
    [
        ([3, 7], [2, 3], 1.938941),
        ([30, 5, 2], [60, 12, 4], 3.384381),
        ([1, 0], [1, 1], 0.693147),
        ([10, 0, 0], [101, 1, 1], 0.187936),
        ([12, 20, 8], [1, 1, 1], 6.758095),
        ([0, 0, 0], [5, 5, 5], 0.0),
    ],
)
def test_one_question_costs_what_scipy_says(votes, concentrations, expected):
    loss = dirichlet_multinomial_loss([votes], [concentrations], np.ones((1, len(votes))))
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss), [expected], atol=1e-4
    )  # differences of ln Γ(100) ≈ 360 in float32


def test_questions_add_and_one_without_votes_costs_nothing():
    rng = np.random.default_rng(0)
    votes = rng.integers(0, 40, (50, 5)).astype(float)
    votes[::3, :2] = 0
    votes[::4, 2:] = 0
    alpha = rng.uniform(1, 101, (50, 5))
    by_hand = [
        -sum(
            stats.dirichlet_multinomial.logpmf(k[s], a[s], k[s].sum())
            for s in (slice(0, 2), slice(2, 5))
            if k[s].sum() > 0
        )
        for k, a in zip(votes.astype(int), alpha, strict=True)
    ]
    loss = ops.convert_to_numpy(dirichlet_multinomial_loss(votes, alpha, MEMBERSHIP))
    np.testing.assert_allclose(loss, by_hand, rtol=1e-4, atol=3e-4)
    np.testing.assert_array_equal(loss[votes.sum(axis=1) == 0], 0.0)
    unknown = np.where(votes @ MEMBERSHIP.T @ MEMBERSHIP == 0, np.nan, votes)
    np.testing.assert_array_equal(ops.convert_to_numpy(dirichlet_multinomial_loss(unknown, alpha, MEMBERSHIP)), loss)


def gradient(votes, alpha):
    """d loss / d α by the backend's own differentiation, through a layer that only holds α."""
    if keras.backend.backend() == "jax":
        import jax

        return np.array(jax.grad(lambda a: dirichlet_multinomial_loss(votes, a, MEMBERSHIP).sum())(alpha))
    if keras.backend.backend() == "torch":
        import torch

        alpha = torch.tensor(alpha, requires_grad=True)
        dirichlet_multinomial_loss(votes, alpha, MEMBERSHIP).sum().backward()
        return alpha.grad.numpy()
    import tensorflow as tf

    alpha = tf.Variable(alpha)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(dirichlet_multinomial_loss(votes, alpha, MEMBERSHIP))
    return tape.gradient(loss, alpha).numpy()


def test_the_gradient_is_that_of_the_formula_and_zero_without_votes():
    rng = np.random.default_rng(1)
    k = rng.integers(0, 1000, (200, 5)).astype("float32")
    k[:20, :2] = 0
    k[10:30, 2:] = 0
    a = rng.uniform(1, 101, (200, 5)).astype("float32")
    n, total = k @ MEMBERSHIP.T @ MEMBERSHIP, a @ MEMBERSHIP.T @ MEMBERSHIP
    expected = -(special.digamma(total) - special.digamma(total + n) + special.digamma(a + k) - special.digamma(a))
    found = gradient(k, a)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_array_equal(found[:20, :2], 0.0)
    np.testing.assert_array_equal(found[10:30, 2:], 0.0)


def test_loss_and_gradient_are_finite_at_the_edges():
    k = np.array([[1000, 0, 1000, 1000, 1000], [0, 1000, 0, 0, 1]], "float32")
    for a in (1.0, 101.0):
        alpha = np.full((2, 5), a, "float32")
        assert np.isfinite(ops.convert_to_numpy(dirichlet_multinomial_loss(k, alpha, MEMBERSHIP))).all()
        assert np.isfinite(gradient(k, alpha)).all()


def test_log_gamma_is_scipys():
    x = np.geomspace(1e-3, 1e4, 200).astype("float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(log_gamma(ops.convert_to_tensor(x))), special.gammaln(x), rtol=3e-6, atol=3e-6
    )


def test_the_loss_is_a_mean_over_galaxies_and_survives_serialization():
    loss = DirichletMultinomialLoss(MEMBERSHIP)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    k, a = np.array([[3, 7, 0, 0, 0], [0, 0, 30, 5, 2]]), np.array([[2, 3, 9, 9, 9], [9, 9, 60, 12, 4.0]])
    for each in (loss, again):
        np.testing.assert_allclose(ops.convert_to_numpy(each(k, a)), (1.938941 + 3.384381) / 2, rtol=1e-5)


def test_the_head_gives_concentrations_from_1_to_101_and_survives_saving(tmp_path):
    head = DirichletHead(5, seed=3)
    x = np.random.default_rng(0).normal(scale=30, size=(64, 16)).astype("float32")
    alpha = ops.convert_to_numpy(head(x))
    assert alpha.shape == (64, 5) and alpha.min() >= 1 and alpha.max() <= 101 and np.ptp(alpha) > 50
    model = keras.Sequential([keras.Input((16,)), head])
    model.save(tmp_path / "m.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "m.keras").predict_on_batch(x), alpha, rtol=1e-6)


def test_a_head_can_begin_with_the_same_concentrations_for_every_galaxy():
    head = DirichletHead(4)
    head.build((None, 8))
    head.begin_with(np.array([2.0, 30.0, 0.2, 500.0]))
    galaxies = np.random.default_rng(0).normal(scale=100, size=(3, 8)).astype("float32")
    np.testing.assert_allclose(head(galaxies), [[2.0, 30.0, 1.1, 100.0]] * 3, rtol=1e-5)


def test_a_recalibrated_head_is_scaled_and_floored_and_saved_like_that(tmp_path):
    model = keras.Sequential([keras.Input((16,)), DirichletHead(3, seed=3)])
    x = np.random.default_rng(0).normal(size=(8, 16)).astype("float32")
    before = model.predict_on_batch(x)
    scale, floor = np.array([0.5, 2.0, 1.0], "float32"), np.array([0.2, 1.0, 3.0], "float32")
    model.layers[-1].recalibrate(scale, floor)
    model.save(tmp_path / "m.keras")
    for each in (model, keras.models.load_model(tmp_path / "m.keras")):
        np.testing.assert_allclose(each.predict_on_batch(x), scale * (before - 1 + floor), rtol=1e-5)


@pytest.mark.slow
def test_training_recovers_the_concentrations_of_simulated_volunteers():
    """Votes drawn from known Dirichlet-multinomials: the fitted expected fractions come back."""
    rng = np.random.default_rng(5)
    true = np.array([20.0, 60.0, 8.0, 4.0, 28.0])
    shares = np.concatenate([rng.dirichlet(true[:2], 4000), rng.dirichlet(true[2:], 4000)], axis=1)
    votes = np.concatenate([rng.multinomial(40, shares[:, :2]), rng.multinomial(30, shares[:, 2:])], axis=1)
    model = keras.Sequential([keras.Input((1,)), DirichletHead(5, dropout=0.0, seed=0)])
    model.compile(keras.optimizers.Adam(0.05), DirichletMultinomialLoss(MEMBERSHIP))
    model.fit(np.ones((4000, 1)), votes.astype("float32"), batch_size=500, epochs=60, verbose=0)
    np.testing.assert_allclose(model.predict_on_batch(np.ones((1, 1)))[0], true, rtol=0.12)
