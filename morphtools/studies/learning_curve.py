"""`learning_curve`: how many labels do I need, and how many does pretraining save?"""

import dataclasses
import inspect
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from morphtools.answers.against_truth import against_truth
from morphtools.answers.reading import read_question
from morphtools.answers.score_names import score_name
from morphtools.inference.represent import represent
from morphtools.inference.representations import Representations
from morphtools.models.cards import Card, find_card
from morphtools.sky.simulate import simulate_survey
from morphtools.studies.label_savings import in_a_sentence, label_savings, means_by_labels
from morphtools.studies.run_neighbours import neighbour_metrics
from morphtools.survey.task_files import open_task
from morphtools.training.finetune import finetune
from morphtools.training.learning_figures import scores_by_labels
from morphtools.training.pretrain import pretrain
from tfrecords_builder.build import build_records
from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.files import remove_partial
from tfrecords_builder.locks import lock
from tfrecords_builder.naming import check_known, unknown
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.records import Records
from tfrecords_builder.splits import split_of
from tfrecords_builder.tables_out import write_csv

# The smallest shipped weights, and the same network from scratch, because it has to be trained many times.
WAYS: dict[str, dict[str, Any]] = {
    "pretrained": {"weights": "mobilenet_v3_small_gz2"},
    "from scratch": {"weights": "random", "encoder": "mobilenet_v3_small", "image_size": 96, "depth": "all"},
}
_CELL = ("way", "asked", "seed", "labels", "tested")
_OURS = ("task", "labels", "seed", "out", "catalog", "images", "records", "column", "answer", "executor")


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """The result of `learning_curve`, in the folder `out`.

    Attributes:
        out: The folder.
        metric: The score that is drawn.
        table: Means over seeds with intervals (see `means_by_labels`).
        savings: Labels saved (see `label_savings`).
        sentences: The same in words.
    """

    out: Path
    metric: str
    table: pd.DataFrame
    savings: pd.DataFrame
    sentences: tuple[str, ...]

    @property
    def summary(self) -> str:
        """Table and sentences as text."""
        columns = ["way", "labels", "seeds", self.metric, f"{self.metric} low", f"{self.metric} high"]
        shown = self.table[columns].rename(columns=score_name).to_string(index=False, float_format="{:.4g}".format)
        return "\n".join([shown, *self.sentences, f"see {self.out}: results.csv, table.csv and learning_curve.png"])


def learning_curve(
    task: str | None = None,
    labels: Sequence[float] = (50, 100, 250, 500),
    *,
    ways: Mapping[str, Mapping] | None = None,
    common: Mapping | None = None,
    seeds: int = 5,
    catalog: str | Path | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    sky: Mapping | None = None,
    pretraining: Mapping | None = None,
    column: str | Sequence[str] | None = None,
    answer: str | None = None,
    metric: str | None = None,
    reference: str | None = None,
    published: Mapping[str, float] | None = None,
    out: str | Path = "morphtools-runs/learning-curve",
) -> LearningCurve:
    """Trains with more and more labels, in several ways and with several seeds, and reports how many labels each saves.

    Every cell is a run of `finetune` in `out/cells`; of the same seed, smaller sets of labels are contained in larger
    ones. An interrupted call resumes, and one with more seeds, ways or labels keeps what is finished. With a catalogue,
    every seed tests on other galaxies; with records, whose splits are fixed, always on the same. Tables and figures are
    written after every number of labels.

    Args:
        task: As for `finetune`.
        labels: Numbers of labels for training and validation; below 1, fractions of all available ones.
        ways: Arguments of `finetune` by the name of the way. With `neighbours: k` nothing is trained: the k nearest
            training galaxies answer, in the representations by `weights`. By default, the shipped weights and training
            from scratch. `epochs` may depend on the number of labels, as {300: 96, 1000: 48}: with fewer labels an
            epoch has fewer steps, and a fit that is too short says nothing about a way.
        common: Arguments of `finetune` that all ways have.
        seeds: How many.
        catalog: Table with `id_str`, `file_loc` and what is asked.
        images: Folder or zip archive that `file_loc` refers to; by default the catalogue's folder.
        records: Folder of records, instead of both: faster, where images are large.
        sky: Arguments of `simulate_survey`: a simulated sky, in `out/records`, if no galaxies are given.
        pretraining: Arguments of `pretrain`, which trains an encoder on the galaxies without labels, in
            `out/pretrained`, for all ways whose `weights` are `pretrained`. Needs records or a sky.
        column: As for `finetune`.
        answer: As for `finetune`.
        metric: What to draw; by default the one that suits the answer: `accuracy`, `rmse`, or `sigma_mad` of redshifts.
            Several, separated by commas, get a panel each; the saving of labels is that for the first.
        reference: The way with which others are compared; by default the first that starts from random weights.
        published: Published numbers by name, drawn as lines; names should tell what they refer to.
        out: Folder for the cells, `results.csv` (a row per cell), `table.csv`, `savings.csv`, `learning_curve.png` and,
            except for classes, `against_truth.png`: predicted against true values of the first seed's test galaxies.

    Returns:
        The curve.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, figure 4.
    """
    ways = {name: dict(common or {}) | dict(way) for name, way in (ways or WAYS).items()}
    order, out = _checked(ways), Path(out)
    reference = reference or next((name for name, way in ways.items() if way.get("weights") == "random"), None)
    if reference is not None and reference not in ways:
        raise ValueError(unknown("way", reference, ways))
    if pretraining is not None and not records and not (sky and not catalog):
        raise ValueError("pretraining needs records, or a sky to simulate")
    if sky is not None and not catalog and not records:
        records = _simulated(sky, out)
    if pretraining is not None:
        own = pretrain(**dict(pretraining) | {"records": records, "out": out / "pretrained"}).out
        ways = {
            name: {**way, "weights": own} if way.get("weights") == "pretrained" else way for name, way in ways.items()
        }
    column = column if column is None or isinstance(column, str) else ",".join(column)
    where: dict[str, Any] = {"catalog": catalog, "images": images, "records": records}
    question = {"task": task, "column": column, "answer": answer}
    numbers = _numbers(labels, where, question)
    _check_epochs(ways, numbers)
    rows, stores = [], {}
    bar = progress_bar(total=len(numbers) * len(order) * seeds, desc="learning curve", unit="cell")
    with lock(out):
        remove_partial(out)
        for asked in numbers:
            for way, seed in itertools.product(order, range(seeds)):
                trained = _cell(out, order[0] if "neighbours" in ways[way] else way, asked, seed)
                if "neighbours" in ways[way]:
                    stores[way] = stores.get(way) or _represented(out, way, ways[way], where, trained)
                    metrics = neighbour_metrics(trained, stores[way], ways[way]["neighbours"], seed=seed)
                else:
                    how: dict[str, Any] = dict(ways[way]) | {"epochs": _epochs(ways[way], asked)}
                    how |= {"column": column, "answer": answer}
                    metrics = finetune(task, asked, seed=seed, out=trained, **where, **how).metrics
                    metric = metric or metrics.get("metric") or _answer(trained).metric
                    keras.utils.clear_session()
                rows.append({"way": way, "asked": asked, "seed": seed} | _of_run(metrics))
                bar.update()
            results = pd.DataFrame(rows).sort_values("way", key=lambda way: way.map(list(ways).index), kind="stable")
            curve = _report(out, task or column or "rings", results, metric, reference, published or {})
            _scatter(out, [way for way in ways if "neighbours" not in ways[way]], numbers)
    return curve


def _simulated(sky: Mapping, out: Path) -> Path:
    """Records of a simulated sky."""
    build_records(simulate_survey(out / "sky", **sky), out / "records", images=out / "sky")
    return out / "records"


def _answer(run: Path) -> Any:
    """What a run answers."""
    return Card.open(find_card(run)).question()


def _scatter(out: Path, ways: list[str], numbers: list[int]) -> None:
    """Draws predicted against true values of the first seed of every way and number of labels that is finished."""
    cells = {(way, asked): _cell(out, way, asked, 0) for asked in numbers for way in ways}
    finished = {key: run for key, run in cells.items() if (run / "card.json").exists()}
    figure = against_truth(_answer(next(iter(finished.values()))), finished) if finished else None
    if figure is not None:
        write_figure(out / "against_truth.png", figure)


def _cell(out: Path, way: str, asked: int, seed: int) -> Path:
    return out / "cells" / f"{_slug(way)}-{asked}-{seed}"


def _checked(ways: Mapping[str, Mapping]) -> list[str]:
    """The names of the ways, those that train first, because neighbours use the galaxies that these drew."""
    allowed = [name for name in inspect.signature(finetune).parameters if name not in _OURS] + ["neighbours"]
    for name, way in ways.items():
        for argument in way:
            if argument not in allowed:
                raise ValueError(f"way {name!r}: {unknown('argument', argument, allowed)}")
    order = sorted(ways, key=lambda name: "neighbours" in ways[name])
    if "neighbours" in ways[order[0]]:
        raise ValueError("one way at least must train: neighbours are asked of the galaxies that it was given")
    if len({_slug(name) for name in ways}) < len(ways):
        raise ValueError(f"the names of the ways are too alike: {', '.join(ways)}")
    return order


def _check_epochs(ways: Mapping[str, Mapping], numbers: list[int]) -> None:
    """Raises ValueError if epochs by the number of labels lack a number, before anything is trained."""
    for name, way in ways.items():
        given = way.get("epochs")
        if isinstance(given, Mapping) and (missing := [str(asked) for asked in numbers if asked not in given]):
            raise ValueError(
                f"way {name!r}: epochs are given for {', '.join(map(str, given))} labels, not for {', '.join(missing)}"
            )


def _epochs(way: Mapping, asked: int) -> int | None:
    """How many epochs a way has with a number of labels."""
    given = way.get("epochs")
    return given[asked] if isinstance(given, Mapping) else given


def _slug(way: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", way.lower()).strip("-")


def _numbers(labels: Sequence[float], where: Mapping, question: Mapping) -> list[int]:
    """Numbers of labels, ascending; fractions are of all galaxies that are not for testing."""
    labels = [labels] if isinstance(labels, int | float) else list(labels)
    if any(not 0 < number <= 1 and number != int(number) for number in labels):
        raise ValueError(f"labels are whole numbers, or shares up to 1, got {labels}")
    available = None
    for i, number in enumerate(labels):
        if number < 1 or (isinstance(number, float) and number == 1):
            available = available or _available(where, question)
            labels[i] = round(number * available)
    return sorted({int(number) for number in labels})


def _available(where: Mapping, question: Mapping) -> int:
    """How many galaxies have a known answer and are not for testing (by seed 0, unless records have splits)."""
    task, column = question["task"], question["column"]
    task = open_task(task or "rings") if task or not column else None
    if where["records"] is None and where["catalog"] is None:
        raise ValueError("shares of all labels need records or a catalog: the simulated sky has no end")
    galaxies = Records.open(where["records"]).index() if where["records"] else read_catalog(where["catalog"])
    galaxies = check_catalog(galaxies, ("id_str",))
    columns = () if column is None else (column,) if column in galaxies else tuple(column.split(","))
    labels = read_question(galaxies, task=task, columns=columns, answer=question.get("answer")).labels
    known = galaxies[labels.notna().any(axis=1)]
    splits = known["split"] if "split" in known else known["id_str"].map(split_of)
    return int((splits != "test").sum())


def _represented(out: Path, way: str, how: Mapping, where: Mapping, trained: Path) -> Representations:
    """Represents the galaxies by the weights of a way, dereddened like those of a trained run."""
    options = {name: how[name] for name in ("orientations", "image_size", "stretch") if name in how}
    options["survey"] = Card.open(find_card(trained)).dereddened
    return represent(how["weights"], out / "representations" / _slug(way), **where, **options)


def _of_run(metrics: Mapping) -> dict:
    """A row of the table: labels used, galaxies tested on, scores."""
    used = metrics["galaxies"]
    scores = {name: found["value"] for name, found in metrics["test"].items()}
    return {"labels": used["train"] + used["val"], "tested": used["test"]} | scores


def _report(out: Path, task, results: pd.DataFrame, metric, reference, published) -> LearningCurve:
    """Writes tables and figure of the cells that are finished."""
    scores = list(results.columns.drop([*_CELL]))
    drawn = [each.strip() for each in metric.split(",")]
    for each in drawn:
        check_known("metric", each, scores)
    metric = drawn[0]
    out.mkdir(parents=True, exist_ok=True)
    table = means_by_labels(results, scores)
    savings = pd.DataFrame() if reference is None else label_savings(results, metric, reference)
    sentences = tuple(in_a_sentence(row, metric, reference) for _, row in savings.iterrows())
    figure = scores_by_labels(results, table, drawn, published, title=task, below="\n".join(sentences))
    for name, each in {"results": results, "table": table, "savings": savings}.items():
        write_csv(each, out / f"{name}.csv")
    write_figure(out / "learning_curve.png", figure)
    return LearningCurve(out, metric, table, savings, sentences)
