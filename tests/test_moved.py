import subprocess
import sys
from importlib import import_module

import pytest

from morphtools.moved import MOVED


def test_an_old_name_gives_the_same_module_with_a_warning():
    old = ["morphtools.survey.simulate", "morphtools.analysis.pca", "morphtools.models.votes"]
    code = "import sys; from importlib import import_module as load\nfrom morphtools.moved import MOVED\n"
    code += "for old in sys.argv[1:]: a = load(old); print(a is load(MOVED[old]), a.__name__)"
    python = [sys.executable, "-W", "default", "-c", code, *old]
    done = subprocess.run(python, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"True {MOVED[name]}" for name in old]
    for name in old:
        assert f"{name} is now {MOVED[name]}" in done.stderr


def test_names_that_never_existed_are_still_errors():
    with pytest.raises(ModuleNotFoundError):
        import_module("morphtools.analysis.nothing")
