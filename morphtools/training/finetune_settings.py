"""The arguments of `finetune`, with types."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from morphtools.answers.classes import Classes
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.models.encoders import build_encoder, unfreeze
from morphtools.survey.task_files import open_task
from morphtools.survey.tasks import RedshiftTask, Task
from morphtools.training.optimizers import KINDS
from morphtools.training.settings import Inputs, Start, check_numbers
from tfrecords_builder.naming import band_names, check_known


@dataclasses.dataclass(frozen=True)
class FinetuneSettings:
    """The arguments of `finetune`, where they are documented; `config.yaml` has the same names and values."""

    task: str | Path | None
    labels: int
    inputs: Inputs
    column: str | None
    answer: str | None
    balance: bool
    bands: Sequence[str] | str | None
    start: Start
    survey: str | None
    orientations: int
    depth: int | str
    epochs: int | None
    batch_size: int
    optimizer: str
    learning_rate: float
    encoder_learning_rate: float | None
    in_memory: bool | None
    mixed_precision: bool
    photoz: Photoz
    test_labels: int
    seed: int

    @property
    def question(self) -> Task | RedshiftTask | None:
        """The task; None if columns are the question."""
        return None if self.task is None else open_task(self.task)

    def simulated_task(self) -> Task | RedshiftTask:
        """The task, which the simulated sky can answer; ValueError for a column, which needs a catalogue."""
        if self.question is None:
            raise ValueError(f"column {self.column!r} needs a catalog or records that have it")
        return self.question

    @property
    def name(self) -> str:
        """The question in a word or two."""
        return str(self.column).replace(",", ", ") if self.question is None else self.question.name

    @property
    def frozen(self) -> bool:
        """Whether only the head is trained."""
        return self.depth == "head"

    def columns(self, there) -> tuple[str, ...]:
        """The columns, split at commas unless a column of the catalogue has that comma in its name."""
        if self.column is None or self.column in there:
            return (self.column,) if self.column else ()
        return tuple(name.strip() for name in self.column.split(","))

    def with_rates(self, answer: Any) -> "FinetuneSettings":
        """Returns the settings with the learning rate of the encoder (see `encoder_rate`)."""
        return dataclasses.replace(self, encoder_learning_rate=self.encoder_rate(answer))

    def encoder_rate(self, answer: Any) -> float:
        """The learning rate of the encoder, which depends on the kind of answer.

        Raises:
            ValueError: The rates contradict each other.
        """
        slow = self.encoder_learning_rate
        if slow is None:
            slow = self.learning_rate / answer.recipe.slower if self.start.pretrained else self.learning_rate
        most = self.learning_rate / 10 if answer.recipe.head_first else self.learning_rate
        if self.start.pretrained and slow > most:
            part = "a tenth of " if answer.recipe.head_first else ""
            raise ValueError(
                f"encoder_learning_rate must be at most {part}learning_rate ({self.learning_rate}), got {slow}: larger "
                "steps destroy what the encoder has learned"
            )
        return slow

    def checked(self) -> "FinetuneSettings":
        """Checks the settings and returns them as plain numbers and text, with absolute paths.

        Raises:
            ValueError: They contradict each other.
            FileNotFoundError: A path does not exist.
        """
        task = "rings" if self.task is None and self.column is None else self.task
        if task is not None and Path(task).suffix in (".yaml", ".yml"):
            task = str(Path(task).expanduser().absolute())
        settings = dataclasses.replace(
            self,
            task=task,
            column=self.column if self.column is None or isinstance(self.column, str) else ",".join(self.column),
            bands=band_names(self.bands),
            depth=int(self.depth) if str(self.depth).isdigit() else self.depth,
        )
        question = settings.question
        check_numbers(settings)
        settings = dataclasses.replace(settings, inputs=self.inputs.checked(), start=self.start.checked())
        check_known("optimizer", settings.optimizer, KINDS)
        if settings.inputs.simulated:
            settings = _for_simulated_sky(settings)
        if question is not None:
            settings = settings.with_rates(_kind_of(question))
        if not settings.frozen:
            unfreeze(build_encoder(settings.start.architecture, (64, 64, 3)), settings.depth)
        return settings


def _kind_of(task: Task | RedshiftTask) -> type[Photoz] | type[Classes]:
    return Photoz if isinstance(task, RedshiftTask) else Classes


def _for_simulated_sky(settings: FinetuneSettings) -> FinetuneSettings:
    """Renders the simulated sky, which is flux, as pictures of the size the weights take, so nothing is resized."""
    task, start = settings.simulated_task(), settings.start
    if not start.pretrained:
        return settings
    stretch = _kind_of(task).recipe.stretch if start.card.range == "picture" else None
    size = start.image_size or start.card.image_size[0]
    start = dataclasses.replace(start, stretch=start.stretch or stretch, image_size=size)
    return dataclasses.replace(settings, start=start)
