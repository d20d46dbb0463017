import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import LocalOutlierFactor

from morphtools.explore import find_outliers as verb
from morphtools.explore.find_outliers import METHODS, find_outliers
from morphtools.inference.representations import Representations

PLANTED = ["g017", "g101", "g299"]


@pytest.fixture
def store(tmp_path):
    """300 galaxies in 6 dimensions, clustered except for three that are far out in different directions."""
    x = np.random.default_rng(1).normal(size=(300, 6)).astype(np.float32)
    for axis, name in enumerate(PLANTED):
        x[int(name[1:]), axis] = 15
    made = Representations.create(tmp_path / "store", 6, {"weights": "w", "records": "r"})
    made.append([f"g{i:03d}" for i in range(300)], x)
    return made


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sample", [300, 100])
def test_galaxies_far_from_all_others_come_first_in_the_sample_or_not(store, tmp_path, method, sample):
    table = find_outliers(store, method=method, sample=sample, galaxies=5, out=tmp_path / "out")
    assert set(table["id_str"][:3]) == set(PLANTED) and list(table["rank"]) == [1, 2, 3, 4, 5]
    assert table["score"].is_monotonic_decreasing
    everything = pd.read_parquet(tmp_path / "out/outliers.parquet")
    assert sorted(everything["id_str"]) == sorted(store.id_str) and everything["score"].notna().all()


@pytest.mark.parametrize("method", METHODS)
def test_scores_do_not_depend_on_the_batches_in_which_galaxies_are_read(store, tmp_path, method, monkeypatch):
    whole = find_outliers(store, method=method, sample=150, galaxies=300, out=tmp_path / "a")
    monkeypatch.setattr(verb, "_ROWS", 7)
    parts = find_outliers(store, method=method, sample=150, galaxies=300, out=tmp_path / "b")
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-5)


def test_the_local_outlier_factor_of_a_sample_of_all_is_that_of_scikit_learn(store, tmp_path):
    table = find_outliers(store, method="local_outlier_factor", components=6, galaxies=300, out=tmp_path / "out")
    x = PCA(6, svd_solver="full").fit_transform(store.values().astype(float))
    expected = pd.Series(-LocalOutlierFactor(20).fit(x).negative_outlier_factor_, index=store.id_str)
    np.testing.assert_allclose(table["score"], expected[table["id_str"]], rtol=1e-4)


def test_the_density_score_is_the_distance_to_the_last_neighbour(store, tmp_path):
    table = find_outliers(store, method="density", components=6, neighbours=3, galaxies=300, out=tmp_path / "out")
    x = store.values()
    apart = np.sort(np.linalg.norm(x[:, np.newaxis] - x, axis=2), axis=1)  # column 0 is the galaxy itself
    expected = pd.Series(apart[:, 3], index=store.id_str)
    np.testing.assert_allclose(table["score"], expected[table["id_str"]], rtol=1e-4)


def test_excluded_galaxies_are_neither_ranked_nor_shown_and_a_gallery_is_drawn(three_kinds, tmp_path):
    made, catalog, images = three_kinds
    first = find_outliers(made, galaxies=1, out=tmp_path / "a")["id_str"][0]
    exclude = pd.DataFrame({"id_str": [first]})
    options = {"catalog": catalog.assign(score=1.0), "images": images, "out": tmp_path / "b"}
    table = find_outliers(made, galaxies=8, exclude=exclude, **options)
    assert first not in set(table["id_str"]) and table["kind"].notna().all() and (table["catalog_score"] == 1).all()
    assert len(pd.read_parquet(tmp_path / "b/outliers.parquet")) == 59
    assert (tmp_path / "b/outliers.png").stat().st_size > 10_000


def test_what_cannot_be_done_is_reported_before_anything_is_written(store, tmp_path):
    for options, message in (
        ({"method": "forest"}, "isolation_forest"),
        ({"neighbours": 300}, "300 galaxies are too few"),
        ({"sample": 0}, "at least 1"),
        ({"catalog": pd.DataFrame({"id_str": ["x"]})}, "has none of these"),
    ):
        with pytest.raises(ValueError, match=message):
            find_outliers(store, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
