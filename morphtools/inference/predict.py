"""Answers for a catalogue's galaxies by trained models."""

import logging
import shutil
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from keras import ops

from morphtools.answers.familiarity import Familiarity, tell
from morphtools.answers.kinds import AnyAnswer, answer_metadata
from morphtools.answers.predictions import check_table
from morphtools.answers.to_read import choose
from morphtools.inference.merging import merge
from morphtools.inference.stream import all_computed, galaxies_per_batch, list_failures, open_galaxies, stream
from morphtools.inference.tables_to_read import FORMATS, checked_formats, write_to_read
from morphtools.models.cards import Card, familiarity_beside, find_card
from morphtools.models.preparation import prepare
from morphtools.models.pretrained import load_pretrained
from tfrecords_builder.checksums import file_checksum
from tfrecords_builder.claims import claim, inputs_of
from tfrecords_builder.json_files import read_json, write_json
from tfrecords_builder.listing import catalog_of
from tfrecords_builder.naming import band_names
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)


def predict(
    weights: str | Path | list,
    out: str | Path,
    *,
    catalog: str | Path | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    split: str | None = None,
    level: float = 0.9,
    batch_size: int | None = None,
    orientations: int = 8,
    image_size: int | tuple[int, int] | None = None,
    stretch: str | None = None,
    adapt_bands: bool = False,
    bands: tuple[str, ...] | str | None = None,
    mixed_precision: bool = False,
    part: str | None = None,
    executor: Executor | None = None,
    questions: str | Sequence[str] | None = None,
    format: str | Sequence[str] | None = None,
) -> Path:
    """Predicts votes, classes, fractions, numbers or redshifts for every galaxy; an interrupted call resumes.

    A vote model is asked once for every orientation of an image; its posterior is the mixture over orientations and
    models, and its intervals are quantiles of that mixture. All other models answer once, for the mean
    representation over the orientations; the probabilities of several models are averaged, and their normal
    distributions mixed. Flux is dereddened by the column `ebv` if it was in training.

    Args:
        weights: One or several as for `load_pretrained`, with the same questions or classes.
        out: Folder for the tables.
        catalog: Table with `id_str` and `file_loc`; or a folder or zip archive of images.
        images: Folder or zip archive that `file_loc` refers to; by default the catalogue's folder.
        records: Folder of records, instead of `catalog` and `images`.
        split: Only this split of the records; by default all.
        level: Probability inside the credible intervals.
        batch_size: Galaxies at a time; by default as many as suit the caches of a CPU. A GPU prefers several hundred.
        orientations: In how many orientations an image is shown: 8, 4, 2 or 1.
        image_size: Side, or (H, W), in pixels; by default that of the weights.
        stretch: How flux becomes pictures; by default as for the weights.
        adapt_bands: Whether to adapt the weights to other bands (see `load_pretrained`); a single band always is, which
            is exact.
        bands: Names of the bands in the order of the files, such as `g,r,z`, if the files do not name them.
        mixed_precision: Whether encoders compute in bfloat16, which changes the results slightly. `doctor(speed=True)`
            measures whether that is faster here.
        part: `"2/5"`: only the second fifth of the records' shards, for processes side by side. The one that finds
            every galaxy predicted writes the tables.
        executor: Where to compute instead, a shard at a time, as for `build_records`; the bytes are the same.
        questions: Of a vote model, those that the tables to read have, as names or separated by commas: a question,
            a campaign, the ending of a campaign, or `all` (see `choose_questions`). By default the trees of the
            galaxies' survey, if their files or the weights tell.
        format: Of the tables to read, one or several of `csv`, `parquet`, `fits`, `vot`, `ecsv` and `tsv`; by default
            `csv,parquet`. A finished folder gets other questions and formats at once.

    For the weights of votes that come with the package, and for runs of `finetune` and `train`, it is known what their
    training galaxies were like: the column `familiarity` is
    the fraction of those that are at least as unlike the others as this galaxy is: 0.01 or less for hardly any of them,
    and for most galaxies of another kind, another survey, or none. A warning reports how many there are.

    Returns:
        `out`, with the tables to read, `predictions.csv` and `.parquet`: the galaxies in the order of the catalogue,
        with its columns and then the predictions, to three significant digits (for votes, fractions if at least half of
        the volunteers would be asked the question). A column of the catalogue with the name of a prediction becomes
        `NAME_catalog`. For programs there is `predictions-full.parquet` and `.csv` with everything (all fractions,
        intervals, the probability of being asked, concentrations; for redshifts the PDFs in half precision, only in the
        parquet file, which `Redshifts.open` reads), in the order of the shards. `failures.csv` has the galaxies that
        could not be used, if any, and `predict.json` describes what was done; it is complete once it has `galaxies`.

    Raises:
        ValueError: Weights, records and each other do not fit; the message explains what to do.
        FileNotFoundError: A path does not exist.
        FileExistsError: `out` contains something else.
    """
    out, catalog = Path(out), catalog_of(catalog, images)
    weights = [weights] if isinstance(weights, str | Path) else list(weights)
    cards = [Card.open(find_card(each)) for each in weights]
    answer = _check(cards, level)
    formats = checked_formats(format)
    if questions is not None:
        choose(answer, questions, ())
    options: dict[str, Any] = {"stretch": stretch, "image_size": image_size, "adapt_bands": adapt_bands}
    bands = band_names(bands)
    settings = {"split": split, "level": level, "orientations": orientations, "mixed_precision": mixed_precision}
    settings |= options | ({"bands": bands} if bands else {})
    inputs = {"weights": [card.sha256 for card in cards]} | inputs_of(catalog, images, records)
    with claim(out, "predict", settings, inputs, old="predict.json", part=part is not None) as claimed:
        if _finished(out):
            shutil.rmtree(out / "state", ignore_errors=True)
            if questions is not None or format is not None:
                _read_otherwise(out, answer, questions, format, catalog, records)
            return out
        opened, splits = open_galaxies(out, catalog, images, records, split, part, bands, executor)
        one = {"adapt_bands": adapt_bands or len(opened.bands) == 1}
        prepared = [prepare(card, opened, **options | one) for card in cards]
        if any(each.reading != prepared[0].reading for each in prepared):
            raise ValueError("the models take images of different sizes or stretches: give image_size and stretch")
        common = {"orientations": orientations, "mixed_precision": mixed_precision}
        loading = [common | each.loading for each in prepared]
        models = [load_pretrained(w, include_top=True, **o) for w, o in zip(weights, loading, strict=True)]
        familiar = _familiarities(weights)
        model = ask_every_way(models, answer.every_view, represent=bool(familiar))
        chunks = out / "state" / "chunks"
        chunks.mkdir(parents=True, exist_ok=True)
        claimed.keep()
        if part is not None:
            claimed.share()
        stream(
            model,
            opened,
            chunks,
            partial(_table, answer=answer, level=level, familiar=familiar),
            splits=splits,
            batch_size=batch_size or galaxies_per_batch(model, orientations),
            part=part,
            executor=executor,
            reading=prepared[0].reading,
        )
        view: dict[str, Any] = {"questions": choose(answer, questions, [opened.telescope, *cards[0].surveys])}
        view |= {"format": formats}
        about = settings | inputs | {"models": [str(find_card(each)) for each in weights]} | view
        finish = partial(_finish, out, opened, splits, cards, answer, familiar, about, catalog or opened)
        if part is None:
            finish()
    if part is not None and all_computed(opened, chunks, splits):
        with claim(out, "predict", settings, inputs, old="predict.json", wait=True):
            if not _finished(out):
                finish()
    return out


def _finish(
    out: Path,
    records: Records,
    splits: list[str],
    cards: list[Card],
    answer: AnyAnswer,
    familiar: tuple[tuple[Path, str], ...],
    about: dict,
    beside: str | Path | Records,
) -> None:
    """Puts the tables of all parts together and notes what was done, unless damage hides galaxies: then not for good.

    Args:
        out: Folder for the tables.
        records: The galaxies.
        splits: Their splits.
        cards: Cards of the models.
        answer: What they answer.
        familiar: As for `_table`.
        about: For `predict.json`.
        beside: As for `write_to_read`.
    """
    counts = _merge_parts(out, records, splits, cards, answer, familiar)
    full = out / "predictions-full.parquet"
    checksums = write_to_read(full, answer, about["questions"], about["format"], beside=beside)
    damaged = counts.pop("damaged")
    checksums |= {path.name: file_checksum(path) for path in out.glob("predictions-full.*")}
    about = about | counts | {"checksums": dict(sorted(checksums.items()))}
    write_json(out / "predict.json", about | ({"damaged": damaged} if damaged else {}))
    if not damaged:
        shutil.rmtree(out / "state")


def _familiarities(weights: list[str | Path]) -> tuple[tuple[Path, str], ...]:
    """The files, with their checksums, that tell what the training galaxies of each of the weights are like.

    None where it is not known of all.
    """
    paths = [familiarity_beside(find_card(each)).absolute() for each in weights]
    return tuple((path, file_checksum(path)) for path in paths) if all(path.exists() for path in paths) else ()


@lru_cache(maxsize=1)
def _opened(familiar: tuple[tuple[Path, str], ...]) -> list[Familiarity]:
    return [Familiarity.open(path) for path, _ in familiar]


def _table(
    names: list[str], outputs: np.ndarray, answer: AnyAnswer, level: float, familiar: tuple[tuple[Path, str], ...]
) -> pa.Table:
    """The full table, with the mean familiarity over the models where it is known.

    Args:
        names: (n,) galaxies.
        outputs: (n, S, A), or (n, S · A + D + …) with the representations by each model.
        answer: What was asked.
        level: Probability inside the credible intervals.
        familiar: The file of each model, or none.
    """
    models = _opened(familiar)
    if not models:
        return _as_arrow(answer.tables(names, outputs.transpose(1, 0, 2), level)[1])
    ends = np.cumsum([0, *(len(each.mean) for each in models)])
    outputs, represented = np.split(outputs, [outputs.shape[1] - ends[-1]], axis=1)
    shares = [each(represented[:, a:b]) for each, a, b in zip(models, ends, ends[1:], strict=False)]
    answers = outputs.reshape(len(names), -1, answer.outputs).transpose(1, 0, 2)
    table = answer.tables(names, answers, level)[1]
    return _as_arrow(table.assign(familiarity=np.mean(shares, axis=0).astype(np.float32)))


def _as_arrow(table: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata()


def _merge_parts(
    out: Path,
    records: Records,
    splits: list[str],
    cards: list[Card],
    answer: AnyAnswer,
    familiar: tuple[tuple[Path, str], ...],
) -> dict:
    """Puts the tables with everything together; returns what there is to tell of them.

    What was computed is kept while damage hides galaxies: when it is repaired, the same call adds them.
    """
    chunks = out / "state" / "chunks"
    failures, damaged = list_failures(out, records, chunks, splits)
    provenance = {"weights": " ".join(card.sha256 for card in cards), "records": records.digest}
    metadata = answer_metadata(answer, provenance)
    galaxies = merge(sorted(chunks.glob("part-*.parquet")), out / "predictions-full", metadata)
    counts = {"galaxies": galaxies, "failures": failures, "findings": records.findings(), "damaged": damaged}
    if familiar:
        p = pq.read_table(out / "predictions-full.parquet", columns=["familiarity"])["familiarity"].to_numpy()
        rare = max(each.rare for each in _opened(familiar))
        counts["unfamiliar"] = {"rare": rare, "share": float(np.mean(p <= rare))}
        if (sentence := tell(p, rare)) is not None:
            log.warning("%s", sentence)
    return counts


def _read_otherwise(out: Path, answer: AnyAnswer, questions, format, catalog, records) -> None:
    """Writes the readable tables of a finished folder again, with other questions or in other formats."""
    about = read_json(out / "predict.json")
    before = {"questions": about.get("questions"), "format": about.get("format", list(FORMATS))}
    view: dict[str, Any] = {
        "questions": choose(answer, questions, ()) if questions is not None else before["questions"] or (),
        "format": checked_formats(format or before["format"]),
    }
    full = check_table(out / "predictions-full.parquet")
    checksums = write_to_read(full, answer, *view.values(), beside=catalog or Records.open(records))
    for name in set(before["format"]) - set(view["format"]):
        (out / f"predictions.{name}").unlink(missing_ok=True)
    checksums |= {name: crc for name, crc in about.get("checksums", {}).items() if name.startswith("predictions-full")}
    write_json(out / "predict.json", about | view | {"checksums": dict(sorted(checksums.items()))})


def _check(cards: list[Card], level: float) -> AnyAnswer:
    """The answer that all the weights give; ValueError where they give none, or different ones."""
    if not cards:
        raise ValueError("no weights are given")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    answers: list[AnyAnswer] = []
    for card in cards:
        answer = card.question()
        if answer is None:
            raise ValueError(f"{card.name} is an encoder without a head: finetune it, or represent with it")
        answers.append(answer)
        if answer != answers[0]:
            raise ValueError(
                f"{cards[0].name} and {card.name} answer different questions: predict with one after the other"
            )
    return answers[0]


def _finished(out: Path) -> bool:
    """Whether all galaxies have been predicted, but for those that cannot be; ValueError if a table is damaged."""
    before = read_json(out / "predict.json") if (out / "predict.json").exists() else {}
    finished = "galaxies" in before and not before.get("damaged")
    for name in before.get("checksums", ()) if finished else ():
        if (out / name).exists():
            check_table(out / name)
    return finished


def ask_every_way(models: list[keras.Sequential], every_view: bool, *, represent: bool = False) -> keras.Model:
    """Puts models together to one (B, H, W, C) → (B, S, A) that answers S times.

    Args:
        models: As `load_pretrained(…, include_top=True)` gives them.
        every_view: Whether a model answers for each orientation of an image, or once for the mean representation.
        represent: Whether to give the mean representations too: then the output is (B, S · A + D + …), first all
            answers and then the D numbers of each model.
    """
    images = keras.Input(models[0].input_shape[1:])
    answers, representations = [], []
    for model in models:
        turn, encoder, mean, head = model.layers
        views = encoder(turn(images))  # (orientations · B, D)
        representation = mean(views)
        if every_view:
            answer = head(views)
            answer = ops.transpose(ops.reshape(answer, (turn.count, -1, answer.shape[-1])), (1, 0, 2))
        else:
            answer = ops.expand_dims(head(representation), 1)
        whole = keras.Model(images, [answer, representation])  # a separate one, because encoders have the same name
        answer, representation = whole(images)
        answers.append(answer)
        representations.append(representation)
    answers = ops.concatenate(answers, axis=1)
    if not represent:
        return keras.Model(images, answers)
    flat = ops.reshape(answers, (-1, answers.shape[1] * answers.shape[2]))
    return keras.Model(images, ops.concatenate([flat, *representations], axis=1))
