"""Makes the reference of all public names from their docstrings: `python docs/build.py [FOLDER]`."""

import sys
from pathlib import Path

import pdoc

import morphtools
import tfrecords_builder

PAGES = (
    "morphtools",
    "tfrecords_builder",
    # what the docstrings of these two send a reader to
    "morphtools.answers.calibration",
    "morphtools.survey.schemas",
    "morphtools.survey.stretch",
    "morphtools.survey.tasks",
    "morphtools.training.runs",
    "tfrecords_builder.crop",
    "tfrecords_builder.images",
    "tfrecords_builder.mosaics",
)


def build(out: Path) -> None:
    """Writes the pages, and an index of them."""
    for package in (morphtools, tfrecords_builder):
        for name in package.__all__:  # names come when they are first asked for; pdoc looks for those that are there
            setattr(package, name, getattr(package, name))
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc(*PAGES, output_directory=out)


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/api"))
