import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from morphtools.answers.classes import Classes
from morphtools.answers.several import Several
from morphtools.answers.several_predictions import SeveralPredictions

ANSWER = Several(("bar", "type"), (Classes(("no", "yes")), Classes(("E", "S0", "Sb"))))


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    truth = np.stack([rng.integers(0, 2, 80), rng.integers(0, 3, 80)], axis=1).astype(float)
    truth[::4, 0], truth[1::3, 1] = np.nan, np.nan
    outputs = np.concatenate([rng.dirichlet([1, 1], 80), rng.dirichlet([1, 1, 1], 80)], axis=1)
    return ANSWER.results([f"g{i}" for i in range(80)], outputs, truth, {"weights": "w"}), outputs, truth


def test_each_question_is_scored_where_its_answer_is_known(predictions):
    results, outputs, truth = predictions
    scores, (bar, kind) = results.scores(), np.isfinite(truth).T
    assert scores["auc of bar"]["value"] == pytest.approx(roc_auc_score(truth[bar, 0], outputs[bar, 1]))
    right = accuracy_score(truth[kind, 1], outputs[kind, 2:].argmax(axis=1))
    assert scores["accuracy of type"]["value"] == pytest.approx(right)
    assert "bar: base rates" in results.baseline() and "; type: base rates" in results.baseline()


def test_a_question_that_no_galaxy_answers_has_no_score(predictions):
    _, outputs, truth = predictions
    results = ANSWER.results(["a"] * 80, outputs, truth * [1, np.nan], {})
    assert list(results.answered()) == ["bar"] and all(name.endswith(" of bar") for name in results.scores())


def test_saving_and_opening_changes_nothing(predictions, tmp_path):
    results = predictions[0]
    results.save(tmp_path / "predictions.parquet")
    again = SeveralPredictions.open(tmp_path / "predictions.parquet")
    assert again.questions == results.questions and again.provenance == {"weights": "w"}
    for ours, theirs in zip(again.predictions, results.predictions, strict=True):
        assert ours.classes == theirs.classes
        for name in ("id_str", "probability", "label"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
