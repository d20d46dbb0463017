import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import median_abs_deviation, norm, rv_histogram

from morphtools.answers import redshift_metrics as metrics
from morphtools.answers.redshifts import Redshifts

EDGES = np.array([0.0, 0.05, 0.1, 0.2, 0.4])
PDF = np.random.default_rng(0).dirichlet(np.ones(4), size=6)
REDSHIFT = np.array([0.0, 0.03, 0.1, 0.17, 0.33, 0.4])
DZ = np.random.default_rng(1).normal(0.01, 0.03, 999)


def histograms():
    return [rv_histogram((p, EDGES), density=False) for p in PDF]


def test_delta_z_of_a_published_pair():
    np.testing.assert_allclose(metrics.delta_z([0.21, 0.1], [0.2, 0.1]), [0.01 / 1.2, 0.0])


def test_point_metrics_agree_with_scipy_and_a_count():
    assert metrics.bias(DZ) == pytest.approx(DZ.mean())
    assert metrics.sigma_mad(DZ) == pytest.approx(median_abs_deviation(DZ, scale=1 / 1.4826))
    assert metrics.outlier_fraction(DZ) == sum(abs(d) > 0.05 for d in DZ) / 999
    assert metrics.outlier_fraction(DZ, threshold=0.02) == sum(abs(d) > 0.02 for d in DZ) / 999


def test_sigma_mad_of_normal_errors_is_their_standard_deviation():
    errors = norm.ppf((np.arange(20_000) + 0.5) / 20_000, scale=0.02)
    assert metrics.sigma_mad(errors) == pytest.approx(0.02, rel=1e-4)


def test_pit_is_the_cdf_of_scipys_histogram():
    expected = [h.cdf(z) for h, z in zip(histograms(), REDSHIFT, strict=True)]
    np.testing.assert_allclose(metrics.pit(PDF, EDGES, REDSHIFT), expected, atol=1e-12)


def test_log_likelihood_is_that_of_scipys_histogram():
    inside = REDSHIFT[:-1]  # scipy gives the last edge a density of 0
    expected = [h.logpdf(z) for h, z in zip(histograms(), inside, strict=False)]
    np.testing.assert_allclose(metrics.log_likelihood(PDF[:-1], EDGES, inside), expected)
    assert np.isfinite(metrics.log_likelihood(PDF[-1:], EDGES, REDSHIFT[-1:]))
    np.testing.assert_array_equal(metrics.log_likelihood(PDF[:2], EDGES, np.array([-0.1, 0.5])), -np.inf)


@pytest.mark.parametrize("shift", [0.0, -0.3, 0.5])
def test_crps_is_the_integral_of_the_squared_difference_of_cdfs(shift):
    redshift = REDSHIFT + shift
    low, high = min(0, redshift.min()), max(0.4, redshift.max())
    expected = [
        quad(lambda z, h=h, s=s: (h.cdf(z) - (z >= s)) ** 2, low, high, points=[*EDGES, s], limit=200)[0]
        for h, s in zip(histograms(), redshift, strict=True)
    ]
    np.testing.assert_allclose(metrics.crps(PDF, EDGES, redshift), expected, atol=1e-8)


def test_crps_of_a_fine_normal_pdf_is_the_closed_form():
    # Gneiting & Raftery 2007, equation 21
    edges = np.linspace(0, 0.4, 4001)
    pdf = np.diff(norm.cdf(edges, 0.2, 0.02))[np.newaxis]
    z = 0.23
    w = (z - 0.2) / 0.02
    closed = 0.02 * (w * (2 * norm.cdf(w) - 1) + 2 * norm.pdf(w) - 1 / np.sqrt(np.pi))
    assert metrics.crps(pdf, edges, [z])[0] == pytest.approx(closed, rel=1e-5)


def test_scores_of_unknown_redshifts_are_nan():
    for metric in (metrics.pit, metrics.crps, metrics.log_likelihood):
        assert np.isnan(metric(PDF[:1], EDGES, np.array([np.nan]))).all()


def sample(n, seed=0):
    rng = np.random.default_rng(seed)
    edges, truth = np.linspace(0, 0.4, 41), rng.uniform(0.1, 0.3, n)
    pdf = np.diff(norm.cdf(edges, (truth + rng.normal(0, 0.02, n))[:, np.newaxis], 0.02), axis=1)
    return Redshifts(np.arange(n).astype(str), pdf / pdf.sum(1, keepdims=True), edges, "mean", truth, {})


def test_intervals_hold_the_value_and_shrink_with_more_galaxies():
    few, many = (metrics.photoz_metrics(sample(n), resamples=200) for n in (50, 1250))
    assert list(few) == list(metrics.METRICS)
    for name in metrics.METRICS:
        assert many[name]["low"] <= many[name]["value"] <= many[name]["high"]
    widths = [m["crps"]["high"] - m["crps"]["low"] for m in (few, many)]
    assert widths[0] / widths[1] == pytest.approx(5, rel=0.4)  # 1/√N
    # the interval of a mean is ±1.96 standard errors
    dz = metrics.delta_z(sample(1250).z(), sample(1250).redshift)
    interval = many["bias"]["high"] - many["bias"]["low"]
    assert interval == pytest.approx(2 * 1.96 * dz.std() / np.sqrt(1250), rel=0.2)


def test_galaxies_without_a_spectrum_do_not_count():
    both = sample(100)
    hidden = np.where(np.arange(100) < 60, both.redshift, np.nan)
    some = Redshifts(both.id_str, both.pdf, both.edges, "mean", hidden, {})
    first = Redshifts(both.id_str[:60], both.pdf[:60], both.edges, "mean", both.redshift[:60], {})
    assert metrics.photoz_metrics(some, resamples=20) == metrics.photoz_metrics(first, resamples=20)
    none = Redshifts(both.id_str, both.pdf, both.edges, "mean", np.full(100, np.nan), {})
    assert np.isnan(metrics.photoz_metrics(none)["bias"]["value"])
