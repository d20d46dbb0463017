import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import r2_score, root_mean_squared_error

from morphtools.answers.estimates import Estimates, crps_of_normal, number_metrics


def estimates(n=4000, seed=0, width=1.0, columns=("size",)):
    rng = np.random.default_rng(seed)
    shape = (n, len(columns))
    value, sigma = rng.normal(size=shape), rng.uniform(0.2, 0.6, shape)
    truth = value + width * sigma * rng.normal(size=shape)
    return Estimates(np.array([f"g{i}" for i in range(n)], object), value, sigma, truth, columns, {"weights": "w"})


def test_the_closed_form_of_the_crps_is_its_integral():
    value, sigma, truth = 0.3, 0.7, 1.1
    below = quad(lambda x: norm.cdf(x, value, sigma) ** 2, -10, truth)[0]
    above = quad(lambda x: (1 - norm.cdf(x, value, sigma)) ** 2, truth, 10)[0]
    assert crps_of_normal(value, sigma, truth) == pytest.approx(below + above, rel=1e-6)


def test_scores_agree_with_scikit_learn_and_honest_uncertainties_cover():
    made = estimates()
    got = {name: m["value"] for name, m in number_metrics(made, resamples=2).items()}
    assert got["rmse"] == pytest.approx(root_mean_squared_error(made.truth, made.value))
    assert got["r2"] == pytest.approx(r2_score(made.truth, made.value))
    assert got["coverage_68"] == pytest.approx(0.68, abs=0.02) and got["coverage_90"] == pytest.approx(0.9, abs=0.015)
    assert number_metrics(estimates(width=2.0), resamples=2)["coverage_90"]["value"] < 0.7


def test_unknown_truth_is_left_out_and_several_numbers_are_named():
    made = estimates(50, columns=("size", "colour"))
    made.truth[:10, 0] = np.nan
    got = number_metrics(made, resamples=20)
    assert got["rmse of size"]["value"] == pytest.approx(
        root_mean_squared_error(made.truth[10:, 0], made.value[10:, 0])
    )
    assert np.isfinite(got["crps of colour"]["low"])


def test_estimates_survive_saving(tmp_path):
    made = estimates(5, columns=("size", "colour"))
    made.save(tmp_path / "p.parquet")
    opened = Estimates.open(tmp_path / "p.parquet")
    for name in ("id_str", "value", "sigma", "truth"):
        np.testing.assert_array_equal(getattr(opened, name), getattr(made, name))
    assert (opened.columns, opened.provenance) == (made.columns, made.provenance)
    assert list(opened.table())[:4] == ["id_str", "size_predicted", "size_sigma", "size"]
