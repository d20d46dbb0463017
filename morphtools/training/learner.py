"""Prepares what `pretrain` needs: galaxies, encoder, views and the learner."""

import logging
from typing import Any, NamedTuple

import keras

from morphtools.data.batches import read_batches
from morphtools.data.presets import build_augmentations, facts_of, read_augmentations
from morphtools.models.contrastive import BYOL, MoCo, SimCLR
from morphtools.models.encoders import build_encoder, settle_batch_norm
from morphtools.models.precision import precision
from morphtools.models.preparation import prepare
from morphtools.models.pretrained import load_pretrained
from morphtools.models.replicas import synchronize_batch_norm
from morphtools.training.devices import all_devices
from morphtools.training.optimizers import build_optimizer
from morphtools.training.pretrain_settings import PretrainSettings
from morphtools.training.settings import METHODS, LearnerSettings
from morphtools.training.starting import card_of
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)

_KINDS = {"moco": MoCo, "byol": BYOL, "simclr": SimCLR}


class Prepared(NamedTuple):
    """Everything that a pretraining needs.

    Attributes:
        records: The galaxies.
        reading: Keyword arguments of `load_dataset` for them.
        shape: (H, W, C) of the views.
        noise: Sky noise per band of flux images; None for pictures.
        encoder: Keyword arguments of `build_encoder` except `input_shape`.
        start: The encoder it starts from.
    """

    records: Records
    reading: dict
    shape: tuple[int, int, int]
    noise: tuple[float, ...] | None
    encoder: dict
    start: keras.Model


def prepare_start(records: Records, settings: PretrainSettings) -> Prepared:
    """Prepares galaxies, encoder and views for a pretraining.

    Raises:
        ValueError: Weights and records do not fit, or there are too few galaxies.
    """
    have, batch_size, first = records.splits.get("train", 0), settings.optimization.batch_size, settings.start
    if have < batch_size:
        raise ValueError(f"{have} galaxies to train on are fewer than batch_size, {batch_size}")
    card, view = card_of(first, records), first.view_size
    reading, loading = prepare(card, records, image_size=first.image_size, adapt_bands=True)
    if view is not None:
        reading.pop("crop", None)  # the views do this
    height, width = reading.get("crop") or reading["image_size"]
    first.check_view(height, width)
    shape = (view or height, view or width, loading["input_shape"][2])
    built = card.encoder | ({} if loading["noise"] is None else {"noise": loading["noise"]})
    noise = records.noise if card.range == "flux" else None
    if first.pretrained:
        start = load_pretrained(first.weights, **loading | {"input_shape": shape})
        return Prepared(records, reading, shape, noise, built, start)
    keras.utils.set_random_seed(settings.seed)
    prepared = Prepared(records, reading, shape, noise, built, build_encoder(input_shape=shape, **built))
    batch = next(read_batches(records, "train", batch_size=64, **reading))["image"]
    settle_batch_norm(prepared.start, build_views(prepared, settings)(batch, training=True))
    return prepared


def build_views(prepared: Prepared, settings: PretrainSettings) -> keras.Model:
    """Builds the augmentations for the images as they are read."""
    noise = prepared.noise
    bands = () if noise is None else prepared.records.bands
    chosen = read_augmentations(settings.augmentations or ("rgb" if noise is None else "hayat2021"), settings.without)
    if settings.augmentations is None and not facts_of(bands):
        chosen = [(name, arguments) for name, arguments in chosen if name != "RandomExtinction"]
    return build_augmentations(
        [{name: arguments} for name, arguments in chosen],
        bands=bands,
        noise=noise,
        size=settings.start.view_size,
        seed=settings.seed,
    )


def build_learner(prepared: Prepared, settings: PretrainSettings) -> keras.Model:
    """Builds and compiles the learner for all devices."""
    how, records = settings.optimization, prepared.records
    steps = how.epochs * (records.splits["train"] // how.batch_size)
    scope, replicas = all_devices()
    if how.batch_size % replicas:
        raise ValueError(f"batch_size must be a multiple of the {replicas} devices, got {how.batch_size}")
    with scope:
        with precision(settings.mixed_precision):
            encoder = build_encoder(input_shape=prepared.shape, **prepared.encoder, **stochastic_depth(settings.drop))
            encoder.set_weights(prepared.start.get_weights())
            rising = steps if how.schedule == "cosine" else None
            views, queue = build_views(prepared, settings), longest_queue(records, how.batch_size)
            learner = make_learner(encoder, views, settings.learner, steps=rising, queue=queue, seed=settings.seed)
        if replicas > 1:
            synchronize_batch_norm(learner)
        learner.compile(build_optimizer(how, steps))
        learner.optimizer.build(learner.trainable_variables)
    if settings.augmentations is None and prepared.noise is not None and not facts_of(records.bands):
        log.warning("no camera we know has the bands %s: views are not reddened by dust", ", ".join(records.bands))
    log.info("%s of %s on %d device%s", settings.learner.method, encoder.name, replicas, "s" if replicas > 1 else "")
    return learner


def make_learner(
    encoder: keras.Model, views: keras.Model, settings: LearnerSettings, *, steps: int | None, queue: int, seed: int
) -> keras.Model:
    """Builds the learner of a method.

    Args:
        encoder: Trained in place.
        views: The augmentations.
        settings: The method and its settings.
        steps: Number of steps in which the momentum of BYOL rises to 1; None for a constant momentum.
        queue: Length of MoCo's queue if the settings have none.
        seed: Seed of the initial weights.
    """
    method = str(settings.method)
    options = {name: value for name in METHODS[method] if (value := getattr(settings, name)) is not None}
    if method == "moco":
        options.setdefault("queue", queue)
    if method == "byol":
        options["steps"] = steps
    return _KINDS[method](encoder, views, seed=seed, **options)


def longest_queue(records: Records, batch_size: int) -> int:
    """Length of the longest queue, a multiple of the batch, that never holds keys of the current galaxies."""
    return max(1, min(65536, records.splits["train"] // 2) // batch_size) * batch_size


def stochastic_depth(drop: float | None) -> dict[str, Any]:
    """Additional arguments of `build_encoder` for an encoder that will be trained."""
    return {"drop": drop} if drop else {}
