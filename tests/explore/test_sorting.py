import numpy as np
import pandas as pd
import pytest

from morphtools.explore import sorting
from morphtools.explore.sorting import in_order


@pytest.mark.parametrize("rows", [10, 300, 10_000])  # in memory at a time: up to a hundred files, a few, one
def test_rows_are_in_the_order_of_a_stable_sort_of_all_however_few_memory_holds(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(sorting, "_ROWS", rows)
    rng = np.random.default_rng(0)
    score = rng.normal(size=1000).round(1)  # many are equal
    table = pd.DataFrame({"id_str": [f"g{i}" for i in range(1000)], "score": score, "rating": np.nan})
    tables = (table[start : start + 70] for start in range(0, 1000, 70))
    found = list(in_order(tables, "score", like=rng.choice(score, 200), total=1000, folder=tmp_path))
    expected = table.sort_values("score", ascending=False, kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(pd.concat(found, ignore_index=True), expected)
    assert rows > 300 or len(found) > 3
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_all_the_same_keep_the_order_of_the_rows_and_are_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(sorting, "_ROWS", 10)
    table = pd.DataFrame({"id_str": [f"g{i}" for i in range(50)], "score": 1.0})
    found = list(in_order([table[:20], table[20:]], "score", like=np.ones(5), total=50, folder=tmp_path))
    pd.testing.assert_frame_equal(pd.concat(found, ignore_index=True), table)
    assert [len(each) for each in found] == [10] * 5  # no range is larger than memory
