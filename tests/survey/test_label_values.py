import numpy as np
import pandas as pd
import pytest

from morphtools.survey.tasks import PHOTOZ, TASKS, task_labels, task_redshifts

NAN = np.nan


@pytest.mark.parametrize(
    "cells",
    [
        [1, 0, None], [1.0, 0.0, NAN], ["1", "0", ""], [True, False, None], ["True", "False", None], ["yes", "no", NAN],
        ["Y", "N", ""], ["t", "f", None], ["TRUE", " false ", ""], ["ring", "no ring", None], ["Ring", "no_ring", ""],
        ["ring", "not ring", "nan"], pd.array([True, False, None], "boolean"), pd.array([1, 0, None], "Int64"),
        pd.Categorical(["yes", "no", None]),
    ],
)  # fmt: skip
def test_labels_are_read_in_every_spelling(cells):
    labels, rule = task_labels(TASKS["rings"], pd.DataFrame({"id_str": list("abc"), "ring": cells}))
    np.testing.assert_array_equal(labels, [1, 0, NAN])
    assert rule == "column 'ring': 1 ring, 0 no ring"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([1, 0, -1], r"got -1 \(galaxy c\).*leave cells empty where the answer is unknown"),
        ([1, 0, 2], r"got 2 \(galaxy c\)"),
        ([1, -99, 0], r"got -99 \(galaxy b\)"),
        ([80, 5, None], r"got 80.0, 5.0 \(galaxy a, b\).*divide percentages by 100"),
        (["0,8", "0,1", "0"], r"got 0,8, 0,1 \(galaxy a, b\)"),
        (["yes", "maybe", "no"], r"got maybe \(galaxy b\); words may be yes/no, true/false or ring/no ring"),
        (["spiral", "round", "yes"], r"got spiral, round \(galaxy a, b\)"),
        ([1, np.inf, 0], r"got inf \(galaxy b\)"),
    ],
)
def test_other_cells_are_shown_with_the_galaxies_that_have_them(cells, message):
    with pytest.raises(
        ValueError, match=rf"column 'ring' must contain 0/1 or fractions from 0 to 1, {message}"
    ) as error:
        task_labels(TASKS["rings"], pd.DataFrame({"id_str": list("abc"), "ring": cells}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([0.1, 99.0, 0.2], r"column 'redshift' must contain redshifts, got 99.0 \(galaxy b\)"),
        ([0.1, 999999, 0.2], r"must contain redshifts, got 999999.0 \(galaxy b\)"),
        (["0.1", "unknown", "0.2"], r"column 'redshift' must contain numbers, got unknown \(galaxy b\)"),
        (["0,1", "0,2", "0.2"], r"must contain numbers, got 0,1, 0,2 \(galaxy a, b\); leave cells empty where"),
    ],
)
def test_numbers_that_are_no_redshifts_are_refused(cells, message):
    with pytest.raises(ValueError, match=message):
        task_redshifts(PHOTOZ, pd.DataFrame({"id_str": list("abc"), "redshift": cells}))


def test_stand_ins_for_unknown_redshifts_are_reported(caplog):
    found, _ = task_redshifts(PHOTOZ, pd.DataFrame({"redshift": [0.1, -9999.0, -1.0, -1.0, NAN]}))
    np.testing.assert_array_equal(found, [0.1, NAN, NAN, NAN, NAN])
    assert "-9999.0, -1.0 (3 galaxies) are treated as unknown redshifts" in caplog.text
