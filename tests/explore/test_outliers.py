import numpy as np
import pytest

from morphtools.explore.outliers import isolation_forest, local_outlier_factor, neighbour_score

X = np.concatenate([np.random.default_rng(0).normal(size=(200, 3)), [[9, 9, 9]]])


@pytest.mark.parametrize("score", [isolation_forest, local_outlier_factor])
def test_what_lies_far_out_is_the_greatest_anomaly(score):
    scores = score(X)
    assert scores.argmax() == 200 and scores.max() == 5 and scores.min() == 0


def test_forests_with_the_same_seed_agree():
    np.testing.assert_array_equal(isolation_forest(X, seed=3), isolation_forest(X, seed=3))
    rows, ratings = np.arange(20), np.arange(20) % 6
    np.testing.assert_array_equal(
        neighbour_score(X, X[:, 0], rows, ratings, seed=3), neighbour_score(X, X[:, 0], rows, ratings, seed=3)
    )


def test_far_from_all_ratings_the_score_is_the_anomaly_and_near_dull_ones_a_tenth_of_it():
    x = np.concatenate([np.zeros((50, 2)), [[1000.0, 0]]])
    scores = neighbour_score(x, np.full(51, 4.0), np.arange(50), np.zeros(50))
    assert scores[0] == pytest.approx(0.4)  # δ = 1, f = 0.1: 4·tanh(artanh 0.1)
    assert scores[50] == pytest.approx(4.0)


def test_neighbour_score_of_equal_ratings_is_the_published_formula():
    rows = np.arange(5)
    scores = neighbour_score(X, np.ones(201), rows, np.full(5, 3.0))
    distance = np.linalg.norm(X[:, np.newaxis] - X[rows], axis=2).min(axis=1)
    slow = [np.tanh(np.exp(d / np.mean(distance)) - 1 + np.arctanh(0.1 + 0.85 * 3 / 5)) for d in distance]
    np.testing.assert_allclose(scores, slow)


def test_when_every_galaxy_is_rated_the_ratings_decide():
    x, ratings = X[:60], np.arange(60) % 6
    scores = neighbour_score(x, np.ones(60), np.arange(60), ratings)
    assert np.corrcoef(scores, ratings)[0, 1] > 0.8
