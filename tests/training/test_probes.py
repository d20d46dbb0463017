import numpy as np
import pytest

from morphtools.training.probes import effective_rank, knn_scores, linear_scores, principal_components, spread

RNG = np.random.default_rng(0)


def test_neighbours_agree_with_a_loop():
    x, y = RNG.normal(size=(40, 3)), RNG.integers(0, 3, 40)
    x[:, 0] += y
    found = knn_scores(x, y, neighbours=5, splits=3, seed=4)
    rng = np.random.default_rng(4)
    for score in found:
        order = rng.permutation(40)
        train, test = order[10:], order[:10]
        right = 0
        for i in test:
            nearest = train[np.argsort(np.linalg.norm(x[train] - x[i], axis=1))[:5]]
            votes = np.bincount(y[nearest], minlength=3)
            right += votes.argmax() == y[i]
        assert score == pytest.approx(right / 10)


def test_a_label_that_is_in_the_representation_is_found_and_one_that_is_not_is_not():
    x = RNG.normal(size=(400, 8))
    classes, number = np.where(x[:, 0] > 0, "late", "early"), 0.1 * x[:, 1]
    for scores in (knn_scores, linear_scores):
        assert scores(x, classes).mean() > 0.8
        assert scores(x, number).mean() > 0.4
        assert abs(scores(x, RNG.permutation(classes)).mean() - 0.5) < 0.1
        assert scores(x, RNG.permutation(number)).mean() < 0.05


def test_the_effective_rank_is_the_number_of_equal_singular_values():
    for rank in (1, 3, 8):
        basis = np.linalg.qr(RNG.normal(size=(50, 9)))[0]
        x = np.concatenate([basis[:, :rank], -basis[:, :rank]]) @ np.eye(rank, 12)  # centred: no mean to take away
        assert effective_rank(x) == pytest.approx(rank, rel=1e-6)
    assert effective_rank(np.ones((5, 3))) == 0.0


def test_the_spread_is_one_for_all_directions_and_zero_for_one():
    assert spread(RNG.normal(size=(4000, 64))) == pytest.approx(1.0, abs=0.02)
    assert spread(np.outer(RNG.uniform(1, 2, 50), RNG.normal(size=6))) == pytest.approx(0.0, abs=1e-6)


def test_pixels_are_brought_to_their_principal_components():
    from sklearn.decomposition import PCA

    images = RNG.normal(size=(30, 4, 4, 2)) * np.linspace(1, 5, 2)
    found = principal_components(images, 3)
    expected = PCA(3, svd_solver="full").fit(images.reshape(30, -1)).explained_variance_
    np.testing.assert_allclose(found.var(axis=0, ddof=1), expected, rtol=1e-3)
