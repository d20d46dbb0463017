"""Optimizers with their schedules and the running average of the weights."""

from typing import Any

import keras

from morphtools.training.settings import Optimization

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("cosine", "constant")
KINDS = {  # that can have a learning rate per variable
    "adam": (keras.optimizers.Adam, {}),
    "sgd": (keras.optimizers.SGD, {"momentum": 0.9}),
}


def build_optimizer(
    how: Optimization, steps: int, *, warmup: int | None = None, clip: dict[str, float] | None = None
) -> keras.optimizers.Optimizer:
    """Builds the optimizer and its schedule for a number of steps.

    Args:
        how: Which optimizer, with its rates.
        steps: Number of steps of the whole training.
        warmup: Steps in which the learning rate rises from 0; None for those of `how.warmup_epochs`.
        clip: Arguments of the optimizer; None for those of `how.clip`.
    """
    rate: Any = how.learning_rate
    if warmup is None:
        warmup = int(steps * (how.warmup_epochs or 0.0) / how.epochs)
    rising = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
    if how.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(0.0 if warmup else rate, max(1, steps - warmup), **rising)
    elif warmup:  # a cosine that has hardly begun
        rate = keras.optimizers.schedules.CosineDecay(0.0, 10**12, **rising)
    decay = how.weight_decay or None
    clip = clip or ({} if how.clip is None else {"global_clipnorm": how.clip})
    options: dict[str, Any] = {**clip, **averaging(how.average, steps)}
    if how.optimizer == "sgd":
        # A decay added to the gradient is amplified by 1/(1 − momentum) in the long run; Keras decouples it.
        return keras.optimizers.SGD(rate, momentum=0.9, weight_decay=decay and 10 * decay, **options)
    if how.optimizer == "adam":
        return keras.optimizers.Adam(rate, **options)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=decay or 0.0, **options)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def averaging(momentum: float | None, steps: int) -> dict[str, Any]:
    """Arguments of an optimizer for the running average of the weights over a number of steps.

    Its memory is at most a fortieth of them, because earlier weights had learned far less.
    """
    momentum = min(momentum or 0.0, 1 - 40 / max(steps, 80))
    return {"use_ema": True, "ema_momentum": momentum} if momentum else {}


def stepping(name: str, rate: Any, factors: list[float]) -> keras.optimizers.Optimizer:
    """Builds an optimizer with a learning rate per variable.

    Args:
        name: `adam`, or `sgd` (momentum 0.9).
        rate: Learning rate or schedule.
        factors: Factors of the rate for the trainable variables, in order.
    """
    kind: Any
    kind, options = KINDS[name]

    class Stepping(kind):
        def update_step(self, gradient, variable, learning_rate):
            factor = factors[self._get_variable_index(variable)]  # as Keras documents it for custom optimizers
            super().update_step(gradient, variable, learning_rate * factor)

    return Stepping(rate, **options)
