import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = [  # from the bottom up: a room may import from itself and from those before it
    "tfrecords_builder",
    "morphtools.survey",
    "morphtools.sky",
    "morphtools.answers",
    "morphtools.data",
    "morphtools.models",
    "morphtools.inference",
    "morphtools.training",
    "morphtools.explore",
    "morphtools.anomalies",
    "morphtools.studies",
    "morphtools.archives",
    "morphtools.app",
]
FILES = sorted(p for room in ("tfrecords_builder", "morphtools") for p in (ROOT / room).rglob("*.py"))


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(module):
    return next((room for room in ROOMS if module == room or module.startswith(room + ".")), None)


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_from_its_own_room_or_rooms_above(path):
    room = room_of(module_of(path))
    if room is None:
        return
    for name in imports_of(path):
        if name.startswith(("morphtools", "tfrecords_builder")) and name != "morphtools":
            assert room_of(name) in ROOMS[: ROOMS.index(room) + 1], f"{path} imports {name}"


def test_no_import_cycles():
    modules = {module_of(path): set(imports_of(path)) for path in FILES}
    done, current = set(), []

    def visit(module):
        assert module not in current, f"cycle: {' → '.join([*current, module])}"
        if module in done or module not in modules:
            return
        current.append(module)
        for name in modules[module]:
            if name not in ("morphtools", "tfrecords_builder"):
                visit(name)
        current.pop()
        done.add(module)

    for module in modules:
        visit(module)


def test_models_and_augmentations_do_not_name_a_backend():
    for path in [*(ROOT / "morphtools/models").glob("*.py"), *(ROOT / "morphtools/data").glob("augment*.py")]:
        names = {name.split(".")[0] for name in imports_of(path)}
        # Keras has no log-gamma and no fused batch normalisation, and knows nothing of replicas: one small function
        # each asks for the backend.
        exceptions = {"dirichlet.py": {"tensorflow", "jax", "torch"}}
        exceptions |= {name: {"tensorflow"} for name in ("replicas.py", "batch_norm.py")}
        # Files hold arrays, and no layer is in these modules.
        exceptions |= {name: {"numpy"} for name in ("safetensors.py", "torch_files.py", "import_weights.py")}
        allowed = exceptions.get(path.name, set())
        assert not (names & {"tensorflow", "jax", "torch", "numpy"}) - allowed, path


@pytest.mark.parametrize("arguments", [["-c", "import morphtools"], ["-m", "morphtools", "--help"]])
def test_import_and_help_answer_in_under_a_second(arguments):
    def seconds():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)  # of the processor: others may be at work
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=ROOT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 1.0


def test_help_imports_no_heavy_package_whatever_the_verb():
    code = "import sys; from click.testing import CliRunner; from morphtools.cli import main\n"
    code += "for verb in main.commands: assert not CliRunner().invoke(main, [verb, '--help']).exit_code, verb\n"
    code += "print(*({'tensorflow', 'keras', 'pandas', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(("inside", "heard"), [("pass", "after"), ("1 / 0", "noiseafter")])
def test_output_of_an_import_is_shown_only_if_it_fails(inside, heard):
    code = "import contextlib, os\nfrom tfrecords_builder.quiet import quietly\n"
    code += f"with contextlib.suppress(ZeroDivisionError), quietly(): os.write(2, b'noise'); {inside}\n"
    code += "os.write(2, b'after')"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == heard


ANSWERS = {"Classes", "Fractions", "Numbers", "Photoz", "Several", "Votes"}


METRICS = {"accuracy", "auc", "brier", "cross_entropy", "crps", "log_loss", "macro_f1", "rmse", "sigma_mad"}


def asks_which_kind(tree):
    """Where code compares a kind, looks at a schema or among metrics for one, or matches or tests an answer's class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            of_kind = any(isinstance(side, ast.Attribute) and side.attr == "kind" for side in sides)
            encoder = any(isinstance(side, ast.Constant) and side.value == "encoder" for side in sides)
            of_dtype = any("dtype" in ast.dump(side) for side in sides)
            if (of_kind and not encoder and not of_dtype) or any("read_schema" in ast.dump(side) for side in sides):
                yield node.lineno
            by_metric = isinstance(node.left, ast.Constant) and node.left.value in METRICS
            if by_metric and isinstance(node.ops[0], ast.In | ast.NotIn):
                yield node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            names = {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}
            if names & ANSWERS:
                yield node.lineno
        elif isinstance(node, ast.MatchClass) and isinstance(node.cls, ast.Name) and node.cls.id in ANSWERS:
            yield node.pattern.lineno if hasattr(node, "pattern") else node.cls.lineno


def test_only_answers_and_their_heads_ask_which_kind_of_answer_there_is():
    allowed = [ROOT / "morphtools/models/answering.py", *(ROOT / "morphtools/answers").glob("*.py")]
    asking = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in FILES
        if path not in allowed and "morphtools" in path.relative_to(ROOT).parts
        for line in asks_which_kind(ast.parse(path.read_text()))
    }
    assert not asking
    for code in ((ROOT / "morphtools/models/answering.py").read_text(), "photoz = 'sigma_mad' in metrics['test']"):
        assert list(asks_which_kind(ast.parse(code)))  # it can be seen


def calls(tree, name):
    return [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", None) == name]


def test_no_arguments_are_carried_by_locals():
    carried = {str(path.relative_to(ROOT)): calls(ast.parse(path.read_text()), "locals") for path in FILES}
    assert not {path: lines for path, lines in carried.items() if lines}
    assert calls(ast.parse("verb(**locals())"), "locals")  # it can be seen


def test_no_room_holds_more_than_a_fifth_of_the_lines():
    lines = dict.fromkeys(ROOMS, 0)
    for path in FILES:
        if (room := room_of(module_of(path))) is not None:
            lines[room] += len(path.read_text().splitlines())
    total = sum(len(path.read_text().splitlines()) for path in FILES)
    assert not {room: n for room, n in lines.items() if n > total / 5}


def test_modules_have_a_test_file_at_the_mirrored_path():
    """Commands are tested through `test_cli.py`; the others without a file of their own may only become fewer."""
    folders = {ROOT / "morphtools": ROOT / "tests", ROOT / "tfrecords_builder": ROOT / "tests" / "tfrecords_builder"}
    modules = [path for path in FILES if not path.stem.startswith("__") and path.parent.name != "commands"]
    without = []
    for path in modules:
        top = next(folder for folder in folders if path.is_relative_to(folder))
        mirrored = folders[top] / path.relative_to(top).with_name(f"test_{path.name}")
        if not mirrored.exists():
            without.append(str(path.relative_to(ROOT)))
    assert len(without) <= 59, without


def test_every_public_name_can_be_imported():
    import morphtools
    import tfrecords_builder

    for package in (morphtools, tfrecords_builder):
        for name in package.__all__:
            assert callable(getattr(package, name))


def test_no_two_modules_share_a_name():
    stems = [p.stem for p in FILES if p.parent.name != "commands" and not p.stem.startswith("__")]
    assert sorted(stems) == sorted(set(stems))


def test_modules_stay_small():
    too_long = {str(p): n for p in FILES if (n := len(p.read_text().splitlines())) > 350}
    assert not too_long
