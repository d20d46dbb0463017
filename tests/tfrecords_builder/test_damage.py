"""Damage to the files of records is noticed wherever it matters, and named in one sentence."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from morphtools.data.dataset import load_dataset
from tfrecords_builder import Records, build_records, verify_records
from tfrecords_builder.checksums import check_file, file_checksum, reading
from tfrecords_builder.finish import finish


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    np.save(folder / "stack.npy", np.random.default_rng(0).normal(size=(60, 6, 6, 2)).astype("float32"))
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(60)], "file_loc": range(60), "votes": range(60)})
    build_records(catalog, folder / "records", images=folder / "stack.npy", bands=("g", "r"))
    return folder, catalog


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole[0] / "records", tmp_path / "records")


def flip(path, place, bit=1):
    content = bytearray(path.read_bytes())
    content[place] ^= bit
    path.write_bytes(content)


FLIPS = {"length": 0, "checksum_of_length": 9, "content": 40, "checksum_of_content": -1}


@pytest.mark.parametrize("where", FLIPS)
def test_a_flipped_bit_costs_one_galaxy_and_names_shard_and_byte(folder, where):
    records = Records.open(folder)
    shard = records.shards("train")[0]
    index = records.index().query("shard == @shard.name")
    offset = int(index["offset"].iloc[7])
    flip(shard, int(index["offset"].iloc[8]) - 1 if where == "checksum_of_content" else offset + FLIPS[where])
    read, damaged = records.source(), []
    for id_str in index["id_str"]:
        try:
            read(id_str)
        except ValueError as error:
            damaged.append((id_str, str(error)))
    ((id_str, message),) = damaged
    assert id_str == index["id_str"].iloc[7]
    assert re.fullmatch(rf"the shard {shard.name} is damaged at byte {offset}: .* \(checksum\)", message)
    with pytest.raises(ValueError, match=rf"^the shard \S+{shard.name} is damaged at byte {offset}: [^\n]+$"):
        load_dataset(records, "train")
    assert list(load_dataset(records, "val"))  # the other splits are sound


def test_a_shard_that_is_missing_cut_off_empty_or_another_is_named_before_training(folder):
    records = Records.open(folder)
    train, val = records.shards("train")[0], records.shards("val")[0]
    content = train.read_bytes()
    for bad, message in (
        (content[: len(content) // 2 + 5], "cut off"),
        (b"", "not the file that was built"),
        (val.read_bytes(), "not the file that was built"),
    ):
        train.write_bytes(bad)
        with pytest.raises(ValueError, match=rf"{train.name} is .*{message}"):
            load_dataset(records, "train")
    train.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{train.name} is missing"):
        load_dataset(records, "train")
    train.write_bytes(content)
    assert list(load_dataset(records, "train"))


def test_no_flipped_bit_of_the_index_goes_unnoticed(folder):
    path = folder / "index.parquet"
    content = path.read_bytes()
    for place in np.random.default_rng(0).integers(len(content), size=60):
        flip(path, place)
        with pytest.raises(ValueError, match=r"index\.parquet is damaged"):
            Records.open(folder).index()
        assert "index.parquet is damaged" in " ".join(verify_records(folder))
        path.write_bytes(content)
    assert len(Records.open(folder).index()) == 60


def test_records_of_earlier_versions_without_checksums_open_and_damage_is_still_one_sentence(folder):
    records = Records.open(folder)
    fields = dataclasses.replace(records, index_checksum=None).fields()
    (folder / "records.json").write_text(json.dumps({k: v for k, v in fields.items() if k != "index_checksum"}))
    assert len(Records.open(folder).index()) == 60 and list(load_dataset(folder, "train"))
    path = folder / "index.parquet"
    for content in (b"", path.read_bytes()[:-50], bytes(3000)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"^\S+index\.parquet is damaged: [^\n]+$"):
            Records.open(folder).index()


WRONG = {
    "shape": [None, [6, 6], [0, 6, 2], [6, 6, "2"], "6"],
    "bands": [[], None, ["g"], [1, 2]],
    "encoding": ["jpeg", None],
    "splits": [None, [], {"train": -1}, {"training": 3}, {"train": "3"}],
    "noise": [[1.0], "1", {}],
    "checksums": [None, [], {"../../x": "00000000"}, {"train-00000.tfrecord": 3}],
    "label_cols": ["votes", [1]],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_field_that_cannot_be_right_is_named(folder, name):
    fields = Records.open(folder).fields()
    for value in WRONG[name]:
        (folder / "records.json").write_text(json.dumps(fields | {name: value}))
        with pytest.raises(ValueError, match=rf"^\S+records\.json is damaged: '{name}' cannot be [^\n]+$"):
            Records.open(folder)
    (folder / "records.json").write_text(json.dumps({k: v for k, v in fields.items() if k != name}))
    with pytest.raises(ValueError, match=rf"records\.json is damaged: it has no '{name}'"):
        Records.open(folder)


def test_a_number_changed_in_records_json_is_noticed(folder):
    path = folder / "records.json"
    text = path.read_text()
    for before, after in (('"seed": 0', '"seed": 1'), ('"votes"', '"vote_"')):
        assert before in text
        path.write_text(text.replace(before, after))
        with pytest.raises(ValueError, match=r"records\.json is damaged or was edited by hand"):
            Records.open(folder)


def test_while_galaxies_are_added_the_index_is_not_called_damaged(whole, tmp_path, monkeypatch):
    source, catalog = whole
    options = {"images": source / "stack.npy", "bands": ("g", "r")}
    build_records(catalog[:30], tmp_path / "r", **options)
    monkeypatch.setattr(Records, "save", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build_records(catalog, tmp_path / "r", append=True, **options)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="adding galaxies was interrupted; run build-records again"):
        Records.open(tmp_path / "r").index()
    records = build_records(catalog, tmp_path / "r", append=True, **options)
    assert len(records.index()) == 60 and verify_records(records) == []


def test_galaxies_are_not_added_to_a_damaged_index(whole, tmp_path, monkeypatch):
    source, catalog = whole
    options = {"images": source / "stack.npy", "bands": ("g", "r")}
    build_records(catalog[:30], tmp_path / "r", **options)

    def damaged(*arguments):
        flip(tmp_path / "r" / "index.parquet", 200)
        return finish(*arguments)

    monkeypatch.setattr("tfrecords_builder.build.finish", damaged)
    with pytest.raises(ValueError, match=r"index\.parquet is damaged"):
        build_records(catalog, tmp_path / "r", append=True, **options)


def test_a_checksum_is_that_of_the_content(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"123456789")
    assert file_checksum(path) == "e3069283"  # of the standard, RFC 3720
    assert check_file(path, "e3069283") == path == check_file(path, None)
    with pytest.raises(ValueError, match="damaged"):
        check_file(path, "00000000")
    with pytest.raises(ValueError, match=r"^\S+a is damaged: EOFError$"), reading(path):
        raise EOFError
    with pytest.raises(FileNotFoundError), reading(path):
        raise FileNotFoundError(path)
