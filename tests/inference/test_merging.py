import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from morphtools.inference.merging import merge
from morphtools.inference.parts import write_part


def merged(folder, cuts):
    """The files that `merge` makes of 40,000 rows cut into parts."""
    folder.mkdir()
    values = np.arange(40_000.0)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(values, 2)), 2)
    table = pa.table({"id_str": [f"g{i}" for i in range(40_000)], "x": values, "pdf": lists})
    parts = [write_part(folder, f"part-{a:05d}", table.slice(a, b - a)) for a, b in itertools.pairwise(cuts)]
    assert merge(parts, folder / "all", {"made": "here"}) == 40_000
    return (folder / "all.parquet").read_bytes(), (folder / "all.csv").read_text()


def test_a_table_does_not_depend_on_where_its_parts_end(tmp_path):
    parquet, csv = merged(tmp_path / "whole", [0, 40_000])
    assert merged(tmp_path / "cut", [0, 1, 1, 17_000, 40_000]) == (parquet, csv)
    table = pq.read_table(tmp_path / "cut" / "all.parquet")
    assert table["x"].to_pylist() == list(range(40_000)) and table.schema.metadata[b"made"] == b"here"
    assert csv.splitlines()[0] == '"id_str","x"' and len(csv.splitlines()) == 40_001


def test_no_parts_are_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"no galaxy could be used, see \S+failures\.csv"):
        merge([], tmp_path / "all")
