import logging

import numpy as np
import pytest

from morphtools.explore import search_index
from morphtools.explore.neighbours import Neighbours
from morphtools.explore.similarity import find_similar
from morphtools.inference.representations import Representations

faiss = pytest.importorskip("faiss")


@pytest.fixture(autouse=True)
def one_thread():
    """Uses one thread: several wait for each other for minutes on a busy machine."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(threads)


def clustered(folder, number, dimension=16, seed=0):
    """A store of galaxies around 50 centres, in several parts."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(50, dimension))
    store = Representations.create(folder, dimension, {"weights": "w"})
    for start in range(0, number, 4000):
        some = range(start, min(start + 4000, number))
        values = centres[rng.integers(50, size=len(some))] + 0.3 * rng.normal(size=(len(some), dimension))
        store.append([f"g{i}" for i in some], values)
    return store


def distances(values, query, metric):
    """By the definition, in double precision."""
    values, query = values.astype(float), query.astype(float)
    if metric == "euclidean":
        return np.sqrt(((values - query) ** 2).sum(axis=1))
    return 1 - values @ query / np.linalg.norm(values, axis=1) / np.linalg.norm(query)


def check_neighbours(store, folder, metric, least):
    """Distances are exact and rising, and at least a share of the ten nearest of 50 galaxies is found."""
    near, values = Neighbours(store, metric=metric, index=folder), store.values()
    asked = np.random.default_rng(1).choice(len(values), 50, replace=False)
    rows, found = near.nearest(values[asked], 10)
    recall = []
    for query, mine, distance in zip(asked, rows, found, strict=True):
        true = distances(values, values[query], metric)
        np.testing.assert_allclose(distance, true[mine], atol=2e-3 if metric == "euclidean" else 1e-5)
        assert (np.diff(distance) >= 0).all() and mine[0] == query
        recall.append(np.isin(np.argsort(true)[:10], mine).mean())
    assert np.mean(recall) >= least


@pytest.mark.parametrize(("metric", "dimension"), [("cosine", 16), ("euclidean", 16), ("euclidean", 96)])
def test_what_an_index_proposes_is_ranked_by_exact_distances(tmp_path, metric, dimension, caplog):
    store = clustered(tmp_path / "store", 8000, dimension)
    with caplog.at_level(logging.INFO):
        check_neighbours(store, tmp_path / "index", metric, 0.9)
    assert "% of the true 10 nearest" in caplog.text
    names = {path.name for path in (tmp_path / "index").iterdir() if not path.name.startswith("values-")}
    assert names == {"claim.json", "search.faiss", "search.ivfdata", "search.json"}


@pytest.mark.slow
def test_recall_among_a_hundred_thousand(tmp_path):
    check_neighbours(clustered(tmp_path / "store", 100_000, 32), tmp_path / "index", "cosine", 0.9)


def test_a_killed_index_is_continued_block_by_block_to_the_same_answers(tmp_path, monkeypatch):
    store, values = clustered(tmp_path / "store", 8000), []
    monkeypatch.setattr(search_index, "_BLOCK", 4 * 16 * 4096)
    whole = Neighbours(store, index=tmp_path / "whole")
    really, written = search_index.write_whole, []

    def dying(path, content):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path.name)
        really(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(search_index, "write_whole", dying)
        with pytest.raises(KeyboardInterrupt):
            Neighbours(store, index=tmp_path / "index")
    assert written == ["trained.faiss", "block-000000.faiss"]
    again = []
    monkeypatch.setattr(
        search_index, "write_whole", lambda path, content: (again.append(path.name), really(path, content))
    )
    near = Neighbours(store, index=tmp_path / "index")
    assert again == ["block-000001.faiss", "search.faiss"]
    values = store.values()[::1000]
    for ours, theirs in zip(near.nearest(values, 5), whole.nearest(values, 5), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_cells_of_a_killed_fit_are_continued_iteration_by_iteration_to_the_same_answers(tmp_path, monkeypatch):
    store, kept = clustered(tmp_path / "store", 8000), []
    whole = Neighbours(store, index=tmp_path / "whole")
    really = search_index.write_arrays

    def dying(path, **arrays):
        if len(kept) == 4:
            raise KeyboardInterrupt
        kept.append(int(arrays["done"]))
        really(path, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr(search_index, "write_arrays", dying)
        with pytest.raises(KeyboardInterrupt):
            Neighbours(store, index=tmp_path / "index")
    monkeypatch.setattr(
        search_index, "write_arrays", lambda path, **a: (kept.append(int(a["done"])), really(path, **a))
    )
    near = Neighbours(store, index=tmp_path / "index")
    assert kept == list(range(1, 11))
    queries = store.values()[::500]
    for ours, theirs in zip(near.nearest(queries, 5), whole.nearest(queries, 5), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (tmp_path / "index/search.ivfdata").read_bytes() == (tmp_path / "whole/search.ivfdata").read_bytes()


def test_an_index_finds_what_a_search_through_all_finds(tmp_path):
    store = clustered(tmp_path / "store", 8000)
    given = {"like": ["g5", "g11"], "unlike": "g70", "galaxies": 6}
    exact = find_similar(store, out=tmp_path / "a", **given)
    found = find_similar(store, out=tmp_path / "b", index=tmp_path / "index", **given)
    assert found["id_str"].tolist() == exact["id_str"].tolist()
    np.testing.assert_allclose(found["distance"], exact["distance"], atol=1e-5)


def test_an_index_of_other_galaxies_or_damaged_is_refused(tmp_path):
    store = clustered(tmp_path / "store", 8000)
    Neighbours(store, index=tmp_path / "index")
    with pytest.raises(ValueError, match="give it without keep"):
        Neighbours(store, index=tmp_path / "index", approximate=True)
    with pytest.raises(ValueError, match="metrics cosine and euclidean, got 'manhattan'"):
        Neighbours(store, index=tmp_path / "index", metric="manhattan")
    data = tmp_path / "index" / "search.ivfdata"
    content = data.read_bytes()
    data.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"search\.ivfdata is damaged"):
        Neighbours(store, index=tmp_path / "index")
    data.write_bytes(content)
    store.append(["new"], np.ones((1, 16)))
    with pytest.raises(FileExistsError, match="other inputs"):
        Neighbours(store, index=tmp_path / "index")
