import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from morphtools.anomalies import simulation as anomaly_simulation
from morphtools.anomalies.simulation import METHODS, Search, searches, simulate
from morphtools.inference.representations import Representations
from morphtools.studies import anomaly_benchmark
from morphtools.studies.anomaly_benchmark import benchmark_anomalies
from tfrecords_builder.files import read_arrays, write_arrays


@pytest.fixture
def survey(galaxies, tmp_path):
    """40 galaxies: `good` representations know the rings, `bad` ones do not."""
    catalog, images = galaxies
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2, 40, 4)).astype("float32")
    noise[0, :, 0] += 4 * catalog["ring"]
    stores = {}
    for name, values in zip(("good", "bad"), noise, strict=True):
        stores[name] = Representations.create(tmp_path / name, 4, {"weights": name})
        stores[name].append(catalog["id_str"], values)
    return stores, catalog, images, tmp_path / "benchmark"


def test_the_table_says_which_representation_and_method_find_rings(survey):
    stores, catalog, images, out = survey
    table = benchmark_anomalies(
        stores, column="ring", catalog=catalog, images=images, ratings=12, batch_size=6, repeats=2, out=out
    )
    assert len(table) == 3 * len(METHODS)  # good, bad, ellipses
    precision = table.set_index(["representation", "method"])["average_precision"]
    assert precision["good", "rational_quadratic"] > 0.8 > precision["bad", "rational_quadratic"]
    assert precision["good", "rational_quadratic"] > precision["good", "random"]
    assert set(table["repeats"]) == {2, 1}  # the local outlier factor draws nothing
    assert (pd.read_csv(out / "results.csv")["found"] <= 1).all()
    assert imread(out / "recall.png").std() > 0.05


def test_a_second_call_repeats_no_run_and_gives_the_same(survey, monkeypatch):
    stores, catalog, _, out = survey
    settings = {"column": "ring", "catalog": catalog, "methods": ("matern",), "ratings": 8, "batch_size": 4, "out": out}
    table = benchmark_anomalies(stores, **settings, repeats=2)
    removed = sorted((out / "runs").iterdir())[0]
    removed.unlink()  # as if killed before it was written
    assert benchmark_anomalies(stores, **settings, repeats=2).equals(table)
    monkeypatch.setattr(anomaly_benchmark, "simulate", None)
    assert benchmark_anomalies(stores, **settings, repeats=2).equals(table)
    with pytest.raises(FileExistsError, match=r"other settings \(tradeoff: .*; choose another out"):
        benchmark_anomalies(stores, **settings, tradeoff=0.1)


def test_anomalies_are_a_share_or_above_a_threshold_of_known_galaxies(survey):
    stores, catalog, _, out = survey
    catalog["odd"] = np.linspace(0, 1, 40)
    catalog.loc[:9, "odd"] = np.nan
    settings = {"column": "odd", "catalog": catalog, "methods": ("random",), "ratings": 29, "repeats": 1, "out": out}
    for how, anomalies in (({"share": 0.1}, 3), ({"threshold": 0.9}, (catalog["odd"] > 0.9).sum())):
        table = benchmark_anomalies(stores["good"], **settings, **how)
        assert table["top_50"][0] == pytest.approx(anomalies / 30) and table["found"][0] >= 1 - 1 / anomalies


@pytest.mark.parametrize("method", METHODS)
def test_every_method_ranks_every_galaxy_once_and_rates_none_twice(method):
    x = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
    truth = np.clip(np.round(2 * x[:, 0]), 0, 5)
    search = Search("x", method, "expected_improvement", "liar", "spacing")
    settings = {"ratings": 25, "batch_size": 10, "tradeoff": 0.5, "seed": 1}
    order, rated = simulate(search, x, truth, **settings)
    assert sorted(order) == list(range(60)) and len(set(rated)) == len(rated) == 25
    again = simulate(search, x, truth, **settings)
    np.testing.assert_array_equal(order, again[0])
    assert sorted(simulate(search, x, truth, **settings | {"ratings": 100})[1]) == list(range(60))


def test_only_gaussian_processes_have_acquisitions_diversities_and_starts():
    ways = list(searches(["a", "b"], ["matern", "random"], ["mean"], ["none", "liar"], ["random", "spacing"]))
    assert len(ways) == 2 * (4 + 1)
    assert str(ways[0]) == "a matern mean random" and not ways[1].draws and ways[0].draws


def test_what_cannot_be_compared_is_refused(survey):
    stores, catalog, _, out = survey
    known = {"column": "ring", "catalog": catalog, "out": out}
    with pytest.raises(ValueError, match=r"0 of 40 galaxies are anomalies by 'ring'"):
        benchmark_anomalies(stores, **known, threshold=1)
    with pytest.raises(ValueError, match=r"unknown method 'isolation_tree'.*did you mean 'isolation_forest'"):
        benchmark_anomalies(stores, **known, methods=("isolation_tree",))
    with pytest.raises(ValueError, match="give these representations another name"):
        benchmark_anomalies({"ellipses": stores["good"]}, **known)
    with pytest.raises(ValueError, match="must be a fraction"):
        benchmark_anomalies(stores, column="redshift", catalog=catalog.assign(redshift=2.0), out=out)
    assert not out.exists()
    (out / "other").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="does not contain results of benchmark-anomalies"):
        benchmark_anomalies(stores, **known)


def test_the_fraction_is_found_in_records_too(tmp_path, galaxies):
    from tfrecords_builder.build import build_records

    catalog, images = galaxies
    records = build_records(catalog, tmp_path / "records", images=images, image_size=32)
    fractions = anomaly_simulation.vote_fractions(catalog["id_str"], "ring", None, records.folder)
    assert list(fractions) == list(catalog["ring"])


def test_the_last_step_of_the_progress_is_the_result_and_a_step_is_a_search_that_stopped_there(survey):
    stores, catalog, _, out = survey
    how = {"column": "ring", "catalog": catalog, "methods": ("matern", "random"), "batch_size": 4, "repeats": 2}
    benchmark_anomalies(stores["good"], **how, ratings=12, out=out)
    progress, results = pd.read_csv(out / "progress.csv"), pd.read_csv(out / "table.csv")
    assert list(progress["ratings"]) == [4, 8, 12] and set(progress["method"]) == {"matern"}
    scores = ["top_50", "top_100", "top_200", "rank_weighted"]
    assert list(progress[scores].iloc[-1]) == list(results.loc[results["method"] == "matern", scores].iloc[0])
    stopped = benchmark_anomalies(stores["good"], **how, ratings=8, out=out.parent / "stopped")
    assert progress["rank_weighted"][1] == pytest.approx(stopped["rank_weighted"][0])
    assert imread(out / "progress.png").std() > 0.02


def test_runs_that_an_earlier_version_kept_without_progress_are_made_again(survey):
    stores, catalog, _, out = survey
    how = {"column": "ring", "catalog": catalog, "methods": ("matern",), "ratings": 8, "batch_size": 4, "repeats": 1}
    table = benchmark_anomalies(stores["good"], **how, out=out)
    (run,) = (out / "runs").iterdir()
    kept = read_arrays(run)
    write_arrays(run, order=kept["order"][::-1], rated=kept["rated"])
    assert benchmark_anomalies(stores["good"], **how, out=out).equals(table)


def test_features_are_whitened_or_plain_and_may_have_the_ellipses_beside_them(survey):
    stores, catalog, images, out = survey
    stores["good"] = Representations.create(out.parent / "long", 3, {"weights": "long"})
    values = np.random.default_rng(1).normal(size=(40, 3)).astype("float32") * [10, 1, 1]
    stores["good"].append(catalog["id_str"], values.astype("float32"))
    how = {"column": "ring", "catalog": catalog, "methods": ("random",), "repeats": 1, "ratings": 4}
    kinds = ("whitened", "plain", "with_ellipses", "ellipses")
    table = benchmark_anomalies({"cnn": stores["good"]}, **how, features=kinds, images=images, out=out)
    assert list(table["representation"]) == ["cnn", "cnn plain", "cnn with_ellipses", "ellipses"]
    white, plain = (np.load(out / "features" / f"{name}.npy") for name in ("cnn", "cnn plain"))
    np.testing.assert_allclose(white.std(axis=0), 1, rtol=1e-5)
    shares = np.linalg.eigvalsh(np.cov(values.T, bias=True))[::-1]  # deviations in the ratios of the components
    np.testing.assert_allclose(plain.var(axis=0), 3 * shares / shares.sum(), rtol=1e-4)
    (run,) = (out / "runs").glob("*with_ellipses*")
    assert len(read_arrays(run)["order"]) == 40
    with pytest.raises(ValueError, match="need pictures: give images or records"):
        benchmark_anomalies(stores["good"], **how, features=("ellipses",), out=out)
    with pytest.raises(ValueError, match=r"unknown kind of features 'plane'.*did you mean 'plain'"):
        benchmark_anomalies(stores["good"], **how, features=("plane",), out=out)
