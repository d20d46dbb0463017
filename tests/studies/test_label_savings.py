import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from morphtools.studies.label_savings import equivalent_labels, in_a_sentence, label_savings, means_by_labels

LABELS = (50, 100, 200, 400, 800)


def study(*, factor=2.0, noise=0.0, seeds=3, labels=LABELS, metric="accuracy", sign=1.0, seed=0):
    """A straight line in ln(labels) for each way: `fast` is where `slow` is with `factor` times the labels."""
    rng = np.random.default_rng(seed)
    rows = []
    for way, times in (("slow", 1.0), ("fast", factor)):
        for asked in labels:
            score = 0.5 + sign * (0.04 * np.log(asked * times / 50) + noise * rng.normal(size=seeds))
            rows += [
                {"way": way, "asked": asked, "labels": asked, "seed": i, metric: each} for i, each in enumerate(score)
            ]
    return pd.DataFrame(rows)


def test_means_have_students_intervals():
    results = study(noise=0.02, seeds=4)
    row = means_by_labels(results, ["accuracy"]).iloc[0]
    values = results["accuracy"].to_numpy()[:4]
    low, high = student.interval(0.95, 3, values.mean(), values.std(ddof=1) / 2)
    assert [row["accuracy"], row["accuracy low"], row["accuracy high"]] == pytest.approx([values.mean(), low, high])
    assert np.isnan(means_by_labels(study(seeds=1), ["accuracy"])["accuracy low"]).all()
    few = means_by_labels(study(noise=0.5, seeds=2), ["accuracy"])  # t of one degree of freedom is 12.7
    assert few["accuracy low"].min() == 0 and few["accuracy high"].max() == 1


def test_equivalent_labels_are_read_off_a_line_in_the_logarithm():
    scores = [0.5, 0.6, 0.6, 0.9]
    assert equivalent_labels([10, 100, 200, 400], scores, 0.55) == pytest.approx(np.sqrt(10 * 100))
    assert equivalent_labels([10, 100, 200, 400], scores, 0.6) == pytest.approx(100)
    assert equivalent_labels([10, 100, 200, 400], scores, 0.5) == 10
    assert equivalent_labels([10, 100, 200, 400], scores, 0.4) == 0
    assert equivalent_labels([10, 100, 200, 400], scores, 0.95) == np.inf


@pytest.mark.parametrize(("metric", "sign"), [("accuracy", 1.0), ("sigma_mad", -1.0), ("rmse", -1.0)])
@pytest.mark.parametrize("factor", [1.5, 3.0])
def test_a_known_factor_is_found(metric, sign, factor):
    (row,) = label_savings(study(factor=factor, metric=metric, sign=sign), metric, "slow").itertuples()
    assert row.factor == pytest.approx(factor)
    assert row.labels == pytest.approx(800 / factor) and row.reference_labels == pytest.approx(800)
    assert row.score == pytest.approx(0.5 + sign * 0.04 * np.log(16))


def test_the_interval_contains_the_factor_about_as_often_as_its_level():
    held = 0
    for seed in range(40):
        (row,) = label_savings(study(noise=0.01, seeds=4, seed=seed), "accuracy", "slow", draws=200).itertuples()
        held += row.low <= 2.0 <= row.high
        assert row.least <= row.low <= row.high <= row.most
    assert held >= 34


def test_what_a_seed_does_to_all_ways_alike_does_not_widen_the_interval():
    results = study(noise=0.002, seeds=4)
    easy = results["seed"].map(dict(enumerate([-0.1, 0.0, 0.04, 0.1])))
    plain, shared = (
        label_savings(each, "accuracy", "slow", draws=500).iloc[0]
        for each in (results, results.assign(accuracy=results["accuracy"] + easy))
    )
    assert shared["factor"] == pytest.approx(plain["factor"])
    assert shared["high"] - shared["low"] == pytest.approx(plain["high"] - plain["low"], rel=0.1)


def sentence(results, metric="accuracy"):
    return in_a_sentence(label_savings(results, metric, "slow", draws=300).iloc[0], metric, "slow")


def test_the_sentence_states_the_factor_and_its_limits():
    assert "reaches the same with 400: 2.0 times fewer labels" in sentence(study())
    assert "95% interval of the factor" in sentence(study(noise=0.01))
    assert sentence(study(seeds=1)).endswith("(one seed: no interval)")
    beyond = sentence(study(factor=40.0))
    assert "does better even with the fewest labels tried: at least 16.0 times fewer labels" in beyond
    out_of_reach = sentence(study(factor=0.05, noise=0.001))
    assert out_of_reach.endswith(
        "does not reach that even with the most labels tried (95% interval of the factor: at most 1.0)"
    )


def test_a_reference_that_stopped_learning_is_counted_where_it_stopped():
    results = study()
    results.loc[(results["way"] == "slow") & (results["labels"] > 200), "accuracy"] = 0.5 + 0.04 * np.log(4)
    (row,) = label_savings(results, "accuracy", "slow").itertuples()
    assert row.reference_labels == pytest.approx(200) and row.factor == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (0.45, "is better even with the fewest labels tried"),
        (2.0, "does not reach that"),
        (0.5 + 0.04 * np.log(8), "reaches the same with 200"),
    ],
)
def test_a_reference_that_learns_nothing_gets_no_factor(level, words):
    results = study()
    results.loc[results["way"] == "slow", "accuracy"] = level
    assert sentence(results) == f"“slow” gets no better with more labels (accuracy {level:.3g}); “fast” {words}"


def test_what_cannot_be_compared_is_left_out():
    assert len(label_savings(study(), "accuracy", "nobody")) == 0
    assert len(label_savings(study(labels=(50,)), "accuracy", "slow")) == 0
    one = study()
    one.loc[0, "accuracy"] = np.nan
    assert label_savings(one, "accuracy", "slow")["factor"].item() == pytest.approx(2.0)
