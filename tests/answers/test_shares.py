import numpy as np
import pytest
from sklearn.metrics import log_loss, precision_score, recall_score, roc_auc_score, root_mean_squared_error

from morphtools.answers.shares import Shares, share_metrics
from morphtools.studies.evaluation import outlier_percent


def shares(n=300, seed=0, k=3):
    rng = np.random.default_rng(seed)
    voted = rng.dirichlet(np.full(k, 0.4), n)
    predicted = 0.7 * voted + 0.3 * rng.dirichlet(np.full(k, 0.5), n)
    ids = np.array([f"g{i}" for i in range(n)], object)
    return Shares(ids, predicted, voted, rng.integers(5, 40, n).astype(float), tuple("abc"[:k]), {"weights": "w"})


def test_scores_agree_with_scikit_learn():
    made = shares()
    got = {name: m["value"] for name, m in share_metrics(made, resamples=2).items()}
    rows = np.repeat(made.predicted, 3, axis=0)
    judged = log_loss(np.tile([0, 1, 2], 300), rows, sample_weight=made.voted.ravel())
    assert got["cross_entropy"] == pytest.approx(judged)
    assert got["rmse"] == pytest.approx(root_mean_squared_error(made.voted.ravel(), made.predicted.ravel()))


def test_catastrophic_outliers_are_those_of_hayat_et_al():
    voted = np.array([0.0, 0.1, 0.5, 0.9, 1.0, 0.95])
    predicted = np.array([0.9, 0.1, 0.9, 0.1, 0.9, 0.5])
    made = Shares(
        np.arange(6).astype(str), np.stack([1 - predicted, predicted], 1), np.stack([1 - voted, voted], 1),
        np.full(6, 20.0), ("no", "yes"), {},
    )  # fmt: skip
    got = share_metrics(made, resamples=2)
    assert got["eta"]["value"] == pytest.approx(outlier_percent(voted, predicted) / 100) == pytest.approx(2 / 5)
    assert got["hq_share"]["value"] == pytest.approx(5 / 6)
    assert got["hq_accuracy"]["value"] == pytest.approx(2 / 5)


def test_scores_of_high_quality_answers_are_those_of_scikit_learn():
    made = shares(n=400, seed=3)
    made.voted[:, 2] *= 0.7  # never certain to be c
    made.voted[:, :2] += 0.15 * made.voted[:, 2:] / 0.7
    got = {name: m["value"] for name, m in share_metrics(made, resamples=2).items()}
    expected = {"hq_precision": [], "hq_recall": [], "hq_auc": []}
    for k in range(3):
        voted, predicted = made.voted[:, k], made.predicted[:, k]
        sure = (voted <= 0.2) | (voted >= 0.8)
        truth, yes = voted[sure] >= 0.8, predicted[sure] > 0.5
        if truth.any():
            expected["hq_recall"].append(recall_score(truth, yes))
            expected["hq_auc"].append(roc_auc_score(truth, predicted[sure]))
        if yes.any():
            expected["hq_precision"].append(precision_score(truth, yes))
    assert len(expected["hq_recall"]) == 2  # of c none is certain
    for name, each in expected.items():
        assert got[name] == pytest.approx(np.mean(each)), name


def test_galaxies_without_votes_are_left_out():
    made = shares(40)
    made.voted[:5] = np.nan
    kept = Shares(*(each[5:] for each in (made.id_str, made.predicted, made.voted, made.votes)), made.answers, {})
    assert share_metrics(made, resamples=5) == share_metrics(kept, resamples=5)


def test_shares_survive_saving(tmp_path):
    made = shares(6)
    made.save(tmp_path / "p.parquet")
    opened = Shares.open(tmp_path / "p.parquet")
    for name in ("id_str", "predicted", "voted", "votes"):
        np.testing.assert_array_equal(getattr(opened, name), getattr(made, name))
    assert (opened.answers, opened.provenance) == (made.answers, made.provenance)
