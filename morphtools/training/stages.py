"""The two stages of fine-tuning: the head on representations computed once, and the encoder with it on images."""

from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pandas as pd

from morphtools.data.batches import read_batches
from morphtools.inference.stream import galaxies_per_batch
from morphtools.models.encoders import settle_batch_norm, unfreeze
from morphtools.training.fitting import fit, patience_of_walmsley
from morphtools.training.on_device import Resident, keep_on_device
from morphtools.training.representing import represent_splits, shuffled
from morphtools.training.starting import some_images
from tfrecords_builder.records import Records

OPTIMIZERS = {"adam": (keras.optimizers.Adam, {}), "sgd": (keras.optimizers.SGD, {"momentum": 0.9})}


def train_head(
    model: keras.Model, kind: ModuleType, chosen: Records, reading: dict, arguments: dict, state: Path
) -> pd.DataFrame:
    """Trains the head, with the encoder frozen.

    Args:
        model: Orientations, encoder, their mean and head, from images to what the head says.
        kind: Of the task: `finetune_classes` or `finetune_redshifts`.
        chosen: The galaxies, with `label`.
        reading: How to read them for the encoder.
        arguments: Of `finetune`.
        state: Folder for what a killed run goes on from.

    Returns:
        The history of `fit`.
    """
    seed, head = arguments["seed"], model.layers[-1]
    known = represent_for_head(model, chosen, reading, arguments, state)
    (train, train_rows), (val, val_rows) = known["train"], known["val"]
    train_labels, val_labels = (rows["label"].to_numpy() for rows in (train_rows, val_rows))
    head.standardize.adapt(train[:10_000])
    alone = keras.Sequential([keras.Input(train.shape[1:]), head])
    alone.compile(keras.optimizers.Adam(arguments["learning_rate"]), kind.loss(arguments))
    epochs, patience = patience_of_walmsley(len(train))
    return fit(
        alone,
        lambda epoch: shuffled(train, train_labels, arguments["batch_size"], seed=[seed, epoch]),
        lambda: shuffled(val, val_labels, 512, seed=0),
        epochs=arguments["epochs"] or epochs,
        patience=patience,
        state=state / "head.npz",
        stage="head",
        seed=seed,
    )


def represent_for_head(
    model: keras.Model, chosen: Records, reading: dict, arguments: dict, state: Path
) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
    """What the head is shown of each split while the encoder is frozen, and the rows of the index that belong to it.

    The test is represented with the others, by a network compiled once, if the encoder stays frozen. Arguments as for
    `train_head`; a second call reads what the first has kept.
    """
    represent = keras.Sequential([keras.Input(model.input_shape[1:]), *model.layers[:-1]])
    splits = ["train", "val", "test"] if arguments["depth"] == "head" else ["train", "val"]
    return represent_splits(represent, chosen, splits, state / "representations", reading)


def train_encoder(
    model: keras.Model, kind: ModuleType, chosen: Records, reading: dict, arguments: dict, state: Path
) -> pd.DataFrame:
    """Trains the top of the encoder, and the head with it, on random views; arguments as for `train_head`.

    Batch normalisation is trained too with random weights, where there are no statistics to keep, and where the kind of
    task says so. A head that was not trained before sees the representations of a pretrained encoder standardised,
    those of a new one as they are: they have yet to find their scale.

    In the end batch normalisation that was trained gets the statistics of the galaxies as the model will be shown them:
    with its averages over the last views redshifts were biased by .002 to .004, with these by less than .0005.
    """
    seed, batch_size, (turn, encoder, mean, head) = arguments["seed"], arguments["batch_size"], model.layers
    whole = {name: value for name, value in reading.items() if name != "crop"}  # the views are cut out by themselves
    images = keras.Input((*whole["image_size"], model.input_shape[-1]))
    if arguments["weights"] != "random" and not kind.HEAD_FIRST:
        some = [encoder.predict_on_batch(images) for images in some_images(chosen, reading, seed)]
        head.standardize.adapt(np.concatenate(some))
    batch_norm = kind.BATCH_NORM or arguments["weights"] == "random"
    unfreeze(encoder, arguments["depth"], batch_norm=batch_norm)
    view = kind.view(arguments, whole["image_size"][0], reading.get("crop", (None,))[0])
    viewed = keras.Sequential([images, view, turn, encoder, mean, head])
    epochs, patience, drops = kind.schedule(arguments, chosen.splits["train"])
    optimizer = _optimizer(viewed, encoder, kind, arguments, [share * epochs for share in drops], chosen)
    viewed.compile(optimizer, kind.loss(arguments))

    several = galaxies_per_batch(model.input_shape[1:], arguments["orientations"])

    def batches(split, batch_size, **options):
        found = read_batches(chosen, split, batch_size=batch_size, **whole, **options)
        return ((batch["image"], batch["label"]) for batch in found)

    if keep_on_device(chosen, ["train", "val"], whole, arguments["in_memory"], state):
        kept = {split: Resident(chosen, split, whole, lambda batch: batch["label"]) for split in ("train", "val")}
        epoch = lambda i: lambda: kept["train"].train(viewed, batch_size, [seed, i], remainder=True)  # noqa: E731
        validation = lambda: lambda: kept["val"].test(viewed, several)  # noqa: E731
    else:
        epoch = lambda i: batches("train", batch_size, shuffle=True, seed=1000 * seed + i)  # noqa: E731
        validation = lambda: batches("val", several)  # noqa: E731
    history = fit(
        viewed,
        epoch,
        validation,
        epochs=epochs,
        patience=patience,
        state=state / "encoder.npz",
        stage="encoder",
        seed=seed,
    )
    if batch_norm:
        settle_batch_norm(encoder, *some_images(chosen, reading, seed))
    return history


def _optimizer(viewed, encoder, kind: ModuleType, arguments: dict, drops: list[float], chosen: Records):
    """Adam or SGD whose learning rate falls to a tenth after each of some epochs, and is lower for the encoder.

    After a head that was trained alone, all go at the encoder's rate.
    """
    slow = arguments["encoder_learning_rate"]
    fast = slow if kind.HEAD_FIRST and arguments["weights"] != "random" else arguments["learning_rate"]
    steps = -(-chosen.splits["train"] // arguments["batch_size"])
    rate = fast
    if drops:
        ends = [max(1, round(epoch * steps)) - 1 for epoch in drops]  # the last step at each rate
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(ends, [fast * 0.1**i for i in range(len(drops) + 1)])
    of_encoder = {id(variable) for variable in encoder.trainable_variables}
    factors = [slow / fast if id(variable) in of_encoder else 1.0 for variable in viewed.trainable_variables]
    return stepping(arguments["optimizer"], rate, factors)


def stepping(name: str, rate, factors: list[float]) -> keras.optimizers.Optimizer:
    """An optimizer with a learning rate of its own for every variable.

    Args:
        name: `adam`, or `sgd` (momentum 0.9).
        rate: Learning rate or schedule.
        factors: What it is multiplied by for each trainable variable, in order.
    """
    kind, options = OPTIMIZERS[name]

    class Stepping(kind):
        def update_step(self, gradient, variable, learning_rate):
            factor = factors[self._get_variable_index(variable)]  # as Keras documents it for optimizers of one's own
            super().update_step(gradient, variable, learning_rate * factor)

    return Stepping(rate, **options)
