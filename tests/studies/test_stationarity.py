import numpy as np
import pytest

from morphtools.studies import stationarity as module
from morphtools.studies.stationarity import changed, stationarity, stationarity_figure

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(40, 12, 12, 2)).astype("float32")
NOISE = (0.5, 2.0)


@pytest.fixture(autouse=True)
def flat_map(monkeypatch):
    """The first two components instead of UMAP, which takes seconds to import."""
    monkeypatch.setattr(module, "umap_of", lambda values, **settings: values[:, :2])


def test_images_are_turned_by_eighths_and_shifted_and_noised_in_steps():
    each = {(name, amount): images for name, amount, images in changed(IMAGES, NOISE)}
    assert [a for name, a in each if name == "rotated"] == [45, 90, 135, 180, 225, 270, 315]
    assert [a for name, a in each if name == "shifted"] == [1, 2, 3, 4, 5, 6, 7]
    assert [a for name, a in each if name == "noised"] == [0.5, 1, 1.5, 2, 2.5, 3]
    turned = each["rotated", 90]
    quarter = [np.rot90(IMAGES, k, axes=(1, 2)) for k in (1, 3)]
    assert min(np.abs(turned - way).max() for way in quarter) < 1e-5
    added = (each["noised", 3.0] - IMAGES).std(axis=(0, 1, 2))
    np.testing.assert_allclose(added, (1.5, 6.0), rtol=0.03)
    shifts = [(y, x) for y in (-2, 0, 2) for x in (-2, 0, 2) if (y == 0) != (x == 0)]
    inside = (slice(2, -2), slice(2, -2))
    for before, after in zip(IMAGES, each["shifted", 2], strict=True):
        assert any(np.array_equal(np.roll(before, shift, (0, 1))[inside], after[inside]) for shift in shifts)


def test_what_does_not_see_the_change_does_not_move_and_what_sees_only_noise_moves_to_a_stranger():
    fixed = RNG.normal(size=(40, 6))
    still = stationarity(lambda images: fixed, IMAGES, RNG.normal(size=(90, 6)), NOISE).table
    assert (still["displacement"] == 0).all() and (still["on_map"] == 0).all()
    drawn, many = np.random.default_rng(1), np.zeros((2000, 8, 8, 1), "float32")
    lost = stationarity(lambda images: drawn.normal(size=(2000, 6)), many, RNG.normal(size=(90, 6)), None).table
    np.testing.assert_allclose(lost["displacement"], 1, atol=0.03)
    np.testing.assert_allclose(lost["on_map"], 1, atol=0.1)


def test_a_distance_moved_is_in_units_of_the_distance_of_two_galaxies():
    images = RNG.normal(size=(900, 8, 8, 1)).astype("float32")

    def show(shown):  # six normal numbers, and a step to the side once anything has changed
        z = np.random.default_rng(5).normal(size=(900, 6))
        return z + (0.0 if shown is images else 0.1)

    moved = stationarity(show, images, show(images)[:200], None).table
    expected = 0.1 * np.sqrt(6) / (np.sqrt(2) * 2.3499)  # mean length of six normal numbers: √2 Γ(3.5) / Γ(3)
    np.testing.assert_allclose(moved["displacement"], expected, rtol=0.04)
    assert (moved["low"] <= moved["displacement"]).all() and (moved["high"] >= moved["displacement"]).all()


def test_the_figure_has_a_map_with_tracks_above_a_curve_for_every_kind_of_change():
    moved = stationarity(lambda images: images.reshape(40, -1), IMAGES, IMAGES.reshape(40, -1), NOISE)
    figure = stationarity_figure(moved.table.assign(representation="pixels"), moved)
    titles = [axes.get_title() for axes in figure.axes]
    assert [title.split(":")[0] for title in titles if title] == ["rotated", "shifted", "noised"]
    lengths = [len(line.get_xdata()) for line in figure.axes[0].lines]
    assert lengths.count(8) == 6  # six galaxies: where they were, and seven rotations
