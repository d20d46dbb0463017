import keras
import numpy as np
import pytest

from morphtools.models.cards import Card
from morphtools.models.contrastive import BYOL, MoCo, SimCLR
from morphtools.models.encoders import build_encoder
from morphtools.models.pretrained import load_pretrained
from morphtools.training.learner import Prepared
from morphtools.training.projections import keep_projection

SIZES = {"moco": (MoCo, {"dimension": 6, "queue": 8}), "simclr": (SimCLR, {"dimension": 6})}
SIZES["byol"] = (BYOL, {"dimension": 6, "hidden": 12})


@pytest.mark.parametrize("method", SIZES)
def test_what_is_kept_is_the_direction_in_which_the_learner_compares_views(method, tmp_path):
    kind, options = SIZES[method]
    encoder = build_encoder("resnet10_half", (8, 8, 3))
    learner = kind(encoder, keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Identity()]), seed=1, **options)
    rng = np.random.default_rng(0)
    for weight in learner.projection.weights:  # as after a training
        weight.assign(rng.uniform(-0.5 if weight.name == "kernel" else 0.5, 1.5, weight.shape))
    card = Card("a", "encoder", {"name": "resnet10_half"}, ("r", "g", "b"), "picture", (8, 8), scores={"knn": 1.0})
    prepared = Prepared(None, {}, (8, 8, 3), None, {"name": "resnet10_half"}, encoder)
    keep_projection(learner, prepared, card, tmp_path / "projection", [])
    images = rng.uniform(size=(4, 8, 8, 3)).astype("float32")
    projected = keras.ops.convert_to_numpy(learner.projection(encoder(images), training=False))
    got = load_pretrained(tmp_path / "projection").predict(images, verbose=0)
    np.testing.assert_allclose(got, projected / np.linalg.norm(projected, axis=1, keepdims=True), atol=1e-5)
    assert Card.open(tmp_path / "projection" / "card.json").scores == {}
