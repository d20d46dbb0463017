"""The short form of benchmarks/kills.py and benchmarks/corruptions.py."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


BUILDS = ("build-records", "build-records --append", "build-records --part")
FITS = ("make-map", "find-anomalies", "finetune (head, encoder)", "learning-curve")  # the others: tests/training


@pytest.mark.slow
@pytest.mark.parametrize(("verbs", "number"), [(BUILDS, 5), (FITS, 1)], ids=["builds", "fits"])
def test_killed_verbs_end_in_the_files_of_uninterrupted_ones(verbs, number):
    command = [sys.executable, str(BENCHMARKS / "kills.py"), *verbs, "--kills", str(number)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^{'verb'.*'kills': (\d+), 'failed': (\d+), 'other files': (\d+)", output, re.MULTILINE)
    assert len(rows) == len(verbs), output
    assert all(int(kills) >= number and failed == other == "0" for kills, failed, other in rows), output


@pytest.mark.slow
def test_random_damage_is_one_sentence_and_never_a_silent_difference():
    command = [sys.executable, str(BENCHMARKS / "corruptions.py"), "--cases", "40", "--seed", "1"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    outcomes = re.findall(r"'([^']+)': (\d+)", output.strip().splitlines()[-1])
    assert {name for name, _ in outcomes} <= {"same", "one sentence"}, output
    assert sum(int(number) for _, number in outcomes) == 40
