import warnings

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, roc_auc_score

from morphtools.answers import linear
from morphtools.answers.linear import STRENGTHS, fit_normal, fit_softmax, standardisation


def galaxies(n, d=40, k=3, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    sky = np.random.default_rng(99)  # the same for all seeds
    x = rng.normal(size=(n, d)) * sky.gamma(1.0, 1.0, d)
    logits = x[:, :4] @ sky.normal(size=(4, k))
    return x, (logits + noise * rng.gumbel(size=(n, k))).argmax(axis=1)


def outputs(head, x):
    return (x - head.mean) / head.deviation @ head.kernel + head.bias


@pytest.mark.parametrize(("n", "d"), [(60, 150), (150, 20)])  # fewer galaxies than dimensions, and more
def test_the_head_is_the_minimum_that_scikit_learn_finds(n, d):
    x, y = galaxies(n, d)
    head = fit_softmax(x, np.eye(3)[y])
    z = (x - head.mean) / head.deviation
    strength = head.history.loc[head.history["kept"], "strength"].item() * (z**2).sum(axis=1).mean()
    theirs = LogisticRegression(C=1 / strength, tol=1e-8, max_iter=5000).fit(z, y)
    np.testing.assert_allclose(softmax(outputs(head, x), axis=1), theirs.predict_proba(z), atol=2e-3)


def test_soft_labels_are_galaxies_that_count_for_several_classes():
    """Weights and fractions give what repeated rows give."""
    x, _ = galaxies(40, 10)
    votes = np.random.default_rng(1).integers(1, 5, (40, 2)).astype(float)
    logits, solutions = linear._path(x, votes, x)
    mean, deviation, _, _ = solutions[5]
    z = (x - mean) / deviation
    repeated, labels = np.repeat(z, 2, axis=0), np.tile([0, 1], 40)
    length = np.mean(((x - mean) ** 2 / deviation**2).sum(axis=1))
    # the penalty of softmax over two classes is half of that on their difference
    theirs = LogisticRegression(C=2 / (STRENGTHS[5] * length), tol=1e-8, max_iter=5000)
    theirs.fit(repeated, labels, sample_weight=votes.ravel())
    np.testing.assert_allclose(softmax(logits[5], axis=1)[:, 1], theirs.predict_proba(z)[:, 1], atol=2e-3)


def test_variances_are_shrunk_as_if_thirty_galaxies_had_the_mean():
    x = np.random.default_rng(0).normal(size=(30, 3)) * [0.0, 1.0, 2.0]
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9) * [0.0, 1.0, 2.0]  # variances 0, 1, 4
    np.testing.assert_allclose(standardisation(x)[1] ** 2, (np.array([0, 1, 4]) + 5 / 3) / 2, rtol=1e-5)


def test_the_strength_is_the_strongest_within_half_a_standard_error():
    x, y = galaxies(80)
    history = fit_softmax(x, np.eye(3)[y]).history
    kept = history[history["kept"]].iloc[0]
    stronger = history[history["strength"] > kept["strength"]]
    assert kept["val_loss"] < history["val_loss"].min() + 0.1 and (stronger["val_loss"] > kept["val_loss"]).all()
    assert history["loss"].is_monotonic_decreasing  # the weaker the penalty, the better it fits what it has seen


def test_nothing_is_learned_from_noise():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(100, 300)), rng.integers(2, size=100)
    head, other = fit_softmax(x, np.eye(2)[y]), rng.normal(size=(500, 300))
    assert np.abs(softmax(outputs(head, other), axis=1)[:, 1] - y.mean()).max() < 0.2


def test_left_out_galaxies_are_judged_by_heads_that_never_saw_them():
    """Their log loss is that of the history, and as good as on other galaxies."""
    x, y = galaxies(300, seed=1)
    head = fit_softmax(x, np.eye(3)[y])
    np.testing.assert_allclose(head.left_out.sum(axis=1), 1)
    kept = head.history[head.history["kept"]].iloc[0]
    assert log_loss(y, head.left_out) == pytest.approx(kept["val_loss"], rel=1e-6)  # of folds that are not repeated
    other, truth = galaxies(3000, seed=2)
    theirs = -log_softmax(outputs(head, other), axis=1)[np.arange(3000), truth].mean()
    assert kept["val_loss"] == pytest.approx(theirs, abs=0.1) and kept["loss"] < theirs


def test_it_ranks_as_well_as_cross_validated_scikit_learn_from_few_galaxies():
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.preprocessing import StandardScaler

    ours, theirs = [], []
    other, truth = galaxies(2000, 200, 2, seed=50)
    for seed in range(6):
        x, y = galaxies(40, 200, 2, seed=seed)
        ours.append(roc_auc_score(truth, outputs(fit_softmax(x, np.eye(2)[y]), other)[:, 1]))
        scale = StandardScaler().fit(x)
        with warnings.catch_warnings():  # about defaults that will change
            warnings.simplefilter("ignore")
            peer = LogisticRegressionCV(Cs=5, cv=3, max_iter=300).fit(scale.transform(x), y)
        theirs.append(roc_auc_score(truth, peer.decision_function(scale.transform(other))))
    assert np.mean(ours) > np.mean(theirs) - 0.01


def test_numbers_are_those_of_ridge_regression_and_their_uncertainty_covers():
    rng = np.random.default_rng(4)
    x, w = rng.normal(size=(200, 60)), rng.normal(size=(60, 2)) * 0.3
    y, other = x @ w + rng.normal(size=(200, 2)), rng.normal(size=(4000, 60))
    head, truth = fit_normal(x, y), other @ w + rng.normal(size=(4000, 2))
    z = (x - head.mean) / head.deviation
    strength = head.history.loc[head.history["kept"], "strength"].item() * (z**2).sum(axis=1).mean()
    np.testing.assert_allclose(outputs(head, x)[:, :2], Ridge(strength).fit(z, y).predict(z), atol=1e-6)
    mean, log_sigma = np.split(outputs(head, other), 2, axis=1)
    inside = np.abs(truth - mean) < np.exp(log_sigma)
    assert inside.mean() == pytest.approx(0.683, abs=0.05)  # of the residuals of galaxies it was fitted to: 0.58
    assert head.left_out.shape == (200, 4) and np.all(head.left_out[:, 2:] == log_sigma[0])
