import keras
import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import log_loss

from morphtools.answers.classes import Classes
from morphtools.answers.fractions import Fractions
from morphtools.answers.linear import fit_normal, fit_softmax
from morphtools.answers.numbers import Numbers
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.answers.several import Several
from morphtools.models.answering import begin, head_for, loss_for, take_linear
from morphtools.models.number_head import number_loss

ANSWERS = [Classes(("a", "b", "c")), Fractions(("a", "b")), Numbers(("m", "n"), (5.0, 1.0), (2.0, 0.1)), Photoz(bins=8)]
ANSWERS += [Several(("q", "r"), (Classes(("a", "b", "c")), Classes(("no", "yes"), (0.5, 1.5))))]
RNG = np.random.default_rng(0)


def value(loss, labels, outputs):
    """Of the loss, as Keras computes it for a model."""
    model = keras.Sequential([keras.Input(outputs.shape[1:]), keras.layers.Identity()])
    model.compile(loss=loss)
    return float(model.test_on_batch(outputs.astype("float32"), labels.astype("float32")))


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.kind)
def test_every_answer_has_a_head_that_gives_its_outputs_and_a_loss_that_takes_its_labels(answer):
    head = head_for(answer, hidden=(), seed=1)
    outputs = keras.ops.convert_to_numpy(head(RNG.normal(size=(6, 4))))
    assert outputs.shape == (6, answer.outputs)
    labels = RNG.integers(0, 2, (6, len(answer.label_cols)))
    assert np.isfinite(value(loss_for(answer), labels, outputs))


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.kind)
def test_a_head_begins_with_the_same_for_every_galaxy(answer):
    head = head_for(answer, seed=1)
    head.build((None, 4))
    begin(head, answer, RNG.uniform(0.1, 0.3, (20, len(answer.label_cols))))
    outputs = keras.ops.convert_to_numpy(head(RNG.normal(size=(6, 4))))
    np.testing.assert_allclose(outputs, np.broadcast_to(outputs[:1], outputs.shape), rtol=1e-5)


def test_the_likelihood_of_numbers_is_that_of_scipy_but_for_its_constant():
    truth, mean, sigma = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 2)), RNG.uniform(0.5, 2, (5, 2))
    ours = keras.ops.convert_to_numpy(number_loss(truth, np.concatenate([mean, np.log(sigma)], axis=1)))
    np.testing.assert_allclose(ours, -norm.logpdf(truth, mean, sigma).sum(axis=1) - np.log(2 * np.pi), rtol=1e-4)


def test_an_unknown_number_costs_nothing():
    truth, outputs = RNG.normal(size=(4, 2)), RNG.normal(size=(4, 4))
    both = value(number_loss, truth, outputs) * 4
    first, second = (value(number_loss, truth[:, [i]], outputs[:, [i, i + 2]]) * 4 for i in (0, 1))
    lost = value(number_loss, truth[:1, [1]], outputs[:1, [1, 3]])
    truth[0, 1] = np.nan
    assert value(number_loss, truth, outputs) * 4 == pytest.approx(first + second - lost, rel=1e-4)
    assert both == pytest.approx(first + second, rel=1e-4)


def test_soft_labels_are_weighted_by_votes_and_hard_ones_by_their_class():
    p = RNG.dirichlet([1, 1], 4)
    votes = RNG.integers(1, 9, (4, 2)).astype(float)
    mean = votes.sum() / 4
    want = log_loss(np.tile([0, 1], 4), np.repeat(p, 2, axis=0), sample_weight=votes.ravel())
    assert value(loss_for(Fractions(("a", "b"), mean)), votes, p) == pytest.approx(want, rel=1e-5)
    y = np.array([[0], [1], [1], [0]])
    want = log_loss(y[:, 0], p, sample_weight=np.where(y[:, 0], 3.0, 0.5), normalize=False) / 4
    assert value(loss_for(Classes(("a", "b"), (0.5, 3.0))), y, p) == pytest.approx(want, rel=1e-5)


def test_a_fitted_head_becomes_a_keras_layer_that_survives_saving(tmp_path):
    x, y = RNG.normal(size=(60, 12)), RNG.integers(0, 3, 60)
    head, fitted = head_for(ANSWERS[0], hidden=()), fit_softmax(x, np.eye(3)[y])
    take_linear(head, fitted)
    logits = (x - fitted.mean) / fitted.deviation @ fitted.kernel + fitted.bias
    np.testing.assert_allclose(head(x), np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-3)
    numbers = ANSWERS[2]
    truth = np.stack([5 + 2 * x[:, 0], 1 + 0.1 * x[:, 1]], axis=1) + RNG.normal(size=(60, 2)) * [0.2, 0.01]
    head, fitted = head_for(numbers, hidden=()), fit_normal(x, (truth - numbers.centre) / numbers.scale)
    take_linear(head, fitted)
    model = keras.Sequential([keras.Input((12,)), head])
    model.save(tmp_path / "m.keras")
    mean, log_sigma = np.split(keras.saving.load_model(tmp_path / "m.keras").predict(x, verbose=0), 2, axis=1)
    assert np.corrcoef(mean[:, 1], truth[:, 1])[0, 1] > 0.95
    np.testing.assert_allclose(np.exp(log_sigma[0]), np.std(truth - mean, axis=0), rtol=0.5)  # in their own units
