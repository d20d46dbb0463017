import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord, search_around_sky
from hypothesis import given, settings
from hypothesis import strategies as st

from morphtools.archives import sky_pairs
from morphtools.archives.sky_pairs import groups_of, nearest_within, one_to_one, pairs_within, separations_of

FIELDS = {"somewhere": (150.0, 2.0), "wrap": (0.0, -30.0), "north": (10.0, 90.0), "south": (200.0, -90.0)}


def cloud(field, number, size, seed):
    """Positions around a place on the sky, by rotating it about a random amount in a random direction."""
    rng = np.random.default_rng(seed)
    middle = SkyCoord(*FIELDS[field], unit="deg")
    places = middle.directional_offset_by(rng.uniform(0, 360, number) * u.deg, size * rng.random(number) * u.deg)
    return np.stack([places.ra.deg, places.dec.deg], axis=1)


def coord(sky):
    return SkyCoord(*sky.T, unit="deg")


def as_set(rows, others):
    return set(zip(rows.tolist(), others.tolist(), strict=True))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(FIELDS)),
    st.integers(1, 60),
    st.integers(1, 60),
    st.floats(1e-4, 30),
    st.floats(0.01, 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 7, 1000]),
)
def test_pairs_and_nearest_are_those_of_astropy(field, n, m, size, part, seed, zone_rows):
    a, b, radius = cloud(field, n, size, seed), cloud(field, m, size, seed + 1), size * part
    rows, others, separations = pairs_within(a, b, radius, zone_rows)
    expected = search_around_sky(coord(a), coord(b), radius * u.deg)
    assert as_set(rows, others) == as_set(*expected[:2])
    np.testing.assert_allclose(separations, coord(a)[rows].separation(coord(b)[others]).arcsec, atol=1e-7)
    nearest, distance, _ = coord(a).match_to_catalog_sky(coord(b))
    near = distance.deg <= radius
    found = nearest_within(a, b, radius, zone_rows)
    assert found[0].tolist() == np.flatnonzero(near).tolist() and found[1].tolist() == nearest[near].tolist()


@given(st.floats(0, 360), st.floats(-90, 90), st.floats(1e-6, 89))
@settings(max_examples=50, deadline=None)
def test_the_radius_itself_is_within(ra, dec, radius):
    a, b = np.array([[ra, dec]]), np.array([[ra, dec + radius if dec < 0 else dec - radius]])
    separation = separations_of(a, b)[0] / 3600
    assert len(pairs_within(a, b, separation * (1 + 4e-16))[0]) == 1
    assert len(pairs_within(a, b, separation * (1 - 1e-9))[0]) == 0


def test_of_equally_near_positions_the_first_is_taken():
    b = np.tile([[10.0, 5.0]], (50, 1))
    b[:3] = np.nan, np.nan
    rows, others, separations = nearest_within(np.array([[10.0, 5.0], [50.0, 5.0], [10.0001, 5.0]]), b, 0.01, 8)
    assert rows.tolist() == [0, 2] and others.tolist() == [3, 3]
    np.testing.assert_allclose(separations, [0, 0.36 * np.cos(np.radians(5))], rtol=1e-6)


def test_positions_that_are_missing_are_near_nothing():
    a = np.array([[np.nan, 0.0], [0.0, np.nan], [0.0, 0.0]])
    assert as_set(*pairs_within(a, a, 1.0)[:2]) == {(2, 2)}
    assert [len(x) for x in pairs_within(np.empty((0, 2)), a, 1.0)] == [0, 0, 0]


def greedy(pairs):
    """The definition, with sets."""
    kept, taken_a, taken_b = [], set(), set()
    for _, a, b in sorted(pairs):
        if a not in taken_a and b not in taken_b:
            kept.append((a, b))
            taken_a.add(a)
            taken_b.add(b)
    return set(kept)


@given(st.dictionaries(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.integers(0, 5), max_size=60))
def test_one_to_one_takes_the_closest_pairs_first(pairs):
    rows, others = np.array([*pairs, (0, 0)], int)[: len(pairs)].T
    separations = np.array([*pairs.values()], float)
    kept = one_to_one(rows, others, separations)
    assert as_set(rows[kept], others[kept]) == greedy([(s, *pair) for pair, s in pairs.items()])


def test_in_one_to_one_a_nearer_pair_wins_and_the_loser_takes_what_is_left():
    a = np.array([[0.0, 0.0], [0.0, 0.001]])
    b = np.array([[0.0, 0.0008], [0.0, -0.0015]])
    rows, others, separations = pairs_within(a, b, 0.002)
    kept = one_to_one(rows, others, separations)
    assert as_set(rows[kept], others[kept]) == {(1, 0), (0, 1)}


def test_friends_of_friends_are_one_group():
    chain = np.array([[0.0003 * i - 0.0004, 0.0] for i in range(4)] + [[0.1, 0.0], [np.nan, 0.0]])
    chain[:, 0] %= 360
    assert groups_of(chain, 0.00031).tolist() == [0, 0, 0, 0, 4, 5]
    assert groups_of(chain, 0.00029).tolist() == [0, 1, 2, 3, 4, 5]


def test_too_many_pairs_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr(sky_pairs, "_MOST_PAIRS", 99)
    with pytest.raises(ValueError, match="more than 99 pairs lie within 3600 arcsec: choose a smaller radius"):
        pairs_within(np.zeros((10, 2)), np.zeros((10, 2)), 1.0)
