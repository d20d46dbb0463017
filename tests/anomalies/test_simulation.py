import itertools

import numpy as np
import pandas as pd
import pytest

from morphtools.anomalies.simulation import Search, searches, vote_fractions

CATALOG = pd.DataFrame({"id_str": ["b", "a", "c"], "odd": ["0.25", None, "1"], "votes": [1, 3, 5]})


def test_the_truth_is_a_fraction_in_the_order_of_the_galaxies_and_nan_where_unknown():
    truth = vote_fractions(["a", "b", "x"], "odd", CATALOG, None)
    np.testing.assert_array_equal(truth, [np.nan, 0.25, np.nan])


@pytest.mark.parametrize(
    ("column", "catalog", "message"),
    [
        ("votes", CATALOG, "'votes' must be a fraction, from 0 to 1; it goes from 1 to 5"),
        ("od", CATALOG, "unknown column 'od'.*did you mean 'odd'"),
        ("odd", None, "the column 'odd' needs a catalog or records"),
    ],
)
def test_a_column_that_is_not_a_fraction_is_refused(column, catalog, message):
    with pytest.raises(ValueError, match=message):
        vote_fractions(["a", "b", "c"], column, catalog, None)


def test_only_gaussian_processes_have_acquisitions_diversities_and_starts():
    given = [["x", "y"], ["isolation_forest", "matern"], ["mean"], ["none", "believer"], ["spacing", "random"]]
    ways = list(searches(*given))
    assert ways[0] == Search("x", "isolation_forest") and len(ways) == 2 * (1 + 1 * 2 * 2)
    processes = {(way.acquisition, way.diversity, way.start) for way in ways if way.method == "matern"}
    assert processes == set(itertools.product(*given[2:]))
    assert len(set(map(str, ways))) == len(ways)


def test_a_search_without_chance_is_made_once():
    drawn = {way: way.draws for way in (Search("x", "local_outlier_factor"), Search("x", "isolation_forest"))}
    assert list(drawn.values()) == [False, True]
    assert (
        not Search("x", "matern", "mean", "none", "spacing").draws
        and Search("x", "matern", "mean", "none", "random").draws
    )


def test_an_unknown_part_of_a_search_is_named():
    with pytest.raises(ValueError, match="unknown acquisition 'best'"):
        list(searches(["x"], ["matern"], ["best"], ["none"], ["random"]))
