import numpy as np

from morphtools.explore.suggestions import choose_diverse


def test_of_copies_of_a_few_galaxies_each_is_chosen_once_before_any_twice():
    rng = np.random.default_rng(0)
    kinds = 10 * rng.normal(size=(6, 8))
    x = np.repeat(kinds, 20, axis=0)
    for seed in range(5):
        assert sorted(choose_diverse(x, np.ones(120), 6, seed=seed) // 20) == list(range(6))


def test_certain_galaxies_are_not_chosen_while_others_are_left():
    rng = np.random.default_rng(0)
    uncertainty = np.where(np.arange(200) % 4 == 0, 1.0, 0.0)
    chosen = choose_diverse(rng.normal(size=(200, 8)), uncertainty, 49)
    assert (chosen % 4 == 0).all() and len(set(chosen)) == 49


def test_everything_is_chosen_once_where_no_more_is_left_and_nothing_can_be_told_apart():
    assert sorted(choose_diverse(np.ones((7, 3)), np.zeros(7), 50)) == list(range(7))
