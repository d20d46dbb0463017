import json
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from astropy.io import fits
from PIL import Image as Picture

from tfrecords_builder import plan, shards
from tfrecords_builder.build import build_records
from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.images import from_pixels, open_images
from tfrecords_builder.naming import unknown
from tfrecords_builder.parsing import parse
from tfrecords_builder.records import Records, read_pixels
from tfrecords_builder.splits import FRACTIONS, SPLITS, split_of


def examples(records):
    """Every record by id, read with TensorFlow's own reader and protocol buffers."""
    found = {}
    for split in SPLITS:
        for shard in records.shards(split):
            for serialized in tf.data.TFRecordDataset(str(shard)):
                example = tf.train.Example.FromString(serialized.numpy())
                name = example.features.feature["id_str"].bytes_list.value[0].decode()
                found[name] = (split, example.features.feature, serialized)
    return found


def test_encoded_bytes_are_stored_as_they_are(galaxies, tmp_path):
    catalog, folder = galaxies
    found = examples(build_records(catalog, tmp_path / "out", images=folder))
    assert set(found) == set(catalog["id_str"])
    for name, (_, feature, _) in found.items():
        assert feature["image"].bytes_list.value[0] == (folder / f"{name}.jpg").read_bytes()


def test_a_zip_gives_the_same_shards_as_a_folder(galaxies, tmp_path):
    catalog, folder = galaxies
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    of_folder = build_records(catalog, tmp_path / "a", images=folder)
    assert build_records(catalog, tmp_path / "b", images=tmp_path / "images.zip").checksums == of_folder.checksums


def test_parsed_images_are_the_decoded_ones(galaxies, tmp_path):
    catalog, folder = galaxies
    records = build_records(catalog, tmp_path / "out", images=folder)
    for name, (_, _, serialized) in list(examples(records).items())[:5]:
        decoded = np.asarray(Picture.open(folder / f"{name}.jpg"), np.float32) / 255
        np.testing.assert_allclose(parse(serialized, records)["image"], decoded, atol=1e-6)
        np.testing.assert_array_equal(next(read_pixels(records, [name])), decoded)


def test_fits_pixels_come_back_bit_for_bit(tmp_path):
    rng = np.random.default_rng(1)
    cubes = {f"c{i}": rng.normal(size=(5, 12, 14)).astype(">f4") for i in range(30)}
    cubes["c3"][2, 4, 5] = np.nan
    for name, cube in cubes.items():
        fits.writeto(tmp_path / f"{name}.fits", cube)
    catalog = pd.DataFrame({"id_str": list(cubes), "file_loc": [f"{name}.fits" for name in cubes]})
    records = build_records(catalog, tmp_path / "out", images=tmp_path)
    assert records.shape == (12, 14, 5) and records.encoding == "float32"
    for name, (_, _, serialized) in examples(records).items():
        np.testing.assert_array_equal(parse(serialized, records)["image"], np.moveaxis(cubes[name], 0, -1))


def test_labels_survive_and_missing_ones_are_nan(galaxies, tmp_path):
    catalog, folder = galaxies
    catalog.loc[catalog["id_str"] == "g07", "redshift"] = np.nan
    records = build_records(catalog, tmp_path / "out", images=folder)
    assert records.label_cols == ("ring", "redshift")
    for name, (_, _, serialized) in examples(records).items():
        row = catalog.set_index("id_str").loc[name]
        parsed = parse(serialized, records)
        np.testing.assert_allclose([parsed["ring"], parsed["redshift"]], [row["ring"], row["redshift"]], rtol=1e-6)


def test_images_of_another_size_are_resized_when_read(galaxies, tmp_path):
    catalog, folder = galaxies
    records = build_records(catalog, tmp_path / "out", images=folder, image_size=16)
    name, (_, _, serialized) = next(iter(examples(records).items()))
    picture = Picture.open(folder / f"{name}.jpg").resize((16, 16), Picture.Resampling.BILINEAR)  # antialiased too
    np.testing.assert_allclose(parse(serialized, records)["image"], np.asarray(picture) / 255, atol=4.5 / 255)


def test_splits_have_their_shares_and_a_galaxy_keeps_its_own():
    names = [f"J{i}" for i in range(20_000)]
    split = [split_of(name) for name in names]
    for name, share in zip(SPLITS, FRACTIONS, strict=True):
        assert abs(split.count(name) / len(names) - share) < 4 * np.sqrt(share * (1 - share) / len(names))
    assert split_of("587722981740314629") == "test"  # must never change: published splits rest on it
    assert [split_of("J104325.29+190335.0", seed) for seed in range(4)] == ["test", "val", "train", "train"]


def test_a_split_column_decides_where_there_is_one(galaxies, tmp_path):
    catalog, folder = galaxies
    catalog["split"] = np.where(np.arange(40) < 30, "train", "test")
    records = build_records(catalog, tmp_path / "out", images=folder)
    assert records.splits == {"train": 30, "val": 0, "test": 10}
    assert {name: split for name, (split, _, _) in examples(records).items()} == dict(
        zip(catalog["id_str"], catalog["split"], strict=True)
    )
    with pytest.raises(ValueError, match="must contain only train, val, test, got validation"):
        build_records(catalog.assign(split="validation"), tmp_path / "other", images=folder)


def test_records_survive_saving(galaxies, tmp_path):
    catalog, folder = galaxies
    records = build_records(catalog, tmp_path / "out", images=folder)
    assert Records.open(tmp_path / "out") == records
    assert sum(records.splits.values()) == len(catalog) == len(records.index())


def test_single_galaxies_are_found_by_name(galaxies, tmp_path):
    catalog, folder = galaxies
    read = build_records(catalog, tmp_path / "out", images=folder).source()
    for name in catalog["id_str"]:
        assert read(name).data == (folder / f"{name}.jpg").read_bytes()
    with pytest.raises(ValueError, match="no such galaxy"):
        read("g99")


def test_building_again_returns_what_is_there_and_refuses_something_else(galaxies, tmp_path):
    catalog, folder = galaxies
    first = build_records(catalog, tmp_path / "out", images=folder)
    assert build_records(catalog, tmp_path / "out", images=folder) == first
    with pytest.raises(FileExistsError, match="another catalogue or other settings"):
        build_records(catalog.head(30), tmp_path / "out", images=folder)
    assert Records.open(tmp_path / "out") == first


def test_bad_images_are_listed_with_the_reason_and_skipped(galaxies, tmp_path):
    catalog, folder = galaxies
    jpeg = (folder / "g00.jpg").read_bytes()
    (folder / "g00.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "g01.jpg").unlink()
    Picture.new("RGB", (32, 16)).save(folder / "g02.jpg")
    records = build_records(catalog, tmp_path / "out", images=folder)
    failures = pd.read_parquet(tmp_path / "out" / "failures.parquet").set_index("id_str")["reason"]
    assert set(failures.index) == {"g00", "g01", "g02"}
    assert "not a readable JPEG" in failures["g00"]
    assert "No such file" in failures["g01"]
    assert "16×32" in failures["g02"]
    assert sum(records.splits.values()) == 37


def test_too_many_bad_images_stop_the_build_and_leave_nothing(galaxies, tmp_path):
    catalog, folder = galaxies
    for i in range(10):
        (folder / f"g{i:02d}.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="of 40 images cannot be used"):
        build_records(catalog, tmp_path / "out", images=folder)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("stored", "named", "packed", "hint"),
    [
        ("a.jpg", "a", False, "there is a.jpg: file_loc must have the whole path inside"),
        ("a.jpg", "a", True, "there is a.jpg: file_loc must have the whole path inside"),
        ("rings/a.jpg", "a.jpg", False, "there is rings/a.jpg: file_loc must have the whole path inside"),
        ("b.jpg", "a.jpg", False, "few contains b.jpg$"),
        ("b.jpg", "a.jpg", True, "few.zip contains b.jpg$"),
    ],
)
def test_missing_images_are_reported_with_where_they_seem_to_be(galaxies, tmp_path, stored, named, packed, hint):
    images = tmp_path / "few"
    (images / stored).parent.mkdir(parents=True)
    shutil.copy(galaxies[1] / "g00.jpg", images / stored)
    if packed:
        images = shutil.make_archive(images, "zip", images)
    with pytest.raises(ValueError, match=hint):
        build_records(pd.DataFrame({"id_str": ["a"], "file_loc": [named]}), tmp_path / "out", images=images)


def test_bands_must_agree(tmp_path):
    images = {str(i): np.ones((8, 8, 3 if i else 5), np.float32) * np.arange(8)[:, None, None] for i in range(40)}
    catalog = pd.DataFrame({"id_str": list(images), "file_loc": list(images)})
    build_records(catalog, tmp_path / "out", images=lambda name: from_pixels(images[name]))
    failures = pd.read_parquet(tmp_path / "out" / "failures.parquet")
    assert list(failures["id_str"]) == ["0"] and "5 bands" in failures["reason"][0]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.svg", b"<svg/>", "known endings"),
        ("a.gif", b"GIF89a", "not a readable GIF"),
        ("a.jpg", b"", "not a readable JPEG"),
        ("a.fits", b"SIMPLE  = nonsense", "not a readable FITS"),
        ("a.fits.gz", b"\x1f\x8b broken", "not a readable FITS"),
    ],
)
def test_an_unreadable_file_is_one_clear_error(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        open_images(tmp_path)(name)


def test_a_truncated_fits_file_is_refused(tmp_path):
    fits.writeto(tmp_path / "whole.fits", np.ones((3, 64, 64), np.float32))
    (tmp_path / "part.fits").write_bytes((tmp_path / "whole.fits").read_bytes()[:20_000])
    with pytest.raises(ValueError, match="truncated"):
        open_images(tmp_path)("part.fits")


def test_all_problems_of_a_catalogue_are_listed_at_once():
    catalog = pd.DataFrame({"id_str": ["a", "a", None], "loc": 1})
    with pytest.raises(ValueError) as error:
        check_catalog(catalog)
    for part in (
        "it needs the column 'file_loc', and has id_str, loc: rename yours",
        "1 rows without id_str",
        "1 id_str more than once (a)",
    ):
        assert part in str(error.value)


def test_ids_keep_all_their_digits(tmp_path):
    (tmp_path / "c.csv").write_text("id_str,file_loc\n0587722981740314629,1.jpg\n")
    assert read_catalog(tmp_path / "c.csv")["id_str"][0] == "0587722981740314629"


def test_every_table_format_reads_the_same(galaxies, tmp_path):
    from astropy.table import Table

    catalog, _ = galaxies
    catalog.to_parquet(tmp_path / "c.parquet")
    Table.from_pandas(catalog).write(tmp_path / "c.fits")
    Table.from_pandas(catalog).write(tmp_path / "c.ecsv")
    for suffix in ("parquet", "fits", "ecsv"):
        read = check_catalog(read_catalog(tmp_path / f"c.{suffix}"))
        pd.testing.assert_frame_equal(read, check_catalog(catalog), check_dtype=False)


def test_a_broken_catalogue_names_its_file(tmp_path):
    (tmp_path / "c.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(ValueError, match=r"c\.parquet"):
        read_catalog(tmp_path / "c.parquet")
    with pytest.raises(FileNotFoundError, match="no catalogue at"):
        read_catalog(tmp_path / "missing.csv")
    with pytest.raises(ValueError, match="unknown catalogue format"):
        (tmp_path / "c.xls").write_bytes(b"")
        read_catalog(tmp_path / "c.xls")


def test_damaged_records_are_reported(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no records.json"):
        Records.open(tmp_path)
    (tmp_path / "records.json").write_text('{"format":')
    with pytest.raises(ValueError, match="damaged"):
        Records.open(tmp_path)
    (tmp_path / "records.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match="format 99"):
        Records.open(tmp_path)


def test_noise_is_the_scaled_mad_of_the_sky(tmp_path):
    rng = np.random.default_rng(2)
    images = {str(i): rng.normal(0, (1, 3), (64, 64, 2)) for i in range(60)}
    catalog = pd.DataFrame({"id_str": list(images), "file_loc": list(images)})
    records = build_records(catalog, tmp_path / "out", images=lambda name: from_pixels(images[name]))
    np.testing.assert_allclose(records.noise, (1, 3), rtol=0.02)


def test_unknown_names_come_with_the_nearest():
    assert unknown("task", "ring", ["bars", "rings"]) == (
        "unknown task 'ring'; known tasks: bars, rings (did you mean 'rings'?)"
    )


def test_a_column_can_be_added_to_a_wide_catalogue_without_a_warning():
    names = {"id_str": list("abc"), "file_loc": list("abc")}
    wide = pd.DataFrame({f"c{i}": np.arange(3.0) for i in range(150)} | names)
    checked = check_catalog(wide)
    checked["label"] = 1  # warnings are errors
    assert checked.shape == (3, 153)


@pytest.mark.parametrize("name", ["image", "shape", "mask", "shard", "offset"])
def test_a_column_that_records_have_themselves_is_refused_by_name(tmp_path, name):
    catalog = pd.DataFrame({"id_str": ["a", "b"], "file_loc": "a.png", name: [1.0, 2.0]})
    with pytest.raises(ValueError, match=rf"cannot be called {name}, because records use .* rename"):
        build_records(catalog, tmp_path / "records", images=lambda place: from_pixels(np.zeros((8, 8, 1), np.float32)))
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(
    "name",
    ["label", "order", "place", "weight", "features", "galaxy", "split ", "a/b", "", "Unnamed: 0", "representation"],
)
def test_a_column_of_any_other_name_is_a_label(tmp_path, name):
    ids = [f"g{i}" for i in range(40)]
    catalog = pd.DataFrame({"id_str": ids, "file_loc": ids, name: np.arange(40.0)})
    pixels = np.random.default_rng(0).normal(size=(8, 8, 1)).astype("f4")
    records = build_records(catalog, tmp_path / "records", images=lambda place: from_pixels(pixels))
    index = records.index()
    assert records.label_cols == (name,)
    assert [f"g{value:.0f}" for value in index[name]] == index["id_str"].tolist()


class Tiles:
    """Source of images that lie in two tiles, which are to be read one after the other."""

    def __call__(self, file_loc):
        raise NotImplementedError("it reads rows")

    def kept_together(self, row):
        return (row["place"],)

    def read(self, rows):
        for row in rows:
            yield from_pixels(np.full((8, 8, 1), row["order"], np.float32))


def test_columns_called_order_and_place_are_the_catalogues_own_also_of_mosaics(tmp_path):
    ids = [f"g{i}" for i in range(40)]
    catalog = pd.DataFrame({"id_str": ids, "file_loc": "a", "order": np.arange(40.0), "place": ["n", "s"] * 20})
    records = build_records(catalog, tmp_path / "records", images=Tiles())
    index, read = records.index(), records.source()
    assert [f"g{value:.0f}" for value in index["order"]] == index["id_str"].tolist()
    assert index["place"].tolist() == ["ns"[int(i[1:]) % 2] for i in index["id_str"]]
    assert all(read(i).data[0, 0, 0] == int(i[1:]) for i in ids)


def test_a_build_begun_by_a_version_whose_plans_had_a_column_order_is_finished(tmp_path, monkeypatch):
    catalog = pd.DataFrame({"id_str": [f"g{i}" for i in range(40)], "file_loc": "a"})
    options = {"images": lambda place: from_pixels(np.ones((8, 8, 1), np.float32))}
    monkeypatch.setattr(plan, "ORDER", "order")
    monkeypatch.setattr(shards, "ORDER", "order")
    build_records(catalog, tmp_path / "records", part="1/3", **options)
    monkeypatch.undo()
    records = build_records(catalog, tmp_path / "records", **options)
    pd.testing.assert_frame_equal(records.index(), build_records(catalog, tmp_path / "again", **options).index())


@pytest.mark.parametrize("size", [0, -1, 10**9])
def test_images_of_an_impossible_size_are_refused_before_anything_is_read(galaxies, tmp_path, size):
    catalog, folder = galaxies
    with pytest.raises(ValueError, match=f"image_size must be from 1 to 16384, as max_pixels allows; got {size}"):
        build_records(catalog, tmp_path / "out", images=folder, image_size=size)
    assert not (tmp_path / "out").exists()
