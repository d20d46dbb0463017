"""The arguments of `pretrain`, with types."""

import dataclasses
from pathlib import Path

from morphtools.training.optimizers import OPTIMIZERS, SCHEDULES
from morphtools.training.settings import (
    METHODS,
    Inputs,
    LearnerSettings,
    Optimization,
    Start,
    check_numbers,
    name_or_path,
)
from tfrecords_builder.naming import check_known


@dataclasses.dataclass(frozen=True)
class PretrainSettings:
    """The arguments of `pretrain`, where they are documented; `config.yaml` has the same names and values."""

    learner: LearnerSettings
    inputs: Inputs
    start: Start
    augmentations: str | Path | list[dict] | None
    without: str | None
    optimization: Optimization
    drop: float | None
    mixed_precision: bool
    in_memory: bool | None
    label: str | None
    watched: int
    keep_projection: bool
    seed: int

    def checked(self) -> "PretrainSettings":
        """Checks the settings and returns them with absolute paths.

        Raises:
            ValueError: They contradict each other.
            FileNotFoundError: There is no card of the weights.
        """
        check_numbers(self)
        learner, how, start = self.learner, self.optimization, self.start
        if start.pretrained and (start.encoder or start.small_images):
            raise ValueError(
                "encoder and small_images cannot be combined with weights, which have an encoder: leave them out"
            )
        choices = {"method": (learner.method, METHODS), "optimizer": (how.optimizer, OPTIMIZERS)}
        choices["schedule"] = how.schedule, SCHEDULES
        for name, (given, allowed) in choices.items():
            check_known(name, given, allowed)
        takes = METHODS[str(learner.method)]
        for name in ("dimension", "hidden", "queue", "momentum", "temperature"):
            if getattr(learner, name) is not None and name not in takes:
                raise ValueError(f"{learner.method} has no {name}; it takes {', '.join(takes)}")
        if learner.queue is not None and learner.queue % how.batch_size:
            raise ValueError(f"queue must be a multiple of batch_size ({how.batch_size}), got {learner.queue}")
        if how.weight_decay and how.optimizer == "adam":
            raise ValueError("adam has no weight_decay: take adamw, or sgd")
        return dataclasses.replace(
            self,
            inputs=self.inputs.checked(),
            start=start.checked(),
            augmentations=name_or_path(self.augmentations),
        )
