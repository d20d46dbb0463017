import tracemalloc

import numpy as np
import pytest

from morphtools.explore.pca import fit_pca
from morphtools.inference.representations import Representations


def test_what_was_appended_comes_back_in_order_and_in_batches(tmp_path):
    values = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
    names = [f"g{i}" for i in range(10)]
    store = Representations.create(tmp_path / "r", 3, {"weights": "a"})
    assert len(store) == 0 and store.values().shape == (0, 3) and len(store.id_str) == 0
    store.append(names[:7], values[:7])
    Representations.create(tmp_path / "r", 3, {"weights": "a"}).append(names[7:], values[7:])
    again = Representations.open(tmp_path / "r")
    assert len(again) == 10 and list(again.id_str) == names and again.provenance == {"weights": "a"}
    np.testing.assert_array_equal(again.values(), values)
    batches = list(again.batches(4))
    assert [len(ids) for ids, _ in batches] == [4, 3, 3]
    np.testing.assert_array_equal(np.concatenate([v for _, v in batches]), values)


def test_two_spaces_are_never_mixed(tmp_path):
    Representations.create(tmp_path, 3, {"weights": "a"})
    with pytest.raises(ValueError, match="another weights: a there, b now"):
        Representations.create(tmp_path, 3, {"weights": "b"})
    with pytest.raises(ValueError, match="another dimension: 3 there, 4 now"):
        Representations.create(tmp_path, 4, {"weights": "a"})


def test_what_cannot_be_kept_is_refused(tmp_path):
    store = Representations.create(tmp_path, 2, {})
    with pytest.raises(ValueError, match=r"not finite: .*b"):
        store.append(["a", "b"], [[0, 1], [np.nan, 0]])
    with pytest.raises(ValueError, match="2 galaxies in 2 dimensions expected"):
        store.append(["a", "b"], np.zeros((2, 3)))
    assert store.parts == []


def test_a_folder_without_or_with_a_damaged_description_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no representations at"):
        Representations.open(tmp_path)
    (tmp_path / "representations.json").write_text("{")
    with pytest.raises(ValueError, match=r"representations\.json is damaged"):
        Representations.open(tmp_path)


def test_names_and_rows_are_found_without_reading_all(tmp_path):
    store = Representations.create(tmp_path, 1, {})
    for start in (0, 5, 9):
        store.append(
            [f"g{i}" for i in range(start, start + 5 if start != 5 else 9)], np.zeros((4 if start == 5 else 5, 1))
        )
    np.testing.assert_array_equal(store.rows_of(["g9", "no", "g0", "g9", "g6"]), [9, -1, 0, 9, 6])
    assert store.names_of([13, 0, 5, 0]).tolist() == ["g13", "g0", "g5", "g0"]
    assert store.rows_of([]).tolist() == [] and store.names_of([]).tolist() == []


READERS = {
    "batches": lambda store: [values.sum() for _, values in store.batches(4096)],
    "rows_of": lambda store: store.rows_of(["g3", "g15000"]),
    "names_of": lambda store: store.names_of([3, 15000]),
    "fit_pca": lambda store: fit_pca(store, components=4),
}


@pytest.mark.parametrize("name", READERS)
def test_ten_times_as_many_galaxies_take_no_more_memory(tmp_path, name):
    peaks, values = {}, np.random.default_rng(0).normal(size=(5000, 8)).astype("float32")
    for parts in (3, 4, 40):  # what is imported is there the second time
        store = Representations.create(tmp_path / str(parts), 8, {})
        for i in range(parts):
            store.append([f"g{5000 * i + j}" for j in range(5000)], values)
        tracemalloc.start()
        READERS[name](store)
        peaks[parts] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[40] < peaks[4] + 500_000  # of 6.4 MB of numbers and 12 MB of names
