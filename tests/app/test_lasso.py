import numpy as np
import pytest
from matplotlib.path import Path

from morphtools.app.lasso import classify_cells, inside

STAR = np.array([[np.sin(0.8 * np.pi * k), np.cos(0.8 * np.pi * k)] for k in range(5)])


@pytest.mark.parametrize("seed", range(5))
def test_points_are_inside_a_polygon_as_matplotlib_has_it(seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 30))
    polygon = np.c_[np.cos(angles), np.sin(angles)] * rng.uniform(0.3, 1, (30, 1))
    points = rng.uniform(-1, 1, (2000, 2))
    assert np.array_equal(inside(*points.T, polygon), Path([*polygon, polygon[0]], closed=True).contains_points(points))


def test_where_a_line_crosses_itself_the_even_odd_rule_holds():
    assert inside([0.0, 0.0], [0.0, 0.9], STAR).tolist() == [False, True]  # the middle of a star, and one of its tips


@pytest.mark.parametrize("seed", range(20))
def test_no_point_of_a_full_cell_is_outside_and_none_of_an_empty_one_inside(seed):
    rng = np.random.default_rng(seed)
    cells = 16
    polygon = rng.uniform(-3, cells + 3, (rng.integers(3, 12), 2))
    if seed % 3 == 0:
        polygon = polygon.round()  # along the borders of cells
    full, border = classify_cells(polygon, cells)
    points = rng.uniform(0, cells, (20_000, 2))
    column, row = points.astype(int).T
    within = inside(*points.T, polygon)
    assert within[full[row, column]].all()
    assert not within[~full[row, column] & ~border[row, column]].any()
    assert not (full & border).any()
