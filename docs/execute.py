"""Runs the tutorials as notebooks and keeps what they print and draw for the site: `python docs/execute.py [NAME …]`.

What is kept is small (WebP pictures and text) and goes by the code of its cell: `docs/build.py` shows it below that
cell, and shows nothing below a cell that was edited since. Words can be edited without running anything.
"""

import base64
import hashlib
import io
import json
import re
import resource
import runpy
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from PIL import Image

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
OUTPUTS = HERE / "outputs"
WIDTH, QUALITY = 800, 50  # of the pictures: pixels at most, and WebP's quality
LINES = 40  # of text below a cell, at most


def key(code: str) -> str:
    """The name under which the outputs of a cell are kept."""
    return hashlib.sha256(code.strip().encode()).hexdigest()[:12]


def execute(script: Path) -> tuple[nbformat.NotebookNode, dict]:
    """Runs the notebook of a tutorial in an empty folder.

    Returns:
        The notebook with its outputs, and what it took: `minutes` on the clock and `cpu_seconds`.
    """
    from nbclient import NotebookClient

    make = runpy.run_path(str(EXAMPLES / "make_notebooks.py"))["notebook"]
    book = nbformat.reads(make(script), as_version=4)
    start, before = time.time(), _cpu_seconds()
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(book, timeout=3600, startup_timeout=600, resources={"metadata": {"path": folder}}).execute()
    return book, {"minutes": round((time.time() - start) / 60, 1), "cpu_seconds": round(_cpu_seconds() - before)}


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def keep(book: nbformat.NotebookNode, took: dict, folder: Path) -> None:
    """Writes the outputs of an executed notebook: pictures as WebP, all else into `outputs.json`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cells = [cell for cell in book.cells if cell.cell_type == "code"][1:]  # without the installation
    outputs = {key(cell.source): _outputs(cell, number, folder) for number, cell in enumerate(cells)}
    (folder / "outputs.json").write_text(json.dumps(took | {"cells": outputs}, indent=1, ensure_ascii=False) + "\n")


def _outputs(cell: nbformat.NotebookNode, number: int, folder: Path) -> list[dict[str, str]]:
    """What is shown below a cell, in order: `text`, `html` (tables) and `picture` (a file name)."""
    shown: list[dict[str, str]] = []
    for output in cell.outputs:
        data = output.get("data", {})
        if output.output_type == "stream":
            if text := _plain(output.text):
                if shown and "text" in shown[-1]:
                    text = shown.pop()["text"] + "\n" + text
                shown.append({"text": text})
        elif picture := data.get("image/png") or data.get("image/jpeg"):
            name = f"{number:02}-{len(shown)}.webp"
            image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
            image.thumbnail((WIDTH, 4 * WIDTH))
            image.save(folder / name, quality=QUALITY, method=6)
            shown.append({"picture": name})
        elif "<table" in data.get("text/html", ""):
            table = re.search(r"<table.*</table>", data["text/html"], re.DOTALL)
            shown.append({"html": re.sub(r"\n\s*", "", table[0])})
        elif "text/plain" in data and "<Figure" not in data["text/plain"] and "text/html" not in data:
            shown += [{"text": text}] if (text := _plain(data["text/plain"])) else []
    return shown


def _plain(text: str) -> str:
    """Text as it stands on a terminal in the end, without progress bars and addresses of this machine."""
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.replace("\x1b[A", "").split("\n")]
    lines = [line for line in lines if line and not re.search(r"\[\d\d:\d\d[<,]|http://127\.", line)]
    return "\n".join([*lines[:LINES], *(["…"] if len(lines) > LINES else [])])


def kept(script: Path) -> dict:
    """What `keep` wrote for a tutorial: `minutes`, `cpu_seconds` and `cells`; without cells if there is nothing."""
    path = OUTPUTS / script.stem / "outputs.json"
    return json.loads(path.read_text()) if path.exists() else {"cells": {}}


def main(names: list[str]) -> None:
    """Executes tutorials, all by default, and prints what each took."""
    for script in sorted(EXAMPLES.glob("[0-9]*.py")):
        if not names or script.stem in names:
            book, took = execute(script)
            keep(book, took, OUTPUTS / script.stem)
            size = sum(path.stat().st_size for path in (OUTPUTS / script.stem).iterdir())
            print(f"{script.stem}: {took['minutes']} minutes, {took['cpu_seconds']} CPU s, {size} bytes kept")


if __name__ == "__main__":
    main(sys.argv[1:])
