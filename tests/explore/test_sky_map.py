import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord

from morphtools.explore.sky_map import neighbours_on_sky, sky_figure

RNG = np.random.default_rng(0)
KNOWN = pd.DataFrame({"ra": RNG.uniform(0, 360, 300), "dec": np.degrees(np.arcsin(RNG.uniform(-1, 1, 300)))})


def test_a_map_that_is_the_sky_has_its_neighbours_nearby_and_any_other_map_has_not():
    sky = SkyCoord(KNOWN["ra"], KNOWN["dec"], unit="deg")
    own, apart = neighbours_on_sky(KNOWN[["ra", "dec"]].to_numpy(), sky)
    assert apart == pytest.approx(90, abs=6)  # two points at random on a sphere
    assert own < 10
    other, _ = neighbours_on_sky(RNG.normal(size=(300, 2)), sky)
    assert other == pytest.approx(90, abs=10)


def test_galaxies_have_the_same_colour_on_the_sky_as_on_the_map_and_those_without_a_place_are_left_out():
    known = KNOWN.assign(cluster=np.arange(300) % 3, redshift=RNG.uniform(size=300))
    known.loc[[3, 7], "dec"] = np.nan
    x, y = RNG.normal(size=(2, 300))
    figure = sky_figure(x, y, known, ["cluster", "redshift"])
    above, beside, *others = figure.axes
    on_sky, on_map = above.collections[0], beside.collections[0]
    np.testing.assert_array_equal(on_sky.get_facecolors(), on_map.get_facecolors())
    assert len(on_sky.get_offsets()) == 298 and others[0].get_title() == "cluster (298)"
    place = {(round(a, 4), round(b, 4)) for a, b in zip(x, y, strict=True)}
    assert {tuple(np.round(xy, 4)) for xy in on_map.get_offsets().data} <= place
    drawn = dict(zip(map(tuple, np.round(on_map.get_offsets().data, 4)), on_sky.get_offsets().data, strict=True))
    lon, lat = drawn[tuple(np.round((x[0], y[0]), 4))]
    assert np.degrees(lat) == pytest.approx(known["dec"][0]) and 180 - np.degrees(lon) == pytest.approx(known["ra"][0])


def test_without_positions_there_is_no_sky():
    with pytest.raises(ValueError, match="no galaxy of the catalogue has both"):
        sky_figure(np.zeros(2), np.zeros(2), pd.DataFrame({"ra": [np.nan] * 2, "dec": [0.0, 1.0]}))
