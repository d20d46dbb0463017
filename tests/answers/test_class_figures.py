import numpy as np
import pandas as pd
import pytest

from morphtools.answers import class_figures as figures

LABEL, P = np.array([0, 1, 1, 0, 1]), np.array([0.1, 0.9, 0.4, 0.6, 1.0])


def pixels(figure, path):
    from PIL import Image

    figure.savefig(path, dpi=50)
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize("name", ["roc", "calibration"])
def test_curves_are_drawn(tmp_path, name):
    assert pixels(getattr(figures, name)(LABEL, P), tmp_path / "f.png").std() > 5


def test_the_confusion_matrix_shows_the_counts(tmp_path):
    texts = {t.get_text().split("\n")[0] for t in figures.confusion(LABEL, P >= 0.5, ("no", "yes")).axes[0].texts}
    assert texts == {"1", "2"}  # 1 true no, 1 false yes, 1 false no, 2 true yes


def test_with_many_classes_the_confusion_matrix_shows_every_count_except_zeros():
    label, predicted = np.repeat(np.arange(10), 3), np.repeat(np.arange(10), 3)
    predicted[0] = 9
    texts = [t.get_text().split("\n")[0] for t in figures.confusion(label, predicted, list("abcdefghij")).axes[0].texts]
    assert sorted(t for t in texts if t) == ["1", "2", *["3"] * 9]


def test_every_kind_of_confusion_is_shown_with_a_galaxy():
    figure = figures.confusion_examples({(0, 0): np.zeros((4, 4, 3)), (1, 0): np.ones((4, 4, 3))}, ("a", "b", "c"))
    assert [len(axes.images) for axes in figure.axes] == [1, 0, 0, 1, 0, 0, 0, 0, 0]


def test_the_training_curve_marks_what_was_kept():
    history = pd.DataFrame(
        {
            "stage": ["head"] * 3 + ["encoder"] * 2,
            "epoch": [1, 2, 3, 1, 2],
            "loss": [3.0, 2, 1, 1, 1],
            "val_loss": [3.0, 2, 2.5, 1.5, 1.6],
            "kept": [False, True, False, True, False],
        }
    )
    lines = figures.training_curve(history).axes[0].lines
    (marks,) = (line for line in lines if line.get_marker() == "o")
    assert list(marks.get_xdata()) == [2, 4] and list(marks.get_ydata()) == [2.0, 1.5]
    assert [line.get_xdata()[0] for line in lines if line.get_linestyle() == ":"] == [3.5]


def test_a_gallery_shows_every_picture_and_may_be_empty(tmp_path):
    figure = figures.gallery([np.full((4, 4, 3), 0.5)] * 5, ["a"] * 5, "title", columns=4)
    assert sum(len(axes.images) for axes in figure.axes) == 5
    pixels(figures.gallery([], [], "no mistakes"), tmp_path / "f.png")


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
def test_pictures_are_colour_in_range_and_show_missing_pixels_black(bands):
    flux = np.random.default_rng(0).normal(size=(8, 8, bands)) * 100
    flux[3, 3] = np.nan
    picture = figures.as_picture(flux, noise=[1.0] * bands)
    assert picture.shape == (8, 8, 3) and picture.min() >= 0 and picture.max() <= 1
    assert (picture[3, 3] == 0).all()


def test_the_reddest_band_is_shown_red():
    for bands, shown in ((3, 2), (4, 3), (5, 3)):  # of five, the outermost are left out
        flux = np.zeros((2, 2, bands))
        flux[..., shown] = 300
        assert figures.as_picture(flux, noise=[1.0] * bands)[0, 0].tolist() == [1, 0, 0]


def test_shortened_names_stay_distinguishable():
    names = [figures.in_short(f"Edge_On_Galaxies_{end}", 20) for end in ("With_Bulge", "Without_Bulge")]
    assert names == ["Edge On Ga…ith Bulge", "Edge On Ga…out Bulge"] and all(len(name) <= 20 for name in names)
    assert figures.in_short("no_ring", 20) == "no ring"
