"""The stages of fine-tuning: the head on stored representations, and head and encoder on images."""

import logging
from concurrent.futures import Executor
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from morphtools.answers.kinds import Answer
from morphtools.answers.linear import Linear, standardisation
from morphtools.data.augment import RandomView
from morphtools.inference.stream import galaxies_per_batch
from morphtools.models.answering import loss_for, standardize, take_linear
from morphtools.models.encoders import settle_batch_norm, unfreeze
from morphtools.training.feeding import feed, labels_of
from morphtools.training.finetune_settings import FinetuneSettings
from morphtools.training.fitting import fit, patience_of_walmsley
from morphtools.training.optimizers import stepping
from morphtools.training.representing import represent_splits, shuffled
from morphtools.training.starting import some_images
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)


def train_head(
    model: keras.Model, answer: Answer, chosen: Records, reading: dict, settings: FinetuneSettings, state: Path
) -> pd.DataFrame:
    """Trains the head, with the encoder frozen.

    Args:
        model: Orientations, encoder, their mean and head, from images to the head's output.
        answer: The answer to learn.
        chosen: The galaxies, with its labels.
        reading: How to read them for the encoder.
        settings: Including the learning rates for this answer.
        state: Folder with what an interrupted run needs to resume.

    Returns:
        The history of `fit`.
    """
    seed, head = settings.seed, model.layers[-1]
    representations = represent_for_head(model, chosen, reading, settings, state)
    (train, train_rows), (val, val_rows) = representations["train"], representations["val"]
    train_labels, val_labels = (labels_of(rows, answer.label_cols) for rows in (train_rows, val_rows))
    standardize(head, *standardisation(train[:10_000]))
    alone = keras.Sequential([keras.Input(train.shape[1:]), head])
    alone.compile(keras.optimizers.Adam(settings.learning_rate), loss_for(answer))
    epochs, patience = patience_of_walmsley(len(train))
    return fit(
        alone,
        lambda epoch: shuffled(train, train_labels, settings.batch_size, seed=[seed, epoch]),
        lambda: shuffled(val, val_labels, 512, seed=0),
        epochs=settings.epochs or epochs,
        patience=patience,
        state=state / "head.npz",
        stage="head",
        seed=seed,
    )


def solve_head(
    model: keras.Model, answer: Answer, chosen: Records, reading: dict, settings: FinetuneSettings, state: Path
) -> tuple[Linear, pd.DataFrame] | None:
    """Fits the head of a frozen encoder exactly, to training and validation galaxies; arguments as for `train_head`.

    Returns:
        The fit, and the matching rows of the index; None if the head of the answer is trained by gradient descent.
    """
    representations = represent_for_head(model, chosen, reading, settings, state)
    x = np.concatenate([representations[split][0] for split in ("train", "val")])
    rows = pd.concat([representations[split][1] for split in ("train", "val")], ignore_index=True)
    linear = answer.linear(x, labels_of(rows, answer.label_cols), settings.seed)
    if linear is None:
        return None
    take_linear(model.layers[-1], linear)
    for _, kept in linear.history[linear.history["kept"]].iterrows():
        log.info(
            "head%s: cross-validation chose a penalty of %.3g (loss %.4f on left-out galaxies)",
            f" of {kept['question']}" if "question" in kept else "",
            kept["strength"],
            kept["val_loss"],
        )
    return linear, rows


def _schedule(answer: Answer, settings: FinetuneSettings, chosen: Records) -> tuple[int, int]:
    """Maximum number of epochs, and patience."""
    if answer.recipe.epochs is None:
        epochs, patience = patience_of_walmsley(chosen.splits["train"])
        return settings.epochs or epochs, patience
    epochs = settings.epochs or answer.recipe.epochs
    return epochs, epochs


def represent_for_head(
    model: keras.Model,
    chosen: Records,
    reading: dict,
    settings: FinetuneSettings,
    state: Path,
    executor: Executor | None = None,
) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
    """Represents each split for the head of a frozen encoder; returns representations and rows of the index.

    If the encoder stays frozen, the test is represented with the others, by a network that is compiled once. Arguments
    as for `train_head`; a second call reads what the first one kept.
    """
    represent = keras.Sequential([keras.Input(model.input_shape[1:]), *model.layers[:-1]])
    splits = ["train", "val", "test"] if settings.frozen else ["train", "val"]
    log.info("representing %d galaxies …", sum(chosen.splits[split] for split in splits))
    return represent_splits(represent, chosen, splits, state / "representations", reading, executor)


def train_encoder(
    model: keras.Model, answer: Answer, chosen: Records, reading: dict, settings: FinetuneSettings, state: Path
) -> pd.DataFrame:
    """Trains the top of the encoder, and the head with it, on random views; arguments as for `train_head`.

    Batch normalisation is trained if the weights are random, since there are no statistics to keep, or if the answer
    needs it. A head that was not trained before gets standardised representations from a pretrained encoder, and
    unchanged ones from a random encoder, whose scale is still going to change.

    Trained batch normalisation finally gets the statistics of the galaxies as the model will be shown them: with its
    averages over the last views, redshifts were biased by .002 to .004, with these by less than .0005.
    """
    seed, (turn, encoder, mean, head) = settings.seed, model.layers
    whole = {name: value for name, value in reading.items() if name != "crop"}  # the views do this
    images = keras.Input((*whole["image_size"], model.input_shape[-1]))
    if settings.start.pretrained and not answer.recipe.head_first:
        some = [encoder.predict_on_batch(images) for images in some_images(chosen, reading, seed)]
        standardize(head, *standardisation(np.concatenate(some)))
    batch_norm = answer.recipe.batch_norm or not settings.start.pretrained
    unfreeze(encoder, settings.depth, batch_norm=batch_norm)
    geometry = answer.view(whole["image_size"][0])
    view = RandomView(**geometry, size=reading.get("crop", (None,))[0], seed=seed)
    viewed = keras.Sequential([images, view, turn, encoder, mean, head])
    epochs, patience = _schedule(answer, settings, chosen)
    optimizer = _optimizer(viewed, encoder, answer, settings, [share * epochs for share in answer.recipe.drops], chosen)
    viewed.compile(optimizer, loss_for(answer))

    epoch, validation = feed(
        viewed,
        chosen,
        whole,
        answer.label_cols,
        batch_size=settings.batch_size,
        seed=seed,
        in_memory=settings.in_memory,
        state=state,
        remainder=True,
        tested=galaxies_per_batch(model, settings.orientations),
    )
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


def _optimizer(viewed, encoder, answer: Answer, settings: FinetuneSettings, drops: list[float], chosen: Records):
    """Adam or SGD whose learning rate falls to a tenth after certain epochs, and is lower for the encoder.

    If the head was trained before, both have the rate of the encoder.
    """
    slow = settings.encoder_rate(answer)
    fast = slow if answer.recipe.head_first and settings.start.pretrained else settings.learning_rate
    steps = -(-chosen.splits["train"] // settings.batch_size)
    rate = fast
    if drops:
        ends = [max(1, round(epoch * steps)) - 1 for epoch in drops]  # the last step at each rate
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(ends, [fast * 0.1**i for i in range(len(drops) + 1)])
    of_encoder = {id(variable) for variable in encoder.trainable_variables}
    factors = [slow / fast if id(variable) in of_encoder else 1.0 for variable in viewed.trainable_variables]
    return stepping(settings.optimizer, rate, factors)
