import subprocess
import sys
from importlib import import_module

import pytest

from morphtools.moved import MOVED


@pytest.mark.parametrize("old", ["morphtools.survey.simulate", "morphtools.analysis.pca", "morphtools.models.votes"])
def test_an_old_name_gives_the_same_module_with_a_warning(old):
    code = f"import importlib; a = importlib.import_module({old!r}); b = importlib.import_module({MOVED[old]!r})\n"
    code += "print(a is b, a.__name__)"
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"True {MOVED[old]}"
    assert f"{old} is now {MOVED[old]}" in done.stderr


def test_names_that_never_existed_are_still_errors():
    with pytest.raises(ModuleNotFoundError):
        import_module("morphtools.analysis.nothing")
