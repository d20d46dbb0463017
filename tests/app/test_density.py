import io

import numpy as np
import pytest
from PIL import Image

from morphtools.app.density import PALETTE, Colouring, Grid, View, colours, scale
from morphtools.app.lasso import inside


@pytest.fixture
def places():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 3000)).astype(np.float32)
    x[::100] = np.nan
    return x, y


def opened(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


@pytest.mark.parametrize("view", [View(-0.3, 0.1, -1, 2), View(-9, 9, -9, 9), View(5, 6, 5, 6)])
def test_a_view_has_the_galaxies_inside_its_borders(places, view):
    x, y = places
    x0, x1, y0, y1 = view[:4]
    expected = np.flatnonzero((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))
    _, _, rows = Grid(x, y).within(view)
    assert np.array_equal(np.sort(rows), expected)


def test_the_nearest_galaxy_is_the_nearest_of_all(places):
    x, y = places
    grid = Grid(x, y)
    for at in np.random.default_rng(2).uniform(-2, 2, (50, 2)).astype(np.float32):
        away = np.hypot(x - at[0], y - at[1])
        expected = int(np.nanargmin(away)) if np.nanmin(away) <= 0.1 else None
        assert grid.nearest(*at, 0.1) == expected


def test_a_lasso_has_the_galaxies_inside_it(places):
    x, y = places
    angle = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    polygon = np.c_[np.cos(angle), np.sin(angle)] * (1 + 0.5 * np.sin(5 * angle))[:, np.newaxis]
    there = np.isfinite(x)
    expected = np.flatnonzero(there & inside(np.where(there, x, 9), y, polygon))
    assert len(expected) > 500 and np.array_equal(Grid(x, y).lasso(polygon), expected)


def test_each_cell_shows_the_galaxy_nearest_to_its_middle(places):
    x, y = places
    chosen = np.arange(3000) % 3 == 0
    cells = Grid(x, y).middles(View(-2, 2, -1, 1), 4, 2, chosen)
    shown = {(column, row): (number, galaxy) for column, row, number, galaxy in cells}
    inside_view = chosen & (np.abs(x) <= 2) & (np.abs(y) <= 1)
    here = inside_view & (x >= -1) & (x < 0) & (y > 0)  # second column, upper row
    away = np.where(here, (x + 0.5) ** 2 + (2 * 0.5 * (y - 0.5)) ** 2, np.inf)
    assert shown[1, 0] == (here.sum(), np.argmin(away))
    assert sum(number for number, _ in shown.values()) == inside_view.sum()


def test_a_galaxy_is_drawn_where_it_is_and_elsewhere_the_picture_is_clear():
    picture, galaxies = Grid(np.array([1.0]), np.array([3.0])).picture(View(0, 4, 0, 4, 80, 40), dot=4)
    alpha = opened(picture)[..., 3]
    rows, columns = np.nonzero(alpha)
    assert galaxies == 1 and alpha.shape == (40, 80)
    assert abs(columns.mean() - 20) < 1 and abs(rows.mean() - 10) < 1 and 9 <= len(rows) <= 16


def test_colours_are_those_of_the_most_common_category_and_the_mean_number():
    x = y = np.zeros(10)
    code = np.array([2, 2, 2, 2, 2, 0, 0, 0, 0, -1], np.int8)
    grid, view = Grid(x, y), View(-1, 1, -1, 1, 9, 9)
    most = opened(grid.picture(view, Colouring(colours(PALETTE), code))[0])
    assert most[4, 4, :3].tolist() == colours(PALETTE)[2].tolist()
    value = np.array([0, 0, 0, 0, 0, 29, 29, 29, 29, np.nan], np.float32)
    mean = opened(grid.picture(view, Colouring(scale(), value))[0])
    assert mean[4, 4, :3].tolist() == scale()[int(29 * 4 / 9)].tolist()
    unknown = opened(grid.picture(view, Colouring(scale(), np.full(10, np.nan, np.float32)))[0])
    assert len(set(unknown[4, 4, :3].tolist())) == 1  # grey


def test_a_chosen_galaxy_lies_above_grey_ones():
    chosen = np.zeros(50, bool)
    chosen[7] = True
    picture = opened(Grid(np.zeros(50), np.zeros(50)).picture(View(-1, 1, -1, 1, 9, 9), None, chosen)[0])
    red, green, blue, _ = picture[4, 4]
    assert red > green > blue


def test_where_more_galaxies_lie_the_picture_is_more_opaque():
    x = np.concatenate([np.full(1000, 1.0), [3.0] * 2, np.linspace(0, 4, 400)])
    y = np.concatenate([np.ones(1002), np.full(400, 3.0)])
    alpha = opened(Grid(x, y).picture(View(0, 4, 0, 4, 40, 40), dot=1)[0])[..., 3]
    assert alpha[30, 10] > alpha[30, 30] > 0
