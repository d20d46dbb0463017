import numpy as np
import pandas as pd
import pytest

from morphtools.data.augment import RandomView
from morphtools.data.dataset import load_dataset, load_shards
from morphtools.survey.extinction import transmission
from morphtools.survey.stretch import dr2_rgb
from tfrecords_builder.build import build_records
from tfrecords_builder.images import from_pixels


@pytest.fixture
def records(galaxies, tmp_path):
    catalog, folder = galaxies
    return build_records(catalog, tmp_path / "records", images=folder)


def ids(dataset):
    return [name.decode() for batch in dataset for name in batch["id_str"].numpy()]


def test_every_galaxy_comes_once_in_the_order_of_the_index(records):
    index = records.index()
    for split, count in records.splits.items():
        expected = list(index[index["split"] == split].sort_values(["shard", "offset"])["id_str"])
        assert ids(load_dataset(records, split, batch_size=3)) == expected
        assert len(expected) == count


def test_labels_and_images_stay_together(records, galaxies):
    catalog = galaxies[0].set_index("id_str")
    for batch in load_dataset(records, "train", batch_size=4, shuffle=True, seed=1):
        for name, image, ring in zip(
            batch["id_str"].numpy(), batch["image"].numpy(), batch["ring"].numpy(), strict=True
        ):
            assert ring == catalog.loc[name.decode(), "ring"]
            assert (image[14:18, 14:18].mean() > 0.4) == bool(ring)


def test_the_seed_decides_the_order_and_epochs_differ(records):
    def order(seed):
        return ids(load_dataset(records, "train", shuffle=True, seed=seed))

    assert order(1) == order(1)
    assert order(1) != order(2) and sorted(order(1)) == sorted(order(2))
    dataset = load_dataset(records, "train", shuffle=True, seed=1)
    assert ids(dataset) != ids(dataset)


def test_drop_remainder_and_cardinality(records):
    whole, left = divmod(records.splits["train"], 8)
    assert left  # otherwise this proves nothing
    assert len(load_dataset(records, "train", batch_size=8)) == whole + 1
    sizes = [len(b["id_str"]) for b in load_dataset(records, "train", batch_size=8, drop_remainder=True)]
    assert sizes == [8] * whole


def test_missing_pixels_become_the_sky_of_their_image(tmp_path):
    pixels = {str(i): np.random.default_rng(i).normal(1000, 10, (8, 8, 2)).astype("f4") for i in range(20)}
    for image in pixels.values():
        image[2:4, 3, 0] = np.nan
        image[5, 5, 1] = np.inf
    catalog = pd.DataFrame({"id_str": list(pixels), "file_loc": list(pixels)})
    records = build_records(catalog, tmp_path / "out", images=lambda name: from_pixels(pixels[name]))
    for batch in load_dataset(records, "train"):
        for name, image in zip(batch["id_str"].numpy(), batch["image"].numpy(), strict=True):
            stored = pixels[name.decode()]
            sky = np.nanmedian(np.where(np.isinf(stored), np.nan, stored), axis=(0, 1))
            np.testing.assert_array_equal(image, np.where(np.isfinite(stored), stored, sky))


def test_augmentation_is_applied_to_images_only(records):
    plain = next(iter(load_dataset(records, "val")))
    views = next(iter(load_dataset(records, "val", augment=RandomView(seed=1))))
    assert not np.allclose(plain["image"], views["image"], atol=0.1)
    np.testing.assert_array_equal(plain["id_str"], views["id_str"])


def test_unknown_and_empty_splits_are_refused(records):
    with pytest.raises(ValueError, match=r"unknown split 'tset'.*did you mean 'test'"):
        load_dataset(records, "tset")


def test_one_set_of_records_serves_every_stretch(tmp_path, records):
    from morphtools.survey.stretch import dr2_rgb, gz_decals

    rng = np.random.default_rng(3)
    pixels = {str(i): rng.normal(0.1, 0.1, (8, 8, 3)).astype("float32") for i in range(20)}
    catalog = pd.DataFrame({"id_str": list(pixels), "file_loc": list(pixels)})
    read = lambda name: from_pixels(pixels[name])  # noqa: E731
    flux = build_records(catalog, tmp_path / "out", images=read, bands=("g", "r", "z"))
    for name, function in (("dr2_rgb", dr2_rgb), ("gz_decals", gz_decals)):
        for batch in load_dataset(flux, "train", batch_size=4, stretch=name):
            expected = function(np.stack([pixels[i.decode()] for i in batch["id_str"].numpy()]), bands="grz")
            np.testing.assert_array_equal(batch["image"], expected)
    with pytest.raises(ValueError, match=r"unknown stretch 'dr3_rgb'; known stretches: .*dr2_rgb"):
        load_dataset(flux, "train", stretch="dr3_rgb")
    with pytest.raises(ValueError, match="are pictures already"):
        load_dataset(records, "train", stretch="dr2_rgb")


@pytest.fixture(scope="module")
def dusty(tmp_path_factory):
    """Records of flux behind the Galaxy's dust, and the flux without it."""
    rng = np.random.default_rng(0)
    clean = rng.normal(1, 1, (30, 9, 8, 3)).astype("float32")
    ebv = rng.uniform(0, 0.5, 30)
    ebv[7] = np.nan
    through = transmission(np.nan_to_num(ebv), bands="grz", survey="decals")[:, None, None]
    table = pd.DataFrame({"id_str": np.arange(30).astype(str), "file_loc": np.arange(30).astype(str), "ebv": ebv})
    options = {"images": lambda i: from_pixels((clean * through)[int(i)].astype("float32")), "bands": tuple("grz")}
    return build_records(table, tmp_path_factory.mktemp("dusty") / "records", **options), clean


def test_dereddening_gives_the_flux_before_the_dust(dusty):
    records, clean = dusty
    whole = {"batch_size": 7, "dereddened": "decals"}
    places = {path.name: 0 for split in records.splits for path in records.shards(split)}
    batches = [*(b for split in records.splits for b in load_dataset(records, split, **whole))]
    batches += list(load_shards(records, places, **whole))
    seen = [name.decode() for batch in batches for name in batch["id_str"].numpy()]
    assert len(seen) == 60
    images = np.concatenate([batch["image"].numpy() for batch in batches])
    np.testing.assert_allclose(images, clean[[int(i) for i in seen]], rtol=3e-6, atol=1e-6)


def test_dereddening_comes_before_the_stretch(dusty):
    records, _ = dusty
    plain = next(iter(load_dataset(records, "train", dereddened="decals")))["image"].numpy()
    shown = next(iter(load_dataset(records, "train", dereddened="decals", stretch="dr2_rgb")))["image"].numpy()
    np.testing.assert_allclose(shown, dr2_rgb(plain, bands="grz"), atol=1e-6)


def test_a_crop_is_the_middle_of_the_resized_image_as_of_a_view(dusty):
    records, _ = dusty
    for side in (4, 5):
        for size in (None, (12, 11)):
            whole = next(iter(load_dataset(records, "train", image_size=size)))["image"].numpy()
            cut = next(iter(load_dataset(records, "train", image_size=size, crop=(side, side))))["image"]
            np.testing.assert_array_equal(cut.numpy(), RandomView(size=side)(whole, training=False))


def test_what_cannot_be_dereddened_is_reported(records, dusty):
    with pytest.raises(ValueError, match="dereddening needs flux and a column ebv"):
        load_dataset(records, "train", dereddened="sdss")
    with pytest.raises(ValueError, match="unknown survey 'hst'"):
        load_dataset(dusty[0], "train", dereddened="hst")
