import numpy as np
import pytest
from PIL import Image

from morphtools.data import show_augmentations as module


@pytest.mark.parametrize(("preset", "panels"), [("hayat2021", (64, 64)), ("rgb", (107, 107))])
def test_galaxies_are_drawn_beside_views_of_the_size_they_have(preset, panels, tmp_path, monkeypatch):
    images = np.random.default_rng(0).normal(0, 0.01, (2, 107, 107, 3)).astype("float32")
    monkeypatch.setattr(module, "_simulated", lambda galaxies: (images[:galaxies], "grz", (0.01, 0.01, 0.01)))
    figure = module.show_augmentations(preset, tmp_path / "views.png", galaxies=2, views=3)
    shown = [axes.get_images()[0].get_array().shape for axes in figure.axes]
    assert shown == [(107, 107, 3), *[(*panels, 3)] * 3] * 2
    with Image.open(tmp_path / "views.png") as picture:
        assert picture.size[0] > 400
