import numpy as np
import pytest

from morphtools.sky.galaxies import draw_galaxies
from morphtools.sky.volunteers import answer_probabilities, clarity, draw_votes
from morphtools.survey.schemas import SCHEMAS

CAMPAIGNS = ("gz_decals_dr5", "gz2", "rings")
SEEING, NOISE = 1.2, 0.066  # arcsec and nanomaggies per square arcsec, as in SDSS


def probabilities(schema, g, **changes):
    n = len(g["redshift"])
    return answer_probabilities(schema, g, np.full(n, SEEING), np.full(n, NOISE), **changes)


def answer(schema, g, column, **changes):
    return probabilities(schema, g, **changes)[:, SCHEMAS[schema].label_cols.index(column)]


@pytest.mark.parametrize("schema", CAMPAIGNS)
def test_the_answers_to_every_question_are_a_probability_distribution(schema):
    p = probabilities(schema, draw_galaxies(0, range(300)))
    assert p.min() >= 0
    np.testing.assert_allclose(p @ SCHEMAS[schema].membership.T, 1, atol=1e-9)


@pytest.mark.parametrize("schema", CAMPAIGNS)
def test_a_question_is_answered_by_exactly_those_whose_last_answer_leads_to_it(schema):
    tree = SCHEMAS[schema]
    votes = draw_votes(schema, probabilities(schema, draw_galaxies(0, range(100))), 0, range(100))
    column = {name: votes[:, k] for k, name in enumerate(tree.label_cols)}
    totals = votes @ tree.membership.T
    for question, asked in zip(tree.questions, totals.T, strict=True):
        if question.asked_after:
            np.testing.assert_array_equal(asked, sum(column[name] for name in question.asked_after))
    assert (totals[:, 0] >= 3).all() and len(set(totals[:, 0])) > 5


@pytest.mark.parametrize("schema", CAMPAIGNS)
def test_vote_frequencies_converge_to_the_models_probabilities(schema):
    tree = SCHEMAS[schema]
    g = draw_galaxies(0, [12], fractions={"spiral": 1.0})
    p = np.repeat(probabilities(schema, g), 1500, axis=0)
    votes = draw_votes(schema, p, 4, range(1500)).sum(axis=0)
    asked = votes @ tree.membership.T @ tree.membership
    error = np.sqrt(p[0] * (1 - p[0]) / np.maximum(asked, 1))
    seen = asked > 300
    assert (np.abs(votes / np.maximum(asked, 1) - p[0]) <= 4.5 * error + 1e-12)[seen].all()


def test_votes_scatter_as_a_multinomial():
    g = draw_galaxies(0, [3])
    p = np.repeat(probabilities("gz2", g), 4000, axis=0)
    votes = draw_votes("gz2", p, 1, range(4000))
    total, smooth = votes[:, :3].sum(axis=1), votes[:, 0]
    spread = (smooth - total * p[:, 0]) / np.sqrt(total * p[:, 0] * (1 - p[:, 0]))
    # Standardised counts have unit variance; its own scatter over 4000 galaxies is sqrt(2 / 4000).
    assert spread.var() == pytest.approx(1, abs=5 * np.sqrt(2 / 4000))


def test_votes_of_a_galaxy_do_not_depend_on_the_others():
    p = probabilities("gz_decals_dr5", draw_galaxies(0, range(20)))
    many = draw_votes("gz_decals_dr5", p, 0, range(20))
    np.testing.assert_array_equal(draw_votes("gz_decals_dr5", p[7:9], 0, [7, 8]), many[7:9])


@pytest.mark.parametrize("change", ["fainter", "smaller", "more inclined", "weaker", "blurred"])
def test_a_bar_is_missed_more_often_when_it_is_harder_to_see(change):
    g = draw_galaxies(2, range(200), fractions={"bar": 1.0})
    worse, seeing = dict(g), np.full(200, SEEING)
    if change == "fainter":
        worse["magnitude"] = g["magnitude"] + 2
    elif change == "smaller":
        worse |= {name: g[name] / 2 for name in ("bar_length", "radius", "scale_length")}
        worse["magnitude"] = g["magnitude"] + 5 * np.log10(2)  # at the same surface brightness
    elif change == "more inclined":
        worse["cos_inclination"] = g["cos_inclination"] / 2
    elif change == "weaker":
        worse["bar_fraction"] = g["bar_fraction"] / 2
    blurred = seeing * (2 if change == "blurred" else 1)
    noise, no = np.full(200, NOISE), SCHEMAS["gz2"].label_cols.index("bar-gz2_no")
    before = answer_probabilities("gz2", g, seeing, noise)[:, no]
    after = answer_probabilities("gz2", worse, blurred, noise)[:, no]
    assert (after >= before - 1e-12).all() and (after - before).mean() > 0.02


def test_clarity_lies_between_nothing_and_everything():
    g = draw_galaxies(2, range(500))
    see = clarity(g, np.full(500, SEEING), np.full(500, NOISE))
    assert see.min() >= 0 and see.max() <= 1 and see.std() > 0.1


def test_ring_votes_split_at_the_fractions_used_to_label_rings():
    # Walmsley et al. 2022 (MNRAS 513, 1581): f > 0.25 is a ring, f < 0.05 is none.
    g = draw_galaxies(4, range(600), fractions={"ring": 0.5}, magnitude_limit=16.5)
    f = answer("rings", g, "ring_yes")
    assert (f[~g["ring"]] < 0.05).all()
    assert (f[g["ring"]] > 0.25).mean() > 0.5


def test_the_shape_of_an_elliptical_decides_how_rounded_it_is_called():
    g = draw_galaxies(1, range(3), fractions={"smooth": 1.0}) | {"bulge_axis_ratio": np.array([0.95, 0.6, 0.3])}
    columns = [c for c in SCHEMAS["gz_decals_dr5"].label_cols if c.startswith("how-rounded")]
    said = np.stack([answer("gz_decals_dr5", g, c) for c in columns], axis=1)
    assert said.argmax(axis=1).tolist() == [0, 1, 2]


def test_spoilt_images_are_called_artifacts():
    g = draw_galaxies(1, range(50))
    clean = answer("gz2", g, "smooth-or-featured-gz2_artifact")
    spoilt = answer("gz2", g, "smooth-or-featured-gz2_artifact", artifact=np.ones(50, bool))
    assert (clean < 0.05).all() and (spoilt > 0.5).all()


def test_mergers_are_seen_to_merge_and_isolated_galaxies_are_not():
    g = draw_galaxies(1, range(400), fractions={"merger": 0.5})
    alone = answer("gz_decals_dr5", g, "merging-dr5_none")
    assert alone[g["merger"]].mean() < 0.5 < 0.8 < alone[~g["merger"]].mean()


def test_a_campaign_without_volunteers_is_named():
    with pytest.raises(ValueError, match="no simulated volunteers for schema 'desi'; known: gz_decals_dr5"):
        probabilities("desi", draw_galaxies(0, range(2)))
