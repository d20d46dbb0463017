import numpy as np
import pytest
from sklearn import metrics as judge

from morphtools.answers.class_metrics import classification_metrics, weighted_scores


def example(n=300, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=n)
    return label, np.round(np.clip(0.3 * label + 0.7 * rng.uniform(size=n), 0, 1), 2)  # rounded: there are ties


def test_every_score_agrees_with_scikit_learn():
    label, p = example()
    got = {name: m["value"] for name, m in classification_metrics(label, p).items()}
    assert got["accuracy"] == pytest.approx(judge.accuracy_score(label, p >= 0.5))
    assert got["precision"] == pytest.approx(judge.precision_score(label, p >= 0.5))
    assert got["recall"] == pytest.approx(judge.recall_score(label, p >= 0.5))
    assert got["f1"] == pytest.approx(judge.f1_score(label, p >= 0.5))
    assert got["auc"] == pytest.approx(judge.roc_auc_score(label, p))
    assert got["log_loss"] == pytest.approx(judge.log_loss(label, np.clip(p, 1e-15, 1)))
    assert got["brier"] == pytest.approx(judge.brier_score_loss(label, p))


def several(n=400, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.choice(classes, n, p=[0.5, 0.3, 0.15, 0.05])
    p = rng.dirichlet(np.ones(classes), n) + 0.8 * np.eye(classes)[label] * rng.uniform(size=(n, 1))
    return label, p / p.sum(axis=1, keepdims=True)


def test_every_score_of_several_classes_agrees_with_scikit_learn():
    label, p = several()
    got = {name: m["value"] for name, m in classification_metrics(label, p).items()}
    assert got["accuracy"] == pytest.approx(judge.accuracy_score(label, p.argmax(axis=1)))
    assert got["top_2"] == pytest.approx(judge.top_k_accuracy_score(label, p, k=2))
    assert got["balanced_accuracy"] == pytest.approx(judge.balanced_accuracy_score(label, p.argmax(axis=1)))
    assert got["macro_f1"] == pytest.approx(judge.f1_score(label, p.argmax(axis=1), average="macro"))
    assert got["auc"] == pytest.approx(judge.roc_auc_score(label, p, multi_class="ovr"))
    assert got["log_loss"] == pytest.approx(judge.log_loss(label, p))
    assert got["brier"] == pytest.approx(judge.brier_score_loss(label, p))
    assert got["calibration_error"] == pytest.approx(slow_calibration_error(label == p.argmax(axis=1), p.max(axis=1)))


def test_a_class_that_is_absent_leaves_the_means_to_the_others():
    label, p = several()
    left = label < 3
    got = classification_metrics(label[left], p[left], resamples=2)
    truth = [judge.roc_auc_score(label[left] == k, p[left, k]) for k in range(3)]
    assert got["auc"]["value"] == pytest.approx(np.mean(truth))


def test_weights_count_galaxies():
    label, p = example(40)
    counts = np.random.default_rng(1).integers(0, 4, 40)
    got = weighted_scores(label.astype(float), p, counts[np.newaxis])
    many = label.repeat(counts), p.repeat(counts)
    assert got["auc"][0] == pytest.approx(judge.roc_auc_score(*many))
    assert got["f1"][0] == pytest.approx(judge.f1_score(many[0], many[1] >= 0.5))
    assert got["calibration_error"][0] == pytest.approx(slow_calibration_error(*many))


def slow_calibration_error(label, p):
    """Guo et al. 2017, equation 3, bin by bin."""
    error = 0.0
    for b in range(10):
        inside = (p >= b / 10) & ((p < (b + 1) / 10) | (b == 9))
        if inside.any():
            error += inside.mean() * abs(label[inside].mean() - p[inside].mean())
    return error


def test_calibrated_probabilities_have_a_small_calibration_error_and_shifted_ones_the_shift():
    rng = np.random.default_rng(3)
    p = rng.uniform(size=100_000)
    label = (rng.uniform(size=p.size) < p).astype(int)
    assert classification_metrics(label, p, resamples=2)["calibration_error"]["value"] < 0.01
    shifted = np.clip(p * 0.8, 0, 1)
    assert classification_metrics(label, shifted, resamples=2)["calibration_error"]["value"] == pytest.approx(
        0.1, abs=0.01
    )


def test_the_interval_of_the_accuracy_is_binomial():
    label, p = example(400)
    accuracy = classification_metrics(label, p, resamples=4000)["accuracy"]
    width = 1.96 * np.sqrt(accuracy["value"] * (1 - accuracy["value"]) / 400)
    assert accuracy["high"] - accuracy["low"] == pytest.approx(2 * width, rel=0.08)
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]


def test_undefined_scores_are_nan_and_the_others_are_unaffected():
    got = classification_metrics([0, 0, 0], [0.1, 0.2, 0.3])
    assert got["accuracy"]["value"] == 1.0
    assert np.isnan([got["auc"]["value"], got["precision"]["value"], got["recall"]["low"]]).all()


def test_the_seed_decides_the_interval():
    label, p = example()
    assert classification_metrics(label, p, seed=1) == classification_metrics(label, p, seed=1)
    assert classification_metrics(label, p, seed=1) != classification_metrics(label, p, seed=2)
