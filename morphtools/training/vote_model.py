"""What `train` fits: views, encoder and head, with or without a learner beside the votes, and what it is fed with."""

from collections.abc import Callable

import keras
import numpy as np

from morphtools.data.batches import read_batches
from morphtools.data.presets import build_augmentations
from morphtools.models.cards import Card
from morphtools.models.dirichlet import DirichletHead
from morphtools.models.encoders import build_encoder
from morphtools.models.hybrid import Hybrid
from morphtools.models.replicas import synchronize_batch_norm
from morphtools.survey.schemas import Schema
from morphtools.training.devices import all_devices, precision
from morphtools.training.learner import make_learner, stochastic_depth
from morphtools.training.on_device import Resident, keep_on_device
from morphtools.training.runs import Run
from morphtools.training.starting import Start, starting_encoder
from tfrecords_builder.records import Records

_VIEW = {"RandomView": {"zoom": 0.25, "shift": 0.05}}
_DISPLAY = {"RandomDisplay": {"brightness": 0.05, "contrast": 0.2, "grey": 0.3}}


def assemble(run: Run, tree: Schema, chosen: Records, arguments: dict):
    """The model from images to concentrations; its encoder and head; the encoder's card; how to read for it."""
    seed = arguments["seed"]
    with precision(arguments["mixed_precision"]):
        encoder, card, reading = starting_encoder(chosen, Start.of(arguments), run.out / "state")
        if arguments["drop"]:
            start = encoder
            encoder = build_encoder(input_shape=start.input_shape[1:], **card.encoder, **stochastic_depth(arguments))
            encoder.set_weights(start.get_weights())
        head = DirichletHead(len(tree.label_cols), seed=seed)
        views = arguments["augmentations"] or ([_VIEW, _DISPLAY] if card.range == "picture" else [_VIEW])
        views = build_augmentations(views, bands=card.bands, noise=card.encoder.get("noise"), seed=seed)
        if arguments["method"] is None:
            model = keras.Sequential([keras.Input(encoder.input_shape[1:]), views, encoder, head])
        else:
            head.build(encoder.output_shape)
            steps = arguments["epochs"] * (chosen.splits["train"] // arguments["batch_size"])
            weight = 1.0 if arguments["method_weight"] is None else arguments["method_weight"]
            model = Hybrid(make_learner(encoder, views, chosen, steps, arguments), head, weight=weight)
            synchronize_batch_norm(model, all_devices()[1] > 1)
    return model, encoder, head, card, reading


def without_training(trained: keras.Model, card: Card, arguments: dict) -> keras.Model:
    """The encoder without what only its training needed: layers that drop blocks, statistics over several devices."""
    synchronize_batch_norm(trained, False)
    if not arguments["drop"]:
        return trained
    encoder = build_encoder(input_shape=trained.input_shape[1:], **card.encoder)
    encoder.set_weights(trained.get_weights())
    return encoder


def feed(run: Run, model, tree: Schema, chosen: Records, reading: dict, arguments: dict) -> tuple[Callable, Callable]:
    """`batches` and `validation` of `fit`: images (B, H, W, C) and votes (B, A)."""
    seed, size = arguments["seed"], arguments["batch_size"]

    def votes(batch):
        return np.nan_to_num(np.stack([batch[column] for column in tree.label_cols], axis=1), posinf=0, neginf=0)

    if keep_on_device(chosen, ["train", "val"], reading, arguments["in_memory"], run.out / "state"):
        kept = {split: Resident(chosen, split, reading, votes) for split in ("train", "val")}
        return (
            lambda epoch: lambda: kept["train"].train(model, size, [seed, epoch]),
            lambda: lambda: kept["val"].test(model, size),
        )

    def batches(split, **options):
        options |= {"batch_size": size, **reading}
        if keras.backend.backend() != "tensorflow":
            return ((batch["image"], votes(batch)) for batch in read_batches(chosen, split, **options))
        import tensorflow as tf

        from morphtools.data.dataset import load_dataset

        def votes_of(batch):
            votes = tf.stack([batch[column] for column in tree.label_cols], axis=1)
            return batch["image"], tf.where(tf.math.is_finite(votes), votes, 0.0)

        return load_dataset(chosen, split, **options).map(votes_of)

    return (
        lambda epoch: batches("train", shuffle=True, drop_remainder=True, seed=1000 * seed + epoch),
        lambda: batches("val"),
    )
