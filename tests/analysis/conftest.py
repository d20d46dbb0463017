import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morphtools.inference.representations import Representations


@pytest.fixture
def three_kinds(tmp_path):
    """60 galaxies of three kinds, far apart in 5 dimensions; their catalogue and pictures of three colours."""
    rng = np.random.default_rng(0)
    kinds = np.array(["disk", "elliptical", "star"])[np.arange(60) % 3]
    centres = {"disk": [9, 0, 0, 0, 0], "elliptical": [0, 9, 0, 0, 0], "star": [0, 0, 9, 0, 0]}
    names = [f"g{i:02d}" for i in range(60)]
    store = Representations.create(tmp_path / "representations", 5, {"weights": "w", "records": "a"})
    store.append(names, np.array([centres[kind] for kind in kinds]) + rng.normal(size=(60, 5)) + 1)
    (tmp_path / "images").mkdir()
    for name, kind in zip(names, kinds, strict=True):
        pixels = rng.integers(0, 60, (24, 24, 3)).astype("uint8")
        pixels[6:18, 6:18, list(centres).index(kind)] = 220
        Image.fromarray(pixels).save(tmp_path / f"images/{name}.png")
    catalog = pd.DataFrame({"id_str": names, "file_loc": [f"{name}.png" for name in names], "kind": kinds})
    catalog["ra"], catalog["dec"] = np.linspace(10, 11, 60), np.linspace(-1, 1, 60)
    catalog["smooth_fraction"] = np.where(kinds == "elliptical", 0.9, 0.1) + rng.uniform(-0.1, 0.1, 60)
    return store, catalog, tmp_path / "images"
