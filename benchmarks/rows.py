"""Reports comparisons: one row for each pair, ours and a peer's, in turns because the speed of machines changes.

A row is printed for people, and once more as JSON for `run_all.py`, which puts it into docs/benchmarks.md.
"""

import json
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

MARK = "row: "  # the line of JSON begins with this


def in_turns(ways: dict[str, Callable], turns: int) -> dict[str, list[float]]:
    """Seconds that each way takes in each turn, after one that warms up and does not count."""
    seconds = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ask(python: str, peer: str, *arguments) -> dict:
    """What a script of `peers/` prints in its last line, run by the interpreter of the peers' environment."""
    command = [python, str(Path(__file__).parent / "peers" / peer), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{peer} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def report(what: str, peer: str, ours: list[float], theirs: list[float], unit: str = "s", note: str = "") -> None:
    """Prints one comparison.

    Args:
        what: What was measured, sizes and seed included.
        peer: The package that we are compared with, and its version.
        ours: One number a turn.
        theirs: In the same turns.
        unit: `s`, of which fewer are better, or a rate such as `images/s`, of which more are.
        note: What the numbers do not show.
    """
    pairs = zip(ours, theirs, strict=True)
    ratios = [a / b if unit.endswith("/s") else b / a for a, b in pairs]  # above 1, we are faster
    of = {"what": what, "peer": peer, "ours": ours, "theirs": theirs, "unit": unit, "ratios": ratios, "note": note}
    middle = {name: statistics.median(of[name]) for name in ("ours", "theirs", "ratios")}
    print(
        f"{what}: ours {middle['ours']:.3g} {unit}, {peer} {middle['theirs']:.3g} {unit}, "
        f"×{middle['ratios']:.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    )
    print(MARK + json.dumps(of), flush=True)
