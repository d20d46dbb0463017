import io

import numpy as np
import pytest
from matplotlib.figure import Figure as Theirs

from tfrecords_builder.plain_figure import Figure, write_figure


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
    np.testing.assert_array_equal(picture("a", "log"), picture("a", "log", Theirs))


def test_axes_that_are_switched_off_are_drawn_as_by_matplotlib_without_its_ticks():
    def gallery(kind):
        figure = kind(figsize=(3, 2), layout="constrained")
        for axes in figure.subplots(1, 2, sharey=True):
            axes.imshow(np.eye(4))
            axes.set_title("g1")
        axes.set_axis_off()
        return figure, drawn(figure)

    (ours, pixels), (_, expected) = gallery(Figure), gallery(Theirs)
    np.testing.assert_array_equal(pixels, expected)
    on, off = ([len(axis.majorTicks) for axis in (axes.xaxis, axes.yaxis)] for axes in ours.axes)
    assert min(on) > 1 and max(off) <= 1


@pytest.mark.parametrize(
    ("image", "endings"),
    [
        (None, {".png", ".pdf"}),
        (np.eye(3), {".png", ".pdf"}),  # a matrix, such as a confusion matrix
        (np.zeros((3, 3, 3)), {".png"}),  # a picture
    ],
)
def test_figures_have_a_pdf_beside_the_png_unless_they_show_pictures(tmp_path, image, endings):
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2], [1, 2]) if image is None else axes.imshow(image)
    write_figure(tmp_path / "f.png", figure)
    assert {path.suffix for path in tmp_path.iterdir()} == endings


def test_the_same_figure_is_the_same_pdf_and_its_text_can_be_edited(tmp_path):
    figure = Figure()
    figure.suptitle("galaxies")
    for name in ("a.png", "b.png"):
        write_figure(tmp_path / name, figure)
    made = (tmp_path / "a.pdf").read_bytes()
    assert made == (tmp_path / "b.pdf").read_bytes()
    assert made.startswith(b"%PDF") and b"/Type3" not in made


def test_a_figure_in_which_nothing_is_drawn_has_no_pdf(tmp_path):
    figure = Figure()
    figure.subplots().set_axis_off()
    write_figure(tmp_path / "mistakes.png", figure)
    assert [path.name for path in tmp_path.iterdir()] == ["mistakes.png"]
