"""What `pretrain` works with: galaxies, encoder, views, the learner and its optimizer, from the verb's arguments."""

import logging
from typing import NamedTuple

import keras

from morphtools.data.batches import read_batches
from morphtools.data.presets import build_augmentations
from morphtools.models.cards import Card, find_card
from morphtools.models.contrastive import BYOL, MoCo, SimCLR
from morphtools.models.encoders import build_encoder, settle_batch_norm
from morphtools.models.preparation import prepare
from morphtools.models.pretrained import load_pretrained
from morphtools.models.replicas import synchronize_batch_norm
from morphtools.training.devices import all_devices, precision
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)

METHODS = {  # what each takes of the arguments of `pretrain`
    "moco": (MoCo, ("dimension", "queue", "momentum", "temperature")),
    "byol": (BYOL, ("dimension", "hidden", "momentum")),
    "simclr": (SimCLR, ("dimension", "temperature")),
}
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("cosine", "constant")


class Setting(NamedTuple):
    """What a pretraining works with.

    Attributes:
        records: The galaxies.
        reading: Keyword arguments of `load_dataset` for them.
        shape: (H, W, C) of the views.
        noise: Sky noise per band of flux images; None for pictures.
        encoder: Keyword arguments of `build_encoder`, but for `input_shape`.
        start: The encoder it starts from.
    """

    records: Records
    reading: dict
    shape: tuple[int, int, int]
    noise: tuple[float, ...] | None
    encoder: dict
    start: keras.Model


def prepare_setting(records: Records, arguments: dict) -> Setting:
    """What `pretrain` works with, from its arguments.

    Raises:
        ValueError: Weights and records do not fit, or there are too few galaxies.
    """
    if records.splits.get("train", 0) < arguments["batch_size"]:
        have = records.splits.get("train", 0)
        raise ValueError(f"{have} galaxies to train on do not fill a batch of {arguments['batch_size']}")
    size = arguments["image_size"]
    reading = {"image_size": size, "stretch": None}
    built = {"name": arguments["encoder"] or "resnet18", "small_images": arguments["small_images"]}
    noise = records.noise
    if arguments["weights"] is not None:
        card = Card.open(find_card(arguments["weights"]))
        found = prepare(card, records, image_size=size, adapt_bands=True)
        reading, built = found.reading, dict(card.encoder)
        if arguments["view_size"] is not None:
            reading.pop("crop", None)  # the views are cut out by themselves
        noise = records.noise if card.range == "flux" else None
    elif noise is not None:
        built["noise"] = noise
    bands = 3 if reading["stretch"] else records.shape[2]
    height, width = reading["image_size"] if isinstance(reading["image_size"], tuple) else (size, size)
    height, width = reading.get("crop") or (height or records.shape[0], width or records.shape[1])
    view = arguments["view_size"]
    if view is not None and view > min(height, width):
        raise ValueError(f"views of {view} pixels cannot be cut from images of {height} × {width}")
    shape = (view or height, view or width, bands)
    if arguments["weights"] is None:
        keras.utils.set_random_seed(arguments["seed"])
        start = build_encoder(input_shape=shape, **built)
    else:
        start = load_pretrained(arguments["weights"], **found.loading | {"input_shape": shape})
        if found.loading["noise"] is not None:
            built["noise"] = found.loading["noise"]
    setting = Setting(records, reading, shape, noise, built, start)
    if arguments["weights"] is None:
        batch = next(read_batches(records, "train", batch_size=64, **reading))["image"]
        settle_batch_norm(start, build_views(setting, arguments)(batch, training=True))
    return setting


def build_views(setting: Setting, arguments: dict) -> keras.Model:
    """The augmentations, built for the images as they are read."""
    bands = () if setting.noise is None else setting.records.bands
    options = {"size": arguments["view_size"], "without": arguments["without"], "seed": arguments["seed"]}
    name = arguments["augmentations"] or ("rgb" if setting.noise is None else "hayat2021")
    return build_augmentations(name, bands=bands, noise=setting.noise, **options)


def build_learner(setting: Setting, arguments: dict) -> keras.Model:
    """The learner, compiled, on all devices."""
    steps = arguments["epochs"] * (setting.records.splits["train"] // arguments["batch_size"])
    scope, replicas = all_devices()
    if arguments["batch_size"] % replicas:
        raise ValueError(f"batch_size must be a multiple of the {replicas} devices, got {arguments['batch_size']}")
    with scope:
        with precision(arguments["mixed_precision"]):
            encoder = build_encoder(input_shape=setting.shape, **setting.encoder, **stochastic_depth(arguments))
            encoder.set_weights(setting.start.get_weights())
            rising = steps if arguments["schedule"] == "cosine" else None
            learner = make_learner(encoder, build_views(setting, arguments), setting.records, rising, arguments)
        if replicas > 1:
            synchronize_batch_norm(learner)
        learner.compile(build_optimizer(arguments, steps))
        learner.optimizer.build(learner.trainable_variables)
    log.info("%s of %s on %d device%s", arguments["method"], encoder.name, replicas, "s" if replicas > 1 else "")
    return learner


def make_learner(encoder, views, records: Records, steps: int | None, arguments: dict) -> keras.Model:
    """The learner of `method` with what else of `arguments` it takes.

    Args:
        encoder: Trained in place.
        views: The augmentations.
        records: The galaxies.
        steps: Over which the momentum of BYOL rises to 1; None keeps it.
        arguments: Of the verb.
    """
    kind, takes = METHODS[arguments["method"]]
    options = {name: arguments[name] for name in takes if arguments.get(name) is not None}
    if kind is MoCo:
        options.setdefault("queue", longest_queue(records, arguments))
    if kind is BYOL:
        options["steps"] = steps
    return kind(encoder, views, seed=arguments["seed"], **options)


def longest_queue(records: Records, arguments: dict) -> int:
    """The longest queue, a multiple of the batch, of keys of other galaxies than those being looked at."""
    batch = arguments["batch_size"]
    return max(1, min(65536, records.splits["train"] // 2) // batch) * batch


def build_optimizer(arguments: dict, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer and its schedule over so many steps."""
    rate, epochs = arguments["learning_rate"], arguments["epochs"]
    warmup = int(steps * arguments["warmup_epochs"] / epochs)
    rising = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
    if arguments["schedule"] == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(0.0 if warmup else rate, max(1, steps - warmup), **rising)
    elif warmup:  # a cosine that has hardly begun
        rate = keras.optimizers.schedules.CosineDecay(0.0, 10**12, **rising)
    decay = arguments["weight_decay"] or None
    options = {} if arguments["clip"] is None else {"global_clipnorm": arguments["clip"]}
    options |= averaging(arguments["average"], steps)
    if arguments["optimizer"] == "sgd":
        # Added to the gradient, a decay is amplified by 1/(1 − momentum) in the long run; Keras decouples it.
        return keras.optimizers.SGD(rate, momentum=0.9, weight_decay=decay and 10 * decay, **options)
    if arguments["optimizer"] == "adam":
        return keras.optimizers.Adam(rate, **options)
    return adamw(rate, weight_decay=decay or 0.0, **options)


def adamw(rate, **options) -> keras.optimizers.AdamW:
    """AdamW that lets biases and the scales and shifts of normalisation be.

    Args:
        rate: Learning rate or schedule.
        **options: Of `keras.optimizers.AdamW`.
    """
    optimizer = keras.optimizers.AdamW(rate, **options)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def averaging(momentum: float | None, steps: int) -> dict:
    """Arguments of an optimizer for the running average of the weights over a training of so many steps.

    Its memory is at most a fortieth of them: further back the weights knew far less.
    """
    momentum = min(momentum or 0.0, 1 - 40 / max(steps, 80))
    return {"use_ema": True, "ema_momentum": momentum} if momentum else {}


def stochastic_depth(arguments: dict) -> dict:
    """Arguments of `build_encoder` for an encoder that is to be trained, besides those of its card."""
    return {"drop": arguments["drop"]} if arguments["drop"] else {}
