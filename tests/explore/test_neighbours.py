import sys

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from morphtools.explore.neighbours import METRICS, Neighbours
from morphtools.inference.representations import Representations

SCIPY = {"cosine": "cosine", "euclidean": "euclidean", "manhattan": "cityblock"}


@pytest.fixture(params=["faiss", "scikit-learn"])
def library(request, monkeypatch):
    if request.param == "scikit-learn":
        monkeypatch.setitem(sys.modules, "faiss", None)  # importing it fails, as if it were not installed
    else:
        pytest.importorskip("faiss")


def make(tmp_path, number=300, dimension=7, seed=0):
    values = np.random.default_rng(seed).normal(size=(number, dimension)) + 0.5
    store = Representations.create(tmp_path / "r", dimension, {"weights": "w"})
    store.append([f"g{i}" for i in range(number)], values)
    return store


@pytest.mark.parametrize("number", [1, 9])
@pytest.mark.parametrize("metric", METRICS)
def test_the_nearest_are_those_of_scipy(tmp_path, library, metric, number):
    store = make(tmp_path)
    queries = np.random.default_rng(1).normal(size=(number, 7))
    rows, distances = Neighbours(store, metric=metric).nearest(queries, 12)
    every = cdist(queries, store.values(), SCIPY[metric])
    expected = np.argsort(every, axis=1)[:, :12]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(distances, np.take_along_axis(every, expected, axis=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_a_galaxy_is_nearest_to_itself(tmp_path, library, metric):
    near = Neighbours(make(tmp_path), metric=metric)
    rows, distances = near.nearest(near.values, 1)
    np.testing.assert_array_equal(rows[:, 0], np.arange(300))
    np.testing.assert_allclose(distances, 0, atol=2e-3)


def test_the_nearest_to_one_are_exact_where_single_precision_cannot_tell(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    rng = np.random.default_rng(0)
    values = (1000 + rng.normal(0, 0.01, (120_000, 5))).astype("float32")  # more than a block, far from the origin
    store = Representations.create(tmp_path / "far", 5, {})
    store.append(np.arange(120_000).astype(str), values)
    rows, distances = Neighbours(store, metric="euclidean").nearest(values[7], 50)
    every = cdist(values[[7]], values)[0]
    np.testing.assert_allclose(distances[0], np.sort(every)[:50], rtol=1e-6)
    np.testing.assert_allclose(every[rows[0]], distances[0], rtol=1e-6)


def test_there_are_never_more_neighbours_than_galaxies(tmp_path, library):
    rows, distances = Neighbours(make(tmp_path, 3)).nearest(np.ones(7), 10)
    assert sorted(rows[0]) == [0, 1, 2] and np.isfinite(distances).all()


def test_a_representation_of_zeros_is_far_from_all(tmp_path, library):
    store = Representations.create(tmp_path / "r", 2, {})
    store.append(["zero", "one"], [[0, 0], [0, 3]])
    rows, distances = Neighbours(store).nearest(np.array([0, 1]), 2)
    assert rows[0].tolist() == [1, 0] and distances[0].tolist() == [0, 1]


def test_an_approximate_search_says_what_it_misses(tmp_path):
    pytest.importorskip("faiss")
    store = make(tmp_path, 5000, 16)
    assert Neighbours(store).recall(queries=20) == 1.0
    near = Neighbours(store, approximate=True)
    rows, _ = near.nearest(near.values[:50], 10)
    true = np.argsort(cdist(store.values()[:50], store.values(), "cosine"), axis=1)[:, :10]
    found = np.mean([np.isin(t, r).mean() for t, r in zip(true, rows, strict=True)])
    assert 0.5 < found < 1.0
    assert abs(near.recall() - found) < 0.1


def test_approximate_search_without_faiss_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ValueError, match=r"pip install .morphtools\[faiss\]"):
        Neighbours(make(tmp_path), approximate=True)


def test_an_encoder_with_equal_output_for_all_galaxies_is_noticed(tmp_path, caplog):
    store = Representations.create(tmp_path / "same", 3, {})
    store.append([f"g{i}" for i in range(50)], 1 + 1e-5 * np.random.default_rng(0).normal(size=(50, 3)))
    Neighbours(store)
    assert "of their length: were the weights trained" in caplog.text
    caplog.clear()
    Neighbours(make(tmp_path))
    assert not caplog.text


def test_what_does_not_fit_is_named(tmp_path):
    store = make(tmp_path)
    with pytest.raises(ValueError, match=r"unknown metric 'cosin'.*did you mean 'cosine'"):
        Neighbours(store, metric="cosin")
    near = Neighbours(store)
    with pytest.raises(ValueError, match="queries have 8 dimensions, representations 7"):
        near.nearest(np.ones(8), 3)
    with pytest.raises(ValueError, match=r"no representation of x, y \(id_str are like 'g0'\)"):
        near.rows(["x", "g3", "y"])
