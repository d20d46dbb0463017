import numpy as np
import pytest
from scipy.stats import norm

from morphtools.answers.redshift_metrics import crps
from morphtools.answers.redshift_neighbours import kernel_pdf, nearest_rows, neighbour_pdf, training_pdf

EDGES = np.linspace(0, 0.4, 41)


def test_the_training_distribution_is_the_histogram_and_leaves_nothing_impossible():
    z = np.random.default_rng(0).uniform(0.1, 0.2, 2000)
    pdf = training_pdf(np.append(z, 0.9), EDGES)
    np.testing.assert_allclose(pdf * 2001 - np.histogram(z, EDGES)[0], 1 / 40)
    assert pdf.sum() == pytest.approx(1) and pdf.min() > 0


def test_a_kernel_pdf_is_the_mean_of_normal_distributions_of_silvermans_width():
    z = np.array([[0.15, 0.16, 0.18, 0.19, 0.21]])
    width = 0.9 * min(z.std(), (0.19 - 0.16) / 1.34) * 5**-0.2
    expected = np.mean([np.diff(norm.cdf(EDGES, each, width)) for each in z[0]], axis=0)
    pdf = kernel_pdf(z, EDGES, np.full(40, 1 / 40), 0.1)
    np.testing.assert_allclose(pdf[0], 0.9 * expected / expected.sum() + 0.1 / 40, atol=1e-12)


def test_equal_neighbours_and_such_at_the_edge_or_beyond_give_a_pdf_too():
    pdf = kernel_pdf(np.array([[0.2] * 5, [0.0] * 5, [3.0] * 5]), EDGES, np.full(40, 1 / 40), 0.0)
    np.testing.assert_allclose(pdf.sum(axis=1), 1)
    assert list(pdf.argmax(axis=1)) in ([19, 0, 39], [20, 0, 39])


def test_neighbours_know_what_their_features_know_and_no_more():
    rng = np.random.default_rng(0)
    z = rng.uniform(0.05, 0.35, 900)
    telling, dumb = np.stack([z, z**2], axis=1) + rng.normal(0, 0.01, (900, 2)), rng.normal(size=(900, 2))
    losses = {}
    for name, x in {"telling": telling, "dumb": dumb}.items():
        validation = {"validation": x[600:700], "validation_redshift": z[600:700]}
        pdf = neighbour_pdf(x[:600], z[:600], x[700:], EDGES, **validation)
        np.testing.assert_allclose(pdf.sum(axis=1), 1)
        assert pdf.min() > 0
        losses[name] = crps(pdf, EDGES, z[700:]).mean()
    everything = crps(np.tile(training_pdf(z[:600], EDGES), (200, 1)), EDGES, z[700:]).mean()
    assert losses["telling"] < 0.3 * everything
    assert losses["dumb"] == pytest.approx(everything, rel=0.1)


def test_the_nearest_come_first_and_there_are_no_more_than_there_are():
    known = np.array([[0.0], [1.0], [3.0]])
    assert nearest_rows(known, np.array([[0.8]]), 5).tolist() == [[1, 0, 2]]
