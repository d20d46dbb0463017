import numpy as np
import pandas as pd
import pytest

from morphtools.explore.positions import nearest_on_sky, within_cone


def table(*places):
    ra, dec = zip(*places, strict=True)
    return pd.DataFrame({"ra": ra, "dec": dec}, index=[f"g{i}" for i in range(len(places))])


def test_the_nearest_is_found_across_the_end_of_right_ascension_and_at_the_pole():
    known = table((0.001, 0.0), (180.0, 0.0), (90.0, 89.9999), (np.nan, 0.0))
    row, separation = nearest_on_sky(known, 359.999, 0.0, 10)
    assert row == 0 and separation == pytest.approx(0.002 * 3600)
    row, separation = nearest_on_sky(known, 270.0, 89.9999, 1)  # the other side of the pole
    assert row == 2 and separation == pytest.approx(0.0002 * 3600, rel=1e-6)


def test_separations_are_great_circles():
    """cos c = sin δ₁ sin δ₂ + cos δ₁ cos δ₂ cos Δα, as in every textbook."""
    known = table((40.0, 60.0))
    a, b, c = np.radians([60.0, 60.2, 0.3])
    expected = np.degrees(np.arccos(np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(c))) * 3600
    assert nearest_on_sky(known, 40.3, 60.2, 1e6)[1] == pytest.approx(expected, rel=1e-6)


def test_too_far_is_refused_with_the_name_and_the_distance():
    with pytest.raises(
        ValueError, match=r"no galaxy within 5 arcsec of ra 10, dec 0: the nearest, g0, is 36\.0 arcsec"
    ):
        nearest_on_sky(table((10.01, 0.0)), 10, 0, 5)
    with pytest.raises(ValueError, match=r"the nearest, g0, is 20\.0 degrees away"):
        nearest_on_sky(table((30.0, 0.0)), 10, 0, 5)


def test_galaxies_without_a_position_are_in_no_circle():
    known = table((10.0, 0.0), (10.5, 0.0), (np.nan, 0.0), (12.0, 0.0))
    assert within_cone(known, 10, 0, 1).tolist() == [True, True, False, False]
    with pytest.raises(ValueError, match="no galaxy lies within 1 degrees"):
        within_cone(known, 100, 0, 1)


def test_what_a_catalogue_lacks_is_named():
    with pytest.raises(ValueError, match="it has no dec"):
        nearest_on_sky(pd.DataFrame({"ra": [1.0]}), 1, 1, 1)
    with pytest.raises(ValueError, match="no galaxy of the catalogue has both"):
        within_cone(pd.DataFrame({"ra": ["x"], "dec": [1]}), 1, 1, 1)
