import numpy as np
import pytest

from morphtools.anomalies import first_batches
from morphtools.anomalies.first_batches import STARTS, drawn

TAKEN = np.array([17, 3, 4, 299, 0])
FREE = np.setdiff1d(np.arange(300), TAKEN)
X = np.random.default_rng(0).normal(size=(300, 4)).astype("float32")


@pytest.mark.parametrize("start", STARTS)
def test_the_first_batch_is_of_galaxies_that_are_not_taken_each_once(start):
    for n in (1, 20, len(FREE)):
        rows = STARTS[start](X, TAKEN, n, 5)
        assert len(rows) == len(set(rows)) == n and set(rows) <= set(FREE)


def test_a_random_start_is_a_draw_from_the_free_galaxies():
    expected = np.random.default_rng(5).choice(FREE, 40, replace=False)
    np.testing.assert_array_equal(STARTS["random"](X, TAKEN, 40, 5), expected)


def test_a_start_from_outliers_does_not_depend_on_how_many_are_read_at_a_time(monkeypatch):
    from sklearn.ensemble import IsolationForest

    scores = IsolationForest(random_state=5).fit(X[FREE]).score_samples(X[FREE])
    expected = FREE[np.argsort(scores, kind="stable")[:12]]
    np.testing.assert_array_equal(STARTS["outliers"](X, TAKEN, 12, 5), expected)
    real = IsolationForest(random_state=5).fit(X[FREE])
    monkeypatch.setattr(IsolationForest, "fit", lambda self, x: real)
    monkeypatch.setattr(first_batches, "_ROWS", 7)
    np.testing.assert_array_equal(STARTS["outliers"](X, TAKEN, 12, 5), expected)


def test_a_quick_draw_leaves_out_what_is_taken_and_ends_with_the_galaxies():
    assert set(drawn(300, TAKEN, 1000, 1)) == set(FREE)
    assert not set(drawn(300, TAKEN, 40, 1)) & set(TAKEN)
