"""Familiarity by the shipped weights, of galaxies like those they were trained on, and of other images."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morphtools.answers.familiarity import RARE, Familiarity
from morphtools.inference.predict import predict
from morphtools.models.cards import WEIGHTS, familiarity_beside, list_pretrained
from morphtools.sky.simulate import simulate_galaxies
from morphtools.survey.stretch import sdss_rgb

VOTES = [card.name for card in list_pretrained() if card.kind == "votes"]


@pytest.mark.parametrize("name", VOTES)
def test_shipped_weights_of_votes_keep_what_their_training_galaxies_are_like(name):
    familiarity = Familiarity.open(familiarity_beside(WEIGHTS / f"{name}.json"))
    components = familiarity.components.astype(float)
    np.testing.assert_allclose(components @ components.T, np.eye(len(components)), atol=1e-4)
    assert (familiarity.variance > 0).all() and (np.diff(familiarity.distances) >= 0).all()
    assert familiarity.rare == RARE  # enough galaxies to tell


def test_simulated_galaxies_are_familiar_to_shipped_weights_and_white_noise_is_not(tmp_path):
    _, sky = simulate_galaxies(12, image_size=112, bands="gri", seed=5, field_radii=12.0, magnitude_limit=16.5)
    noise = np.random.default_rng(0).uniform(size=(12, 112, 112, 3))
    for i, picture in enumerate([*sdss_rgb(sky), *noise]):
        Image.fromarray(np.round(255 * np.asarray(picture)).astype("uint8")).save(tmp_path / f"{i}.png")
    catalog = pd.DataFrame({"id_str": [f"g{i:02}" for i in range(24)], "file_loc": [f"{i}.png" for i in range(24)]})
    catalog.to_csv(tmp_path / "catalog.csv", index=False)
    out = predict("mobilenet_v3_small_gz2", tmp_path / "out", catalog=tmp_path / "catalog.csv", orientations=1)
    share = pd.read_parquet(out / "predictions-full.parquet").set_index("id_str").sort_index()["familiarity"].to_numpy()
    assert np.mean(share[:12] > RARE) > 0.5
    assert (share[12:] < RARE / 2).all()
