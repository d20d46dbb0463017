"""Makes the reference of all public names from their docstrings: `python docs/build.py [FOLDER]`."""

import sys
from pathlib import Path

import pdoc

import morphtools
import tfrecords_builder


def build(out: Path) -> None:
    """Writes a page per package, and one for each module whose names these pages mention."""
    for package in (morphtools, tfrecords_builder):
        for name in package.__all__:  # names come when they are first asked for; pdoc looks for those that are there
            setattr(package, name, getattr(package, name))
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc("morphtools", "tfrecords_builder", "morphtools.survey.stretch", output_directory=out)


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/api"))
