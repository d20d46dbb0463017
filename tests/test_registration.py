"""Keras finds our classes in its files after `import morphtools` alone, whichever is imported first."""

import ast
import os
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

from morphtools.models.encoders import any_way_up, build_encoder
from morphtools.models.heads import classification_head
from morphtools.registration import CLASSES

ROOT = Path(__file__).parent.parent / "morphtools"


def test_every_class_that_keras_may_meet_in_a_file_is_listed():
    registered = {
        node.name: ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any("register_keras_serializable" in ast.unparse(decorator) for decorator in node.decorator_list)
    }
    assert registered == CLASSES


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a model of several of our classes in both of Keras' formats, and what it gives."""
    folder = tmp_path_factory.mktemp("saved")
    encoder = build_encoder("resnet10_half", (16, 16, 2), small_images=True, noise=(1, 2))
    model = keras.Sequential([keras.Input((16, 16, 2)), *any_way_up(encoder, 2), classification_head(2)])
    images = np.random.default_rng(0).normal(size=(3, 16, 16, 2)).astype("f4")
    np.savez(folder / "x.npz", x=images, y=keras.ops.convert_to_numpy(model(images)))
    with warnings.catch_warnings(action="ignore"):  # Keras calls HDF5 a legacy format
        for ending in ("keras", "h5"):
            model.save(folder / f"model.{ending}")
    return folder


@pytest.mark.parametrize(
    "imports",
    [
        "import morphtools, keras",
        pytest.param("import keras, morphtools", marks=pytest.mark.slow),
        # the same two, but that our own modules import Keras
        pytest.param("import morphtools; from morphtools.models import heads; import keras", marks=pytest.mark.slow),
        pytest.param("import morphtools; morphtools.load_dataset; import keras", marks=pytest.mark.slow),
    ],
)
def test_a_saved_model_loads_after_importing_morphtools(imports, saved):
    code = f"""{imports}
import numpy as np
saved = np.load("x.npz")
for ending in ("keras", "h5"):
    model = keras.models.load_model(f"model.{{ending}}")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(saved["x"])), saved["y"], rtol=1e-5, atol=1e-6)
"""
    python = [sys.executable, "-c", code]
    done = subprocess.run(python, cwd=saved, capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stderr


def _environment() -> dict:
    return {**os.environ, "PYTHONPATH": str(ROOT.parent)}


def test_importing_morphtools_imports_no_keras():
    code = "import morphtools, sys; assert not {'keras', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=_environment())
