"""Figures that draw names as they are written, and the colours of all figures."""

from pathlib import Path

import matplotlib.figure
from matplotlib.image import AxesImage
from matplotlib.text import Text

from tfrecords_builder.files import write_whole

# Okabe & Ito 2008: colours that the colour-blind can tell apart, too; the first two are for predictions and truth
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "0.55"
COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")
_UNDATED = {"CreationDate": None}  # the same figure is the same file


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure in which `$` is a dollar: galaxies, classes and columns may have any name.

    matplotlib takes text between two `$` for a formula, and fails on `$x^{$`. Its own tick labels of logarithmic axes
    stay formulas.
    """

    def draw(self, renderer):
        """Draws the figure; every text that is not matplotlib's own is drawn as it stands."""
        for text in self.findobj(Text):
            if "$" in text.get_text() and r"\mathdefault" not in text.get_text():
                text.set_parse_math(False)
        super().draw(renderer)


def write_figure(path: str | Path, figure: matplotlib.figure.Figure, dpi: int = 150) -> None:
    """Writes a figure, whole or not at all; a PNG has a PDF beside it, for papers.

    Figures with pictures of galaxies have no PDF: it would be large and no sharper.
    """
    path = Path(path)
    write_whole(path, lambda new: figure.savefig(new, dpi=dpi))
    images = (image.get_array() for image in figure.findobj(AxesImage))
    pictures = [image for image in images if image is not None and image.ndim == 3]  # in RGB
    shown = not figure.axes or any(
        axes.axison or axes.has_data() for axes in figure.axes
    )  # not a gallery of no galaxies
    if path.suffix == ".png" and shown and not pictures:
        with matplotlib.rc_context({"pdf.fonttype": 42}):  # TrueType: journals refuse matplotlib's default
            write_whole(path.with_suffix(".pdf"), lambda new: figure.savefig(new, dpi=dpi, metadata=_UNDATED))
