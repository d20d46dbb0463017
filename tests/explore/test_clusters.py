import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from sklearn.decomposition import PCA
from sklearn.mixture import BayesianGaussianMixture

from morphtools.explore import clusters as module
from morphtools.explore.clusters import ESTIMATORS, cluster
from morphtools.explore.figures import violins
from morphtools.inference.representations import Representations


def test_the_mixture_is_the_published_one():
    """Mohale & Lochner 2023, section 6."""
    made = ESTIMATORS["bayesian_gaussian_mixture"](20, 3)
    expected = {"n_components": 20, "weight_concentration_prior": 0.5, "n_init": 10, "max_iter": 1000}
    assert expected | {"random_state": 3, "covariance_type": "full"} == {
        name: made.get_params()[name] for name in [*expected, "random_state", "covariance_type"]
    }


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_three_kinds_are_three_clusters_whatever_the_estimator(three_kinds, tmp_path, estimator):
    store, catalog, _ = three_kinds
    options = {"clusters": 3, "catalog": catalog, "labels": "kind", "out": tmp_path / "c"}
    found = cluster(store, estimator=estimator, **options)
    assert found.metrics == {"labelled": 60, "purity": 1.0} and found.summary["galaxies"].tolist() == [20, 20, 20]
    assert json.loads((tmp_path / "c/metrics.json").read_text()) == found.metrics
    assert found.galaxies["id_str"].tolist() == catalog["id_str"].tolist()


def test_clusters_are_those_of_scikit_learn_on_its_own(three_kinds, tmp_path):
    store, _, _ = three_kinds
    found = cluster(store, clusters=3, variance=0.9, out=tmp_path, seed=5).galaxies
    values = PCA(0.9, svd_solver="full").fit_transform(store.values().astype("f8"))
    made = BayesianGaussianMixture(
        n_components=3, weight_concentration_prior=0.5, n_init=10, max_iter=1000, random_state=5
    ).fit(values)
    theirs = pd.crosstab(made.predict(values), found["cluster"].to_numpy())
    assert (theirs > 0).sum().max() == 1 and (theirs > 0).sum(axis=1).max() == 1  # the same, by other numbers
    np.testing.assert_allclose(found["probability"], made.predict_proba(values).max(axis=1), atol=1e-3)


def test_names_for_clusters_label_every_galaxy_and_are_scored_by_the_truth(three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    catalog.loc[50:, "kind"] = None
    options = {"estimator": "kmeans", "clusters": 3, "catalog": catalog, "labels": "kind", "out": tmp_path}
    first = cluster(store, **options)
    majority = first.summary.set_index("cluster")["majority"]
    names = pd.DataFrame({"cluster": majority.index, "name": majority.replace("star", "disk").to_numpy()})
    names.to_csv(tmp_path / "names.csv", index=False)
    named = cluster(store, **options, names=tmp_path / "names.csv")
    truth = catalog["kind"][:50]
    assert named.metrics["accuracy"] == pytest.approx((truth != "star").mean()) and named.metrics["named"] == 1.0
    assert named.galaxies["name"].notna().all()
    some_named = cluster(store, **options, names=names[names["name"] == "elliptical"])
    assert some_named.metrics["accuracy"] == 1.0
    assert some_named.metrics["named"] == pytest.approx((truth == "elliptical").mean())


def test_the_same_call_uses_the_fit_and_new_galaxies_get_a_cluster(three_kinds, tmp_path, monkeypatch):
    store, _, _ = three_kinds
    before = cluster(store, estimator="gaussian_mixture", clusters=3, out=tmp_path).galaxies
    monkeypatch.setattr(module, "_fit", None)
    store.append(["new"], store.values()[4:5])
    again = cluster(store, estimator="gaussian_mixture", clusters=3, out=tmp_path).galaxies
    pd.testing.assert_frame_equal(again[:60], before)
    assert again["cluster"][60] == before["cluster"][4]
    with pytest.raises(FileExistsError, match=r"other settings \(clusters: 3 → 4\); choose another out"):
        cluster(store, estimator="gaussian_mixture", clusters=4, out=tmp_path)


def test_every_galaxy_gets_a_cluster_when_a_sample_is_fitted(three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    options = {"estimator": "kmeans", "clusters": 3, "sample": 15, "catalog": catalog, "labels": "kind"}
    assert cluster(store, **options, out=tmp_path).metrics["purity"] == 1.0


def test_excluded_galaxies_are_in_no_cluster(three_kinds, tmp_path):
    store, catalog, _ = three_kinds
    stars = catalog[catalog["kind"] == "star"]
    found = cluster(store, estimator="kmeans", clusters=2, exclude=stars, out=tmp_path).galaxies
    assert sorted(found["id_str"]) == sorted(catalog["id_str"][catalog["kind"] != "star"])


def test_pictures_of_the_clusters_are_drawn(three_kinds, tmp_path):
    store, catalog, images = three_kinds
    catalog.loc[:40, "smooth_fraction"] = np.nan
    options = {"labels": "kind", "fractions": ("smooth_fraction", "ra"), "images": images}
    cluster(store, estimator="kmeans", clusters=3, catalog=catalog, **options, out=tmp_path)
    assert (tmp_path / "clusters.png").stat().st_size > 5000 and (tmp_path / "violins.png").stat().st_size > 5000


def test_violins_have_quartiles_of_every_cluster_and_of_all_galaxies():
    cluster_of = np.array([0, 0, 0, 0, 0, 2, 2, 2])
    known = pd.DataFrame({"bar": [0.0, 1.0, 2.0, 3.0, 4.0, 10.0, 20.0, np.nan], "ring": np.nan})
    figure = violins(cluster_of, known)
    bars, empty = figure.axes
    (lines,) = [part for part in bars.collections if isinstance(part, LineCollection)]
    drawn = {x: (low, high) for (x, low), (_, high) in lines.get_segments()}
    # quartiles of 0…4, of 10 and 20, and of all seven, by hand; cluster 1 has no galaxy
    assert drawn == {0: (1.0, 3.0), 2: (12.5, 17.5), 3.5: (1.5, 7.0)}
    assert [label.get_text() for label in empty.get_xticklabels()] == ["0", "1", "2", "all"]


def test_a_fit_that_has_not_converged_is_reported(three_kinds, tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(
        ESTIMATORS, "gaussian_mixture", lambda n, seed: BayesianGaussianMixture(n_components=n, max_iter=1)
    )
    cluster(three_kinds[0], estimator="gaussian_mixture", clusters=3, out=tmp_path)
    assert "has not converged" in caplog.text


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"estimator": "kmean"}, r"unknown estimator 'kmean'.*did you mean 'kmeans'"),
        ({"labels": "kinds"}, r"unknown column 'kinds'.*did you mean 'kind'"),
        ({"fractions": ("smooth",)}, "unknown column 'smooth'"),
        ({"clusters": 61}, "61 clusters are too many for 60 galaxies"),
        ({"names": pd.DataFrame({"cluster": [7], "name": ["x"]})}, "numbered from 0 to 2"),
        ({"names": pd.DataFrame({"cluster": [1]})}, "there is no name"),
    ],
)
def test_what_does_not_fit_is_named(three_kinds, tmp_path, asked, message):
    store, catalog, _ = three_kinds
    with pytest.raises(ValueError, match=message):
        cluster(store, **{"estimator": "kmeans", "clusters": 3, "catalog": catalog, "out": tmp_path} | asked)


def test_other_weights_are_another_fit(three_kinds, tmp_path):
    store, _, _ = three_kinds
    cluster(store, estimator="kmeans", clusters=3, out=tmp_path / "c")
    other = Representations.create(tmp_path / "other", 5, {"weights": "v"})
    other.append(store.id_str, store.values())
    with pytest.raises(FileExistsError, match="space"):
        cluster(other, estimator="kmeans", clusters=3, out=tmp_path / "c")
