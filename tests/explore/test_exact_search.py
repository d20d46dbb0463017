import numpy as np
import pytest
from scipy.spatial.distance import cdist

from morphtools.explore.exact_search import nearest_in, unit_length, values_of
from morphtools.inference.representations import Representations

SCIPY = {"cosine": "cosine", "euclidean": "euclidean", "manhattan": "cityblock"}


@pytest.fixture
def store(tmp_path):
    made = Representations.create(tmp_path / "store", 5, {"weights": "w"})
    for part in range(4):
        values = np.random.default_rng(part).normal(size=(25, 5))
        made.append([f"g{25 * part + i}" for i in range(25)], values)
    return made


@pytest.mark.parametrize("metric", SCIPY)
def test_a_search_while_the_store_is_read_finds_the_nearest_of_those_allowed(store, metric):
    allowed = np.random.default_rng(9).random(100) < 0.6
    query = np.random.default_rng(8).normal(size=(1, 5)).astype("float32")
    if metric == "cosine":
        unit_length(query)
    rows, distances = nearest_in(store, query, 12, metric, allowed)
    every = np.where(allowed, cdist(query, store.values(), SCIPY[metric])[0], np.inf)
    np.testing.assert_array_equal(rows, np.argsort(every)[:12])
    np.testing.assert_allclose(distances, np.sort(every)[:12], rtol=1e-4, atol=1e-6)
    assert len(nearest_in(store, query, 99, metric, allowed)[0]) == allowed.sum()


def test_values_of_some_rows_come_in_the_order_asked_for(store):
    rows = np.array([99, 3, 51, 3])
    np.testing.assert_array_equal(values_of(store, rows, "euclidean"), store.values()[rows])
    lengths = np.linalg.norm(values_of(store, rows, "cosine"), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
