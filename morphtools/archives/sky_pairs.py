"""Finds pairs of positions on the sky exactly, with memory for one zone of declination only.

Both lists are sorted by declination and cut into zones of similar numbers of rows. A zone of one list is compared with
all rows of the other that are in it or within the radius around it (the zones of Gray, Nieto-Santisteban & Szalay
2007). Inside a zone, positions are unit vectors in a k-d tree, so neither ra = 0 nor the poles need special treatment.
"""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

ZONE_ROWS = 2**18
_MOST_PAIRS = 2 * 10**8
_CHORD = 1e-15  # two roundings of a unit vector
_LOOP = 2**20


def pairs_within(a: np.ndarray, b: np.ndarray, radius: float, zone_rows: int = ZONE_ROWS):
    """Finds all pairs of positions, one of each list, within a radius of each other.

    Args:
        a: (N, 2) right ascension and declination in degrees; NaN matches nothing.
        b: (M, 2), as `a`.
        radius: In degrees, at most 90.
        zone_rows: Number of rows of both lists in a zone; does not affect the result.

    Returns:
        Rows of `a` and of `b`, int64 (P,), and separations in arcsec, float64 (P,), in the order of `a`,
        then of the separations.

    Raises:
        ValueError: There are more than two hundred million pairs.
    """
    parts, total = [], 0
    for rows_a, rows_b, tree_a, tree_b in _zones(a, b, radius, zone_rows):
        total += tree_a.count_neighbors(tree_b, _chord(radius))
        if total > _MOST_PAIRS:
            raise ValueError(
                f"more than {_MOST_PAIRS:,} pairs lie within {radius * 3600:g} arcsec: choose a smaller radius"
            )
        near = tree_a.sparse_distance_matrix(tree_b, _chord(radius), output_type="ndarray")
        parts.append(_measured(a, b, rows_a[near["i"]], rows_b[near["j"]], radius))
    return _joined(parts)


def nearest_within(a: np.ndarray, b: np.ndarray, radius: float, zone_rows: int = ZONE_ROWS):
    """Finds for every position of `a` the nearest of `b` within a radius; of equally near ones the first.

    Args and returns as for `pairs_within`.
    """
    parts = []
    for rows_a, rows_b, tree_a, tree_b in _zones(a, b, radius, zone_rows):
        chords, near = tree_b.query(tree_a.data, k=2, distance_upper_bound=_chord(radius))
        with np.errstate(invalid="ignore"):  # infinity if there is no second one
            tied = np.isfinite(chords[:, 0]) & (chords[:, 1] - chords[:, 0] <= _CHORD)
        alone = np.flatnonzero(np.isfinite(chords[:, 0]) & ~tied)
        parts.append(_measured(a, b, rows_a[alone], rows_b[near[alone, 0]], radius))
        balls = tree_b.query_ball_point(tree_a.data[tied], chords[tied, 0] + _CHORD)
        several = (
            np.repeat(rows_a[tied], [len(ball) for ball in balls]),
            rows_b[np.concatenate([[], *balls]).astype(int)],
        )
        rows, others, separations = _sorted(*_measured(a, b, *several, radius))
        first = np.flatnonzero(np.diff(rows, prepend=-1))
        parts.append((rows[first], others[first], separations[first]))
    return _joined(parts)


def one_to_one(rows_a: np.ndarray, rows_b: np.ndarray, separations: np.ndarray) -> np.ndarray:
    """Selects pairs so that every row is in at most one, taking the closest pairs first.

    Of equally close pairs, the one with the smaller row of the first list, then of the second, comes first.

    Args:
        rows_a: (P,) rows of the first list.
        rows_b: (P,) rows of the second list.
        separations: (P,).

    Returns:
        (P,) bool.
    """
    order, kept = np.lexsort((rows_b, rows_a, separations)), np.zeros(len(rows_a), bool)
    taken_a, taken_b = (bytearray(int(rows.max(initial=-1)) + 1) for rows in (rows_a, rows_b))
    for start in range(0, len(order), _LOOP):  # Python lists need four times the memory of arrays
        part = order[start : start + _LOOP]
        for pair, a, b in zip(part.tolist(), rows_a[part].tolist(), rows_b[part].tolist(), strict=True):
            if not (taken_a[a] or taken_b[b]):
                taken_a[a] = taken_b[b] = kept[pair] = True
    return kept


def groups_of(sky: np.ndarray, radius: float) -> np.ndarray:
    """Finds groups of friends of friends: positions within a radius of each other are in the same group.

    Args:
        sky: (N, 2) degrees; each NaN is a separate group.
        radius: In degrees.

    Returns:
        (N,) the first row of each position's group.
    """
    rows, others, _ = pairs_within(sky, sky, radius)
    links = coo_array((np.ones(len(rows), bool), (rows, others)), shape=(len(sky), len(sky)))
    number, group = connected_components(links, directed=False)
    first = np.full(number, len(sky))
    np.minimum.at(first, group, np.arange(len(sky)))
    return first[group]


def separations_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Separations of positions (N, 2) in degrees, row by row, in arcsec (Vincenty's formula: exact at any distance)."""
    (ra_a, dec_a), (ra_b, dec_b) = np.radians(a).T, np.radians(b).T
    sin_a, cos_a, sin_b, cos_b = np.sin(dec_a), np.cos(dec_a), np.sin(dec_b), np.cos(dec_b)
    sin_ra, cos_ra = np.sin(ra_b - ra_a), np.cos(ra_b - ra_a)
    across = np.hypot(cos_b * sin_ra, cos_a * sin_b - sin_a * cos_b * cos_ra)
    return np.degrees(np.arctan2(across, sin_a * sin_b + cos_a * cos_b * cos_ra)) * 3600


def _zones(a: np.ndarray, b: np.ndarray, radius: float, rows: int) -> Iterator[tuple]:
    """Yields for each zone the rows of `a` in it, the rows of `b` that may be near, and the trees of both."""
    order_a, order_b = (np.argsort(sky[:, 1], kind="stable") for sky in (a, b))
    order_a, order_b = order_a[np.isfinite(a[order_a]).all(axis=1)], order_b[np.isfinite(b[order_b]).all(axis=1)]
    dec_a, dec_b = a[order_a, 1], b[order_b, 1]
    edges = np.unique(np.sort(np.concatenate([dec_a, dec_b]))[::rows])
    margin = radius * (1 + 1e-9) + 1e-12
    for low, high in zip(edges, [*edges[1:], np.inf], strict=True):
        rows_a = order_a[np.searchsorted(dec_a, low) : np.searchsorted(dec_a, high)]
        rows_b = order_b[
            np.searchsorted(dec_b, low - margin) : np.searchsorted(dec_b, min(high + margin, 91.0), side="right")
        ]
        if len(rows_a) and len(rows_b):
            yield rows_a, rows_b, _tree(a[rows_a]), _tree(b[rows_b])


def _tree(sky: np.ndarray) -> cKDTree:
    ra, dec = np.radians(sky).T
    points = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    return cKDTree(points, compact_nodes=False, balanced_tree=False)


def _chord(radius: float) -> float:
    """The chord of the unit sphere for a radius, slightly enlarged: `_measured` decides the borderline cases."""
    return 2 * np.sin(np.radians(radius) / 2) * (1 + 1e-12) + _CHORD


def _measured(a, b, rows_a, rows_b, radius: float):
    separations = separations_of(a[rows_a], b[rows_b])
    near = separations <= radius * 3600
    return rows_a[near], rows_b[near], separations[near]


def _sorted(rows_a, rows_b, separations):
    order = np.lexsort((rows_b, separations, rows_a))
    return rows_a[order], rows_b[order], separations[order]


def _joined(parts: list[tuple]):
    empty = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return _sorted(*(np.concatenate(arrays) for arrays in zip(empty, *parts, strict=True)))
