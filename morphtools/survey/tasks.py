"""Questions about galaxies, and the columns of a catalogue that answer them."""

import dataclasses
import logging

import numpy as np
import pandas as pd

from morphtools.survey.label_values import as_numbers, galaxies, read_answers
from morphtools.survey.task_votes import fraction_for, votes_for
from tfrecords_builder.naming import check_known, some, unknown

log = logging.getLogger(__name__)

_FARTHEST = 20.0  # beyond any known galaxy; people write 99 or 999999 for unknown redshifts


@dataclasses.dataclass(frozen=True)
class Task:
    """A yes-or-no question about galaxies.

    Attributes:
        name: As in `morphtools finetune --task NAME`.
        question: In words.
        classes: Names of the negative and the positive class.
        columns: Columns that may hold the answer: 0/1, or the fraction of votes for it.
        votes: Galaxy Zoo question (without its campaign) and the answers that mean yes.
        above: A fraction above this is a yes.
        below: A fraction below this is a no; galaxies in between are left out.
        min_votes: Minimum number of volunteers who must have answered.
        simulated: Class of the simulated sky that has it.
    """

    name: str
    question: str
    classes: tuple[str, str]
    columns: tuple[str, ...]
    votes: dict[str, tuple[str, ...]]
    simulated: str
    above: float = 0.8
    below: float = 0.2
    min_votes: int = 5

    @property
    def sky(self) -> dict:
        """Arguments of `simulate_galaxies` for a sky half of whose galaxies have it."""
        if not self.simulated:
            raise ValueError(f"the simulated sky has no task {self.name!r}: give a catalog, or records")
        return {"fractions": {self.simulated: 0.5}, "magnitude_limit": 15.5, "field_radii": 6.0, "bands": "grz"}


# Rings: Walmsley et al. 2022, arXiv:2110.12735, section 4. Mergers: Darg et al. 2010, arXiv:0903.4937 (there with ≥).
# The others take the "high-quality" labels of Hayat et al. 2021, arXiv:2012.13083, section 3.2.
TASKS = {
    task.name: task
    for task in (
        Task(
            "rings",
            "Is there a ring?",
            ("no ring", "ring"),
            ("ring", "ring_fraction"),
            {"ring": ("yes",), "rings": ("yes",), "odd-feature": ("ring",)},
            "ring",
            above=0.25,
            below=0.05,
        ),
        Task(
            "bars",
            "Is there a bar?",
            ("no bar", "bar"),
            ("bar", "bar_fraction"),
            {"bar": ("yes", "strong", "weak")},
            "bar",
        ),
        Task(
            "spirals",
            "Are there spiral arms?",
            ("no arms", "spiral"),
            ("spiral", "gz1_spiral"),
            {"has-spiral-arms": ("yes",)},
            "spiral",
        ),
        Task(
            "edge-on",
            "Is it a disk seen edge-on?",
            ("not edge-on", "edge-on"),
            ("edge_on",),
            {"disk-edge-on": ("yes",)},
            "edge_on",
        ),
        Task(
            "mergers",
            "Is it merging?",
            ("not merging", "merger"),
            ("merger", "merging_fraction"),
            {"merging": ("merger", "both")},
            "merger",
            above=0.4,
            below=0.1,
            min_votes=10,
        ),
        Task(
            "smooth",
            "Is it smooth, without features?",
            ("featured", "smooth"),
            ("smooth",),
            {"smooth-or-featured": ("smooth",)},
            "smooth",
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class RedshiftTask:
    """The task of measuring the redshift of a galaxy.

    Attributes:
        name: As in `morphtools finetune --task NAME`.
        question: In words.
        columns: Columns that may hold the spectroscopic redshift.
    """

    name: str = "photoz"
    question: str = "What is its redshift?"
    columns: tuple[str, ...] = ("redshift", "spec_z")

    @property
    def sky(self) -> dict:
        """Arguments of `simulate_galaxies` for a sky whose colours depend on distance."""
        return {"bands": "ugriz"}


PHOTOZ = RedshiftTask()


def get_task(name: str) -> Task | RedshiftTask:
    """The task called `name`; ValueError with the known ones otherwise."""
    known = TASKS | {PHOTOZ.name: PHOTOZ}
    check_known("task", name, known)
    return known[name]


def task_redshifts(task: RedshiftTask, catalog: pd.DataFrame, column: str | None = None) -> tuple[pd.Series, str]:
    """Reads spectroscopic redshifts from a catalogue.

    Args:
        task: What is asked.
        catalog: One row per galaxy.
        column: The column to use, if its name is your own.

    Returns:
        The redshift of every row, NaN if unknown (missing, not finite, or below -0.01, because surveys write -1 or
        -9999); and a description of where they were found.

    Raises:
        ValueError: The catalogue has no such column, or the column contains no redshifts, words, or numbers beyond any
            known galaxy, such as 99.
    """
    if column is not None and column not in catalog.columns:
        raise ValueError(unknown("column", column, catalog.columns))
    name = column or _column_of(task, catalog)
    if name is None:
        raise ValueError(
            f"no redshifts: none of the columns {', '.join(task.columns)} (the catalogue has "
            f"{some(catalog.columns, 12)}); name yours with `column`"
        )
    values, words = as_numbers(catalog[name])
    values = values.where(np.isfinite(values))
    measured = values > -0.01
    if not measured.any():
        raise ValueError(f"column {name!r} contains no redshifts, only {some(catalog[name])}")
    for bad, what in ((words, "must contain numbers"), (values > _FARTHEST, "must contain redshifts")):
        if bad.any():
            raise ValueError(
                f"column {name!r} {what}, got {some(catalog[name][bad].unique())} ({galaxies(catalog, bad)}); leave "
                "cells empty where the redshift is unknown"
            )
    zero = values == 0
    if zero.any():
        log.warning(
            "column %r: %d redshifts are exactly 0 (%s); if that means unknown, leave these cells empty",
            *(name, zero.sum(), galaxies(catalog, zero)),
        )
    below = values.notna() & ~measured
    if below.any():
        log.warning(
            "column %r: %s (%d galaxies) are treated as unknown redshifts",
            name,
            some(values[below].unique()),
            below.sum(),
        )
    return values.where(measured), f"column {name!r}"


def task_labels(task: Task, catalog: pd.DataFrame, column: str | None = None) -> tuple[pd.Series, str]:
    """Reads the answers to a task from a catalogue.

    The first of these that the catalogue has: `column`; one of `task.columns`; votes on the question, added up over
    campaigns (see `morphtools.survey.task_votes`: counts, or fractions with a known number of votes); fractions alone.
    A column of 0 and 1, or of words, is used directly; fractions in between are cut at `task.above` and `task.below`.

    Args:
        task: What is asked.
        catalog: One row per galaxy.
        column: The column to use, if its name is your own.

    Returns:
        1, 0 or NaN (unknown or in between) for every row, and a description of how it was decided.

    Raises:
        ValueError: The catalogue has no such column, or its values are neither labels nor fractions.
    """
    if column is not None and column not in catalog.columns:
        raise ValueError(unknown("column", column, catalog.columns))
    name = column or _column_of(task, catalog)
    if name is not None:
        values = read_answers(catalog, name, task.classes)
        flags = {str(c).lower(): c for c in catalog.columns}
        if name.lower() == "spiral" and {"elliptical", "uncertain"} <= set(flags):
            # Galaxy Zoo 1 (Lintott et al. 2011, arXiv:1007.3265, table 2): uncertain galaxies also have 0
            values = values.where(read_answers(catalog, flags["uncertain"], ("no", "uncertain")) != 1)
        if values.dropna().isin((0.0, 1.0)).all():
            return values, f"column {name!r}: 1 {task.classes[1]}, 0 {task.classes[0]}"
        return _cut(values, task), _rule(task, repr(name))
    counts = [votes_for(catalog, question, answers) for question, answers in task.votes.items()]
    counts = [votes for votes in counts if votes is not None]
    if counts:
        yes, total = (sum(each) for each in zip(*counts, strict=True))
        enough = _cut((yes / total).where(total >= task.min_votes), task)
        return enough, f"{_rule(task, 'the vote fraction')}; at least {task.min_votes} votes"
    for question, answers in task.votes.items():
        fraction, columns = fraction_for(catalog, question, answers)
        if columns:
            return _cut(fraction, task), _rule(task, " + ".join(map(repr, columns)))
    wanted = [*task.columns, *(f"{q}_{a}" for q, answers in task.votes.items() for a in answers)]
    raise ValueError(
        f"no labels for task {task.name!r}: none of the columns {', '.join(wanted)} (the catalogue has "
        f"{some(catalog.columns, 12)}); name yours with `column`"
    )


def _column_of(task: Task | RedshiftTask, catalog: pd.DataFrame) -> str | None:
    """The first column of a task in the catalogue, or the only one that differs just in capitalisation."""
    for name in task.columns:
        same = [c for c in catalog.columns if str(c).lower() == name.lower()]
        if name in same or len(same) == 1:
            return name if name in same else same[0]
    return None


def _cut(fraction: pd.Series, task: Task) -> pd.Series:
    labels = np.select([fraction > task.above, fraction < task.below], [1.0, 0.0], np.nan)
    return pd.Series(labels, index=fraction.index)


def _rule(task: Task, fraction: str) -> str:
    """How a vote fraction becomes a class, in words."""
    return f"{task.classes[1]} if {fraction} is above {task.above}, {task.classes[0]} below {task.below}"
