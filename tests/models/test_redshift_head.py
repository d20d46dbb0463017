import keras
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from morphtools.models.redshift_head import MixtureHead, RedshiftLoss, redshift_head, redshift_loss

pytestmark = pytest.mark.any_backend
X = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def test_the_loss_is_minus_the_logarithm_of_the_bin_with_the_spectrum():
    rng = np.random.default_rng(1)
    probability = rng.dirichlet(np.ones(8), 50).astype("float32")
    z = rng.uniform(0.1, 0.5, 50)
    counted = [
        -np.log(p[np.histogram([each], np.linspace(0.1, 0.5, 9))[0].argmax()])
        for p, each in zip(probability, z, strict=True)
    ]
    np.testing.assert_allclose(numpy(redshift_loss(z, probability, 0.1, 0.5)), counted, rtol=1e-5)
    np.testing.assert_allclose(float(RedshiftLoss(0.1, 0.5)(z, probability)), np.mean(counted), rtol=1e-5)


def test_beyond_the_range_the_outermost_bin_counts():
    probability = np.array([[0.7, 0.2, 0.1]] * 4, "float32")
    got = numpy(redshift_loss(np.array([-0.01, 0.0, 0.3, 0.9]), probability, 0.0, 0.3))
    np.testing.assert_allclose(got, -np.log([0.7, 0.7, 0.1, 0.1]), rtol=1e-5)


@pytest.mark.parametrize("pdf", ["softmax", "mixture"])
def test_heads_give_probabilities_and_come_back_from_their_config(pdf):
    head = redshift_head(30, (0.0, 0.4), pdf, seed=0)
    said = numpy(head(X))
    assert said.shape == (40, 30) and (said >= 0).all()
    np.testing.assert_allclose(said.sum(axis=1), 1, rtol=1e-5)
    again = type(head).from_config(head.get_config())
    np.testing.assert_array_equal(numpy(again(X)), said)  # the seed makes the weights


def test_the_mixture_is_that_of_scipy_on_the_middles_of_the_bins():
    head = MixtureHead(60, 0.0, 0.6, components=3, hidden=(), seed=2)
    said = numpy(head(X))
    log_weight, mean, width = (numpy(each).astype(float) for each in head.mixture(X))
    middle = np.linspace(0, 0.6, 61)[:-1] + 0.005
    log_density = logsumexp(log_weight[..., None] + norm.logpdf(middle, mean[..., None], width[..., None]), axis=1)
    expected = np.exp(log_density - logsumexp(log_density, axis=1, keepdims=True))
    np.testing.assert_allclose(said, expected, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(np.exp(log_weight).sum(axis=1), 1, rtol=1e-5)
    assert (width > 0.01).all()  # no narrower than a bin


def test_the_mixture_is_that_of_tensorflow_probability_in_the_bins():
    """By cumulative probabilities at the edges, cut off at the ends of the range."""
    tfp = pytest.importorskip("tensorflow_probability")
    head = MixtureHead(120, 0.0, 0.6, components=4, hidden=(), seed=3)
    said = numpy(head(X))
    log_weight, mean, width = (numpy(each) for each in head.mixture(X))
    mixture = tfp.distributions.MixtureSameFamily(
        tfp.distributions.Categorical(logits=log_weight), tfp.distributions.Normal(mean, width)
    )
    edges = np.linspace(0, 0.6, 121, dtype="float32")
    cdf = np.stack([mixture.cdf(np.full(len(X), edge, "float32")).numpy() for edge in edges], axis=1)
    expected = np.diff(cdf, axis=1) / (cdf[:, -1:] - cdf[:, :1])
    np.testing.assert_allclose(said, expected, atol=2e-3)  # the middle of a bin is not its mean


@pytest.mark.parametrize("pdf", ["softmax", "mixture"])
def test_a_head_learns_redshifts_with_their_scatter(pdf):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2000, 3)).astype("float32")
    z = 0.2 + 0.03 * x[:, 0] + rng.normal(0, 0.01, 2000)
    head = redshift_head(20, (0.0, 0.4), pdf, seed=0)
    head.standardize.adapt(x)
    model = keras.Sequential([keras.Input((3,)), head])
    model.compile(keras.optimizers.Adam(0.1), RedshiftLoss(0.0, 0.4))
    model.fit(x, z, epochs=12, batch_size=100, verbose=0)
    said = numpy(head(x))
    middle = np.linspace(0.01, 0.39, 20)
    mean = said @ middle
    assert np.std(mean - z) < 0.0125
    spread = np.sqrt(said @ middle**2 - mean**2)
    assert 0.008 < np.median(spread) < 0.022


def test_a_redshift_far_off_still_pulls():
    head = MixtureHead(50, 0.0, 1.0, components=1, hidden=(), seed=0)
    model = keras.Sequential([keras.Input((6,)), head])
    model.compile(keras.optimizers.SGD(1e-3), RedshiftLoss(0.0, 1.0))
    before = float(model.test_on_batch(X[:1], np.array([0.99])))
    model.train_on_batch(X[:1], np.array([0.99]))
    assert float(model.test_on_batch(X[:1], np.array([0.99]))) < before


def test_another_pdf_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown pdf 'mixtures'; known pdfs: mixture, softmax"):
        redshift_head(10, (0, 1), "mixtures")
