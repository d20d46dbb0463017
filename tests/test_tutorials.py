"""The tutorials run, and their notebooks are made from them."""

import io
import json
import re
import runpy
import sys
from pathlib import Path

import matplotlib
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("[0-9]*.py"))
FAST = {"02_fits"}  # the others wait for networks to be compiled
every_tutorial = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One for all tutorials, because those who follow several must not find the galaxies of another one."""
    return tmp_path_factory.mktemp("afternoon")


@pytest.fixture(scope="module")
def notebook():
    return runpy.run_path(str(EXAMPLES / "make_notebooks.py"))["notebook"]


@every_tutorial
def test_a_notebook_has_the_cells_of_its_script(script, notebook):
    made = (EXAMPLES / "notebooks" / f"{script.stem}.ipynb").read_text()
    assert made == notebook(script) + "\n", "run python examples/make_notebooks.py"
    title, install, *_ = json.loads(made)["cells"]
    assert f"/examples/notebooks/{script.stem}.ipynb)" in "".join(title["source"])
    assert "%pip install" in "".join(install["source"]) and "morphtools.doctor()" in "".join(install["source"])


def test_every_notebook_has_a_script():
    assert {path.stem for path in EXAMPLES.glob("notebooks/*.ipynb")} == {path.stem for path in SCRIPTS}


@every_tutorial
def test_a_tutorial_is_short_and_explains_how_to_use_it_on_your_own_galaxies(script):
    text = script.read_text()
    code = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 120
    assert text.count("MORPHTOOLS_SHORT") == 1
    assert re.search(r"^# ## With .* of your own$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "script",
    [pytest.param(path, marks=() if path.stem in FAST else pytest.mark.slow, id=path.stem) for path in SCRIPTS],
)
def test_a_tutorial_runs_and_every_picture_it_names_is_there(script, folder, monkeypatch, capsys):
    matplotlib.use("agg")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MORPHTOOLS_SHORT", "1")
    monkeypatch.setattr(sys, "stdin", io.StringIO("5\n0\nq\n"))  # who is asked to rate
    runpy.run_path(str(script))
    matplotlib.pyplot.close("all")
    seen = re.findall(r"^see (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert seen and all(Path(path).stat().st_size > 1000 for path in seen)
