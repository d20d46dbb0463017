import dataclasses

import numpy as np
import pytest
from scipy.stats import kstest, norm

from morphtools.answers.redshift_metrics import delta_z, log_likelihood, sigma_mad
from morphtools.answers.redshifts import Redshifts
from morphtools.studies.photoz_recalibration import fit_pit, recalibrate_redshifts

EDGES = np.linspace(0, 0.4, 181)


def normal(n, seed, *, width=0.02, shift=0.0, error=0.02):
    """Redshifts whose errors have the standard deviation `error`, and whose PDFs have the width `width`."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.1, 0.3, n)
    said = truth + rng.normal(0, error, n) + shift
    pdf = np.diff(norm.cdf(EDGES, said[:, np.newaxis], width), axis=1)
    return Redshifts(np.arange(n).astype(str), pdf / pdf.sum(axis=1, keepdims=True), EDGES, "mean", truth, {})


def p_value(redshifts):
    return kstest(redshifts.cdf_at(redshifts.redshift), "uniform").pvalue


def spread(redshifts):
    return sigma_mad(delta_z(redshifts.z(), redshifts.redshift))


@pytest.mark.parametrize("wrong", [{"width": 0.008}, {"width": 0.05}, {"shift": 0.015}])
def test_pdfs_that_are_too_narrow_too_wide_or_shifted_become_uniform_in_pit(wrong):
    test, knots = normal(2000, 1, **wrong), fit_pit(normal(4000, 2, **wrong))
    mended = recalibrate_redshifts(test, knots)
    assert p_value(test) < 1e-6 and p_value(mended) > 0.01
    assert spread(mended) == pytest.approx(spread(test), rel=0.02)
    gain = log_likelihood(mended.pdf, EDGES, test.redshift) - log_likelihood(test.pdf, EDGES, test.redshift)
    assert gain.mean() > 0.05


def test_calibrated_pdfs_stay_as_they_are():
    test = normal(2000, 1)
    mended = recalibrate_redshifts(test, fit_pit(normal(4000, 2)))
    assert np.abs(np.cumsum(mended.pdf - test.pdf, axis=1)).max() < 0.04  # √(1/4000), a few times
    assert p_value(mended) > 0.01


def test_recalibration_also_removes_a_shift_from_the_estimates():
    mended = recalibrate_redshifts(normal(2000, 1, shift=0.015), fit_pit(normal(4000, 2, shift=0.015)))
    assert abs(delta_z(mended.z(), mended.redshift).mean()) < 0.002


def test_recalibrated_pdfs_are_pdfs_for_any_validation_galaxies():
    rng = np.random.default_rng(0)
    for i in range(20):
        pdf = rng.dirichlet(np.full(180, 10.0 ** rng.uniform(-2, 1)), size=300)
        some = dataclasses.replace(normal(300, i), pdf=pdf)
        mended = recalibrate_redshifts(some, fit_pit(some))
        assert (mended.pdf >= 0).all()
        np.testing.assert_allclose(mended.pdf.sum(axis=1), 1)
        quantiles = mended.quantile([0.1, 0.5, 0.9])
        assert (np.diff(quantiles, axis=1) >= 0).all()


def test_the_order_of_redshifts_in_one_pdf_family_is_kept():
    """R is one ascending function for all galaxies: whose CDF was higher stays higher."""
    knots = fit_pit(normal(1000, 3, width=0.01))
    one, two = (recalibrate_redshifts(normal(50, 4, shift=s, error=0), knots) for s in (0.0, 0.01))
    assert (np.cumsum(one.pdf, axis=1) >= np.cumsum(two.pdf, axis=1) - 1e-9).all()


def test_too_few_validation_galaxies_are_refused():
    few = dataclasses.replace(normal(250, 1), redshift=np.where(np.arange(250) < 190, 0.2, np.nan))
    with pytest.raises(ValueError, match="190 validation galaxies with a redshift are too few, at least 200"):
        fit_pit(few)


def test_pdfs_that_are_all_wrong_are_refused():
    one = normal(300, 1)
    lost = dataclasses.replace(one, redshift=np.full(300, 0.5))
    with pytest.raises(ValueError, match="all the same PIT"):
        fit_pit(lost)
