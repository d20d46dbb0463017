import numpy as np
import pandas as pd

from morphtools.answers.fractions import Fractions

AB = Fractions(("a", "b"))


def test_galaxies_without_votes_are_not_drawn_and_the_mean_number_of_votes_is_kept():
    votes = np.random.default_rng(0).integers(5, 15, (200, 2)).astype(float)
    votes[::4] = np.nan
    table = pd.DataFrame({"id_str": [f"g{i}" for i in range(200)], "votes_0": votes[:, 0], "votes_1": votes[:, 1]})
    answer, drawn = AB.draw(table, 60, test_labels=20, seed=0)
    assert drawn[["votes_0", "votes_1"]].notna().all(axis=None) and (drawn["split"] != "test").sum() == 60
    assert answer.votes == drawn.loc[drawn["split"] != "test", ["votes_0", "votes_1"]].sum(axis=1).mean()


def test_the_first_guess_is_the_mean_of_all_votes():
    guess = np.exp(AB.first_guess(np.array([[30.0, 10.0], [0.0, 39.0]])))
    np.testing.assert_allclose(guess, [30.5 / 80, 49.5 / 80])


def test_votes_become_fractions_and_weight_galaxies_in_the_head():
    """A galaxy with nine times the votes pulls the mean nine times as much; the head of constant images is the mean."""
    votes = np.array([[90.0, 0.0], [0.0, 10.0]] * 20)
    head = AB.linear(np.random.default_rng(0).normal(size=(40, 3)) * 1e-9, votes, 0)
    p = np.exp(head.bias) / np.exp(head.bias).sum()
    np.testing.assert_allclose(p, [0.9, 0.1], atol=1e-3)
    results = AB.results(["x"], np.array([[0.5, 0.5]]), np.array([[3.0, 9.0]]), {})
    assert results.voted.tolist() == [[0.25, 0.75]] and results.votes.tolist() == [12]


def test_neighbours_add_up_their_votes():
    near = np.array([[0, 1]])
    np.testing.assert_array_equal(AB.neighbours(np.array([[3.0, 1.0], [0.0, 4.0]]), near), [[3 / 8, 5 / 8]])
