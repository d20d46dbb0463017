import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from morphtools.data.dataset import load_dataset
from morphtools.inference import filling
from morphtools.inference import stream as module
from morphtools.inference.parts import name_of, parts_of, publish, read_part, write_part
from morphtools.inference.represent import origin, represent_galaxies
from morphtools.inference.representations import Representations
from morphtools.inference.stream import missing_galaxies
from morphtools.models.encoders import any_way_up, build_encoder
from morphtools.training.representing import represent_splits, shuffled
from tfrecords_builder.build import build_records
from tfrecords_builder.records import Records
from tfrecords_builder.tfrecord import scan

SPLITS = ["train", "val", "test"]


class Mean(keras.layers.Layer):
    """The mean of each band."""

    def call(self, images):
        return keras.ops.mean(images, axis=(1, 2))


def model(bands=3, size=32):
    return keras.Sequential([keras.Input((size, size, bands)), Mean()])


@pytest.fixture
def records(galaxies, tmp_path):
    catalog, folder = galaxies
    return build_records(catalog, tmp_path / "records", images=folder)


@pytest.fixture
def small_shards(galaxies, tmp_path):
    """Records of several shards per split."""
    catalog, folder = galaxies
    for n in (14, 28, 40):
        records = build_records(catalog[:n], tmp_path / "records", images=folder, append=n > 14)
    return records


def expected(records, splits=SPLITS):
    """By name, the means of the images as `load_dataset` reads them."""
    batches = [batch for split in splits for batch in load_dataset(records, split)]
    names = [name.decode() for batch in batches for name in batch["id_str"].numpy()]
    return names, np.concatenate([batch["image"].numpy().mean(axis=(1, 2)) for batch in batches])


def represent(records, out, model=None, splits=SPLITS, batch_size=4, **options):
    return represent_galaxies(
        model or globals()["model"](), records, out, splits, provenance={}, batch_size=batch_size, **options
    )


def files(folder):
    """The content of every file by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def seen_by(monkeypatch, dies_after=None):
    """Records the sizes of the batches that the model computes; it may die after some."""
    sizes, really = [], module.compiled(model(), 4)

    def forward(images):
        if dies_after is not None and len(sizes) == dies_after:
            raise KeyboardInterrupt
        sizes.append(len(images))
        return really(images)

    monkeypatch.setattr(module, "compiled", lambda model, batch_size: forward)
    return sizes


def test_every_galaxy_comes_once_in_the_order_of_the_shards(small_shards, tmp_path):
    store = represent(small_shards, tmp_path / "store", batch_size=2)
    names, means = expected(small_shards, sorted(SPLITS))
    assert list(store.id_str) == names and len(small_shards.checksums) > 5
    np.testing.assert_allclose(store.values(), means, rtol=1e-5)


def test_a_network_is_shown_as_many_galaxies_as_its_largest_layer_allows():
    batch, size = {}, 64
    for name, largest in {"mobilenet_v3_small": 16 / 4, "efficientnet_b0": 96 / 4}.items():  # the stem, expansion 2a
        encoder = build_encoder(name, (size, size, 3))
        whole = keras.Sequential([keras.Input((size, size, 3)), *any_way_up(encoder), keras.layers.Dense(1)])
        batch[name] = module.galaxies_per_batch(whole)
        assert batch[name] == module.galaxies_per_batch(encoder)
        assert 5e6 < 8 * batch[name] * largest * size**2 < 13.5e6
    assert batch["mobilenet_v3_small"] > 3 * batch["efficientnet_b0"]
    assert module.galaxies_per_batch(encoder, 10_000) == 1


def test_a_part_is_a_share_of_the_shards_and_the_rest_follows(small_shards, tmp_path, monkeypatch):
    out = tmp_path / "store"
    sizes = [len(represent(small_shards, out, part=part)) for part in ("1/3", "3/3")]
    assert 0 < sizes[0] < sizes[1] < 40
    counted = seen_by(monkeypatch)
    store = represent(small_shards, out)
    assert sum(counted) == 40 - sizes[1]  # only what was missing
    assert sorted(store.id_str) == sorted(expected(small_shards)[0])
    with pytest.raises(ValueError, match="part must look like 2/5"):
        represent(small_shards, out, part="4/3")


@pytest.mark.parametrize("batches", [1, 3, 6])
def test_after_a_kill_nothing_that_was_written_is_computed_again(records, tmp_path, monkeypatch, batches):
    monkeypatch.setattr(filling, "_SECONDS", 0.0)  # every batch is a part
    with monkeypatch.context() as dying:
        seen_by(dying, dies_after=batches)
        with pytest.raises(KeyboardInterrupt):
            represent(records, tmp_path / "store")
    written = sum(len(read_part(path)) for path in (tmp_path / "store").rglob("part-*"))
    assert written >= 4 * (batches - 2)  # one batch is on the way, one not yet written
    counted = seen_by(monkeypatch)
    store = represent(records, tmp_path / "store")
    assert sum(counted) == 40 - written
    whole = represent(records, tmp_path / "whole")
    assert files(store.folder) == files(whole.folder) and len(whole.parts) == 3  # a part for each shard


def test_galaxies_added_to_the_records_are_added_to_the_store(galaxies, tmp_path, monkeypatch):
    catalog, folder = galaxies
    records = build_records(catalog[:25], tmp_path / "records", images=folder)
    first = origin(records)
    represent(records, tmp_path / "store")
    grown = build_records(catalog, tmp_path / "records", images=folder, append=True)
    assert origin(grown) == first != origin(build_records(catalog, tmp_path / "other", images=folder))
    counted = seen_by(monkeypatch)
    store = represent(grown, tmp_path / "store")
    assert sum(counted) == 15 and sorted(store.id_str) == sorted(catalog["id_str"])


def test_records_of_another_content_are_not_taken_for_done(galaxies, tmp_path):
    catalog, folder = galaxies
    represent(build_records(catalog, tmp_path / "a", images=folder), tmp_path / "store")
    other = build_records(catalog.assign(ring=0), tmp_path / "b", images=folder)
    assert len(represent(other, tmp_path / "store")) == 80  # the same names of shards, other checksums


def damage(records, wanted):
    """Breaks the JPEG of a galaxy inside its shard, with checksums that are right; returns its name."""
    from tfrecords_builder.tfrecord import decode, encode, frame

    shard = records.shards("train")[0]
    found = [decode(data) for _, data in scan(shard)]
    for features in found:
        features |= {name: np.float32(value) for name, value in features.items() if isinstance(value, float)}
    found[wanted]["image"] = b"\xff\xd8 no picture any more"
    offsets, blob = [], b""
    for features in found:
        offsets.append(len(blob))
        blob += b"".join(frame(encode(features)))
    shard.write_bytes(blob)
    names = [features["id_str"].decode() for features in found]
    index = records.index()
    places = index["id_str"].map(dict(zip(names, offsets, strict=True)))
    index.assign(offset=places.fillna(index["offset"]).astype(int)).to_parquet(records.folder / "index.parquet")
    dataclasses.replace(records, index_checksum=None).save()
    return names[wanted], Records.open(records.folder)


@pytest.mark.parametrize("wanted", [0, 5, -1])
def test_one_bad_galaxy_is_left_out_and_listed(records, tmp_path, wanted):
    bad, records = damage(records, wanted)
    store = represent(records, tmp_path / "store")
    assert len(store) == 39 and bad not in store.id_str
    (failure,) = missing_galaxies(records, tmp_path / "store", SPLITS)
    assert failure["id_str"] == bad and "cannot be decoded" in failure["reason"]


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["encoded", "pixels"])
@pytest.mark.parametrize("where", [3, 9, 400])  # in the length of a record, its checksum, the content
def test_a_flipped_bit_costs_one_galaxy_and_a_repaired_shard_gives_it_back(small_shards, tmp_path, where, kind):
    records, bands, size = small_shards, 3, 32
    if kind == "pixels":
        np.save(tmp_path / "stack.npy", np.random.default_rng(0).normal(size=(40, 8, 8, 2)).astype("float32"))
        catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(40)], "file_loc": range(40)})
        options = {"images": tmp_path / "stack.npy", "bands": ("g", "r")}
        records, bands, size = build_records(catalog, tmp_path / "pixels", **options), 2, 8
    shard = records.shards("train")[0]
    index = records.index().query("shard == @shard.name")
    good, offset = shard.read_bytes(), int(index["offset"].iloc[4])
    flip(shard, offset + where)
    store = represent(records, tmp_path / "store", model(bands, size))
    for _ in range(2):  # the next call tries again and finds the same
        (failure,) = missing_galaxies(records, tmp_path / "store", SPLITS)
        assert failure["id_str"] == index["id_str"].iloc[4] and len(store) == 39
        assert failure["reason"].startswith(f"the shard {shard.name} is damaged at byte {offset}: ")
        store = represent(records, tmp_path / "store", model(bands, size))
    shard.write_bytes(good)
    store = represent(records, tmp_path / "store", model(bands, size))
    whole = represent(records, tmp_path / "whole", model(bands, size))
    assert missing_galaxies(records, tmp_path / "store", SPLITS) == []
    np.testing.assert_array_equal(store.id_str, whole.id_str)
    np.testing.assert_allclose(store.values(), whole.values(), rtol=1e-6)


def test_a_shard_that_is_cut_off_loses_its_end_and_a_missing_one_stops(small_shards, tmp_path):
    shard = small_shards.shards("train")[0]
    index, good = small_shards.index().query("shard == @shard.name"), shard.read_bytes()
    shard.write_bytes(good[: int(index["offset"].iloc[3]) + 100])
    store = represent(small_shards, tmp_path / "store")
    failures = missing_galaxies(small_shards, tmp_path / "store", SPLITS)
    assert [failure["id_str"] for failure in failures] == index["id_str"].iloc[3:].tolist()
    assert len(store) + len(failures) == 40
    assert {
        failure["reason"].partition(" at byte")[0] for failure in failures if "cut off before" not in failure["reason"]
    }
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=rf"the shard \S+{shard.name} is missing"):
        represent(small_shards, tmp_path / "store")
    shard.write_bytes(good)
    assert len(represent(small_shards, tmp_path / "store")) == 40


def test_shards_that_were_swapped_stop_the_run_and_are_named(small_shards, tmp_path):
    one, two = small_shards.shards("train")[0], small_shards.shards("train")[1]
    one.rename(tmp_path / "x"), two.rename(one), (tmp_path / "x").rename(two)
    with pytest.raises(ValueError, match=r"the shard \S+train-\S+ is not the one that was built"):
        represent(small_shards, tmp_path / "store")
    assert len(Representations.open(tmp_path / "store")) == 0 or "train" not in "".join(
        path.name for path in Representations.open(tmp_path / "store").parts
    )


def test_galaxies_that_two_processes_represented_come_once(small_shards, tmp_path):
    store = represent(small_shards, tmp_path / "store")
    whole = files(store.folder)
    for path in store.parts:  # as earlier versions left them
        first = read_part(path).slice(0, 1)
        write_part(store.folder, f"{name_of(path)[:-8]}00000001", first)
    assert len(store) > 40
    again = represent(small_shards, tmp_path / "store")
    assert files(again.folder) == whole


@pytest.mark.parametrize("cuts", [[(0, 4), (4, 9), (9, 12)], [(0, 4), (0, 9), (4, 12), (9, 12)]])
def test_a_part_does_not_depend_on_the_pieces_it_was_made_of(tmp_path, cuts):
    names, values = [f"g{i}" for i in range(12)], np.random.default_rng(0).normal(size=(12, 3))
    (tmp_path / "pieces").mkdir()

    def published(folder, cuts):
        store = Representations.create(folder, 3, {})
        for a, b in cuts:
            write_part(tmp_path / "pieces", f"part-x-{a:08d}-{b:08d}", store.table(names[a:b], values[a:b]))
        publish(tmp_path / "pieces", folder, "x", 12)
        assert not list((tmp_path / "pieces").iterdir()) and len(store.parts) == 1
        return store

    store, whole = published(tmp_path / "store", cuts), published(tmp_path / "whole", [(0, 12)])
    assert files(store.folder) == files(whole.folder) and store.id_str.tolist() == names
    np.testing.assert_array_equal(store.values(), values.astype("float32"))


def test_what_damage_leaves_of_a_shard_are_its_runs(tmp_path):
    pieces = tmp_path / "pieces"
    store = Representations.create(tmp_path / "parts", 2, {})
    pieces.mkdir()
    for a, b in [(0, 2), (2, 5), (6, 8), (8, 9)]:  # galaxies 5 and 9 cannot be read
        write_part(pieces, f"part-x-{a:08d}-{b:08d}", store.table([f"g{i}" for i in range(a, b)], np.ones((b - a, 2))))
    publish(pieces, store.folder, "x", 10)
    assert [(a, b) for a, b, _ in parts_of(store.folder, "x")] == [(0, 5), (6, 9)]
    assert store.id_str.tolist() == ["g0", "g1", "g2", "g3", "g4", "g6", "g7", "g8"]


def test_an_executor_writes_the_bytes_of_one_process(small_shards, tmp_path, monkeypatch):
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    network = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    whole = represent(small_shards, tmp_path / "whole", network)
    monkeypatch.setattr(filling, "_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    records = dataclasses.replace(small_shards, folder=Path("records"))
    with ThreadPoolExecutor(2) as executor:
        store = represent(records, Path("store"), network, executor=executor)
    assert files(store.folder) == files(whole.folder) and len(whole) == 40


def test_what_is_not_finite_is_left_out_and_listed(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(30, 8, 8, 2)).astype("float32")
    pixels[7, 3, 3, 0] = 3e38
    pixels[7, 4, 4, 0] = 3e38
    np.save(tmp_path / "stack.npy", pixels)
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(30)], "file_loc": range(30)})
    records = build_records(catalog, tmp_path / "records", images=tmp_path / "stack.npy", bands=("g", "r"))
    store = represent(records, tmp_path / "store", model(2, 8))
    (failure,) = missing_galaxies(records, tmp_path / "store", SPLITS)
    assert failure["id_str"] == "g7" and failure["reason"] == "the model's output is not finite"
    order = [int(name[1:]) for name in store.id_str]
    np.testing.assert_allclose(store.values(), pixels[order].mean(axis=(1, 2)), atol=1e-5)


def test_a_split_is_represented_with_its_rows_of_the_index(records, tmp_path):
    values, rows = represent_splits(model(), records, ["train"], tmp_path / "train", {})["train"]
    names, means = expected(records, ["train"])
    assert list(rows["id_str"]) == names
    np.testing.assert_allclose(values, means, rtol=1e-5)
    one, other = (list(shuffled(values, rows["ring"].to_numpy(), 7, seed=seed)) for seed in (0, 1))
    assert sorted(np.concatenate([x for x, _ in one])[:, 0]) == sorted(values[:, 0])
    assert not np.array_equal(one[0][0], other[0][0])


@pytest.mark.slow
def test_killed_at_any_moment_it_resumes_to_the_same_store(records, tmp_path, forks):
    whole = represent(records, tmp_path / "whole")
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_stream
from morphtools.inference import filling
from tfrecords_builder.records import Records
filling._SECONDS = 0.0
test_stream.represent(Records.open(sys.argv[1]), Path(sys.argv[2]))
"""
    for parts in (1, 2, 3):  # one call leaves none, the next another, the last two more
        forks(code, records.folder, tmp_path / "store", killed_before="/part-", nth=parts)
    assert len(list((tmp_path / "store").rglob("part-*.parquet"))) == 3
    store = represent(records, tmp_path / "store")
    left = {path: content for path, content in files(store.folder).items() if ".partial." not in path}
    assert left == files(whole.folder)  # half a file of each that was killed is removed by the verbs, at the end
