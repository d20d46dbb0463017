import numpy as np
import pytest

from morphtools.answers.calibration import vote_metrics
from morphtools.answers.recalibration import fit_recalibration, recalibrate
from morphtools.survey.schemas import get_schema

TWO = get_schema(
    {
        "name": "two",
        "questions": [{"question": "q", "answers": ["a", "b", "c"]}, {"question": "r", "answers": ["yes", "no"]}],
    }
)
TRUE = np.array([[0.5, 0.2], [3.0, 0.6]])


def draw(galaxies=4000, true=TRUE):
    """The concentrations of a model, and votes drawn from others: scale · (α − 1 + floor)."""
    rng = np.random.default_rng(0)
    said = 1 + 40 * rng.beta(0.6, 1.5, (galaxies, 5))
    scale, floor = np.repeat(true, [3, 2], axis=0).T
    votes = []
    for alpha in scale * (said - 1 + floor):
        votes.append([*rng.multinomial(40, rng.dirichlet(alpha[:3])), *rng.multinomial(30, rng.dirichlet(alpha[3:]))])
    return said, np.array(votes)


def test_scale_and_floor_are_recovered():
    said, votes = draw()
    np.testing.assert_allclose(fit_recalibration(votes, said, TWO), TRUE, rtol=0.2)


def test_a_calibrated_model_is_not_changed():
    said, votes = draw(true=np.ones((2, 2)))
    np.testing.assert_allclose(fit_recalibration(votes, said, TWO), 1, rtol=0.2)
    np.testing.assert_array_equal(recalibrate(said, np.ones((2, 2)), TWO), said)


def test_only_recalibrated_intervals_have_their_coverage_on_other_galaxies():
    said, votes = draw()
    found = fit_recalibration(votes[:2000], said[:2000], TWO)
    before = vote_metrics(votes[2000:], said[2000:], TWO)
    after = vote_metrics(votes[2000:], recalibrate(said[2000:], found, TWO), TWO)
    assert (abs(before["coverage_90"] - 0.9) > 0.03).all()
    assert after["coverage_90"].between(0.88, 0.92).all() and after["coverage_50"].between(0.47, 0.53).all()
    assert (after["loss"] < before["loss"]).all()


def test_the_mixture_of_views_is_recalibrated_not_each_view():
    said, votes = draw(1000)
    views = np.stack([said, said])
    np.testing.assert_allclose(fit_recalibration(votes, views, TWO), fit_recalibration(votes, said, TWO), rtol=1e-3)
    assert recalibrate(views, TRUE, TWO).shape == views.shape


def test_questions_with_few_votes_are_not_recalibrated():
    said, votes = draw(200)
    votes[49:, 3:] = 0
    found = fit_recalibration(votes, said, TWO)
    assert found[1].tolist() == [1, 1] and found[0].tolist() != [1, 1]
    np.testing.assert_array_equal(recalibrate(said, found, TWO)[:, 3:], said[:, 3:])


def test_the_recalibration_of_another_schema_is_refused():
    with pytest.raises(ValueError, match=r"recalibration \(2, 2\) is not of schema 'rings', which needs \(1, 2\)"):
        recalibrate(np.ones((3, 2)), TRUE, get_schema("rings"))
