"""The model of `train`: views, encoder and head, with or without a learner that needs no labels."""

from typing import Any

import keras

from morphtools.data.presets import build_augmentations
from morphtools.models.cards import Card
from morphtools.models.dirichlet import DirichletHead
from morphtools.models.encoders import build_encoder
from morphtools.models.hybrid import Hybrid
from morphtools.models.precision import precision
from morphtools.models.replicas import synchronize_batch_norm
from morphtools.survey.schemas import Schema
from morphtools.training.devices import all_devices
from morphtools.training.learner import longest_queue, make_learner, stochastic_depth
from morphtools.training.runs import Run
from morphtools.training.starting import starting_encoder
from morphtools.training.train_settings import TrainSettings
from tfrecords_builder.records import Records

_VIEW = {"RandomView": {"zoom": 0.25, "shift": 0.05}}
_DISPLAY = {"RandomDisplay": {"brightness": 0.05, "contrast": 0.2, "grey": 0.3}}


def assemble(run: Run, tree: Schema, chosen: Records, settings: TrainSettings):
    """The model from images to concentrations, its encoder and head, the card, and how to read records for it."""
    how, seed = settings.optimization, settings.seed
    with precision(settings.mixed_precision):
        encoder, card, reading = starting_encoder(chosen, settings.start, seed, run.out / "state")
        if settings.drop:
            encoder = _rebuilt(encoder, card, stochastic_depth(settings.drop))
        head = DirichletHead(len(tree.label_cols), seed=seed)
        views = settings.augmentations or ([_VIEW, _DISPLAY] if card.range == "picture" else [_VIEW])
        views = build_augmentations(views, bands=card.bands, noise=card.encoder.get("noise"), seed=seed)
        if settings.learner.method is None:
            model = keras.Sequential([keras.Input(encoder.input_shape[1:]), views, encoder, head])
        else:
            head.build(encoder.output_shape)
            steps = how.epochs * (chosen.splits["train"] // how.batch_size)
            queue = longest_queue(chosen, how.batch_size)
            learner = make_learner(encoder, views, settings.learner, steps=steps, queue=queue, seed=seed)
            weight = 1.0 if settings.method_weight is None else settings.method_weight
            model = Hybrid(learner, head, weight=weight)
        synchronize_batch_norm(model, all_devices()[1] > 1)
    return model, encoder, head, card, reading


def without_training(trained: keras.Model, card: Card, settings: TrainSettings) -> keras.Model:
    """The encoder without what only training needs: stochastic depth, and statistics synchronised over devices."""
    synchronize_batch_norm(trained, False)
    return _rebuilt(trained, card, {}) if settings.drop else trained


def _rebuilt(encoder: keras.Model, card: Card, options: dict[str, Any]) -> keras.Model:
    """Builds an encoder with the same weights and other options of `build_encoder`."""
    other = build_encoder(input_shape=encoder.input_shape[1:], **card.encoder, **options)
    other.set_weights(encoder.get_weights())
    return other
