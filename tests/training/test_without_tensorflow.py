import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent.parent
BLOCK = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_probability", "tf_keras"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
"""


def run(code, folder):
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", BLOCK + code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def votes(galaxies, tmp_path):
    catalog, _ = galaxies
    table = catalog[["id_str", "file_loc"]].assign(ring_yes=catalog["ring"] * 8 + 1, ring_no=9 - catalog["ring"] * 8)
    table.assign(split=np.where(np.arange(40) < 24, "train", np.where(np.arange(40) < 32, "val", "test"))).to_csv(
        tmp_path / "votes.csv", index=False
    )
    (tmp_path / "tree.yaml").write_text("name: tree\nquestions:\n  - {question: ring, answers: [yes, no]}\n")


def test_no_verb_that_fits_or_shows_galaxies_imports_it(tmp_path):
    verbs = "train, pretrain, finetune, represent, predict, evaluate_representations"
    assert run(f"from morphtools import {verbs}\nprint('tensorflow' in sys.modules)", tmp_path) == "False\n"


@pytest.mark.slow
def test_votes_and_views_are_learned_and_galaxies_represented(votes, tmp_path):
    run(
        """
import morphtools
morphtools.train("tree.yaml", catalog="votes.csv", images="images", encoder="resnet10_half", method="byol", hidden=8,
                 dimension=4, epochs=1, batch_size=8, out="run")
morphtools.represent("run", "store", catalog="votes.csv", images="images", orientations=1)
""",
        tmp_path,
    )
    predictions = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert len(predictions) == 8
    fractions = predictions[["ring_yes_fraction", "ring_no_fraction"]]
    np.testing.assert_allclose(fractions.sum(axis=1), 1, atol=1e-5)
    kept = pd.concat([pd.read_parquet(path) for path in (tmp_path / "store").glob("part-*.parquet")])
    assert sorted(kept["id_str"]) == sorted(pd.read_csv(tmp_path / "votes.csv")["id_str"])
