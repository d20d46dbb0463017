import numpy as np

from morphtools.explore.placing import between


def test_neighbours_on_two_islands_of_a_map_do_not_place_a_galaxy_between_them():
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.normal(100, 1, (20, 4, 2)), rng.normal(0, 1, (20, 6, 2))], axis=1)
    found = between(places)
    assert np.abs(found).max() < 3  # on the island where six of the ten live
    for own, place in zip(places, found, strict=True):
        midst = min(own, key=lambda p: sum(np.hypot(*(p - q)) for q in own))
        five = sorted(own, key=lambda p: np.hypot(*(p - midst)))[:5]
        np.testing.assert_allclose(place, np.mean(five, axis=0))
