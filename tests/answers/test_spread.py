import numpy as np
import pytest

from morphtools.answers.linear import standardisation
from morphtools.answers.spread import fit_spread


def galaxies(n, slope, seed=0):
    """Representations, true deviations that depend on the first direction, and residuals."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 20)) * np.linspace(2, 0.5, 20)
    sigma = 0.2 * np.exp(slope * x[:, 0] / 2)
    return x, sigma, rng.normal(size=n) * sigma


def deviations(x, fitted, other):
    mean, deviation = standardisation(x)
    kernel, bias, _ = fitted
    return np.exp((other - mean) / deviation @ kernel + bias)[:, 0]


def test_galaxies_that_are_harder_get_a_larger_deviation_and_intervals_hold_for_both_halves():
    x, _, residual = galaxies(400, 0.8)
    other, sigma, truth = galaxies(4000, 0.8, seed=1)
    found = deviations(x, fit_spread(x, residual[:, np.newaxis]), other)
    assert np.corrcoef(np.log(found), np.log(sigma))[0, 1] > 0.9
    easy = sigma < np.median(sigma)
    for half in (easy, ~easy):
        assert np.mean(np.abs(truth[half]) < found[half]) == pytest.approx(0.683, abs=0.06)
    one_for_all = np.sqrt(np.mean(residual**2))
    assert np.mean(np.abs(truth[easy]) < one_for_all) > 0.9  # the scores to beat


@pytest.mark.parametrize("seed", range(3))
def test_if_nothing_predicts_the_size_of_residuals_all_galaxies_have_the_same_deviation(seed):
    x, _, residual = galaxies(100, 0.0, seed)
    kernel, bias, left_out = fit_spread(x, residual[:, np.newaxis])
    assert (kernel == 0).all()
    assert np.exp(bias) == pytest.approx(np.sqrt(np.mean(residual**2)), rel=0.05)
    assert np.ptp(left_out) < 0.2  # by the folds


def test_pulls_of_left_out_galaxies_have_a_mean_square_of_one_for_each_number():
    x, _, first = galaxies(200, 0.8)
    residuals = np.stack([first, 5 * galaxies(200, 0.0, 3)[2]], axis=1)
    _, _, left_out = fit_spread(x, residuals)
    np.testing.assert_allclose(np.mean((residuals / np.exp(left_out)) ** 2, axis=0), 1, rtol=1e-6)


def test_residuals_of_zero_do_not_give_infinite_certainty():
    kernel, bias, _ = fit_spread(galaxies(50, 0)[0], np.zeros((50, 1)))
    assert (kernel == 0).all() and np.exp(bias) == pytest.approx(1e-6)
