import numpy as np
import pandas as pd
import pytest
from scipy import stats

from morphtools.answers.calibration import (
    compare_fractions,
    evaluate_votes,
    mean_concentrations,
    vote_metrics,
    vote_ranks,
)
from morphtools.survey.schemas import SCHEMAS, get_schema

DECALS = SCHEMAS["gz_decals_dr5"]
TWO = get_schema(
    {
        "name": "two",
        "questions": [
            {"question": "q", "answers": ["a", "b", "c"]},
            {"question": "r", "answers": ["yes", "no"], "asked_after": ["q_a"]},
        ],
    }
)


def draw(schema, galaxies, seed=0, volunteers=40):
    """Concentrations, true fractions drawn from them, and votes of those who are asked, walking down the tree."""
    rng = np.random.default_rng(seed)
    alpha = 1 + 60 * rng.beta(0.7, 1.5, (galaxies, len(schema.label_cols)))
    truth, votes, start = np.zeros(alpha.shape), {}, 0
    for question in schema.questions:
        part = slice(start, start := start + len(question.answers))
        truth[:, part] = [rng.dirichlet(a) for a in alpha[:, part]]
        asked = sum(votes[name] for name in question.asked_after) if question.asked_after else volunteers
        votes |= dict(zip(question.label_cols, rng.multinomial(asked, truth[:, part]).T, strict=True))
    return alpha, truth, np.stack(list(votes.values()), axis=1)


@pytest.fixture(scope="module")
def calibrated():
    return draw(DECALS, 3000)


def test_intervals_of_a_calibrated_model_have_their_coverage_in_every_question(calibrated):
    alpha, truth, votes = calibrated
    table = vote_metrics(votes, alpha, DECALS, truth=truth)
    assert (table["galaxies"] > 1000).all()
    for name in ("coverage_90", "truth_90"):
        assert table[name].between(0.88, 0.92).all(), table[name]
    for name in ("coverage_50", "truth_50"):
        assert table[name].between(0.47, 0.53).all(), table[name]


def test_ranks_of_a_calibrated_model_are_uniform(calibrated):
    alpha, _, votes = calibrated
    ranks = vote_ranks(votes, alpha, DECALS)
    for column in (0, 1, 7, 20):
        seen = ranks[~np.isnan(ranks[:, column]), column]
        assert stats.kstest(seen, "uniform").pvalue > 0.01


def test_a_mixture_is_calibrated_where_each_of_its_models_is_too_certain():
    rng = np.random.default_rng(2)
    alpha = np.stack([draw(TWO, 3000, seed=s)[0] for s in (3, 4)])
    which = rng.integers(0, 2, 3000)
    truth, votes = map(np.stack, zip(*(draw_from(alpha[w, i], rng) for i, w in enumerate(which)), strict=True))
    together = vote_metrics(votes, alpha, TWO, truth=truth)
    single = vote_metrics(votes, alpha[0], TWO, truth=truth)
    for name in ("coverage_90", "truth_90"):
        assert together[name].between(0.88, 0.92).all()
        assert (single[name] < 0.8).all()


def draw_from(alpha, rng):
    q, r = rng.dirichlet(alpha[:3]), rng.dirichlet(alpha[3:])
    votes = rng.multinomial(40, q)
    return np.concatenate([q, r]), np.concatenate([votes, rng.multinomial(votes[0], r)])


@pytest.mark.parametrize("factor, too_few", [(8, True), (1 / 8, False)])
def test_a_model_too_certain_covers_too_little_and_one_too_cautious_too_much(calibrated, factor, too_few):
    alpha, truth, votes = calibrated
    table = vote_metrics(votes, alpha * factor, DECALS, truth=truth)
    assert ((table["truth_90"] < 0.8) if too_few else (table["truth_90"] > 0.95)).all()


def test_the_error_of_a_perfect_model_is_the_noise_of_finite_votes(calibrated):
    _, truth, votes = calibrated
    table = vote_metrics(votes, truth * 1e4 + 1e-6, DECALS)
    np.testing.assert_allclose(table["rmse"], table["noise"], rtol=0.06)
    np.testing.assert_allclose(table["explained"], 1, atol=0.07)


def test_the_noise_is_that_of_a_multinomial():
    # 20 votes on fractions .5, .3, .2: mean of p (1 - p) / 20 over answers.
    p = np.array([0.5, 0.3, 0.2])
    votes = np.random.default_rng(0).multinomial(20, p, size=4000)
    votes = np.column_stack([votes, np.zeros((4000, 2), int)])
    table = vote_metrics(votes, np.ones((4000, 5)), TWO)
    assert table["noise"][0] == pytest.approx(np.sqrt((p * (1 - p) / 20).mean()), rel=0.01)


def test_the_baseline_explains_nothing_and_gains_nothing(calibrated):
    _, _, votes = calibrated
    constant = mean_concentrations(votes, DECALS)
    table = vote_metrics(votes, np.tile(constant, (len(votes), 1)), DECALS)
    np.testing.assert_allclose(table["gain"], 0, atol=1e-9)
    np.testing.assert_allclose(table["explained"], 0, atol=1e-9)
    np.testing.assert_allclose(table["loss"], table["baseline_loss"])


def test_the_baseline_finds_the_concentrations_votes_were_drawn_from():
    rng = np.random.default_rng(5)
    p = rng.dirichlet([6.0, 3.0, 1.0], 4000)
    votes = np.column_stack([rng.multinomial(40, p), np.zeros((4000, 2), int)])
    np.testing.assert_allclose(mean_concentrations(votes, TWO), [6, 3, 1, 1, 1], rtol=0.1)


def test_no_constant_does_better_than_the_baseline(calibrated):
    _, _, votes = calibrated
    best = vote_metrics(votes, np.ones(votes.shape), DECALS)["baseline_loss"]
    constant = mean_concentrations(votes, DECALS)
    for factor in (0.7, 1.4):
        other = vote_metrics(votes, np.tile(constant * factor, (len(votes), 1)), DECALS)["loss"]
        assert (other > best).all()


def test_losses_and_errors_are_those_of_a_slow_loop():
    alpha, _, votes = draw(TWO, 50)
    table = vote_metrics(votes, alpha, TWO, baseline=np.ones(5))
    asked = votes[:, 3:].sum(axis=1) > 0
    losses = [
        -stats.dirichlet_multinomial(a[3:], k[3:].sum()).logpmf(k[3:])
        for a, k in zip(alpha[asked], votes[asked], strict=True)
    ]
    assert table["loss"][1] == pytest.approx(np.mean(losses))
    assert table["galaxies"].tolist() == [50, asked.sum()] and table["votes"].tolist() == [2000, votes[:, 3:].sum()]
    several = votes[:, 3:].sum(axis=1) > 1
    seen, said = votes[several, 3:], alpha[several, 3:]
    gaps = seen / seen.sum(axis=1, keepdims=True) - said / said.sum(axis=1, keepdims=True)
    assert table["rmse"][1] == pytest.approx(np.sqrt((gaps**2).mean()))


def test_questions_without_votes_have_no_scores_and_spoil_none():
    alpha, _, votes = draw(TWO, 200)
    votes[:, 3:] = 0
    table = vote_metrics(votes, alpha, TWO)
    assert table["galaxies"][1] == table["votes"][1] == 0
    assert table.loc[1, "loss":].isna().all() and table.loc[0, "loss":].notna().all()


def test_votes_made_from_probabilities_have_errors_but_no_ranks():
    alpha, truth, votes = draw(TWO, 200)
    table = vote_metrics(np.column_stack([votes[:, :3], 10 * truth[:, 3:]]), alpha, TWO)
    assert table["rmse"].notna().all() and table["coverage_90"].notna().tolist() == [True, False]


def test_reliability_lies_on_the_diagonal_for_a_calibrated_model_in_every_answer(calibrated):
    alpha, _, votes = calibrated
    table = compare_fractions(votes, alpha, DECALS, "fraction")
    table = table[table["galaxies"] > 50]
    pull = (table["observed"] - table["predicted"]) / table["error"]
    assert pull.abs().max() < 4.5 and pull.std() == pytest.approx(1, abs=0.15)
    np.testing.assert_array_equal(table["at"], table["predicted"])


def test_bias_against_the_number_of_votes_is_found():
    alpha, _, votes = draw(TWO, 2000)
    few = votes[:, 3:].sum(axis=1) < 8
    wrong = alpha.copy()
    wrong[few, 3] = 101  # predicts yes far too often where few voted
    table = compare_fractions(votes, wrong, TWO, "votes", bins=4)
    yes = table[(table["question"] == "r") & (table["answer"] == "yes")]
    gap = (yes["observed"] - yes["predicted"]).to_numpy()
    assert yes["at"].is_monotonic_increasing and gap[0] < -0.3 and abs(gap[-1]) < 0.05


def test_the_report_writes_its_table_and_pictures(tmp_path):
    alpha, truth, votes = draw(TWO, 100)
    table = evaluate_votes(votes, alpha, TWO, out=tmp_path, truth=truth)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "questions.csv"), table)
    drawn = {p.name for p in (tmp_path / "figures").iterdir()}
    names = ("skill", "coverage", "ranks", "reliability", "bias")
    assert drawn == {f"{name}.{ending}" for name in names for ending in ("png", "pdf")}
    pd.testing.assert_frame_equal(evaluate_votes(votes, alpha, TWO, truth=truth), table)


def test_arrays_of_different_galaxies_are_refused():
    alpha, _, votes = draw(TWO, 10)
    with pytest.raises(ValueError, match=r"votes \(9, 5\) and concentrations \(10, 5\) must be of the same galaxies"):
        vote_metrics(votes[1:], alpha, TWO)
    with pytest.raises(ValueError, match="votes must be counts"):
        vote_metrics(votes * np.nan, alpha, TWO)
    with pytest.raises(ValueError, match="no galaxy has votes"):
        evaluate_votes(votes * 0, alpha, TWO)
