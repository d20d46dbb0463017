import numpy as np
import pandas as pd
import pytest

from morphtools.answers.numbers import Numbers

ANSWER = Numbers(("mass", "size"), (10.0, 3.0), (2.0, 0.5))


def test_mean_and_spread_are_those_of_the_galaxies_to_learn_from():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id_str": [f"g{i}" for i in range(300)], "number_0": rng.normal(10, 2, 300)})
    answer, drawn = Numbers(("mass",)).draw(table, 100, test_labels=50, seed=0)
    used = drawn.loc[drawn["split"] != "test", "number_0"]
    assert (answer.centre[0], answer.scale[0]) == pytest.approx((used.mean(), used.std(ddof=0)))
    assert len(used) == 100 and answer == Numbers(("mass",))
    with pytest.raises(ValueError, match="column 'mass' has only one value among the 100 labels"):
        Numbers(("mass",)).draw(table.assign(number_0=1.0), 100, test_labels=50, seed=0)


def test_outputs_are_means_and_logarithms_of_standard_deviations():
    results = ANSWER.results(["x"], np.array([[11.0, 3.5, np.log(0.2), np.log(0.1)]]), np.array([[10.0, np.nan]]), {})
    np.testing.assert_allclose(results.value, [[11.0, 3.5]])
    np.testing.assert_allclose(results.sigma, [[0.2, 0.1]])


def test_galaxies_left_out_are_in_the_units_of_the_numbers_and_covered():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 5))
    y = np.stack([10 + 2 * x[:, 0] + rng.normal(0, 0.5, 300), 3 + 0.5 * x[:, 1] + rng.normal(0, 0.1, 300)], axis=1)
    mean, log_sigma = np.split(ANSWER.linear(x, y, 0).left_out, 2, axis=1)
    np.testing.assert_allclose(np.exp(log_sigma[0]), [0.5, 0.1], rtol=0.12)
    np.testing.assert_allclose((y - mean).std(axis=0), [0.5, 0.1], rtol=0.12)


def test_models_are_mixed_and_intervals_have_their_coverage():
    """The variance of an equal mixture: the mean variance and the variance of the means."""
    outputs = np.array([[[9.0, 3, np.log(1.0), 0]], [[13.0, 3, np.log(2.0), 0]]])
    read, full = ANSWER.tables(["x"], outputs, 0.9)
    rng = np.random.default_rng(0)
    drawn = np.concatenate([rng.normal(9, 1, 200_000), rng.normal(13, 2, 200_000)])
    assert read["mass_predicted"].item() == pytest.approx(drawn.mean(), abs=0.02)
    assert read["mass_sigma"].item() == pytest.approx(drawn.std(), rel=0.01)
    assert full["mass_high"].item() - full["mass_low"].item() == pytest.approx(2 * 1.6449 * drawn.std(), rel=0.01)
    assert full["mass_predicted_1"].item() == 13


def test_neighbours_answer_by_mean_and_spread_of_those_that_are_known():
    targets, near = np.array([[1.0], [3.0], [5.0], [np.nan], [np.nan]]), np.array([[0, 1, 2], [3, 0, 1], [3, 4, 3]])
    spread, everywhere = np.std([1, 3], ddof=1), np.std([1, 3, 5])
    np.testing.assert_allclose(
        Numbers(("n",)).neighbours(targets, near),
        [[3.0, np.log(2.0)], [2.0, np.log(spread)], [3.0, np.log(everywhere)]],
    )


def test_the_head_of_each_number_is_the_one_it_has_alone_from_the_galaxies_that_have_it():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(120, 6))
    y = np.stack([10 + 2 * x[:, 0], 3 + 0.5 * x[:, 1]], axis=1) + rng.normal(0, 0.2, (120, 2))
    y[::3, 0], y[1::4, 1] = np.nan, np.nan
    both = ANSWER.linear(x, y, 0)
    for i, (column, centre, scale) in enumerate(zip(ANSWER.columns, ANSWER.centre, ANSWER.scale, strict=True)):
        known = np.isfinite(y[:, i])
        alone = Numbers((column,), (centre,), (scale,)).linear(x[known], y[known, i : i + 1], 0)
        np.testing.assert_allclose(both(x)[:, [i, i + 2]], alone(x), atol=1e-8)
        np.testing.assert_allclose(both.left_out[known][:, [i, i + 2]], alone.left_out)


def test_a_galaxy_needs_one_of_the_numbers():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id_str": [f"g{i}" for i in range(300)], "number_0": np.nan, "number_1": np.nan})
    table.loc[:199, "number_0"], table.loc[100:, "number_1"] = rng.normal(10, 2, 200), rng.normal(3, 1, 200)
    answer, drawn = Numbers(("mass", "size")).draw(table, 150, test_labels=50, seed=0)
    used = drawn.loc[drawn["split"] != "test"]
    assert len(used) == 150 and used[["number_0", "number_1"]].isna().any(axis=None)
    assert answer.centre == pytest.approx((used["number_0"].mean(), used["number_1"].mean()))
    with pytest.raises(ValueError, match="column 'size' has too few numbers: 0 to train and validate, 0 to test"):
        Numbers(("mass", "size")).draw(table.assign(number_1=np.nan), 150, test_labels=50, seed=0)
