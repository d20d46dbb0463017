import numpy as np
import pytest

from morphtools.anomalies import gaussian_process
from morphtools.anomalies.gaussian_process import KERNELS, Posterior
from morphtools.anomalies.gaussian_process import gaussian_process as unfitted
from morphtools.anomalies.rating_learner import fit_learner

X = np.random.default_rng(0).normal(size=(5000, 6)).astype("float32")
RATINGS = np.clip(np.round(2 * X[:60, 0] + 1), 0, 5)


@pytest.fixture(scope="module", params=KERNELS)
def process(request):
    return fit_learner(X[:60], RATINGS, request.param).estimator


def test_mean_and_deviation_are_those_of_scikit_learn(process):
    mean, deviation = process.predict(X.astype(float), return_std=True)
    posterior = Posterior(process)
    for found, expected in zip(posterior.predict(X), (mean, deviation), strict=True):
        np.testing.assert_allclose(found, expected, atol=5e-4)
    np.testing.assert_allclose(posterior.mean(X), mean, atol=5e-4)
    far = 1e3 * np.ones((1, 6))
    np.testing.assert_allclose(posterior.predict(far), process.predict(far, return_std=True), atol=1e-3)
    assert (posterior.predict(X)[1] <= posterior.prior_deviation).all()


def test_chunks_rows_and_a_file_on_disk_change_nothing(process, monkeypatch, tmp_path):
    posterior = Posterior(process)
    whole = posterior.predict(X)
    np.save(tmp_path / "x.npy", X)
    monkeypatch.setattr(gaussian_process, "_CHUNK", 7)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_allclose(posterior.predict(mapped), whole, atol=1e-4)
    rows = np.array([3, 4999, 3, 17])
    np.testing.assert_allclose(posterior.predict(mapped, rows), np.array(whole)[:, rows], atol=1e-4)
    assert posterior.predict(X, rows[:0])[0].shape == (0,)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_length_scale_far_below_all_distances_leaves_what_was_known_before_any_rating(kernel):
    process = unfitted(kernel, 6)
    scales = {name: 1e-5 for name in process.kernel.get_params() if name.endswith("length_scale")}
    process.kernel.set_params(**scales)
    process.optimizer = None
    posterior = Posterior(process.fit(X[:60], RATINGS))
    mean, deviation = posterior.predict(X)
    assert np.isfinite(mean).all()
    np.testing.assert_allclose(mean[60:], 0, atol=0.1)
    np.testing.assert_allclose(deviation[60:], posterior.prior_deviation, rtol=1e-3)


def test_a_kernel_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match=r"unknown kernel 'mattern'; .*did you mean 'matern'"):
        unfitted("mattern", 3)
