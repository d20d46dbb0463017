"""Figures that draw names literally, and the colours of all figures."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib.figure
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.image import AxesImage
from matplotlib.text import Text

from tfrecords_builder.files import write_whole

# Okabe & Ito (2008): colours safe for colour-blind readers; the first two are for predictions and truth
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "0.55"
COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")
_UNDATED = {"CreationDate": None}  # identical figures give identical files


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure in which `$` is a dollar sign: galaxies, classes and columns may have any name.

    Matplotlib treats text between two `$` as a formula, and fails on `$x^{$`. The tick labels of logarithmic axes
    remain formulas.
    """

    def draw(self, renderer):
        """Draws the figure, with all text other than matplotlib's own taken literally."""
        for axes in self.axes:
            if not axes.axison:  # matplotlib would lay out ticks that it does not draw
                axes.xaxis.set_visible(False)
                axes.yaxis.set_visible(False)
        for text in _parts(self, Text):
            if "$" in text.get_text() and r"\mathdefault" not in text.get_text():
                text.set_parse_math(False)
        super().draw(renderer)


def _parts(artist: Artist, kind: type) -> Iterator:
    """All parts of a kind, such as texts; not of hidden axes, whose ticks matplotlib would make first."""
    if isinstance(artist, kind):
        yield artist
    for child in artist.get_children():
        if not isinstance(child, Axis) or child.get_visible():
            yield from _parts(child, kind)


def write_figure(path: str | Path, figure: matplotlib.figure.Figure, dpi: int = 150) -> None:
    """Writes a figure, complete or not at all; a PNG is accompanied by a PDF for papers.

    Figures with images of galaxies have no PDF: it would be large and no sharper.
    """
    path = Path(path)
    write_whole(path, lambda new: figure.savefig(new, dpi=dpi))
    images = (image.get_array() for image in _parts(figure, AxesImage))
    pictures = [image for image in images if image is not None and image.ndim == 3]  # in RGB
    shown = not figure.axes or any(axes.axison or axes.has_data() for axes in figure.axes)  # but not an empty gallery
    if path.suffix == ".png" and shown and not pictures:
        with matplotlib.rc_context({"pdf.fonttype": 42}):  # TrueType: journals refuse matplotlib's default
            write_whole(path.with_suffix(".pdf"), lambda new: figure.savefig(new, dpi=dpi, metadata=_UNDATED))
