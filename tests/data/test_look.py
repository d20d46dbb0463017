import numpy as np
import pandas as pd
import pytest

from morphtools.data.look import inspect_records, preview_records, suspicions
from tfrecords_builder import build_records
from tfrecords_builder.images import from_pixels

N = 30


def galaxies(seed=0, *, shift=0, colours=(0.5, 1.0, 2.0)) -> list[np.ndarray]:
    """Noisy round galaxies, `shift` pixels from the middle, of given brightness per band."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    profile = 50 * np.exp(-((x - 15.5 - shift) ** 2 + (y - 15.5) ** 2) / 18)[..., None]
    return [(profile * colours + rng.normal(size=(32, 32, 3))).astype("f4") for _ in range(N)]


def test_good_galaxies_raise_no_suspicion():
    assert suspicions(galaxies(), ("g", "r", "z")) == []


def test_a_wrong_order_of_bands_is_noticed_by_the_colours():
    (said,) = suspicions([image[..., ::-1] for image in galaxies()], ("g", "r", "z"))
    assert "brighter in g than in z" in said


def test_galaxies_off_centre_are_noticed():
    (said,) = suspicions(galaxies(shift=11), ("g", "r", "z"))
    assert "100% of the galaxies are off-centre" in said


def test_empty_and_constant_bands_are_named():
    images = galaxies()
    images[3][..., 1] = np.nan
    for image in images[:15]:
        image[..., 0] = 7
    said = suspicions(images, ("g", "r", "z"))
    assert any("r has no pixels in 3%" in s for s in said) and any("g is constant in 50%" in s for s in said)


@pytest.fixture
def source():
    images = {str(i): image for i, image in enumerate(galaxies())}
    catalog = pd.DataFrame({"id_str": list(images), "file_loc": list(images), "votes": 2})
    return catalog, lambda name: from_pixels(images[name])


def test_a_preview_shows_every_galaxy_in_every_stretch_and_band(source, tmp_path):
    catalog, images = source
    stretches = {"plain": lambda pixels: pixels / 100}
    look = preview_records(catalog, images=images, bands=("g", "r", "z"), stretches=stretches, galaxies=24)
    (axes,) = look.figure.axes
    assert [t.get_text() for t in axes.get_xticklabels()] == ["plain", "g", "r", "z"]
    assert axes.images[0].get_array().shape == (24 * 72, 4 * 72, 3)
    look.figure.savefig(tmp_path / "look.png")
    sample = np.stack([images(t.get_text()).data for t in axes.get_yticklabels()])
    np.testing.assert_allclose(look.ranges.loc["z", "highest"], sample[..., 2].max(), rtol=1e-6)


def test_without_being_told_every_stretch_that_can_show_the_bands_is_drawn(source):
    catalog, images = source
    for bands, shown in ((("g", "r", "z"), ["asinh", "dr2_rgb", "gz_decals", "lupton"]), (("a", "b", "c"), [])):
        (axes,) = preview_records(catalog, images=images, bands=bands, galaxies=2).figure.axes
        assert [t.get_text() for t in axes.get_xticklabels()] == [*shown, *bands]


def test_a_preview_lists_what_cannot_be_read(source):
    catalog, images = source

    def some_broken(name):
        if int(name) % 2:
            raise ValueError("no such plate")
        return images(name)

    look = preview_records(catalog, images=some_broken, bands=("g", "r", "z"), galaxies=30)
    assert sum("no such plate" in finding for finding in look.findings) == 15


def test_inspecting_tells_splits_votes_and_failures(source, tmp_path):
    catalog, images = source
    records = build_records(catalog, tmp_path / "r", images=images, bands=("g", "r", "z"))
    look = inspect_records(tmp_path / "r")
    assert f"{records.splits['train']} train" in look.facts[0] and "votes: 60 in all" in look.facts
    assert look.findings == [] and list(look.ranges.index) == ["g", "r", "z"]


def test_galaxies_of_one_band_are_drawn_side_by_side(tmp_path):
    catalog = pd.DataFrame({"id_str": list("abcdef"), "file_loc": range(6)})
    np.save(tmp_path / "stack.npy", np.random.default_rng(0).normal(size=(6, 16, 16, 1)).astype("f4"))
    look = preview_records(catalog, images=tmp_path / "stack.npy", bands=("radio",), galaxies=6)
    (axes,) = look.figure.axes
    height, width = axes.images[0].get_array().shape[:2]
    assert width == 6 * height
    assert sorted(label.get_text() for label in axes.get_xticklabels()) == list("abcdef")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["radio"]
