"""Builds the site: guide, tutorials, commands, reference, benchmarks and changelog: `python docs/build.py [FOLDER]`.

Links between pages and into them are checked, and every warning is an error. Tutorials are shown with the outputs that
`docs/execute.py` kept.
"""

import ast
import logging
import re
import runpy
import shutil
import sys
import tempfile
from pathlib import Path

import click
import jupytext
from mkdocs.commands.build import build as build_site
from mkdocs.config import load_config

import morphtools
import tfrecords_builder
from morphtools import cli

HERE = Path(__file__).parent
ROOT = HERE.parent
_EXECUTE = runpy.run_path(str(HERE / "execute.py"))
KEPT, KEY, OUTPUTS = _EXECUTE["kept"], _EXECUTE["key"], _EXECUTE["OUTPUTS"]
ROOMS = {  # of the reference, with their titles
    "training": "Training",
    "inference": "Prediction and representations",
    "explore": "Exploring representations",
    "anomalies": "Anomalies",
    "app": "The browser",
    "studies": "Studies",
    "answers": "Answers and their scores",
    "models": "Encoders, heads and weights",
    "data": "Data and augmentations",
    "archives": "Archives and tables",
    "survey": "Surveys and question trees",
    "sky": "The simulated sky",
    "diagnosis": "This installation",
    "tfrecords_builder": "Records",
}
MODULES = (  # not public, but what docstrings of public names refer to
    "morphtools.survey.stretch",
    "morphtools.survey.tasks",
    "morphtools.training.runs",
    "tfrecords_builder.images",
    "tfrecords_builder.mosaics",
)
PAGES = {  # page of the site: file of the project
    "index.md": "README.md",
    "guide.md": "docs/guide.md",
    "clusters.md": "docs/clusters.md",
    "object-storage.md": "docs/object-storage.md",
    "glossary.md": "docs/glossary.md",
    "coming-from.md": "docs/coming-from.md",
    "studies.md": "docs/studies.md",
    "developers.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}


def stage(folder: Path) -> list:
    """Writes the pages of the site as Markdown; returns its navigation."""
    for page, file in PAGES.items():
        (folder / page).write_text(_links((ROOT / file).read_text()))
    for name in ("picture.jpg", "growth.png", "site.css"):
        shutil.copy(HERE / name, folder)
    shutil.copytree(ROOT / "examples" / "screenshots", folder / "screenshots")
    tutorials = [_tutorial(script, folder / "tutorials") for script in sorted((ROOT / "examples").glob("[0-9]*.py"))]
    (folder / "commands.md").write_text(_commands())
    (folder / "benchmarks.md").write_text(_benchmarks())
    (folder / "cite.md").write_text(f"# Cite\n\n```\n{morphtools.cite(None, False)}\n```\n")
    return [
        {"Start": "index.md"},
        {"Guide": ["guide.md", "commands.md", "clusters.md", "object-storage.md", "glossary.md", "coming-from.md"]},
        {"Tutorials": tutorials},
        {"Reference": ["reference/index.md", *_reference(folder / "reference")]},
        {"Project": ["studies.md", "benchmarks.md", "cite.md", "changelog.md", "developers.md"]},
    ]


def _links(text: str) -> str:
    """Links between files of the project as links between pages of the site."""
    text = re.sub(r"\]\((?:docs/)?README\.md#reference\)", "](reference/index.md)", text)
    text = re.sub(r"\]\((?:\.\./)?examples/(?:notebooks/)?(\d\d_\w+)\.(?:py|ipynb)\)", r"](tutorials/\1.md)", text)
    text = re.sub(r"\]\(docs/", "](", text)
    return text.replace("](CONTRIBUTING.md)", "](developers.md)").replace("](CITATION.cff)", "](cite.md)")


def _tutorial(script: Path, folder: Path) -> str:
    """Writes a tutorial as a page: its words, its cells as code, and below each what it printed and drew."""
    pictures = folder / script.stem
    pictures.mkdir(parents=True)
    kept, text = KEPT(script), []
    for cell in jupytext.reads(script.read_text(), "py:percent").cells:
        if cell.cell_type == "markdown":
            text.append(cell.source)
            continue
        text.append(f"```python\n{cell.source}\n```")
        for output in kept["cells"].get(KEY(cell.source), []):
            if "picture" in output:
                shutil.copy(OUTPUTS / script.stem / output["picture"], pictures)
                text.append(f"![Output of the cell above]({script.stem}/{output['picture']})")
            else:
                table = re.sub("<table[^>]*>", "<table>", output.get("html", ""))  # in the style of the site
                text.append(table or f"```text\n{output['text']}\n```")
    if kept.get("cpu_seconds"):
        text.append(f"*All cells together took {kept['cpu_seconds']} seconds of processor time.*")
    (folder / f"{script.stem}.md").write_text("\n\n".join(text) + "\n")
    return f"tutorials/{script.stem}.md"


def _commands() -> str:
    """The help of every verb, in groups."""
    text = ["# Commands", "`morphtools VERB --help` shows the same."]
    for title, verbs in cli.main.groups.items():
        text += [f"## {title}"]
        for verb in verbs:
            with click.Context(verb, info_name=f"morphtools {verb.name}", max_content_width=100) as context:
                text += [f"### {verb.name}", f"```text\n{verb.get_help(context)}\n```"]
    return "\n\n".join(text) + "\n"


def _benchmarks() -> str:
    """What was measured, and what each script measures."""
    rows = []
    for script in sorted((ROOT / "benchmarks").glob("**/*.py")):
        first = (ast.get_docstring(ast.parse(script.read_text())) or "").split("\n\n")[0].replace("\n", " ")
        rows.append(f"| `{script.relative_to(ROOT)}` | {first} |")
    head = (HERE / "benchmarks.md").read_text()
    head += "\n## All scripts\n\nEach prints a table, beside the tool it is compared with if there is one.\n\n"
    return head + "\n".join(["| script | measures |", "|---|---|", *rows]) + "\n"


def _reference(folder: Path) -> list[str]:
    """Writes a page of the reference for every room, and an index of all names; returns the pages."""
    folder.mkdir()
    rooms: dict[str, list[str]] = {room: [] for room in ROOMS}
    for name in morphtools.__all__:
        module = getattr(morphtools, name).__module__
        rooms[_room(module)].append(f"{module}.{name}")
    ours = {path.rsplit(".", 1)[1] for path in rooms["tfrecords_builder"]}
    for name in sorted(set(tfrecords_builder.__all__) - ours):
        rooms["tfrecords_builder"].append(f"{getattr(tfrecords_builder, name).__module__}.{name}")
    index = ["# Reference", "Every public name; `import morphtools` has them all, and imports them when they are used."]
    for room, title in ROOMS.items():
        modules = [module for module in MODULES if _room(module) == room]
        pages = "\n\n".join(f"::: {path}" for path in [*rooms[room], *modules])
        (folder / f"{room}.md").write_text(f"# {title}\n\n{pages}\n")
        names = ", ".join(f"[`{path.rsplit('.', 1)[1]}`]({room}.md#{path})" for path in rooms[room])
        index.append(f"**{title}**: {names}")
    (folder / "index.md").write_text("\n\n".join(index) + "\n")
    return [f"reference/{room}.md" for room in ROOMS]


def _room(module: str) -> str:
    return module.split(".")[0] if module.startswith("tfrecords_builder") else module.split(".")[1]


def build(out: Path) -> None:
    """Builds the site in a folder.

    Raises:
        mkdocs.exceptions.Abort: A link leads nowhere, or a docstring cannot be read.
    """
    log, console = logging.getLogger("mkdocs"), logging.StreamHandler()
    log.addHandler(console)
    log.setLevel(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder:
            pages = {"docs_dir": folder, "site_dir": str(out.absolute()), "nav": stage(Path(folder))}
            build_site(load_config(str(HERE / "mkdocs.yml"), **pages))
    finally:
        log.removeHandler(console)


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/site"))
