"""What `finetune` was asked to do, with types."""

import dataclasses
from pathlib import Path

from morphtools.answers.classes import Classes
from morphtools.answers.kinds import Answer
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.models.cards import Card, find_card
from morphtools.models.encoders import build_encoder, unfreeze
from morphtools.survey.task_files import open_task
from morphtools.survey.tasks import RedshiftTask, Task
from morphtools.training.runs import plain_arguments
from morphtools.training.starting import Start, checked_start
from tfrecords_builder.naming import band_names, unknown

OPTIMIZERS = ("adam", "sgd")


@dataclasses.dataclass(frozen=True)
class FinetuneSettings:
    """The arguments of `finetune`, which documents them; `config.yaml` holds the same names and values."""

    task: str | None
    labels: int
    catalog: str | None
    images: str | None
    records: str | None
    column: str | None
    answer: str | None
    balance: bool
    bands: list[str] | None
    weights: str
    encoder: str
    small_images: bool
    image_size: int | None
    view_size: int | None
    stretch: str | None
    survey: str | None
    orientations: int
    depth: int | str
    epochs: int | None
    batch_size: int
    optimizer: str
    learning_rate: float
    encoder_learning_rate: float | None
    in_memory: bool | None
    bins: int
    redshift_range: tuple[float, float]
    pdf: str
    estimate: str
    test_labels: int
    seed: int

    @property
    def question(self) -> Task | RedshiftTask | None:
        """The task; None where columns are the question."""
        return None if self.task is None else open_task(self.task)

    @property
    def name(self) -> str:
        """The question in a word or two."""
        return self.column.replace(",", ", ") if self.task is None else self.question.name

    @property
    def photoz(self) -> Photoz:
        """The PDFs that are asked of a task about redshifts."""
        return Photoz(self.bins, self.redshift_range, self.pdf, self.estimate)

    @property
    def start(self) -> Start:
        """The encoder to start from."""
        return Start(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Start)})

    @property
    def frozen(self) -> bool:
        """Whether only the head is trained."""
        return self.depth == "head"

    @property
    def pretrained(self) -> bool:
        """Whether there is something to lose."""
        return self.weights != "random"

    def columns(self, there) -> tuple[str, ...]:
        """Names of columns, of those of a catalogue: one may have a comma in its name."""
        if self.column is None or self.column in there:
            return (self.column,) if self.column else ()
        return tuple(name.strip() for name in self.column.split(","))

    def config(self) -> dict:
        """Numbers, text, lists and None, as `config.yaml` keeps them."""
        fields = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    def with_rates(self, answer: Answer | type) -> "FinetuneSettings":
        """The settings with the learning rate of the encoder, which depends on the kind of answer.

        Raises:
            ValueError: The rates do not make sense together.
        """
        slow = self.encoder_learning_rate
        if slow is None:
            slow = self.learning_rate / answer.slower if self.pretrained else self.learning_rate
        most = self.learning_rate / 10 if answer.head_first else self.learning_rate
        if self.pretrained and slow > most:
            part = "a tenth of " if answer.head_first else ""
            raise ValueError(
                f"encoder_learning_rate must be at most {part}learning_rate ({self.learning_rate}), got {slow}: larger "
                "steps destroy what the encoder knows"
            )
        return dataclasses.replace(self, encoder_learning_rate=slow)


def checked(settings: FinetuneSettings) -> FinetuneSettings:
    """The settings as plain numbers and text, with absolute paths, once they make sense.

    Raises:
        ValueError: They do not.
        FileNotFoundError: A path is not there.
    """
    if settings.column is not None and not isinstance(settings.column, str):
        settings = dataclasses.replace(settings, column=",".join(settings.column))
    if settings.task is None and settings.column is None:
        settings = dataclasses.replace(settings, task="rings")
    elif settings.task is not None and Path(settings.task).suffix in (".yaml", ".yml"):
        settings = dataclasses.replace(settings, task=str(Path(settings.task).expanduser().absolute()))
    settings = dataclasses.replace(settings, bands=band_names(settings.bands))
    task = settings.question
    arguments = dataclasses.asdict(settings)
    plain_arguments(arguments)
    if str(arguments["depth"]).isdigit():
        arguments["depth"] = int(arguments["depth"])
    settings = FinetuneSettings(**arguments)
    settings = dataclasses.replace(settings, redshift_range=settings.photoz.redshift_range)
    if settings.optimizer not in OPTIMIZERS:
        raise ValueError(unknown("optimizer", settings.optimizer, OPTIMIZERS))
    if not settings.catalog and not settings.records:
        settings = _for_simulated_sky(settings)
    if task is not None:
        settings = settings.with_rates(_kind_of(task))
    architecture = checked_start(settings.start)
    if not settings.frozen:
        unfreeze(build_encoder(architecture, (64, 64, 3)), settings.depth)
    return settings


def _kind_of(task: Task | RedshiftTask) -> type:
    return Photoz if isinstance(task, RedshiftTask) else Classes


def _for_simulated_sky(settings: FinetuneSettings) -> FinetuneSettings:
    """Shipped weights take pictures and the simulated sky is flux; rendered at their size, nothing is resized."""
    if settings.question is None:
        raise ValueError(f"column {settings.column!r} needs the catalog that has it, or records")
    if not settings.pretrained:
        return settings
    start = Card.open(find_card(settings.weights))
    stretch = _kind_of(settings.question).stretch if start.range == "picture" else None
    return dataclasses.replace(
        settings,
        stretch=settings.stretch or stretch,
        image_size=settings.image_size or start.image_size[0],
    )
