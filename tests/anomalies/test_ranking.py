import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import average_precision_score

from morphtools.anomalies.ranking import (
    average_precision,
    mean_with_interval,
    precision_at,
    rank_weighted_score,
    ranking_metrics,
    recall_curve,
)

RANKED = np.random.default_rng(0).random(500) < np.linspace(0.5, 0, 500)


@pytest.mark.parametrize(("ranked", "score"), [([1, 1, 0, 1, 0], 0.733333), ([0, 0, 0, 0, 1], 0.066667), ([1] * 5, 1)])
def test_rank_weighted_score_has_its_published_values(ranked, score):
    assert rank_weighted_score(np.array(ranked), 5) == pytest.approx(score, abs=1e-6)


def test_rank_weighted_score_is_a_slow_sum():
    slow = sum((200 - i) * RANKED[i] for i in range(200)) / (200 * 201 / 2)
    assert rank_weighted_score(RANKED, 200) == pytest.approx(slow)
    assert rank_weighted_score(RANKED[:30], 200) == rank_weighted_score(RANKED[:30], 30)


def test_average_precision_is_scikit_learns():
    assert average_precision(RANKED) == pytest.approx(average_precision_score(RANKED, -np.arange(500)))
    assert np.isnan(average_precision(np.zeros(5)))


def test_recall_ends_at_one_and_agrees_with_precision():
    recall = recall_curve(RANKED)
    assert recall[-1] == 1 and (np.diff(recall) >= 0).all()
    assert recall[49] * RANKED.sum() == pytest.approx(50 * precision_at(RANKED, 50))
    assert np.isnan(recall_curve(np.zeros(5))).all()


def test_a_perfect_ranking_scores_one_everywhere_and_the_worst_nothing_at_the_top():
    perfect = np.arange(1000) < 200
    assert set(ranking_metrics(perfect).values()) == {1.0}
    worst = ranking_metrics(perfect[::-1])
    assert worst["top_50"] == worst["top_200"] == worst["rank_weighted"] == 0


def test_scores_of_an_empty_ranking_are_undefined():
    nothing = np.array([], bool)
    assert np.isnan(list(ranking_metrics(nothing).values())).all() and len(recall_curve(nothing)) == 0


def test_the_interval_is_that_of_scipy_and_one_repeat_has_none():
    from scipy.stats import t

    values = np.random.default_rng(1).normal(3, 1, 15)
    mean, half = mean_with_interval(values)
    low, high = t.interval(0.95, 14, loc=values.mean(), scale=values.std(ddof=1) / np.sqrt(15))
    assert (mean - half, mean + half) == pytest.approx((low, high))
    resampled = bootstrap((values,), np.mean, rng=0).confidence_interval
    assert half == pytest.approx((resampled.high - resampled.low) / 2, rel=0.2)
    assert np.isnan(mean_with_interval([1.0])[1])
