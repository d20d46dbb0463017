import io
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from morphtools.data.batches import read_batches, read_shards
from morphtools.inference.representations import Representations
from tfrecords_builder import copies as copies_of_objects
from tfrecords_builder.build import build_records
from tfrecords_builder.catalog import read_catalog
from tfrecords_builder.claims import claim, inputs_of
from tfrecords_builder.copies import here, in_use, open_file, path_of_mosaic
from tfrecords_builder.images import open_images
from tfrecords_builder.records import Records, read_pixels
from tfrecords_builder.verify import check_shards, verify_records


def put(folder, url):
    """Copies all files of a folder to memory by fsspec's own means."""
    memory = fsspec.filesystem("memory")
    for path in folder.rglob("*"):
        if path.is_file():
            memory.pipe_file(f"{url}/{path.relative_to(folder)}".removeprefix("memory:/"), path.read_bytes())


@pytest.fixture
def url(tmp_path, monkeypatch):
    """A place in memory that nobody else uses; copies go to `cache`."""
    monkeypatch.setenv("MORPHTOOLS_CACHE", str(tmp_path / "cache"))
    fsspec.filesystem("memory").store.clear()
    return "memory://bucket"


@pytest.fixture
def records(galaxies, tmp_path, url):
    """Records in a folder, and the same at `url`/records."""
    catalog, folder = galaxies
    built = build_records(catalog, tmp_path / "records", images=folder)
    put(tmp_path / "records", f"{url}/records")
    return built


def copies(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_a_catalogue_at_a_url_is_that_of_the_file(galaxies, tmp_path, url, ending):
    catalog, _ = galaxies
    path = tmp_path / "far" / f"catalog.{ending}"
    path.parent.mkdir()
    catalog.to_parquet(path) if ending == "parquet" else catalog.to_csv(path, index=False)
    put(path.parent, url)
    pd.testing.assert_frame_equal(read_catalog(f"{url}/catalog.{ending}"), read_catalog(path))
    assert inputs_of(f"{url}/catalog.{ending}") == inputs_of(path)  # claims compare content, not places


def test_a_file_url_is_the_file_itself(tmp_path, url):
    assert here(f"file://{tmp_path}/x.csv") == tmp_path / "x.csv" and copies(tmp_path) == []


def test_an_object_is_fetched_once_and_again_when_it_has_changed(tmp_path, url, monkeypatch):
    memory, fetched = fsspec.filesystem("memory"), []
    original = type(memory).get_file
    monkeypatch.setattr(type(memory), "get_file", lambda self, *a, **k: fetched.append(a[0]) or original(self, *a, **k))
    memory.pipe_file("/bucket/a.csv", b"id_str\n1\n")
    assert here(f"{url}/a.csv").read_bytes() == here(f"{url}/a.csv").read_bytes() == b"id_str\n1\n"
    assert len(fetched) == 1
    memory.pipe_file("/bucket/a.csv", b"id_str\n1\n2\n")
    assert here(f"{url}/a.csv").read_bytes() == b"id_str\n1\n2\n" and len(fetched) == 2


def test_an_object_that_changes_while_it_is_read_is_an_error_and_no_copy(tmp_path, url, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/bucket/a.csv", b"id_str\n1\n")

    def get_file(self, source, target, **_):
        Path(target).write_bytes(self.cat_file(source))
        self.pipe_file(source, b"id_str\n1\n2\n")

    monkeypatch.setattr(type(memory), "get_file", get_file)
    with pytest.raises(OSError, match=f"^{url}/a.csv changed while it was read: run the same call again"):
        here(f"{url}/a.csv")
    assert copies(tmp_path) == []


def test_records_of_images_at_a_url_are_byte_by_byte_those_of_the_folder(galaxies, tmp_path, url, records):
    _, folder = galaxies
    put(folder, f"{url}/images")
    put(tmp_path, url)
    again = build_records(f"{url}/catalog.csv", tmp_path / "again", images=f"{url}/images")
    assert (again.digest, again.checksums) == (records.digest, records.checksums)
    assert not any(name.endswith(".jpg") for name in copies(tmp_path))


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_images_at_a_url_are_their_own_catalogue_as_those_of_a_folder_are(galaxies, tmp_path, url, kind):
    from zipfile import ZipFile

    _, folder = galaxies
    for i, path in enumerate(sorted(folder.iterdir())):
        (folder / "AB"[i % 2]).mkdir(exist_ok=True)
        path.rename(folder / "AB"[i % 2] / path.name)
    near = far = folder
    if kind == "zip":
        (tmp_path / "far").mkdir()
        near = far = tmp_path / "far/all.zip"
        with ZipFile(far, "w") as archive:
            for path in sorted(folder.rglob("*.jpg")):
                archive.write(path, path.relative_to(folder))
    put(far.parent, url)
    pd.testing.assert_frame_equal(read_catalog(f"{url}/{far.name}"), read_catalog(near))
    assert inputs_of(f"{url}/{far.name}") == inputs_of(near)
    one, other = (
        build_records(each, tmp_path / n, images=each) for n, each in (("n", near), ("f", f"{url}/{far.name}"))
    )
    assert one.checksums == other.checksums
    assert copies(tmp_path) == (["all.zip"] if kind == "zip" else [])


@pytest.mark.parametrize("cut", ["zip", "npy"])
def test_archives_and_stacks_at_a_url_are_those_of_the_file(galaxies, tmp_path, url, cut):
    from zipfile import ZipFile

    catalog, folder = galaxies
    (tmp_path / "far").mkdir()
    if cut == "zip":
        with ZipFile(tmp_path / "far/all.zip", "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
    else:
        np.save(tmp_path / "far/all.npy", np.random.default_rng(0).normal(size=(40, 8, 8, 3)).astype("float32"))
        catalog = catalog.assign(file_loc=range(40))
    put(tmp_path / "far", url)
    near = build_records(catalog, tmp_path / "near", images=tmp_path / f"far/all.{cut}")
    assert build_records(catalog, tmp_path / "b", images=f"{url}/all.{cut}").checksums == near.checksums
    assert inputs_of(images=f"{url}/all.{cut}") == inputs_of(images=tmp_path / f"far/all.{cut}")


@pytest.mark.parametrize("loc", ["../x.jpg", "/x.jpg", "http://x/x.jpg", "memory://other/x.jpg", "a/../../x.jpg"])
@pytest.mark.parametrize("place", ["url", "folder"])
def test_a_file_loc_never_leads_out_of_the_place_that_was_given(galaxies, tmp_path, url, loc, place):
    catalog, folder = galaxies
    memory = fsspec.filesystem("memory")
    for name in ("/x.jpg", "/other/x.jpg", "/bucket/x.jpg"):
        memory.pipe_file(name, (folder / "g00.jpg").read_bytes())
    put(folder, f"{url}/images")
    catalog.loc[0, "file_loc"] = loc
    build_records(catalog, tmp_path / "out", images=f"{url}/images" if place == "url" else folder)
    failures = pd.read_parquet(tmp_path / "out/failures.parquet")
    assert failures["id_str"].tolist() == ["g00"]


def test_a_file_loc_may_be_the_whole_url_of_an_image(galaxies, tmp_path, url, records):
    catalog, folder = galaxies
    put(folder, f"{url}/images")
    catalog["file_loc"] = f"{url}/images/" + catalog["file_loc"]
    again = build_records(catalog, tmp_path / "again", images=f"{url}/images")
    assert again.splits == records.splits and again.failed == 0


def test_a_missing_image_is_listed_but_an_outage_ends_the_build_which_resumes(
    galaxies, tmp_path, url, records, monkeypatch
):
    catalog, folder = galaxies
    put(folder, f"{url}/images")
    memory, original = fsspec.filesystem("memory"), type(fsspec.filesystem("memory")).cat_file

    def cut(self, path, *args, **options):
        if path.endswith("g07.jpg"):
            raise ConnectionResetError("connection reset by peer")
        return original(self, path, *args, **options)

    words = f"^{url}/images/g07.jpg cannot be accessed: connection reset by peer; the same call resumes"
    with monkeypatch.context() as patched, pytest.raises(OSError, match=words):
        patched.setattr(type(memory), "cat_file", cut)
        build_records(catalog, tmp_path / "out", images=f"{url}/images")
    assert build_records(catalog, tmp_path / "out", images=f"{url}/images").checksums == records.checksums
    memory.rm_file("/bucket/images/g07.jpg")
    build_records(catalog, tmp_path / "less", images=f"{url}/images")
    (failure,) = pd.read_parquet(tmp_path / "less/failures.parquet").to_dict("records")
    assert failure["reason"] == f"cannot read g07.jpg: there is nothing at {url}/images/g07.jpg"


def test_single_galaxies_of_records_at_a_url_are_read_without_their_shards(records, tmp_path, url):
    far = Records.open(f"{url}/records")
    ids = list(records.index()["id_str"])[::7]
    for near, pixels in zip(read_pixels(records, ids), read_pixels(far, ids), strict=True):
        np.testing.assert_array_equal(pixels, near)
    assert copies(tmp_path) == ["index.parquet", "records.json"]


@pytest.mark.any_backend
def test_shards_at_a_url_are_shown_in_the_same_batches_and_not_kept(records, tmp_path, url):
    far = Records.open(f"{url}/records")
    places = dict.fromkeys(sorted(records.checksums), 1)
    near = list(read_shards(records, places, batch_size=5))
    for batch, other in zip(near, read_shards(far, places, batch_size=5), strict=True):
        assert batch.keys() == other.keys()
        for name, values in batch.items():
            np.testing.assert_array_equal(other[name], values)
    assert not any(name.endswith("tfrecord") for name in copies(tmp_path))


@pytest.mark.any_backend
def test_a_split_at_a_url_is_copied_for_training_and_checked(records, tmp_path, url):
    far = Records.open(f"{url}/records")
    for epoch in range(2):
        near = list(read_batches(records, "train", batch_size=8, shuffle=True, seed=epoch))
        for batch, other in zip(near, read_batches(far, "train", batch_size=8, shuffle=True, seed=epoch), strict=True):
            np.testing.assert_array_equal(other["image"], batch["image"])
    assert [name for name in copies(tmp_path) if name.endswith("tfrecord")] == [p.name for p in records.shards("train")]
    assert verify_records(far) == []


def test_a_damaged_copy_is_made_anew_and_a_damaged_object_is_named(records, tmp_path, url):
    far, (shard,) = Records.open(f"{url}/records"), records.shards("train")
    check_shards(far, [shard.name])
    copy = far.folder / shard.name
    copy.write_bytes(b"x" * 100)
    check_shards(far, [shard.name])
    assert copy.read_bytes() == shard.read_bytes()
    fsspec.filesystem("memory").pipe_file(f"/bucket/records/{shard.name}", shard.read_bytes()[:-1] + b"x")
    copy.write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match=f"{shard.name} is damaged"):
        check_shards(far, [shard.name])


def test_after_records_at_a_url_were_replaced_none_of_their_copies_is_used(galaxies, records, tmp_path, url):
    """The new ones have shards of the same names and sizes, and the same galaxies, whose labels differ."""
    catalog, folder = galaxies
    names = [path.name for path in records.shards("train")]
    check_shards(Records.open(f"{url}/records"), names)
    other = build_records(catalog.assign(ring=1 - catalog["ring"]), tmp_path / "other", images=folder)
    assert [path.name for path in other.shards("train")] == names and other.checksums != records.checksums
    put(other.folder, f"{url}/records")
    near, far = (
        np.concatenate([batch["ring"] for batch in read_shards(each, dict.fromkeys(names, 0), batch_size=8)])
        for each in (other, Records.open(f"{url}/records"))
    )
    np.testing.assert_array_equal(far, near)


def test_of_a_damaged_shard_at_a_url_as_many_galaxies_are_shown_as_of_the_file(records, url):
    (shard,) = records.shards("train")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    fsspec.filesystem("memory").pipe_file(f"/bucket/records/{shard.name}", bytes(content))
    shown = [
        [name for batch in read_shards(each, {shard.name: 0}, batch_size=4) for name in batch["id_str"]]
        for each in (records, Records.open(f"{url}/records"))
    ]
    assert shown[0] == shown[1] and 0 < len(shown[0]) < records.splits["train"]


def test_a_store_at_a_url_grows_and_shrinks_with_what_is_there(three_kinds, tmp_path, url):
    store, _, _ = three_kinds
    put(store.folder, f"{url}/store")
    far = Representations.open(f"{url}/store")
    np.testing.assert_array_equal(far.values(), store.values())
    store.append(["new"], np.ones((1, 5)))
    put(store.folder, f"{url}/store")
    assert list(Representations.open(f"{url}/store").id_str) == list(store.id_str)
    fsspec.filesystem("memory").rm_file(f"/bucket/store/{store.parts[1].name}")
    assert len(Representations.open(f"{url}/store")) == 60


def test_results_are_made_on_this_machine(galaxies, tmp_path, url):
    catalog, folder = galaxies
    with pytest.raises(ValueError, match=f"^results cannot be made at {url}/out: give a folder, then"):
        build_records(catalog, f"{url}/out", images=folder)
    with pytest.raises(ValueError, match=f"^results cannot be made at {url}/out: "), claim(f"{url}/out", "x", {}, {}):
        pass
    assert not fsspec.filesystem("memory").store


def test_a_file_that_is_far_is_read_in_parts_as_if_it_were_here(tmp_path, url):
    content = np.random.default_rng(0).bytes(5000)
    fsspec.filesystem("memory").pipe_file("/bucket/a/b", content)
    path = tmp_path / "cache/objects/memory/bucket/a/b"
    with open_file(path, ahead=700) as file:
        file.seek(1234)
        assert (file.read(10), file.tell(), file.read(3000)) == (content[1234:1244], 1244, content[1244:4244])
        assert file.read(1000) == content[4244:] and file.read(1) == b""
    assert not path.exists()


def mosaic_of(i):
    """A FITS file of 100 × 100 numbers that differ from file to file, 43,200 bytes."""
    file = io.BytesIO()
    fits.PrimaryHDU(np.random.default_rng(i).normal(size=(100, 100)).astype("f4")).writeto(file)
    return file.getvalue()


def test_copies_of_mosaics_never_take_more_room_than_allowed_and_those_used_last_are_kept(tmp_path, url, monkeypatch):
    monkeypatch.setenv("MORPHTOOLS_CACHE_GB", "100e-6")  # two mosaics
    memory, held = fsspec.filesystem("memory"), []
    (tmp_path / "near").mkdir()
    for i in range(6):
        (tmp_path / f"near/{i}.fits").write_bytes(mosaic_of(i))
        memory.pipe_file(f"/bucket/sky/{i}.fits", mosaic_of(i))
    fetch = copies_of_objects.fetch
    monkeypatch.setattr(copies_of_objects, "fetch", lambda *a: (fetch(*a), held.append(copies(tmp_path))))
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(60)], "x": np.arange(60) + 20.0, "y": 50.0})
    catalog["file_loc"] = [f"{i % 6}.fits" for i in range(60)]
    near = build_records(catalog, tmp_path / "a", images=tmp_path / "near", cutout=16)
    assert build_records(catalog, tmp_path / "b", images=f"{url}/sky", cutout=16).checksums == near.checksums
    names = [[name for name in each if name[0] != "."] for each in held]  # with the one that is being fetched
    assert max(map(len, names)) == 1 and {name for each in names for name in each} >= {"0.fits", "4.fits"}
    last = copies(tmp_path)
    assert len(last) == 2 and "5.fits" in last
    with in_use(path_of_mosaic(f"{url}/sky/{last[0]}")):
        pass
    with in_use(path_of_mosaic(f"{url}/sky/2.fits")):
        pass
    assert copies(tmp_path) == sorted([last[0], "2.fits"])


OTHER = """
import fsspec, sys
from tfrecords_builder.copies import in_use, path_of_mosaic
fsspec.filesystem("memory").pipe_file("/bucket/a.fits", bytes(600))
with in_use(path_of_mosaic("memory://bucket/a.fits")):
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX locks")
def test_a_copy_that_another_process_is_opening_is_not_removed(tmp_path, url, monkeypatch):
    monkeypatch.setenv("MORPHTOOLS_CACHE_GB", "1e-6")
    for name in "bc":
        fsspec.filesystem("memory").pipe_file(f"/bucket/{name}.fits", bytes(600))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", OTHER], **pipes, text=True) as other:
        other.stdout.readline()
        with in_use(path_of_mosaic(f"{url}/b.fits")):
            assert {"a.fits", "b.fits"} <= set(copies(tmp_path))
        other.communicate()
    left = tmp_path / "cache/mosaics/memory/bucket/.1-0123abcd.partial.c.fits"
    left.write_bytes(bytes(100))  # of a killed process
    with in_use(path_of_mosaic(f"{url}/c.fits")):
        pass
    assert copies(tmp_path) == ["c.fits"]


def test_room_for_copies_is_a_number_of_gigabytes(tmp_path, url, monkeypatch):
    monkeypatch.setenv("MORPHTOOLS_CACHE_GB", "many")
    fsspec.filesystem("memory").pipe_file("/bucket/a.fits", bytes(600))
    with pytest.raises(OSError, match=r"^MORPHTOOLS_CACHE_GB must be a number of gigabytes, got 'many'"):
        next(open_images(url, cutout=8).read([{"file_loc": "a.fits", "x": 1, "y": 1}]))
