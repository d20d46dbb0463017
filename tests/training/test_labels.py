"""Galaxies listed twice: no test galaxy is trained on under another id."""

import numpy as np
import pandas as pd
import pytest

from morphtools.training.labels import warn_of_twins, without_twins
from tfrecords_builder import build_records
from tfrecords_builder.images import from_pixels
from tfrecords_builder.splits import split_of

N = 200


def galaxies(**columns) -> pd.DataFrame:
    ids = [f"g{i}" for i in range(N)]
    return pd.DataFrame({"id_str": ids, "file_loc": [f"{i % 150}.png" for i in range(N)], **columns})


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("seed", [0, 3])
def test_galaxies_with_the_image_of_a_test_galaxy_are_not_trained_on(given, seed, caplog):
    table = galaxies()
    splits = np.array([split_of(i, seed) for i in table["id_str"]])
    if given:
        table["split"] = splits
    kept = without_twins(table, seed)
    twin = np.arange(N)  # each of the first 50 shares its file with one of the last 50
    twin[:50], twin[150:] = np.arange(150, 200), np.arange(50)
    left_out = (splits != "test") & (splits[twin] == "test")
    assert left_out.any() and list(kept.index) == list(np.flatnonzero(~left_out))
    assert f"{left_out.sum()} galaxies are not trained on" in caplog.text


def test_galaxies_with_images_of_their_own_are_all_kept():
    table = galaxies().assign(file_loc=np.arange(N))
    assert without_twins(table, 0) is table


def test_hashes_of_records_decide_and_not_the_names_of_their_galaxies():
    hashes = np.arange(N) % 150
    table = galaxies(image_hash=hashes, split=["test"] * 50 + ["train"] * 150).assign(file_loc=np.arange(N))
    assert list(without_twins(table, 0).index) == list(range(150))


@pytest.mark.parametrize("twice", [False, True])
def test_copies_of_test_images_under_other_file_names_are_reported(tmp_path, twice, caplog):
    catalog = pd.DataFrame({"id_str": list("abcdef"), "file_loc": list("abcdef")})
    catalog["split"] = ["test", "test", "train", "train", "val", "val"]
    seeds = dict(zip("abcdef", [1, 2, 1, 4, 4, 6] if twice else range(6), strict=True))
    images = {name: np.random.default_rng(seed).normal(size=(9, 9)) for name, seed in seeds.items()}
    records = build_records(catalog, tmp_path / "r", images=lambda name: from_pixels(images[name]))
    caplog.clear()
    warn_of_twins(records)
    assert ("1 test galaxies have the same image as one that is trained on (a and c)" in caplog.text) is twice
