"""Galaxies with the same image: found wherever they are, and never among different images."""

import numpy as np
import pandas as pd
import pytest

from morphtools.data.look import preview_records
from tfrecords_builder import build_records
from tfrecords_builder.images import from_pixels

N = 60
SHARED = {3: 0, 17: 0, 40: 29}  # galaxies that have the image of another one


def image(name: str):
    i = int(name)
    pixels = np.random.default_rng(SHARED.get(i, i)).normal(size=(9, 9, 2))
    return from_pixels(np.ones((9, 9, 2)) if i >= N - 2 else pixels)  # the last two are blank


@pytest.fixture(scope="module")
def catalog():
    return pd.DataFrame({"id_str": [f"g{i}" for i in range(N)], "file_loc": [str(i) for i in range(N)]})


def with_repeats(records) -> set[str]:
    index = records.index()
    return set(index["id_str"][index["findings"].str.split().map(lambda kinds: "repeated" in kinds)])


def test_galaxies_that_share_an_image_are_found_in_all_shards_and_splits(catalog, tmp_path):
    records = build_records(catalog, tmp_path / "r", images=image)
    assert with_repeats(records) == {"g0", "g3", "g17", "g29", "g40"}
    assert any(each.startswith(f"5 of {N} images: the same image as another") for each in records.findings())


def test_added_galaxies_are_compared_with_earlier_ones(catalog, tmp_path):
    few = catalog[~catalog["id_str"].isin(["g3", "g40"])]
    assert with_repeats(build_records(few, tmp_path / "r", images=image)) == {"g0", "g17"}
    records = build_records(catalog, tmp_path / "r", images=image, append=True)
    assert with_repeats(records) == {"g0", "g3", "g17", "g29", "g40"}
    assert not records.index()["findings"].str.contains("repeated repeated").any()


def test_the_preview_reports_them_too(catalog):
    look = preview_records(catalog, images=image, galaxies=N)
    assert any(each.startswith(f"5 of {N} images: the same image as another") for each in look.findings)


def test_one_file_for_all_galaxies_is_reported(tmp_path):
    """As of mosaics without `cutout`."""
    np.save(tmp_path / "field.npy", np.random.default_rng(0).normal(size=(1, 40, 40)))
    catalog = pd.DataFrame({"id_str": list("abcdefgh"), "file_loc": "0", "x": range(8), "y": range(8)})
    records = build_records(catalog, tmp_path / "r", images=tmp_path / "field.npy")
    assert "8 of 8 images: the same image as another galaxy's" in records.findings()[0]
    assert "needs cutout" in records.findings()[0]
