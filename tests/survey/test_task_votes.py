"""Votes of tasks in the tables as they are published; expected fractions are computed here from the votes drawn."""

import numpy as np
import pandas as pd
import pytest

from morphtools.survey.campaigns import GZ2_TASKS
from morphtools.survey.schemas import SCHEMAS
from morphtools.survey.task_votes import fraction_for, votes_for
from morphtools.survey.tasks import TASKS, get_task, task_labels
from morphtools.survey.vote_columns import read_votes

N = 60
# Endings of columns beside the counts: data.galaxyzoo.org (Hart+16), Zenodo 4573248 (DECaLS), Hugging Face gz_desi and
# gz_euclid. The numbers in them would give other labels if they were counted.
BESIDE = ("_fraction", "_debiased", "_weighted_fraction", "_weight", "_flag", "_concentration", "_dirichlet")


def drawn(schema, seed=0):
    """Votes of sixty galaxies, twenty people each who answered every question."""
    rng, votes = np.random.default_rng(seed), {}
    for question in SCHEMAS[schema].questions:
        p = rng.dirichlet([0.5] * len(question.answers), N)
        votes |= dict(zip(question.label_cols, rng.multinomial(20, p).T, strict=True))
    return pd.DataFrame(votes)


def fraction(votes, text, answers):
    total = votes[[c for c in votes if c.startswith(f"{text}_")]].sum(axis=1)
    return votes[[f"{text}_{a}" for a in answers if f"{text}_{a}" in votes]].sum(axis=1) / total


def as_hart(votes):
    """Galaxy Zoo 2 as published: counts, weights, debiased fractions and flags of every answer."""
    table = {}
    for task, (question, answers) in GZ2_TASKS.items():
        for theirs, ours in answers:
            table[f"{task}_{theirs}_count"] = votes[f"{question}-gz2_{ours}"]
            table |= {f"{task}_{theirs}_{ending}": 7 for ending in ("weight", "debiased", "flag")}
        table |= {f"{task}_total_count": 20, f"{task}_total_weight": 19.5}
    return pd.DataFrame(table, votes.index)


CASES = [
    ("gz2", "bars", "bar-gz2", ("yes",)),
    ("gz_decals_dr12", "mergers", "merging-dr12", ("merger", "both")),
    ("gz_decals_dr5", "bars", "bar-dr5", ("strong", "weak")),
    ("gz_decals_dr8", "spirals", "has-spiral-arms-dr8", ("yes",)),
    ("gz_desi", "mergers", "merging", ("merger",)),
    ("gz_euclid", "smooth", "smooth-or-featured-euclid", ("smooth",)),
    ("gz_cosmic_dawn", "edge-on", "disk-edge-on-cd", ("yes",)),
    ("gz_hubble", "bars", "bar-hubble", ("yes",)),
    ("gz_candels", "mergers", "merging-candels", ("merger", "both")),
]


@pytest.mark.parametrize("beside", ["", "_total-votes", "_total", "_mean-radius", *BESIDE])
@pytest.mark.parametrize(("schema", "task", "text", "answers"), CASES)
def test_only_answers_of_the_tree_are_votes(schema, task, text, answers, beside):
    votes, more = drawn(schema), {}
    if beside in BESIDE:
        more = dict.fromkeys([column + beside for column in votes], 0.37)
    elif beside:
        more = {question.text + beside: 20 for question in SCHEMAS[schema].questions}
    table = votes.assign(**more)
    f, task = fraction(votes, text, answers), TASKS[task]
    expected = np.where(f > task.above, 1, np.where(f < task.below, 0, np.nan))
    np.testing.assert_array_equal(task_labels(task, table)[0], expected)
    assert len(set(expected[np.isfinite(expected)])) == 2
    pd.testing.assert_frame_equal(read_votes(table, schema), votes)


@pytest.mark.parametrize(("schema", "task", "text", "answers"), [c for c in CASES if c[0] != "gz_desi"])
def test_the_suffix_of_the_campaign_may_be_missing(schema, task, text, answers):
    suffix = text[text.rindex("-") :]
    table = drawn(schema).rename(columns=lambda name: name.replace(f"{suffix}_", "_"))
    question = text.removesuffix(suffix)
    yes, total = votes_for(table, question, TASKS[task].votes[question])
    np.testing.assert_allclose(yes / total, fraction(drawn(schema), text, answers))


def test_the_published_table_of_galaxy_zoo_2_gives_the_same_labels_as_our_names():
    votes = drawn("gz2")
    for task in ("bars", "spirals", "edge-on", "smooth", "rings"):
        np.testing.assert_array_equal(task_labels(TASKS[task], as_hart(votes))[0], task_labels(TASKS[task], votes)[0])


CANDELS = {  # Simmons+17; "t11_bar_feature_count" is how many people answered
    "t11_bar_feature_a0_yes_frac": [0.9, 0.1, 1.0],
    "t11_bar_feature_a1_no_frac": [0.1, 0.9, 0.0],
    "t11_bar_feature_a0_yes_weighted_frac": [0.1, 0.9, 0.0],
    "t11_bar_feature_a1_no_weighted_frac": [0.9, 0.1, 1.0],
    "t11_bar_feature_count": [10, 10, 2],
    "t11_bar_feature_weight": [9.5, 9.5, 2.0],
}
HUBBLE = {  # Willett+17
    "t03_bar_a01_bar_count": [9, 1, 2],
    "t03_bar_a02_no_bar_count": [1, 9, 0],
    "t03_bar_a01_bar_weighted_fraction": [0.1, 0.9, 0.0],
    "t03_bar_a02_no_bar_weighted_fraction": [0.9, 0.1, 1.0],
    "t03_bar_total_count": [10, 10, 2],
    "t03_bar_total_weight": [9.5, 9.5, 2.0],
}


@pytest.mark.parametrize(("schema", "table"), [("gz_candels", CANDELS), ("gz_hubble", HUBBLE)])
def test_the_published_tables_of_hubble_and_candels_are_read_by_both_verbs(schema, table):
    table = pd.DataFrame(table)
    np.testing.assert_array_equal(task_labels(TASKS["bars"], table)[0], [1, 0, np.nan])  # two votes are too few
    suffix = schema.removeprefix("gz_")
    read = read_votes(table, schema)
    assert read[[f"bar-{suffix}_yes", f"bar-{suffix}_no"]].to_numpy().tolist() == [[9, 1], [1, 9], [2, 0]]


def test_counts_are_preferred_to_fractions_and_never_added_to_them():
    table = pd.DataFrame({"bar_yes": [9, 3], "bar_no": [1, 1], "bar_yes_fraction": [0.0, 0.0], "bar_no_fraction": 1.0})
    yes, total = votes_for(table.assign(**{"bar_total-votes": [10, 4]}), "bar", ("yes", "strong", "weak"))
    assert list(yes) == [9, 3] and list(total) == [10, 4]


def test_fractions_count_as_votes_where_it_is_known_of_how_many():
    answers = ("yes", "strong", "weak")
    table = pd.DataFrame({"bar-dr5_strong_fraction": [0.5, 1.0], "bar-dr5_weak_fraction": [0.4, 0.0],
                          "bar-dr5_no_fraction": [0.1, 0.0], "bar-dr5_total-votes": [10, 3]})  # fmt: skip
    yes, total = votes_for(table, "bar", answers)
    assert list(yes) == [9, 3] and list(total) == [10, 3]
    assert votes_for(table.drop(columns="bar-dr5_total-votes"), "bar", answers) is None
    f, columns = fraction_for(table, "bar", answers)
    np.testing.assert_allclose(f, [0.9, 1.0])
    assert columns == ["bar-dr5_strong_fraction", "bar-dr5_weak_fraction"]


def test_votes_for_answers_without_a_column_are_those_left_of_all():
    table = pd.DataFrame({"merging-dr12_merger": [30, 1], "merging-dr12_neither": [10, 9]})
    assert list(votes_for(table, "merging", ("merger", "both"))[1]) == [40, 10]
    table["merging-dr12_total-votes"] = [40, 40]
    assert list(votes_for(table, "merging", ("merger", "both"))[1]) == [40, 40]


@pytest.mark.parametrize("sentinel", [-1, -99, -9999, 9999, 999999, 0.25])
def test_what_is_written_for_an_unknown_is_not_a_vote(sentinel):
    table = pd.DataFrame({"id_str": list("abc"), "bar_yes": [5, sentinel, 1], "bar_no": [5, 5, 5]})
    for read in (lambda: task_labels(get_task("bars"), table), lambda: read_votes(table, "gz2")):
        with pytest.raises(ValueError, match=r"column 'bar_yes' .*: galaxy b") as error:
            read()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("ending", ["", "_fraction"])
def test_names_with_underscores_as_archives_have_them_give_the_same_labels(ending):
    scale = 40 if ending == "" else 1
    table = pd.DataFrame(
        {
            f"smooth-or-featured_smooth{ending}": np.array([0.9, 0.05, 0.5]) * scale,
            f"smooth-or-featured_featured-or-disk{ending}": np.array([0.05, 0.9, 0.5]) * scale,
            f"smooth-or-featured_artifact{ending}": np.array([0.05, 0.05, 0.0]) * scale,
            "smooth-or-featured_total-votes": [40, 40, 40],
        }
    )
    archived = table.rename(columns=lambda name: name.replace("-", "_"))
    for each in (table, archived):
        np.testing.assert_array_equal(task_labels(TASKS["smooth"], each)[0], [1, 0, np.nan])
    pd.testing.assert_frame_equal(read_votes(archived, "gz_desi"), read_votes(table, "gz_desi"))
