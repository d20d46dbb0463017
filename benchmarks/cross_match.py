"""Measures time and memory of a cross-match, as ratios to astropy's in the same run.

    python benchmarks/cross_match.py [--rows 1000000] [--rows-b 1000000] [--tables | --tables-only]

Positions all over the sky; 70% of the second table are those of the first, moved by 0.3 arcsec. astropy is
`match_to_catalog_sky`, cut at the radius. With --tables also parquet in, parquet out, ten more columns in each table:
the command itself in its own process, with its peak memory. --tables-only runs nothing else.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord

from morphtools.archives.sky_pairs import nearest_within, one_to_one, pairs_within

RADIUS = 1.98 / 3600


def skies(n: int, m: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = np.stack([rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))], axis=1)
    b = np.stack([rng.uniform(0, 360, m), np.degrees(np.arcsin(rng.uniform(-1, 1, m)))], axis=1)
    same = min(n, int(0.7 * m))
    moved = rng.normal(0, 0.3 / 3600, (same, 2)) / np.stack([np.cos(np.radians(a[:same, 1])), np.ones(same)], axis=1)
    b[:same] = a[:same] + moved
    b[:, 0] %= 360
    b[:, 1] = b[:, 1].clip(-90, 90)
    return a, rng.permutation(b)


def timed(name: str, run, unit: float | None = None):
    start = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - start
    ratio = "" if unit is None else f"{seconds / unit:8.2f} × astropy"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name:34s} {seconds:8.2f} s {ratio:20s} peak of the process so far {peak:.2f} GiB", flush=True)
    return result, seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10**6)
    parser.add_argument("--rows-b", type=int)
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--tables-only", action="store_true")
    options = parser.parse_args()
    n, m = options.rows, options.rows_b or options.rows
    a, b = skies(n, m)
    print(f"{n} × {m} rows, radius 1.98 arcsec")

    unit = None if options.tables_only else positions(a, b)
    if options.tables or options.tables_only:
        tables(a, b, unit)


def positions(a: np.ndarray, b: np.ndarray) -> float:
    """Positions in memory, ours and astropy's; returns the seconds that astropy takes."""

    def astropy():
        rows, distance, _ = SkyCoord(*a.T, unit="deg").match_to_catalog_sky(SkyCoord(*b.T, unit="deg"))
        near = np.flatnonzero(distance <= RADIUS * u.deg)
        return near, rows[near]

    def ours_one_to_one():
        pairs = pairs_within(a, b, RADIUS)
        kept = one_to_one(*pairs)
        return pairs[0][kept]

    (near, _) = timed("nearest (ours)", lambda: nearest_within(a, b, RADIUS))[0], None
    timed("one to one (ours)", ours_one_to_one)
    expected, unit = timed("nearest (astropy)", astropy)
    print(f"same pairs: {all(np.array_equal(x, y) for x, y in zip(near[:2], expected, strict=True))} ({len(near[0])})")
    timed("nearest (ours), again", lambda: nearest_within(a, b, RADIUS), unit)
    timed("one to one (ours), again", ours_one_to_one, unit)
    return unit


def tables(a: np.ndarray, b: np.ndarray, unit: float | None) -> None:
    """Tables on disk, by the command."""
    with tempfile.TemporaryDirectory() as folder:
        for name, sky in (("a", a), ("b", b)):
            table = pd.DataFrame({"id_str": np.arange(len(sky)).astype(str), "ra": sky[:, 0], "dec": sky[:, 1]})
            table = table.assign(**{f"{name}{k}": sky[:, 0] + k for k in range(10)})
            table.to_parquet(Path(folder) / f"{name}.parquet")
        paths = [str(Path(folder) / f"{name}.parquet") for name in ("a", "b", "out")]
        command = [sys.executable, "-m", "morphtools", "cross-match", *paths]
        timed("cross-match a.parquet b.parquet", lambda: subprocess.run(command, check=True), unit)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        sizes = [Path(path).stat().st_size / 2**30 for path in paths]
        print(
            f"peak of the command {peak:.2f} GiB; the tables have {sizes[0]:.2f}, {sizes[1]:.2f}, the result "
            f"{sizes[2]:.2f} GiB on disk"
        )


if __name__ == "__main__":
    main()
