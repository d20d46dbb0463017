import numpy as np
import pandas as pd
import pytest

from morphtools.answers.calibration import vote_metrics
from morphtools.answers.tallies import Tallies
from morphtools.survey.schemas import Schema

ONE = Schema.from_dict({"name": "one", "questions": [{"question": "bar", "answers": ["strong", "weak", "no"]}]})


def tallies(seed=0, galaxies=80):
    rng = np.random.default_rng(seed)
    alpha = rng.uniform(1, 9, (2, galaxies, 3))
    votes = np.array([rng.multinomial(rng.integers(1, 20), rng.dirichlet(each)) for each in alpha[0]], float)
    return Tallies(np.array([f"g{i}" for i in range(galaxies)], object), alpha, votes, ONE, {})


def test_the_scores_of_a_tree_of_one_question_are_those_of_the_question():
    made = tallies()
    (expected,) = vote_metrics(made.votes, made.concentrations, ONE).to_dict("records")
    scores = made.scores()
    for name in ("loss", "baseline_loss", "gain", "rmse", "coverage_50", "coverage_90"):
        assert scores[name]["value"] == pytest.approx(expected[name]), name
        assert scores[name]["low"] < scores[name]["value"] < scores[name]["high"], name
    half = (scores["gain"]["high"] - scores["gain"]["low"]) / 2
    assert half == pytest.approx(1.96 * expected["gain_error"], rel=0.15)  # the normal approximation


def test_galaxies_without_votes_change_nothing_but_the_table():
    made = tallies()
    votes = np.concatenate([made.votes, np.full((5, 3), np.nan), np.zeros((5, 3))])
    alpha = np.concatenate([made.concentrations, made.concentrations[:, :10]], axis=1)
    more = Tallies(np.array([f"g{i}" for i in range(90)], object), alpha, votes, ONE, {})
    assert more.scores()["loss"] == made.scores()["loss"] and more.baseline() == made.baseline()
    assert len(more.table()) == 90


def test_the_table_has_mean_fractions_and_votes(tmp_path):
    made = tallies()
    made.save(tmp_path / "t.parquet")
    table = pd.read_parquet(tmp_path / "t.parquet")
    expected = (made.concentrations / made.concentrations.sum(axis=2, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(table[[f"{name}_fraction" for name in ONE.label_cols]], expected, rtol=1e-6)
    np.testing.assert_array_equal(table[list(ONE.label_cols)], made.votes)
