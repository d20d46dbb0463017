"""`evaluate_predictions`: scores predictions of galaxies whose truth is known."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from morphtools.answers.kinds import answer_of
from morphtools.answers.predictions import check_table
from morphtools.answers.truth import read_truth
from morphtools.explore.pictures import Pictures, thumbnails
from morphtools.models.cards import Card
from morphtools.survey.task_files import open_task
from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.checksums import file_checksum, reading
from tfrecords_builder.claims import claim, inputs_of
from tfrecords_builder.copies import here
from tfrecords_builder.json_files import read_json
from tfrecords_builder.naming import some
from tfrecords_builder.tables_out import write_table

log = logging.getLogger(__name__)

_SIDE = 128  # of the pictures, in pixels


def evaluate_predictions(
    predictions: str | Path,
    catalog: str | Path,
    *,
    column: str | Sequence[str] | None = None,
    task: str | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    seed: int = 0,
    out: str | Path = "morphtools-runs/evaluation",
) -> pd.DataFrame:
    """Scores what `predict` predicted against votes, classes, fractions, numbers or redshifts in a catalogue.

    Galaxies are matched by `id_str`. Those used to train or select the model are left out, if its run is still in the
    same folder. Scores and figures are the same as those of `finetune` and `train`.

    Args:
        predictions: Folder that `predict` wrote, or its `predictions-full.parquet`.
        catalog: Table with `id_str` and any other columns.
        column: Column with the truth, or several, separated by commas, in the order of the predictions. By default
            the columns of votes, or those that have the names of the predicted fractions or numbers, the column of
            redshifts, or that of the built-in task with these classes.
        task: For two classes, a task whose rule decides what counts as a yes, built in or as a YAML file.
        images: Folder, zip archive or stack in which `file_loc` of the catalogue is found, for galleries.
        records: Records of the galaxies, instead of images.
        seed: Seed of the bootstrap.
        out: Folder to write to: `scores.csv`, `predictions.parquet` with predictions and truth, `figures/`, and of
            votes `questions.csv`.

    Returns:
        A row per score: `score`, `value`, and its 95% interval, `low` and `high`.

    Raises:
        ValueError: No galaxy is in both tables, none has a known answer, or the answers are of another kind than the
            predictions.
        FileNotFoundError: A path does not exist.
        FileExistsError: `out` contains something else.
    """
    full, out = _table_at(here(predictions)), Path(out)
    columns = _names(column)
    with reading(check_table(full)):
        table = pq.read_table(full)
        metadata, table = table.schema.metadata, table.to_pandas()
    try:
        answer: Any
        answer, provenance = answer_of(metadata)
    except ValueError as error:
        raise ValueError(f"{full}: {error}; it is of an earlier version, or another table: run predict again") from None
    settings = {"column": list(columns), "task": task, "seed": seed}
    inputs = {"predictions": file_checksum(full)} | inputs_of(catalog, images, records)
    with claim(out, "evaluate-predictions", settings, inputs) as claimed:
        known = _matched(check_catalog(read_catalog(catalog), ("id_str",)), table, full)
        known = known[~known["id_str"].isin(_trained_on(full))].reset_index(drop=True)
        if known.empty:
            raise ValueError("the model was trained on all galaxies that are in both tables: nothing is left to score")
        truth, there, rule = read_truth(answer, known, columns, open_task(task) if task else None)
        if not there.any():
            raise ValueError(f"none of the {len(known)} galaxies that are in both tables has a known answer ({rule})")
        ids = known["id_str"].to_numpy()[there]
        rows = table.set_index("id_str", drop=False).loc[ids].reset_index(drop=True)
        results = answer.results(ids, answer.outputs_in(rows), truth[there], provenance)
        log.info("%d of %d predicted galaxies have a known answer, by %s", len(ids), len(table), rule)
        scores = pd.DataFrame.from_dict(results.scores(seed), orient="index").rename_axis("score").reset_index()
        claimed.keep()
        (out / "figures").mkdir(exist_ok=True)
        pictures = Pictures(records, catalog, images) if images or records else None
        show: Any = pictures and (lambda names: thumbnails(pictures, names, _SIDE))
        answer.draw_figures(out / "figures", results, show, None)
        results.save(out / "predictions.parquet")
        write_table(scores, out / "scores.csv")
        log.info("%s", results.baseline())
    return scores


def _table_at(path: Path) -> Path:
    """The full table that `predict` wrote."""
    full = path / "predictions-full.parquet" if path.is_dir() else path
    if full.is_file():
        return full
    if (path / "metrics.json").exists():
        raise FileNotFoundError(
            f"{path} is a run, whose scores are in its metrics.json: predict with it, then evaluate the folder of that"
        )
    raise FileNotFoundError(f"there are no predictions at {full}")


def _names(column: str | Sequence[str] | None) -> tuple[str, ...]:
    names = column.split(",") if isinstance(column, str) else column or ()
    return tuple(name.strip() for name in names)


def _matched(catalog: pd.DataFrame, table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The rows of a catalogue whose galaxies have predictions."""
    known = catalog[catalog["id_str"].isin(table["id_str"])]
    if known.empty:
        raise ValueError(
            f"no galaxy of the catalogue is in {path}: their id_str are like {some(catalog['id_str'])}, and like "
            f"{some(table['id_str'])}"
        )
    return known


def _trained_on(full: Path) -> set[str]:
    """Names of the galaxies, where known, that the models of a folder of predictions learned from."""
    about, used = full.with_name("predict.json"), set()
    for card in map(Path, read_json(about).get("models", []) if about.exists() else []):
        galaxies = card.with_name("galaxies.parquet")
        if not galaxies.exists() and card.exists():
            log.info("%s learned from %s: galaxies among these score too well", card.stem, Card.open(card).data)
        elif galaxies.exists():
            split = pd.read_parquet(check_table(galaxies), columns=["id_str", "split"])
            used |= set(split["id_str"][split["split"] != "test"])
    if used:
        log.info("left out because the model was trained on them or selected by them: up to %d galaxies", len(used))
    return used
