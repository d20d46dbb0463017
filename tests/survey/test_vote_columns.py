import numpy as np
import pandas as pd
import pytest

from morphtools.sky.galaxies import draw_galaxies
from morphtools.sky.volunteers import answer_probabilities, draw_votes
from morphtools.survey.campaigns import GZ2_TASKS
from morphtools.survey.schemas import SCHEMAS, get_schema
from morphtools.survey.vote_columns import counts_from_fractions, read_votes

GZ2 = SCHEMAS["gz2"]


@pytest.fixture(scope="module")
def votes():
    g = draw_galaxies(0, range(200))
    p = answer_probabilities("gz2", g, np.full(200, 1.2), np.full(200, 0.066))
    return pd.DataFrame(draw_votes("gz2", p, 0, range(200)), columns=GZ2.label_cols)


def published(votes):
    """Our columns under the names of the published Galaxy Zoo 2 tables."""
    stems = {}
    for task, (question, answers) in GZ2_TASKS.items():
        stems |= {f"{question}-gz2_{ours}": f"{task}_{theirs}" for theirs, ours in answers}
    return votes.rename(columns=stems)


def fractions(votes):
    asked = votes.to_numpy() @ GZ2.membership.T @ GZ2.membership
    return pd.DataFrame((votes / np.maximum(asked, 1)).round(3), columns=votes.columns)


def test_the_published_names_of_galaxy_zoo_2_are_known_one_by_one(votes):
    assert sum(len(answers) for _, answers in GZ2_TASKS.values()) == 37
    # Willett et al. 2013, table 2: a16 is completely round, a38 is a dust lane, a27 no bulge, a10 no bulge.
    expected = {
        "t07_rounded_a16_completely_round": "how-rounded-gz2_round",
        "t08_odd_feature_a38_dust_lane": "odd-feature-gz2_dust-lane",
        "t09_bulge_shape_a27_no_bulge": "bulge-shape-gz2_no-bulge",
        "t05_bulge_prominence_a10_no_bulge": "bulge-size-gz2_no",
        "t11_arms_number_a36_more_than_4": "spiral-arm-count-gz2_more-than-4",
    }
    table = published(votes).add_suffix("_count")
    for theirs, ours in expected.items():
        np.testing.assert_array_equal(table[f"{theirs}_count"], votes[ours])
    pd.testing.assert_frame_equal(read_votes(table, "gz2"), votes)


def test_counts_come_back_from_rounded_fractions_and_the_number_of_volunteers(votes):
    table = published(fractions(votes)).add_suffix("_weighted_fraction")
    table["total_classifications"] = votes.iloc[:, :3].sum(axis=1)
    pd.testing.assert_frame_equal(read_votes(table, "gz2"), votes)
    table = table.rename(columns={"total_classifications": "people"})
    pd.testing.assert_frame_equal(read_votes(table, "gz2", total="people"), votes)
    with pytest.raises(ValueError, match=r"contains fractions: name the column of all votes with total"):
        read_votes(table, "gz2")


def test_totals_may_be_given_for_every_question(votes):
    totals = votes.to_numpy() @ GZ2.membership.T
    np.testing.assert_array_equal(counts_from_fractions(fractions(votes), totals, "gz2"), votes)
    np.testing.assert_array_equal(counts_from_fractions(fractions(votes), totals[:, 0], "gz2"), votes)
    table = fractions(votes).add_suffix("_fraction")
    for k, question in enumerate(GZ2.questions):
        table[f"{question.text}_total-votes"] = totals[:, k]
    pd.testing.assert_frame_equal(read_votes(table, "gz2"), votes)


def test_counts_win_over_fractions_and_the_campaign_may_go_unnamed():
    catalog = pd.DataFrame({"ring_yes": [3], "ring_no": [1], "ring_yes_fraction": [0.0], "ring_no_fraction": [1.0]})
    assert read_votes(catalog, "rings").to_numpy().tolist() == [[3, 1]]
    bars = pd.DataFrame({"bar_yes": [2, 5], "bar_no": [1, 0]})
    found = read_votes(bars, "gz2")
    assert found["bar-gz2_yes"].tolist() == [2, 5] and found.to_numpy().sum() == 8
    # Two campaigns ask for bars: it cannot be known whose these are.
    with pytest.raises(ValueError, match="no votes for schema"):
        read_votes(bars, "gz2,gz_hubble")


def test_empty_cells_are_questions_nobody_answered():
    catalog = pd.DataFrame({"ring_yes": [3, None], "ring_no": [0, None]}, index=["a", "b"])
    found = read_votes(catalog, "rings")
    assert found.to_numpy().tolist() == [[3, 0], [0, 0]] and list(found.index) == ["a", "b"]
    assert np.array_equal(counts_from_fractions([[np.nan, np.nan], [0, 0]], [5, 5], "rings"), np.zeros((2, 2)))


def test_rounding_keeps_the_total():
    rng = np.random.default_rng(0)
    totals = rng.integers(0, 60, 500)
    p = rng.dirichlet([0.3] * 3, 500)
    schema = get_schema({"name": "three", "questions": [{"question": "q", "answers": ["a", "b", "c"]}]})
    counts = counts_from_fractions(p, totals, schema)
    np.testing.assert_array_equal(counts.sum(axis=1), totals)
    assert abs(counts - p * totals[:, None]).max() < 1 and counts.min() >= 0


@pytest.mark.parametrize(
    "columns, message",
    [
        ({"ring_yes": [1, -1], "ring_no": [1, 1]}, "'ring_yes' must not be negative: galaxy b"),
        (
            {"ring_yes": [1, 0.5], "ring_no": [1, 1]},
            "'ring_yes' contains vote counts, which must be whole numbers: gal",
        ),
        ({"ring_yes": [1, 1], "ring_no": [1, None]}, "some of ring_yes, ring_no are empty and others not: galaxy b"),
        ({"ring_yes": ["1", "many"], "ring_no": [1, 1]}, "'ring_yes' must contain numbers: galaxy b"),
        ({"ring_yes": [1, np.inf], "ring_no": [1, 1]}, "'ring_yes' must contain numbers: galaxy b"),
        (
            {"ring_yes": [1, 3], "ring_no": [1, 1], "ring_total-votes": [2, 3]},
            "more votes for 'ring' than 'ring_total-votes' gives: galaxy b",
        ),
        (
            {"ring_yes_fraction": [1, 0.5], "ring_no_fraction": [0, 0.2], "ring_total-votes": [2, 3]},
            "fractions ring_yes_fraction, ring_no_fraction must add up to 1: galaxy b",
        ),
        ({"ring_yes": [1, 3]}, "also needs the columns ring_no"),
        ({"rimg_yes": [1, 3], "other": [1, 1]}, "none of the columns ring_yes, ring_no .*'rimg_yes' for 'ring_yes'"),
    ],
)
def test_impossible_votes_are_refused_in_one_sentence(columns, message):
    with pytest.raises(ValueError, match=message) as error:
        read_votes(pd.DataFrame({"id_str": ["a", "b"]} | columns), "rings")
    assert "\n" not in str(error.value)


def test_columns_nearly_right_are_pointed_out_though_others_are_found(caplog):
    catalog = pd.DataFrame({"bar-gz2_yes": [1], "bar-gz2_no": [1], "smooth_or_featured-gz2_smooth": [4]})
    assert read_votes(catalog, "gz2").to_numpy().sum() == 2
    assert "did you mean 'smooth_or_featured-gz2_smooth' for 'smooth-or-featured-gz2_smooth'" in caplog.text


def test_an_unknown_total_comes_with_the_known_columns():
    with pytest.raises(ValueError, match=r"unknown column 'totl'.*did you mean 'total'"):
        read_votes(pd.DataFrame({"ring_yes": [1], "ring_no": [1], "total": [2]}), "rings", total="totl")


def test_votes_of_another_campaign_are_recognised(votes):
    with pytest.raises(ValueError, match=r"no votes for schema 'gz_decals_dr8'.*there are votes of gz2$"):
        read_votes(votes, "gz_decals_dr8")


def percentages(n):
    yes = np.random.default_rng(0).integers(0, 101, n)
    return pd.DataFrame({"id_str": [f"g{i}" for i in range(n)], "bar_yes": yes, "bar_no": 100 - yes})


TREE = {"name": "one", "questions": [{"question": "bar", "answers": ["yes", "no"]}]}


@pytest.mark.parametrize("rounding", [0, 1])
def test_percentages_are_not_counts_of_votes(rounding):
    catalog = percentages(40)
    catalog.loc[::5, "bar_no"] += rounding  # rounded percentages add up to 99 or 101
    catalog.loc[::7, ["bar_yes", "bar_no"]] = 0  # nobody was asked
    with pytest.raises(ValueError, match=r"bar_yes, bar_no add up to 100 for almost every galaxy: divide percentages"):
        read_votes(catalog, TREE)


def test_a_hundred_votes_are_counts_if_there_are_few_galaxies_or_the_total_is_known():
    few = percentages(9)
    assert read_votes(few, TREE).to_numpy().tolist() == few[["bar_yes", "bar_no"]].to_numpy().tolist()
    many = percentages(40).assign(**{"bar_total-votes": 100})
    assert (read_votes(many, TREE).sum(axis=1) == 100).all()
