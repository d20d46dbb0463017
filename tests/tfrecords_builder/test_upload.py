import fsspec
import numpy as np
import pandas as pd
import pytest

from morphtools.inference.representations import Representations
from tfrecords_builder import upload as module
from tfrecords_builder.build import build_records
from tfrecords_builder.claims import claim
from tfrecords_builder.records import Records
from tfrecords_builder.upload import upload


@pytest.fixture
def written(monkeypatch, tmp_path):
    """The names of the objects that `upload` writes, in this order; their place is memory://bucket."""
    monkeypatch.setenv("MORPHTOOLS_CACHE", str(tmp_path / "cache"))
    fsspec.filesystem("memory").store.clear()
    names, original = [], module.write_object

    def write(url, content):
        original(url, content)
        names.append(url.removeprefix("memory://bucket/"))

    monkeypatch.setattr(module, "write_object", write)
    return names


@pytest.fixture
def records(galaxies, tmp_path):
    catalog, folder = galaxies
    return build_records(catalog[:30], tmp_path / "records", images=folder)


def results_of(names):
    return [name for name in names if name != "uploaded.json"]


def test_what_was_uploaded_is_there_byte_by_byte_and_the_description_came_last(records, written):
    there = fsspec.filesystem("memory")
    number = upload(records.folder, "memory://bucket")
    names = results_of(written)
    assert sorted(names) == sorted(path.name for path in records.folder.iterdir()) and number == len(names)
    assert names[-2:] == ["index.parquet", "records.json"]
    for name in names:
        assert there.cat_file(f"/bucket/{name}") == (records.folder / name).read_bytes()
    assert upload(records.folder, "memory://bucket") == 0 and results_of(written) == names


@pytest.mark.parametrize("after", range(1, 6))
def test_a_killed_upload_has_no_description_and_resumes_where_it_stopped(records, written, monkeypatch, after):
    write = module.write_object
    monkeypatch.setattr(module, "_EVERY", 1)

    def killed(url, content):
        if len(results_of(written)) == after - 1 and not url.endswith("uploaded.json"):
            raise OSError("killed")
        write(url, content)

    monkeypatch.setattr(module, "write_object", killed)
    with pytest.raises(OSError, match="killed"):
        upload(records.folder, "memory://bucket")
    with pytest.raises(FileNotFoundError):
        Records.open("memory://bucket")
    monkeypatch.setattr(module, "write_object", write)
    upload(records.folder, "memory://bucket")
    assert sorted(results_of(written)) == sorted(path.name for path in records.folder.iterdir())  # each of them once
    assert Records.open("memory://bucket").checksums == records.checksums


def test_only_new_shards_of_grown_records_are_uploaded(galaxies, records, written):
    catalog, folder = galaxies
    upload(records.folder, "memory://bucket")
    before = len(written)
    grown = build_records(catalog, records.folder, images=folder, append=True)
    upload(records.folder, "memory://bucket")
    new = set(grown.checksums) - set(records.checksums)
    assert new and set(results_of(written[before:])) == {"index.parquet", "records.json", *new}
    assert len(Records.open("memory://bucket").index()) == 40


def test_other_results_are_not_mixed_with_those_that_are_there(galaxies, records, written, tmp_path):
    catalog, folder = galaxies
    upload(records.folder, "memory://bucket")
    other = build_records(catalog, tmp_path / "other", images=folder)
    with pytest.raises(FileExistsError, match=r"^memory://bucket holds other results \(records.json differs\)"):
        upload(other.folder, "memory://bucket")
    assert Records.open("memory://bucket").checksums == records.checksums


def test_a_store_is_claimed_before_its_parts_are_there(written, tmp_path, monkeypatch):
    for name in "ab":
        with claim(tmp_path / name, "represent", {}, {"weights": name}) as claimed:
            claimed.keep()
            Representations.create(tmp_path / name, 2, {"weights": name}).append([name], np.ones((1, 2)))
    with monkeypatch.context() as patched:
        patched.setattr(module, "_in_order", lambda names: iter([["claim.json"]]))  # and then it was killed
        upload(tmp_path / "a", "memory://bucket")
    with pytest.raises(FileExistsError, match=r"claim.json differs"):
        upload(tmp_path / "b", "memory://bucket")


def test_parts_of_a_store_that_were_made_apart_are_one_store(written, tmp_path):
    values = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    ids = [f"g{i}" for i in range(6)]
    for part in range(3):
        rows = slice(2 * part, 2 * part + 2)
        store = Representations.create(tmp_path / f"{part}", 3, {"weights": "w"})
        store.append(ids[rows], values[rows], part=f"train-{part}")
        upload(store.folder, "memory://bucket")
    store = Representations.open("memory://bucket")
    assert list(store.id_str) == ids
    np.testing.assert_array_equal(store.values(), values)


def test_a_file_that_changed_in_the_same_size_is_uploaded_again(written, tmp_path):
    (tmp_path / "table").mkdir()
    for content in ("1", "2", "1"):
        (tmp_path / "table/scores.csv").write_text(content)
        upload(tmp_path / "table", "memory://bucket")
        assert fsspec.filesystem("memory").cat_file("/bucket/scores.csv") == content.encode()


def test_only_finished_folders_are_uploaded_and_only_to_urls(records, written, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, url, words in (
        (records.folder, str(tmp_path / "there"), "^give the URL to upload to, such as s3://bucket/records"),
        (tmp_path / "empty", "memory://bucket", "^there is nothing to upload in "),
    ):
        with pytest.raises(ValueError, match=words):
            upload(folder, url)
    with pytest.raises(FileNotFoundError, match=r"^there is no folder "):
        upload(tmp_path / "none", "memory://bucket")
    (records.folder / ".build").mkdir()
    with pytest.raises(ValueError, match=r"^the work in .* is not finished: run its command again"):
        upload(records.folder, "memory://bucket")
    assert written == []


def test_a_folder_is_uploaded_to_a_file_url_too(records, tmp_path):
    upload(records.folder, f"file://{tmp_path}/there")
    pd.testing.assert_frame_equal(Records.open(tmp_path / "there").index(), records.index())
