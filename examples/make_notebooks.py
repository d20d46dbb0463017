"""Makes the notebooks of the tutorials from their scripts, which are what is edited: `python make_notebooks.py`."""

import json
from pathlib import Path

import jupytext

HERE = Path(__file__).parent
REPOSITORY = "morphtools/morphtools"  # organisation and name on GitHub: what is opened and installed from there
INSTALL = f"""# Installs morphtools where it is not there yet (on Colab, say), and says whether all is well
try:
    import morphtools
except ImportError:
    %pip install -q https://github.com/{REPOSITORY}/archive/refs/heads/main.zip
    try:
        import morphtools
    except ImportError:
        said = "pip says above why it could not. With a copy of the project on this machine: %pip install /folder/of/it"
        raise ImportError(said) from None

print(morphtools.doctor()[0])"""


def notebook(script: Path) -> str:
    """The notebook of a script in `# %%` cells, as JSON: its title, a badge, the installation, then its cells."""
    address = f"https://colab.research.google.com/github/{REPOSITORY}/blob/main/examples/notebooks/{script.stem}.ipynb"
    badge = f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({address})"
    title, *cells = jupytext.reads(script.read_text(), "py:percent").cells
    cells = [("markdown", f"{title.source}\n\n{badge}"), ("code", INSTALL), *((c.cell_type, c.source) for c in cells)]
    return json.dumps(
        {
            "cells": [_cell(number, *cell) for number, cell in enumerate(cells)],
            "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        },
        indent=1,
        ensure_ascii=False,
    )


def _cell(number: int, kind: str, source: str) -> dict:
    cell = {"cell_type": kind, "id": f"cell-{number:02}", "metadata": {}, "source": source.splitlines(keepends=True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def scripts() -> list[Path]:
    """The tutorials, in order."""
    return sorted(HERE.glob("[0-9]*.py"))


if __name__ == "__main__":
    for script in scripts():
        (HERE / "notebooks" / f"{script.stem}.ipynb").write_text(notebook(script) + "\n")
