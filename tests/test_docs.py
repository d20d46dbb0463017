"""What users read is complete: docstrings, examples, and the reference made of them."""

import inspect
import re
import runpy
import shlex
import subprocess
from pathlib import Path

import click
import keras
import pytest
from click.testing import CliRunner

import morphtools
import tfrecords_builder
from morphtools import cli

ROOT = Path(__file__).parent.parent
PUBLIC = [(package, name) for package in (morphtools, tfrecords_builder) for name in package.__all__]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
UNSAID = {"self", "cls", "args", "kwargs", "name"}  # a layer's name is Keras' business


def commands_in(path):
    text = re.sub(r"^.*&& .venv/bin/(?=morphtools)", "", path.read_text(), flags=re.MULTILINE)
    return [line for line in text.splitlines() if line.startswith("morphtools ")]


def undescribed(function, doc):
    """Parameters that a docstring does not describe in a line of their own."""
    parameters = [name for name in inspect.signature(function).parameters if name not in UNSAID]
    return [name for name in parameters if not re.search(rf"^\s*{name}:", doc, re.MULTILINE)]


def methods(kind):
    for name, member in vars(kind).items():
        function = getattr(member, "__func__", member)
        if inspect.isfunction(function) and not name.startswith("_"):
            yield name, function


@pytest.mark.parametrize(("package", "name"), PUBLIC, ids=[f"{package.__name__}.{name}" for package, name in PUBLIC])
def test_every_public_name_documents_its_arguments_and_result(package, name):
    public = getattr(package, name)
    doc = inspect.getdoc(public) or ""
    assert len(doc.split("\n")[0]) > 20
    if not inspect.isclass(public):
        assert not undescribed(public, doc)
        returns = re.search(r"^ +return \S", inspect.getsource(public), re.MULTILINE)
        assert not (inspect.signature(public).parameters and returns) or "Returns:" in doc
        return
    assert not undescribed(public, doc)
    for method, function in methods(public):
        said = inspect.getdoc(function)
        assert said, method
        if not issubclass(public, keras.layers.Layer | keras.losses.Loss):  # their methods are those of Keras
            assert not undescribed(function, said), method


def test_every_verb_is_listed_in_exactly_one_group_with_a_sentence_of_one_line():
    text = CliRunner().invoke(cli.main, ["--help"], terminal_width=80).output
    listed = re.findall(r"^  ([a-z][a-z-]+)  +(\S.*)$", text.split("Data: ")[1], re.MULTILINE)
    assert sorted(name for name, _ in listed) == sorted(cli.main.commands)
    assert all(sentence in cli.main.commands[name].help for name, sentence in listed)
    assert not re.search(r"^   ", text.split("Data: ")[1], re.MULTILINE)


@pytest.mark.parametrize("name", cli.main.commands)
def test_the_help_of_every_verb_has_an_example_that_can_be_typed(name):
    text = cli.main.commands[name].help.replace("\\\n", "")
    examples = re.findall(rf"^\s*morphtools {name}\b(.*)$", text, re.MULTILINE)
    assert examples
    for example in examples:
        cli.main.commands[name].make_context(name, shlex.split(example.split(">")[0]))  # raises for unknown options


@pytest.mark.parametrize("name", cli.main.commands)
def test_few_options_come_first_and_every_option_is_explained_once(name):
    text = CliRunner().invoke(cli.main, [name, "--help"], terminal_width=80).output
    first = re.findall(r"^  (?:-h, )?(--[a-z-]+)", text.split("More options")[0], re.MULTILINE)
    options = [option for option in cli.main.commands[name].params if isinstance(option, click.Option)]
    assert len(first) <= 12
    assert all(len(re.findall(rf"^  {option.opts[0]}\b(?!-)", text, re.MULTILINE)) == 1 for option in options)
    assert all(option.help for option in options)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_the_documents_is_one_that_can_be_typed(path):
    for line in commands_in(path):
        name, *rest = shlex.split(line)[1:]
        cli.main.commands[name].make_context(name, rest)  # raises for an option that is not there


@pytest.mark.parametrize(
    "script", re.findall(r"^```bash\n(.*?)^```", (ROOT / "docs/clusters.md").read_text(), re.M | re.S)
)
def test_scripts_for_clusters_are_valid_for_the_shell(script):
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert checked.returncode == 0 and not checked.stderr, checked.stderr


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_in_the_documents_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_site_builds_without_a_warning_and_its_reference_has_every_public_name(tmp_path):
    runpy.run_path(str(ROOT / "docs" / "build.py"))["build"](tmp_path)  # any warning of mkdocs is an error
    pages = "".join(page.read_text() for page in (tmp_path / "reference").rglob("*.html"))
    for package, name in PUBLIC:
        assert f'id="{getattr(package, name).__module__}.{name}"' in pages, name
    assert len(list((tmp_path / "tutorials").glob("*/index.html"))) == len(list((ROOT / "examples").glob("[0-9]*.py")))
    for script in (ROOT / "examples").glob(
        "[0-9]*.py"
    ):  # every picture on a page is there, and every one there is shown
        folder = tmp_path / "tutorials" / script.stem
        shown = set(re.findall(r'<img [^>]*src="(\d\d-\d+\.webp)"', (folder / "index.html").read_text()))
        assert shown == {path.name for path in folder.glob("*.webp")}


def test_what_is_kept_of_the_tutorials_outputs_is_small_and_belongs_to_a_tutorial():
    kept = [path for path in (ROOT / "docs" / "outputs").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept) < 1.5e6
    assert {path.parent.name for path in kept} <= {path.stem for path in (ROOT / "examples").glob("[0-9]*.py")}


def our_names():
    """Codes in the right column of the tables of docs/coming-from.md."""
    for line in (ROOT / "docs" / "coming-from.md").read_text().splitlines():
        cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        if len(cells) == 2 and not set(cells[0]) <= set("- "):
            yield from re.findall(r"`([^`]+)`", cells[1])


@pytest.mark.parametrize("code", sorted(set(our_names())))
def test_every_call_named_for_those_who_come_from_another_tool_exists(code):
    from morphtools.anomalies.gaussian_process import KERNELS
    from morphtools.anomalies.simulation import METHODS

    call = re.fullmatch(r"(\w+)\((.*)\)", code)
    if call:
        function = getattr(morphtools, call[1])
        assert set(re.findall(r"(\w+)=", call[2])) <= set(inspect.signature(function).parameters)
    elif re.fullmatch(r"\w+=.*", code):  # an argument, of finetune unless it is that of the kernels
        name, _, value = code.partition("=")
        verb = morphtools.find_anomalies if name == "kernel" else morphtools.finetune
        assert name in inspect.signature(verb).parameters
        assert name != "kernel" or value.strip('"') in KERNELS
    elif re.fullmatch(r"[A-Za-z]+_?[A-Za-z_]*", code) and not code.startswith("_"):
        homes = (morphtools, morphtools.AnomalyLoop, keras.Model)
        assert code in METHODS or any(hasattr(home, code) for home in homes) or code in cli.main.commands
    elif code.startswith("efficientnet"):
        assert code in [card.name for card in morphtools.list_pretrained()]
    else:
        assert re.fullmatch(r"keras\.Model|model\.fit\(images\)|figures/\S+|….*|\S+\.parquet", code), code
