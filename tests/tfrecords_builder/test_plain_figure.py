import io

import numpy as np
import pytest

from tfrecords_builder.plain_figure import Figure


def drawn(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="raw", dpi=50)
    return np.frombuffer(buffer.getvalue(), np.uint8)


@pytest.mark.parametrize("name", ["$x^{$", "$a$", "$\\frac$", "5$ and 6$", "a_b^c", "\\$", "line\n$x^{$"])
def test_any_name_can_be_drawn_wherever_it_stands(name):
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot([1, 2], [1, 2], label=name)
    axes.set_title(name)
    axes.set_xlabel(name)
    axes.set_xticks([1, 2], [name, name])
    axes.legend(title=name)
    axes.text(1, 1, name)
    figure.suptitle(name)
    assert drawn(figure).size


def test_a_dollar_is_drawn_as_a_dollar_and_logarithmic_ticks_as_powers():
    def picture(text, scale="linear", kind=Figure):
        figure = kind(figsize=(3, 2))
        axes = figure.subplots()
        axes.set(xscale=scale, xlim=(1, 1000), title=text)
        return drawn(figure)

    assert (picture("$a$") != picture("a")).any()
    from matplotlib.figure import Figure as Theirs

    np.testing.assert_array_equal(picture("a", "log"), picture("a", "log", Theirs))
