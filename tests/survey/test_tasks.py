import numpy as np
import pandas as pd
import pytest

from morphtools.survey.tasks import TASKS, get_task, task_labels, task_redshifts

NAN = np.nan


def labels(task, catalog, column=None):
    return list(task_labels(get_task(task), pd.DataFrame(catalog), column)[0])


def test_a_label_column_is_taken_as_it_is():
    np.testing.assert_array_equal(labels("rings", {"ring": [1, 0, None]}), [1, 0, NAN])


def test_ring_fractions_are_cut_as_published():
    """Walmsley et al. 2022, section 4: rings f > 0.25, not rings f < 0.05."""
    fractions = [0.0, 0.049, 0.05, 0.2, 0.25, 0.251, 1.0, NAN]
    np.testing.assert_array_equal(labels("rings", {"ring_fraction": fractions}), [0, 0, NAN, NAN, NAN, 1, 1, NAN])


def test_votes_are_added_over_campaigns_and_answers():
    catalog = {
        "bar-dr5_strong": [9, 0, 3, 0],
        "bar-dr5_weak": [1, 1, 0, 0],
        "bar-dr5_no": [0, 9, 0, 0],
        "bar-gz2_yes": [0, 0, 2, 2],
        "bar-gz2_no": [1, 0, 0, 1],
        "bar-gz2_yes_fraction": [0.5, 0.5, 0.5, 0.5],  # a fraction is no vote
    }
    # fractions 10/11, 1/10, 5/5, and 2/3 of too few votes
    np.testing.assert_array_equal(labels("bars", catalog), [1, 0, 1, NAN])


def test_votes_for_another_question_do_not_count():
    with pytest.raises(ValueError, match="no labels for task 'bars'"):
        labels(
            "bars",
            {"bar-like_yes_extra": [1], "smooth-or-featured_smooth": [5], "smooth-or-featured_disk": [0]},
        )


def test_a_column_of_any_name_can_be_given():
    np.testing.assert_array_equal(labels("rings", {"ring": [1, 1], "mine": [0.9, 0.01]}, "mine"), [1, 0])
    with pytest.raises(ValueError, match=r"unknown column 'mime'.*did you mean 'mine'"):
        labels("rings", {"mine": [1, 0]}, "mime")


def test_other_values_are_refused():
    with pytest.raises(ValueError, match=r"must contain 0/1 or fractions from 0 to 1, got 3, 7"):
        labels("rings", {"ring": [0, 1, 3, 7]})


def test_unknown_tasks_come_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown task 'ring'; known tasks: bars, .*did you mean 'rings'"):
        get_task("ring")


def test_thresholds_leave_room_between():
    for task in TASKS.values():
        assert 0 < task.below < task.above < 1


def test_redshifts_are_found_and_impossible_ones_are_unknown():
    values = [0.1, "0.2", -9999, np.nan, -0.001, np.inf, -1]
    found, where = task_redshifts(get_task("photoz"), pd.DataFrame({"id_str": list("abcdefg"), "spec_z": values}))
    np.testing.assert_array_equal(found, [0.1, 0.2, np.nan, np.nan, -0.001, np.nan, np.nan])
    assert where == "column 'spec_z'"
    mine = pd.DataFrame({"redshift": [0.1], "z_best": [0.3]})
    assert list(task_redshifts(get_task("photoz"), mine, "z_best")[0]) == [0.3]


@pytest.mark.parametrize(
    ("table", "column", "message"),
    [
        ({"z": [0.1]}, None, "no redshifts: none of the columns redshift, spec_z .the catalogue has z.; name yours"),
        ({"redshift": [0.1]}, "redshfit", "did you mean 'redshift'"),
        ({"redshift": [-1, -1]}, None, "column 'redshift' contains no redshifts, only -1, -1"),
    ],
)
def test_a_catalogue_without_redshifts_is_refused(table, column, message):
    with pytest.raises(ValueError, match=message):
        task_redshifts(get_task("photoz"), pd.DataFrame(table), column)


def test_a_galaxy_that_galaxy_zoo_1_calls_uncertain_is_not_one_without_arms():
    flags = pd.DataFrame({"spiral": [1, 0, 0], "elliptical": [0, 1, 0], "uncertain": [0, 0, 1]})
    labels, _ = task_labels(TASKS["spirals"], flags)
    assert labels[:2].tolist() == [1.0, 0.0] and np.isnan(labels[2])
    assert task_labels(TASKS["spirals"], flags[["spiral"]])[0].tolist() == [1.0, 0.0, 0.0]  # somebody's own labels


def test_columns_of_a_task_are_found_in_whatever_capitals_they_are_published():
    flags = pd.DataFrame({"SPIRAL": [1, 0, 0], "ELLIPTICAL": [0, 1, 0], "UNCERTAIN": [0, 0, 1]})  # Galaxy Zoo 1
    for column in (None, "SPIRAL"):
        labels, _ = task_labels(TASKS["spirals"], flags, column)
        assert labels[:2].tolist() == [1.0, 0.0] and np.isnan(labels[2])
    assert list(task_redshifts(get_task("photoz"), pd.DataFrame({"REDSHIFT": [0.1]}))[0]) == [0.1]
    both = pd.DataFrame({"Ring": [0, 0], "RING": [1, 1]})  # ambiguous
    with pytest.raises(ValueError, match="name yours with"):
        task_labels(TASKS["rings"], both)


def test_redshifts_of_exactly_zero_are_reported_with_their_galaxies(caplog):
    table = pd.DataFrame({"id_str": list("abc"), "redshift": [0.1, 0.0, 0.0]})
    assert list(task_redshifts(get_task("photoz"), table)[0]) == [0.1, 0, 0]
    assert "2 redshifts are exactly 0 (galaxy b, c)" in caplog.text
