import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def galaxies(tmp_path):
    """A catalogue of 40 galaxies with JPEGs of 32 pixels: label 1 is a bright disk on the sky, label 0 is none."""
    from PIL import Image

    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    y, x = np.mgrid[:32, :32] - 15.5
    rows = []
    for i in range(40):
        pixels = rng.integers(0, 40, (32, 32, 3))
        if i % 2:
            pixels[np.hypot(x, y) < rng.uniform(6, 12)] += 150
        name = f"g{i:02d}"
        Image.fromarray(pixels.astype("uint8")).save(folder / f"{name}.jpg", quality=95)
        rows.append({"id_str": name, "file_loc": f"{name}.jpg", "ring": i % 2, "redshift": 0.01 * i, "survey": "mock"})
    catalog = pd.DataFrame(rows)
    catalog.to_csv(tmp_path / "catalog.csv", index=False)
    return catalog, folder
