import numpy as np
import pyarrow as pa
import pytest

from morphtools.explore.pca import reduce_representations
from morphtools.inference.parts import gaps, name_of, parts_of, read_part, remove_overlaps, write_part
from morphtools.inference.representations import Representations

KEY = "train-00000-1a2b3c4d"


def parts(folder, *runs):
    """A part for each run of galaxies; its table has their places."""
    return [
        write_part(folder, f"part-{KEY}-{a:08d}-{b:08d}", pa.table({"id_str": [f"g{i}" for i in range(a, b)]}))
        for a, b in runs
    ]


def test_gaps_are_what_no_part_has(tmp_path):
    assert gaps(parts_of(tmp_path, KEY), 9) == [(0, 9)]
    parts(tmp_path, (2, 4), (4, 5), (7, 8))
    (tmp_path / f"part-{KEY}-00000000-00000001.parquet").write_bytes(b"")  # of an earlier version, without a checksum
    parts(tmp_path, (0, 3))
    (tmp_path / f"part-other-{KEY}-00000000-00000009.12345678.parquet").write_bytes(b"")
    assert gaps(parts_of(tmp_path, KEY), 9) == [(5, 7), (8, 9)] and gaps(parts_of(tmp_path, KEY), 8) == [(5, 7)]


def test_of_overlapping_parts_no_galaxy_stays_twice(tmp_path):
    parts(tmp_path, (0, 5), (0, 8), (5, 8), (8, 10), (9, 12))
    remove_overlaps(parts_of(tmp_path, KEY))
    assert [(a, b) for a, b, _ in parts_of(tmp_path, KEY)] == [(0, 8), (8, 10)]
    assert gaps(parts_of(tmp_path, KEY), 12) == [(10, 12)]


def test_no_flipped_bit_of_a_part_goes_unnoticed(tmp_path):
    (path,) = parts(tmp_path, (0, 20))
    assert name_of(path) == f"part-{KEY}-00000000-00000020" and read_part(path)["id_str"].to_pylist()[3] == "g3"
    content = path.read_bytes()
    for place in range(0, len(content), 11):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(ValueError, match=rf"{path.name} is damaged"):
            read_part(path)


@pytest.fixture
def store(tmp_path):
    store = Representations.create(tmp_path / "store", 8, {"weights": "w"})
    for i in range(3):
        store.append([f"g{i}_{j}" for j in range(20)], np.random.default_rng(i).normal(size=(20, 8)))
    return store


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "swap"])
def test_a_damaged_part_of_a_store_is_named_by_all_that_read_it(store, tmp_path, damage):
    one, two = store.parts[:2]
    content = one.read_bytes()
    bad = {"flip": content[:300] + bytes([content[300] ^ 1]) + content[301:], "cut": content[:-9], "empty": b""}
    one.write_bytes(bad.get(damage, two.read_bytes()))
    for read in (lambda: store.values(), lambda: store.id_str, lambda: list(store.batches())):
        with pytest.raises(ValueError, match=rf"^\S+{one.name} is damaged: [^\n]+$"):
            read()
    with pytest.raises(ValueError, match=rf"{one.name} is damaged"):
        reduce_representations(store, tmp_path / "reduced", components=2)


def test_parts_of_earlier_versions_are_read(store):
    whole = store.values()
    for path in store.parts:
        path.rename(store.folder / f"{name_of(path)}.parquet")
    np.testing.assert_array_equal(Representations.open(store.folder).values(), whole)
    store.parts[1].write_bytes(store.parts[1].read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"part-000001\.parquet is damaged: [^\n]+$"):
        store.values()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"dimension": "8", "provenance": {}}',
        '{"dimension": 8, "provenance": []}',
        '{"dimension": -1, "provenance": {}}',
    ],
)
def test_what_describes_a_store_is_checked(store, text):
    (store.folder / "representations.json").write_text(text)
    with pytest.raises(ValueError, match=r"^\S+representations\.json is damaged: [^\n]+$"):
        Representations.open(store.folder)


def test_a_store_is_not_read_in_another_dimension(store):
    (store.folder / "representations.json").write_text('{"dimension": 4, "provenance": {"weights": "w"}}')
    with pytest.raises(ValueError, match="do not have 4 dimensions"):
        Representations.open(store.folder).values()
