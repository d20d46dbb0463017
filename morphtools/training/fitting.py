"""Fits a compiled model with early stopping; an interrupted fit resumes."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from tfrecords_builder.files import read_arrays, write_arrays
from tfrecords_builder.progress import progress_bar

log = logging.getLogger(__name__)

Batches = Iterable | Callable[[], float]


def patience_of_walmsley(galaxies: int) -> tuple[int, int]:
    """Returns the maximum number of epochs and the patience for a number of training galaxies.

    Reference:
        Walmsley et al. 2022, arXiv:2110.12735, section 4: 5·10⁶/N epochs, patience min(max(10, epochs/6), 30).
    """
    epochs = max(1, int(5e6 / galaxies))
    return epochs, min(max(10, epochs // 6), 30)


def fit(
    model: keras.Model,
    batches: Callable[[int], Batches],
    validation: Callable[[], Batches],
    *,
    epochs: int,
    patience: int,
    state: Path,
    stage: str,
    seed: int,
    checkpoint_seconds: float = 10.0,
    after_epoch: Callable[[list[dict]], None] | None = None,
) -> pd.DataFrame:
    """Fits until the validation loss has not fallen for `patience` epochs, and keeps the best weights.

    Args:
        model: Compiled; left with the best weights.
        batches: As for `train_epochs`, like the arguments that are not described here.
        validation: Returns the batches (x, y) of the validation, or a function that returns its mean loss.
        epochs: Maximum number of epochs.
        patience: In epochs.
        state: Checkpoint file (`.npz`).
        stage: Name for progress and history.
        seed: Seed of the randomness inside the model.
        checkpoint_seconds: Minimum time between checkpoints.
        after_epoch: Called with the history so far, as a list of rows (dicts).

    Returns:
        History: one row per epoch with `stage`, `epoch` (from 1), `loss`, `val_loss` and `kept` (the best epoch).
    """

    def judge(epoch: int, loss: float, seconds: float) -> dict:
        return {"stage": stage, "epoch": epoch, "loss": loss, "val_loss": _test(model, validation())}

    options: dict[str, Any] = {"checkpoint_seconds": checkpoint_seconds, "after_epoch": after_epoch}
    history = train_epochs(
        model, batches, judge, epochs=epochs, patience=patience, state=state, name=stage, seed=seed, **options
    )
    kept, lowest = int(_losses(history).argmin()) + 1, _losses(history).min()
    log.info("%s: %d epochs, kept epoch %d with validation loss %.4f", stage, len(history), kept, lowest)
    return pd.DataFrame(history).assign(kept=lambda table: table["epoch"] == kept)


def train_epochs(
    model: keras.Model,
    batches: Callable[[int], Batches],
    judge: Callable[[int, float, float], dict],
    *,
    epochs: int,
    state: Path,
    name: str,
    seed: int,
    patience: int | None = None,
    checkpoint_seconds: float = 0.0,
    after_epoch: Callable[[list[dict]], None] | None = None,
) -> list[dict]:
    """The one training loop: trains and validates epoch by epoch, with checkpoints.

    All randomness of an epoch (order, views, dropout) follows from `seed` and the number of the epoch. The weights, the
    optimizer, the history and the best weights so far are kept in one file, from which the same call resumes, with the
    same result.

    Args:
        model: Compiled. If the optimizer keeps a running average of the weights, the average is judged and left in the
            model.
        batches: A function from the number of an epoch (from 0) to its batches (x, y): any iterable, which suits small
            arrays, or a `tf.data.Dataset`, which Keras distributes to all replicas of the model's strategy; or to a
            function that trains for the epoch itself and returns the mean loss (`Resident.train`).
        judge: A function from an epoch (from 1), its mean loss and its duration in seconds to its row of the history.
        epochs: Maximum number of epochs.
        state: Checkpoint file (`.npz`).
        name: Name for the progress bar and for errors.
        seed: Seed of the randomness inside the model.
        patience: Number of epochs without a lower `val_loss` after which training stops with the best weights; None to
            train for all epochs and keep the last weights.
        checkpoint_seconds: Minimum time between checkpoints.
        after_epoch: Called with the history so far.

    Raises:
        ValueError: The loss is not finite, or the checkpoint is damaged.
    """
    model.optimizer.build(model.trainable_variables)
    history, best = load_state(model, state) if state.exists() else ([], [])
    saved, written = time.monotonic(), len(history)
    total = epochs if patience is None or patience >= epochs else None  # with patience, the end is not known
    with progress_bar(initial=len(history), total=total, desc=name, unit="epoch") as progress:
        while len(history) < epochs and (patience is None or _waited(history) < patience):
            epoch, began = len(history), time.perf_counter()
            reseed(model, seed, epoch)
            loss, raw = train_epoch(model, batches(epoch))
            if not np.isfinite(loss):
                raise ValueError(f"the loss of epoch {epoch + 1} of {name} is {loss}; try a smaller learning rate")
            history.append(judge(epoch + 1, loss, time.perf_counter() - began))
            if patience is not None and _waited(history) == 0:
                best = [np.array(w) for w in model.get_weights()]
            if raw is not None:
                model.set_weights(raw)
            progress.update()
            if after_epoch is not None:
                after_epoch(history)
            if patience is not None:
                progress.set_postfix(val_loss=f"{_losses(history)[-1]:.4f}", best=f"{_losses(history).min():.4f}")
            if time.monotonic() - saved > checkpoint_seconds:
                save_state(model, state, history, best)
                saved, written = time.monotonic(), len(history)
    if written < len(history):
        save_state(model, state, history, best)
    if patience is not None:
        model.set_weights(best)
    elif model.optimizer.use_ema:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    return history


def train_epoch(model: keras.Model, batches: Batches) -> tuple[float, list[np.ndarray] | None]:
    """Trains for one epoch.

    Returns:
        The mean loss, and the weights to continue from if the model was left with their running average.
    """
    if not hasattr(batches, "element_spec"):
        loss = batches() if callable(batches) else _mean_loss(model, model.train_on_batch, batches)
        if not model.optimizer.use_ema:
            return loss, None
        raw = [np.array(w) for w in model.get_weights()]
        model.optimizer.finalize_variable_values(model.trainable_variables)  # as `Model.fit` does at its end
        return loss, raw
    dealt: Any = batches  # a `tf.data.Dataset`
    watch = _Epoch(len(dealt))
    loss = model.fit(dealt, verbose=0, shuffle=False, callbacks=[watch]).history["loss"][-1]
    return loss, watch.raw if model.optimizer.use_ema else None


def _test(model: keras.Model, batches: Batches) -> float:
    """The mean loss of the model in its current state."""
    if callable(batches):
        return batches()
    if not hasattr(batches, "element_spec"):
        return _mean_loss(model, model.test_on_batch, batches)
    return model.evaluate(batches, verbose=0)


class _Epoch(keras.callbacks.Callback):
    """Shows the progress of an epoch, and keeps its last weights: with `use_ema`, `Model.fit` ends on their average."""

    def __init__(self, steps: int):
        super().__init__()
        self.bar = progress_bar(total=steps, desc="epoch", unit="step", leave=False)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.bar.close()
        self.raw = self.model.get_weights()


def _mean_loss(model: keras.Model, step: Callable, batches: Iterable) -> float:
    """The loss per galaxy over an epoch of `step`s (`model.train_on_batch` or `model.test_on_batch`)."""
    total = galaxies = 0
    for x, y in batches:
        model.reset_metrics()  # some versions of Keras do this themselves, others return a running mean
        total += float(step(x, y)) * len(x)
        galaxies += len(x)
    return total / galaxies


def _losses(history: list[dict]) -> np.ndarray:
    return np.array([row["val_loss"] for row in history])


def _waited(history: list[dict]) -> int:
    """Epochs since the validation loss was lowest."""
    return len(history) - 1 - int(_losses(history).argmin()) if history else 0


def reseed(model: keras.Model, seed: int, epoch: int) -> None:
    """Sets every random generator in the model to its own state, which follows from `seed` and `epoch` alone."""
    generators = [v for v in model.non_trainable_variables if v.path.endswith("seed_generator_state")]
    for i, state in enumerate(generators):
        state.assign(np.array([(1000 * seed + i) % 2**32, epoch << 16], "uint32"))  # 65,536 draws per epoch


def _variables(model: keras.Model) -> list:
    return [*model.variables, *model.optimizer.variables]


def save_state(model: keras.Model, state: Path, history: list[dict], best: Sequence[np.ndarray] = ()) -> None:
    """Writes all variables of a model and of its optimizer, the history and the best weights into one file."""
    arrays = {f"now{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(_variables(model))}
    arrays |= {f"best{i}": value for i, value in enumerate(best)}
    write_arrays(state, history=np.array(json.dumps(history)), **arrays)


def load_state(model: keras.Model, state: Path) -> tuple[list[dict], list[np.ndarray]]:
    """Restores a model and its optimizer from `save_state`; returns the history and the best weights.

    Raises:
        ValueError: The file is damaged, or belongs to another model; the message names it.
    """
    variables = _variables(model)
    saved = read_arrays(state, "history", *(f"now{i}" for i in range(len(variables))))
    for i, variable in enumerate(variables):
        if saved[f"now{i}"].shape != tuple(variable.shape):
            raise ValueError(f"{state} belongs to another model: remove it to train from the beginning")
        variable.assign(saved[f"now{i}"])
    best = [saved[f"best{i}"] for i in range(sum(name.startswith("best") for name in saved))]
    return json.loads(str(saved["history"])), best
