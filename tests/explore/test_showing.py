import sys
import types

import numpy as np
import pytest
from PIL import Image

from morphtools.explore.showing import show, show_galaxies


def test_a_picture_is_shown_in_a_notebook_and_named_elsewhere(monkeypatch, capsys):
    show("a.png", "b.png")
    assert capsys.readouterr().out == "see a.png\nsee b.png\n"
    shown = []
    notebook = types.SimpleNamespace(Image=lambda filename: filename, display=shown.append)
    monkeypatch.setitem(sys.modules, "ipykernel", notebook)
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    show("a.png", "b.png")
    assert shown == ["a.png", "b.png"] and capsys.readouterr().out == ""


def test_galaxies_are_drawn_in_the_order_in_which_they_are_named(three_kinds, tmp_path, capsys):
    _, catalog, images = three_kinds
    where = {"catalog": catalog, "images": images}
    pictures = []
    for ids in (["g00", "g01", "g02"], ["g02", "g01", "g00"]):
        show_galaxies(ids, ["one", "two", "three"], "title", **where, columns=3, out=tmp_path / "new" / "g.png")
        pictures.append(np.asarray(Image.open(tmp_path / "new" / "g.png").convert("L"), float))
        assert str(tmp_path / "new" / "g.png") in capsys.readouterr().out
    assert pictures[0].shape == pictures[1].shape and (pictures[0] != pictures[1]).mean() > 0.05
    show_galaxies(ids, ["one", "two", "three"], "title", **where, columns=3, crop=4, out=tmp_path / "new" / "g.png")
    assert (np.asarray(Image.open(tmp_path / "new" / "g.png").convert("L"), float) != pictures[1]).mean() > 0.05


def test_captions_and_galaxies_are_as_many(three_kinds, tmp_path):
    _, catalog, images = three_kinds
    with pytest.raises(ValueError, match="2 galaxies need as many captions, got 1"):
        show_galaxies(["g00", "g01"], ["one"], catalog=catalog, images=images, out=tmp_path / "g.png")
