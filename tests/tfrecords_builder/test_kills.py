"""The short form of benchmarks/kills.py and benchmarks/corruptions.py."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_killed_builds_end_in_the_files_of_an_uninterrupted_one():
    verbs = ["build-records", "build-records --append", "build-records --part"]
    command = [sys.executable, str(BENCHMARKS / "kills.py"), *verbs, "--kills", "5"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"'kills': (\d+), 'failed': (\d+), 'other files': (\d+)", output)
    assert len(rows) == 3 and all(int(kills) >= 5 and failed == other == "0" for kills, failed, other in rows), output


@pytest.mark.slow
def test_random_damage_is_one_sentence_and_never_a_silent_difference():
    command = [sys.executable, str(BENCHMARKS / "corruptions.py"), "--cases", "40", "--seed", "1"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    outcomes = re.findall(r"'([^']+)': (\d+)", output.strip().splitlines()[-1])
    assert {name for name, _ in outcomes} <= {"same", "one sentence"}, output
    assert sum(int(number) for _, number in outcomes) == 40
