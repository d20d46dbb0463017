"""A folder or archive of images is a catalogue of exactly the images in it."""

import zipfile

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tfrecords_builder import build_records
from tfrecords_builder.catalog import read_catalog, read_chunks
from tfrecords_builder.claims import inputs_of
from tfrecords_builder.images import open_images
from tfrecords_builder.listing import catalog_of, images_of

CLASSES = {"ring/1.jpg": 10, "ring/2.PNG": 60, "bar/1.jpg": 110, "bar/deep/3.jpg": 160}


def make(folder, files):
    for name, grey in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), grey, np.uint8)).save(path)
    return folder


def pack(folder, archive, inside=""):
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*"), reverse=True):
            file.write(path, f"{inside}{path.relative_to(folder)}")
    return archive


def test_a_galaxy_has_the_name_of_its_file_and_the_folder_it_lies_in(tmp_path):
    table = read_catalog(make(tmp_path / "images", CLASSES))
    assert table["id_str"].tolist() == ["bar/1", "bar/deep/3", "ring/1", "ring/2"]
    assert table["file_loc"].tolist() == ["bar/1.jpg", "bar/deep/3.jpg", "ring/1.jpg", "ring/2.PNG"]
    assert table["folder"].tolist() == ["bar", "bar/deep", "ring", "ring"]


def test_a_folder_without_folders_has_names_only(tmp_path):
    table = read_catalog(make(tmp_path, {"J1+2.5.jpg": 1, "NGC_1300.png": 2, "NGC_1365.png": 3}))
    assert table.to_dict("list") == {
        "id_str": ["J1+2.5", "NGC_1300", "NGC_1365"],
        "file_loc": ["J1+2.5.jpg", "NGC_1300.png", "NGC_1365.png"],
    }


def test_files_of_other_kinds_and_hidden_ones_are_passed_over(tmp_path):
    make(tmp_path, {"a.jpg": 1, "._a.jpg": 1, ".cache/b.jpg": 1, "__MACOSX/a.jpg": 1})
    (tmp_path / "notes.txt").write_text("")
    archive = pack(tmp_path, tmp_path.parent / "packed.zip")
    for place in (tmp_path, archive):
        assert read_catalog(place)["file_loc"].tolist() == ["a.jpg"]


@pytest.mark.parametrize("inside", ["", "galaxies/", "download/galaxies/"])
def test_an_archive_lists_what_the_folder_in_it_does_and_its_images_are_found(tmp_path, inside):
    folder = make(tmp_path / "images", CLASSES)
    archive = pack(folder, tmp_path / "images.zip", inside)
    here, packed = read_catalog(folder), read_catalog(archive)
    pd.testing.assert_frame_equal(packed.drop(columns="file_loc"), here.drop(columns="file_loc"))
    for place, table in ((folder, here), (archive, packed)):
        source = open_images(images_of(place, None))
        assert all(source(file_loc).shape == (8, 8, 3) for file_loc in table["file_loc"])


def test_outermost_folders_called_train_val_and_test_are_the_splits(tmp_path):
    files = {f"{split}/{kind}/{i}.jpg": i for i, split in enumerate(("train", "val", "test")) for kind in "ab"}
    table = read_catalog(make(tmp_path, files))
    assert table["split"].tolist() == ["test", "test", "train", "train", "val", "val"]
    assert table["folder"].tolist() == ["a", "b"] * 3
    records = build_records(tmp_path, tmp_path.parent / "records", images=tmp_path)
    assert records.splits == {"train": 2, "val": 2, "test": 2}


@pytest.mark.parametrize("rows", [1, 3, 4, 100])
def test_chunks_of_any_length_make_the_whole(tmp_path, rows):
    place = make(tmp_path, CLASSES)
    chunks = list(read_chunks(place, rows))
    assert max(map(len, chunks)) <= rows
    pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), read_catalog(place))


def test_galaxies_with_a_file_for_each_band_are_not_taken_for_several_galaxies(tmp_path):
    make(tmp_path, {f"{name}_{band}.jpg": 1 for name in ("G1", "G2") for band in "gr"})
    with pytest.raises(ValueError, match=r"have 2 files each, such as G1_g.jpg, G1_r.jpg: give a catalog"):
        read_catalog(tmp_path)


def test_a_folder_without_images_and_one_of_records_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"there are no images in .*empty; known endings: \.jpg"):
        read_catalog(tmp_path / "empty")
    build_records(make(tmp_path / "images", CLASSES), tmp_path / "records", images=tmp_path / "images")
    with pytest.raises(ValueError, match="records contains records, not images"):
        read_catalog(tmp_path / "records")


def test_another_image_makes_other_inputs_and_another_place_does_not(tmp_path):
    before = inputs_of(make(tmp_path / "one", CLASSES))
    assert inputs_of(make(tmp_path / "two", CLASSES)) == before
    make(tmp_path / "two", {"ring/9.jpg": 1})
    assert inputs_of(tmp_path / "two") != before


def test_images_alone_are_their_own_catalogue_and_beside_a_table_they_are_not(tmp_path):
    folder = make(tmp_path / "images", CLASSES)
    assert catalog_of(None, folder) == folder
    assert catalog_of("table.csv", folder) == "table.csv"
    assert images_of(tmp_path / "table.csv", None) == tmp_path
    assert build_records(folder, tmp_path / "records").splits["train"] > 0
    with pytest.raises(ValueError, match="a table in memory needs images"):
        build_records(read_catalog(folder), tmp_path / "others")


@pytest.mark.parametrize("kind", ["h5", "npz"])
def test_arrays_with_a_value_for_each_image_of_a_stack_are_its_columns(tmp_path, kind):
    arrays = {
        "images": np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3),
        "ans": np.array([0, 3, 3, 9]),
        "kind": np.array([b"ring", b"bar", b"bar", b"odd"]),
        "objid": np.array([8647475121430856586, 1, 2, 3]),
        "edges": np.arange(7.0),
    }
    path = tmp_path / f"galaxies.{kind}"
    if kind == "npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
    for rows in (3, 100):  # a name remains a name in chunks that have short ones only
        table = pd.concat(read_chunks(path, rows), ignore_index=True)
        assert table.to_dict("list") == {
            "id_str": ["0", "1", "2", "3"],
            "ans": [0, 3, 3, 9],
            "kind": ["ring", "bar", "bar", "odd"],
            "objid": ["8647475121430856586", "1", "2", "3"],
            "file_loc": ["0", "1", "2", "3"],
        }
    records = build_records(path, tmp_path / "records", images=images_of(path, None))
    assert records.source()("2").shape == (8, 8, 3) and records.label_cols == ("ans",)


@pytest.mark.parametrize("images", ["images", "stamps"])
def test_arrays_of_objects_beside_a_stack_are_left_out_and_named(tmp_path, images, caplog):
    """As in sets whose ids were saved as Python strings or integers: reading them would run code."""
    ids = np.array([1237648720693755918, "b", None], object)
    np.savez(tmp_path / "g.npz", specobjid=ids, z=np.array([0.5, 1.5, 2.5]), **{images: np.zeros((3, 8, 8, 5))})
    table = pd.concat(read_chunks(tmp_path / "g.npz", 100))
    assert table.to_dict("list") == {"id_str": ["0", "1", "2"], "z": [0.5, 1.5, 2.5], "file_loc": ["0", "1", "2"]}
    assert "g.npz: arrays of Python objects are not read: specobjid" in caplog.text


def test_a_stack_with_other_labels_is_another_input(tmp_path):
    digests = set()
    for i in range(2):
        np.savez(tmp_path / "a.npz", images=np.zeros((2, 8, 8)), ans=np.array([0, i]))
        digests.add(inputs_of(tmp_path / "a.npz")["catalog"])
    assert len(digests) == 2
