import numpy as np
import pandas as pd
import pytest

from morphtools.data.batches import Galaxies, read_batches, read_run, read_shards
from morphtools.data.dataset import load_dataset
from tfrecords_builder.build import build_records
from tfrecords_builder.pixels import Image, from_pixels
from tfrecords_builder.tfrecord import decode, encode, frame, read_record

RNG = np.random.default_rng(0)


@pytest.fixture
def pictures(galaxies, tmp_path):
    catalog, folder = galaxies
    return build_records(catalog, tmp_path / "pictures", images=folder)


@pytest.fixture
def flux(tmp_path):
    """40 galaxies in grz behind dust; some pixels are missing, some masked."""
    pixels = RNG.normal(0.1, 0.1, (40, 12, 10, 3)).astype("float32")
    pixels[::3, 2:5, 4, 1] = np.nan
    bad = RNG.random(pixels.shape) < 0.1

    def read(name):
        image = from_pixels(pixels[int(name)])
        return Image(image.data, image.shape, bad[int(name)] if int(name) % 2 else None)

    table = pd.DataFrame({"id_str": np.arange(40).astype(str), "file_loc": np.arange(40).astype(str)})
    table["ebv"] = np.where(np.arange(40) == 3, np.nan, RNG.uniform(0, 0.5, 40))
    return build_records(table, tmp_path / "flux", images=read, bands=tuple("grz"))


@pytest.fixture
def one_band(tmp_path):
    pixels = RNG.normal(5.0, 2.0, (40, 12, 10, 1)).astype("float32")
    table = pd.DataFrame({"id_str": np.arange(40).astype(str), "file_loc": np.arange(40).astype(str)})
    options = {"images": lambda name: from_pixels(pixels[int(name)]), "bands": ("r",)}
    return build_records(table, tmp_path / "one_band", **options)


@pytest.mark.parametrize(
    ("kind", "reading", "tolerance"),
    [
        ("pictures", {}, 0),
        ("pictures", {"crop": (20, 18)}, 0),
        ("pictures", {"image_size": 20}, 1e-5),
        ("pictures", {"image_size": (48, 40)}, 1e-5),
        ("flux", {}, 0),
        ("flux", {"dereddened": "decals", "crop": (6, 6)}, 1e-6),
        ("flux", {"image_size": (24, 20)}, 1e-5),
        ("flux", {"image_size": (24, 20), "stretch": "dr2_rgb"}, 1e-5),
        ("one_band", {"stretch": "grey"}, 1e-6),
    ],
)
def test_without_tensorflow_the_same_is_read(kind, reading, tolerance, request):
    records = request.getfixturevalue(kind)
    for split in records.splits:
        theirs = list(load_dataset(records, split, batch_size=7, **reading).as_numpy_iterator())
        galaxies = Galaxies(records, split, **reading)
        ours = list(galaxies.batches(7, range(len(galaxies))))
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a["id_str"], np.char.decode(b["id_str"].astype(bytes)))
            np.testing.assert_allclose(a["image"], b["image"], atol=tolerance, rtol=tolerance)
            for name in records.label_cols:
                np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.any_backend
def test_an_epoch_has_every_galaxy_once_in_an_order_that_the_seed_decides(pictures):
    def names(**options):
        return [n for b in read_batches(pictures, "train", batch_size=8, **options) for n in b["id_str"].tolist()]

    in_order = names()
    assert in_order == pictures.index().query("split == 'train'")["id_str"].tolist()
    assert names(shuffle=True, seed=1) == names(shuffle=True, seed=1) != names(shuffle=True, seed=2)
    assert sorted(names(shuffle=True, seed=1)) == sorted(in_order)
    assert len(names(shuffle=True, drop_remainder=True)) == len(in_order) // 8 * 8


@pytest.mark.any_backend
def test_a_run_of_records_is_read_as_its_shard_is(pictures):
    path = pictures.shards("train")[0]
    rows = pictures.index().query("shard == @path.name")
    run = [read_record(path, offset) for offset in rows["offset"][3:9]]
    (whole,) = read_shards(pictures, {path.name: 0}, batch_size=100)
    batches = list(read_run(pictures, run, 3, batch_size=4))
    assert [int(place) for batch in batches for place in batch["place"]] == [3, 4, 5, 6, 7, 8]
    np.testing.assert_array_equal(np.concatenate([batch["image"] for batch in batches]), whole["image"][3:9])


@pytest.mark.any_backend
def test_shards_are_read_from_their_place_on_and_damaged_images_left_out(pictures):
    name = pictures.shards("train")[0].name
    rows = pictures.index().query("shard == @name")
    shard = (pictures.folder / name).read_bytes()
    start, end = rows["offset"].iloc[4], rows["offset"].iloc[5]
    features = decode(shard[start + 12 : end - 4])
    features |= {k: np.float32(v) for k, v in features.items() if isinstance(v, float)}
    broken = b"".join(frame(encode(features | {"image": b"\0" * len(features["image"])})))
    (pictures.folder / name).write_bytes(shard[:start] + broken + shard[end:])
    batches = list(read_shards(pictures, {name: 2}, batch_size=4))
    places = [int(place) for batch in batches for place in batch["place"]]
    assert places == [i for i in range(2, len(rows)) if i != 4]
    assert [n for b in batches for n in b["id_str"].tolist()] == rows["id_str"].iloc[places].tolist()
    assert {int(batch["shard"]) for batch in batches} == {0}


def test_what_cannot_be_read_is_refused(pictures, flux):
    with pytest.raises(ValueError, match="unknown split 'tset'"):
        Galaxies(pictures, "tset")
    with pytest.raises(ValueError, match="pictures already"):
        Galaxies(pictures, "train", stretch="dr2_rgb")
    with pytest.raises(ValueError, match="unknown stretch"):
        Galaxies(flux, "train", stretch="dr3_rgb")
    with pytest.raises(ValueError, match="does not have"):
        Galaxies(pictures, "train", dereddened="decals")
