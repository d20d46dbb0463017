"""Figures that draw names as they are written."""

import matplotlib.figure
from matplotlib.text import Text


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
