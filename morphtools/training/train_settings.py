"""The arguments of `train`, with types."""

import dataclasses
from pathlib import Path

from morphtools.training.settings import (
    METHODS,
    Inputs,
    LearnerSettings,
    Optimization,
    Start,
    check_numbers,
    name_or_path,
)
from tfrecords_builder.naming import some, unknown


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """The arguments of `train`, where they are documented; `config.yaml` has the same names and values."""

    schema: str | Path
    inputs: Inputs
    start: Start
    learner: LearnerSettings
    method_weight: float | None
    augmentations: str | Path | None
    optimization: Optimization
    patience: int
    drop: float | None
    mixed_precision: bool
    in_memory: bool | None
    seed: int

    def checked(self) -> "TrainSettings":
        """Checks the settings and returns them with absolute paths.

        Raises:
            ValueError: They contradict each other.
            FileNotFoundError: There is no card of the weights.
        """
        check_numbers(self)
        names = {"schema": name_or_path(self.schema), "augmentations": name_or_path(self.augmentations)}
        settings = dataclasses.replace(self, inputs=self.inputs.checked(), start=self.start.checked(), **names)
        if self.optimization.learning_rate <= 0 or not 0 <= (self.optimization.average or 0.0) < 1:
            raise ValueError("learning_rate must be positive, and average at least 0 and below 1")
        if self.learner.method is not None and self.learner.method not in METHODS:
            raise ValueError(unknown("method", self.learner.method, METHODS))
        beside = {"method_weight": self.method_weight} | dataclasses.asdict(self.learner)
        useless = [name for name, value in beside.items() if value is not None]
        if self.learner.method is None and useless:
            raise ValueError(f"{some(useless)} needs a method to learn from views, such as method='byol'")
        return settings
