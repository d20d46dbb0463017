import keras
import numpy as np
import pytest

from morphtools.models.contrastive_losses import byol_regression, info_nce, nt_xent, unit

pytestmark = pytest.mark.any_backend

RNG = np.random.default_rng(0)


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def random_units(n, d):
    x = RNG.normal(size=(n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype("float32")


def wave(rows, phase):
    """The arrays of the comparison with lightly: no random numbers, so that both sides have the same."""
    return np.sin(np.arange(1, rows * 8 + 1).reshape(rows, 8) ** 1.5 + phase).astype("float32")


def test_info_nce_agrees_with_a_loop():
    query, key, queue = random_units(5, 6), random_units(5, 6), random_units(9, 6)
    expected = []
    for q, k in zip(query, key, strict=True):
        scores = [np.exp(q @ k / 0.2)] + [np.exp(q @ n / 0.2) for n in queue]
        expected.append(-np.log(scores[0] / sum(scores)))
    np.testing.assert_allclose(numpy(info_nce(query, key, queue, temperature=0.2)), expected, rtol=1e-5)


def test_nt_xent_agrees_with_a_loop():
    first, second = random_units(5, 6), random_units(5, 6)
    views, total = np.concatenate([first, second]), np.zeros(10)
    for i in range(10):
        scores = [np.exp(views[i] @ views[j] / 0.3) for j in range(10) if j != i]
        total[i] = -np.log(np.exp(views[i] @ views[(i + 5) % 10] / 0.3) / sum(scores))
    found = numpy(nt_xent(first, second, np.stack([first, second]), 0, temperature=0.3))
    np.testing.assert_allclose(found, (total[:5] + total[5:]) / 2, rtol=1e-5)


def test_nt_xent_of_a_share_is_its_part_of_the_whole_batch():
    first, second = random_units(6, 4), random_units(6, 4)
    others = np.stack([first, second])
    whole = numpy(nt_xent(first, second, others, 0, temperature=0.3))
    share = numpy(nt_xent(first[2:4], second[2:4], others, 2, temperature=0.3))
    np.testing.assert_allclose(share, whole[2:4], rtol=1e-6)


@pytest.mark.parametrize(
    # lightly 1.6.0 on PyTorch 2.13, with the arrays of `wave`: NTXentLoss(temperature)(a, b); the same with
    # memory_bank_size=(6, 8) and the bank set to the normalised wave(6, 2.0); 2 + 2·NegativeCosineSimilarity()(a, b).
    ("temperature", "moco", "simclr"),
    [(0.1, 0.2769981151715426, 0.1861037091512749), (0.5, 0.9762519001862093, 1.1647058428458683)],
)
def test_the_losses_are_those_of_lightly(temperature, moco, simclr):
    a, b, queue = unit(wave(4, 0.0)), unit(wave(4, 1.0)), unit(wave(6, 2.0))
    # float32 sines of arguments near 90, on both sides, agree to some 1e-5
    assert numpy(info_nce(a, b, queue, temperature=temperature)).mean() == pytest.approx(moco, rel=2e-4)
    both = keras.ops.stack([a, b])
    assert numpy(nt_xent(a, b, both, 0, temperature=temperature)).mean() == pytest.approx(simclr, rel=2e-4)
    assert numpy(byol_regression(wave(4, 0.0), wave(4, 1.0))).mean() == pytest.approx(0.8359420696017315, rel=2e-4)


def test_a_guess_costs_the_logarithm_of_the_number_of_candidates():
    same = np.tile(random_units(1, 8), (4, 1))
    queue = np.tile(same[:1], (62, 1))
    np.testing.assert_allclose(numpy(info_nce(same, same, queue, temperature=0.1)), np.log(63), rtol=1e-5)
    both = np.stack([same, same])
    np.testing.assert_allclose(numpy(nt_xent(same, same, both, 0, temperature=0.1)), np.log(7), rtol=1e-5)


def test_byol_regression_is_zero_for_one_direction_and_four_for_the_opposite():
    x = RNG.normal(size=(3, 5)).astype("float32")
    np.testing.assert_allclose(numpy(byol_regression(x, 7 * x)), 0, atol=1e-5)
    np.testing.assert_allclose(numpy(byol_regression(x, -0.1 * x)), 4, atol=1e-5)


def test_a_vector_of_zeros_has_no_direction_but_a_finite_loss():
    assert np.isfinite(numpy(byol_regression(np.zeros((2, 3), "float32"), np.ones((2, 3), "float32")))).all()
