"""Fine-tuning: answers a question about galaxies from a few hundred labels."""

import dataclasses
import hashlib
import logging
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

import morphtools
from morphtools.answers.class_figures import pictures_of
from morphtools.answers.kinds import Answer
from morphtools.answers.redshift_pdfs import Photoz
from morphtools.models import guarded
from morphtools.models.answering import HIDDEN, begin, head_for
from morphtools.models.cards import Card, write_card
from morphtools.models.encoders import any_way_up, unfreeze
from morphtools.models.precision import precision
from morphtools.training.dereddening import survey_of
from morphtools.training.familiar import keep_familiarity
from morphtools.training.feeding import labels_of
from morphtools.training.finetune_settings import FinetuneSettings
from morphtools.training.labels import labelled_galaxies, warn_of_twins
from morphtools.training.representing import represent_splits
from morphtools.training.runs import Run, open_run
from morphtools.training.settings import Inputs, Start, config_of
from morphtools.training.stages import represent_for_head, solve_head, train_encoder, train_head
from morphtools.training.starting import starting_encoder
from morphtools.training.tested_galaxies import write_tested
from tfrecords_builder.build import build_records
from tfrecords_builder.files import write_whole
from tfrecords_builder.records import Records
from tfrecords_builder.tables_out import write_csv

log = logging.getLogger(__name__)


def finetune(
    task: str | None = None,
    labels: int = 500,
    *,
    catalog: str | Path | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    column: str | Sequence[str] | None = None,
    answer: str | None = None,
    balance: bool = False,
    bands: tuple[str, ...] | str | None = None,
    weights: str | Path = "efficientnet_lite0_gz2",
    encoder: str = "resnet18",
    small_images: bool = False,
    flux: str | None = None,
    image_size: int | None = None,
    view_size: int | None = None,
    stretch: str | None = None,
    survey: str | None = None,
    orientations: int = 8,
    depth: int | str = "head",
    epochs: int | None = None,
    batch_size: int = 32,
    optimizer: str = "adam",
    learning_rate: float = 1e-3,
    encoder_learning_rate: float | None = None,
    in_memory: bool | None = None,
    mixed_precision: bool = False,
    bins: int = 180,
    redshift_range: tuple[float, float] = (0.0, 0.4),
    pdf: str = "softmax",
    estimate: str = "mean",
    test_labels: int = 2000,
    seed: int = 0,
    executor: Executor | None = None,
    out: str | Path | None = None,
) -> Run:
    """Trains a model on a few hundred labelled galaxies, and tests it on galaxies it has never seen.

    The question is a `task`, or the classes, vote fractions or numbers in the columns `column`.

    With `depth="head"` the encoder is frozen. Its representations are computed once, as the mean over orientations of
    an image, and a linear head is fitted exactly to all labels; cross-validation chooses its penalty
    (`answers.linear`), and `validation.parquet` has what was predicted for each galaxy while it was left out. Heads
    for redshift PDFs are trained by gradient descent instead. With any other depth, the top of the encoder is trained
    with the head on random views. For classes and fractions the head is trained alone first, and both stages stop
    when the validation loss has not fallen for some epochs (Walmsley et al.). For numbers and redshifts both are
    trained from the first epoch, and the learning rate falls to a tenth at 60% and 90% of the epochs (Hayat et al.).
    Batch normalisation stays frozen for classes and fractions, and is trained for numbers and redshifts. Random weights
    are trained as a whole from the first epoch for any question, unless they stay frozen. The best weights are kept.

    Galaxies come from `catalog` and `images`, from `records`, or, with neither, from a small simulated sky. If the run
    is interrupted, the same call resumes it, with the same result; a finished run is returned as it is.

    Args:
        task: The question: `rings`, `bars`, `spirals`, `edge-on`, `mergers` or `smooth`; `photoz`; or a YAML file with
            a task of your own (see `morphtools.survey.task_files`). By default `rings`, unless there is a `column`.
        labels: Labelled galaxies to use, for training and validation together.
        catalog: Table (csv, parquet, FITS, …) with `id_str`, `file_loc` and a column that answers the task; for
            redshifts also `ebv`, the Galactic reddening E(B-V).
        images: Folder or zip archive that `file_loc` refers to; by default the catalogue's folder.
        records: Folder of records, instead of `catalog` and `images`.
        column: Without a task, the column to predict, or several of one kind, as a list or separated by commas: class
            names, or yes and no, each column a question; fractions or counts of the votes for each answer to one
            question; numbers. A galaxy may lack some of the classes or numbers. With a task, the column with its
            labels (0/1), vote fractions or redshifts, if it is not found by its name.
        answer: What the columns hold, if that is ambiguous: `classes`, `fractions` or `number`.
        balance: Whether all classes have the same weight in training, however rare they are (Walmsley et al. 2022,
            arXiv:2102.08414, section 4.2.2). Probabilities are then those for equally common classes. The test always
            has the natural frequencies.
        bands: Names of the bands in the order of the files, such as `g,r,z`, if the files do not name them.
        weights: Pretrained weights to start from (see `load_pretrained`), or `random`.
        encoder: Architecture if `weights` are `random` (see `build_encoder`).
        small_images: Whether that encoder has the first layers for images of about 64 pixels.
        flux: What that encoder does with flux first: `asinh` (default), `linear`, so that it is not stretched, or
            `maximum`, which divides every image by its brightest pixel (see `build_encoder`).
        image_size: Side in pixels; by default that of the weights, or of the images if these are `random`.
        view_size: Side in pixels of the middle that the encoder sees, if it does not see all of an image; training
            cuts it out of the rotated image.
        stretch: How flux becomes a picture (see `morphtools.survey.stretch`); by default as for the weights. A random
            encoder takes flux as it is, unless a stretch is given.
        survey: Survey of the bands (see `morphtools.survey.extinction`), to deredden images by `ebv`, here and whenever
            the model is used. By default, for redshifts, the survey whose camera has these bands; `none` leaves images
            as they are.
        orientations: How many orientations of an image to average over: 8, 4, 2 or 1. Time is proportional to it.
        depth: How much of the encoder to train: `head` (nothing), a number of blocks from the top, or `all`.
        epochs: Maximum number of epochs per stage; by default 5·10⁶ / galaxies, and 100 for an encoder with numbers or
            redshifts. A head that is fitted exactly has none.
        batch_size: Galaxies per step.
        optimizer: Of the encoder: `adam`, or `sgd` with momentum 0.9. The redshift head of a frozen encoder is
            trained by Adam.
        learning_rate: Learning rate of the head.
        encoder_learning_rate: Of the encoder and, for classes, of the head while the encoder is trained. For classes at
            most a tenth of `learning_rate`, by default a hundredth; for redshifts at most the same, by default a
            tenth; for random weights the same.
        in_memory: Whether the images for training the encoder are decoded once and kept in the memory of the device.
            By default if they take at most half of it, on an accelerator or on JAX.
        mixed_precision: Whether the encoder computes in bfloat16, in the test too. `doctor(speed=True)` measures
            whether that is faster here.
        bins: Number of redshift bins.
        redshift_range: Lowest and highest redshift of the bins.
        pdf: `softmax`, independent bins; or `mixture`, five Gaussians evaluated on the bins.
        estimate: Which single redshift stands for a PDF: its `mean` or its `mode`.
        test_labels: Maximum number of galaxies to test on.
        seed: Decides splits, the draw of labels, initial weights and views.
        executor: Where galaxies are represented for a frozen encoder, a shard at a time, as for `represent`; the bytes
            are the same.
        out: Run folder; by default `morphtools-runs/TASK-LABELS`, or with the column's name.

    Returns:
        The run, with `metrics`, `summary` and its folder `out`.

    Raises:
        ValueError: An argument or the catalogue cannot be used; the message explains what and why.
        FileNotFoundError: A path does not exist.
        FileExistsError: `out` contains something else; the message names the difference.

    Reference:
        Walmsley et al. 2022, arXiv:2110.12735, section 4; Hayat et al. 2021, arXiv:2012.13083,
        section 3.3 and appendix E.2.
    """
    settings = FinetuneSettings(
        task=task,
        labels=labels,
        inputs=Inputs(catalog, images, records),
        column=column if column is None or isinstance(column, str) else ",".join(column),
        answer=answer,
        balance=balance,
        bands=bands,
        start=Start(weights, encoder, image_size, stretch, small_images, view_size, flux),
        survey=survey,
        orientations=orientations,
        depth=depth,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        encoder_learning_rate=encoder_learning_rate,
        in_memory=in_memory,
        mixed_precision=mixed_precision,
        photoz=Photoz(bins, redshift_range, pdf, estimate),
        test_labels=test_labels,
        seed=seed,
    ).checked()
    out = out or Path("morphtools-runs") / re.sub(r"[^\w.-]+", "-", f"{settings.name}-{labels}")
    return _finetune(settings, out, executor)


def _finetune(settings: FinetuneSettings, out: str | Path, executor: Executor | None) -> Run:
    """Carries out `finetune` with checked settings."""
    with open_run(out, "finetune", config_of(settings, finetune)) as run:
        if run.finished:
            return run
        answer, chosen = _choose(run, settings)
        settings = settings.with_rates(answer)
        survey = survey_of(chosen, settings.survey, answer.recipe.dereddens)
        log.info("building the encoder …")
        with precision(settings.mixed_precision):
            encoder, card, reading = starting_encoder(chosen, settings.start, settings.seed, run.out / "state", survey)
        run.keep()
        model = _assemble(encoder, answer, chosen, settings)
        history, outputs = _train(run, model, answer, chosen, reading, settings, executor)
        write_csv(history, run.out / "history.csv")
        write_whole(run.out / "model.keras", model.save)
        _keep_galaxies(run, answer, chosen)
        provenance = _provenance(model, chosen)
        for split, name in {"val": "validation", "test": "predictions"}.items():
            values, rows = outputs[split]
            truth = labels_of(rows, answer.label_cols)
            results: Any = answer.results(rows["id_str"].to_numpy(), values, truth, provenance)
            results.save(run.out / f"{name}.parquet")
        given = Records.open(settings.inputs.records) if settings.inputs.records else chosen
        read = answer.tables(rows["id_str"].to_numpy(), values[np.newaxis], 0.9)[0]
        write_tested(run.out, read, catalog=settings.inputs.catalog, records=given)
        log.info("drawing figures of %d test galaxies …", chosen.splits["test"])
        answer.draw_figures(run.out / "figures", results, pictures_of(chosen), history)
        store = run.out / "state" / ("representations" if settings.frozen else "trained")
        like = {"fit_to": ("train", "val")} if settings.frozen else {"fit_to": ("train",), "usual": "val"}
        familiar = keep_familiarity(run.out, model, chosen, reading, store, **like)
        card = dataclasses.replace(card, **answer.described(), hidden=_hidden(answer, settings))
        _finish(run, results, chosen, history, card, settings, {"metric": answer.metric, "unfamiliar": familiar})
    return run


def _choose(run: Run, settings: FinetuneSettings) -> tuple[Answer, Records]:
    """Draws labelled galaxies, and builds records of these galaxies only."""
    answer, drawn, source, bands = labelled_galaxies(settings)
    options: dict[str, Any] = {"bands": settings.bands or bands, "image_size": settings.start.image_size}
    build_records(drawn, run.out / "state" / "records", images=source, **options)
    chosen = Records.open(run.out / "state" / "records")
    failures = chosen.folder / "failures.parquet"
    if failures.exists():
        write_csv(pd.read_parquet(failures), run.out / "failures.csv")
        log.warning("galaxies that cannot be used are listed in %s", run.out / "failures.csv")
    warn_of_twins(chosen)
    answer.check_usable(chosen.index(["split", *answer.label_cols]))
    log.info("galaxies: %d for training, %d for validation, %d for the test", *chosen.splits.values())
    return answer, chosen


def _hidden(answer: Answer, settings: FinetuneSettings) -> tuple[int, ...]:
    """Widths of the head's hidden layers: none if it is fitted exactly, or trained with the whole encoder."""
    return HIDDEN if answer.recipe.head_first and not settings.frozen else ()


def _assemble(encoder: keras.Model, answer: Answer, chosen: Records, settings: FinetuneSettings) -> keras.Model:
    """Joins encoder and head into a model from image to the head's output."""
    unfreeze(encoder, "head")
    head = head_for(answer, hidden=_hidden(answer, settings), seed=settings.seed)
    model = guarded.Sequential(
        [keras.Input(encoder.input_shape[1:]), *any_way_up(encoder, settings.orientations), head]
    )
    index = chosen.index(["split", *answer.label_cols])
    begin(head, answer, labels_of(index[index["split"] == "train"], answer.label_cols))
    return model


def _train(
    run: Run,
    model: keras.Model,
    answer: Answer,
    chosen: Records,
    reading: dict,
    settings: FinetuneSettings,
    executor: Executor | None,
) -> tuple[pd.DataFrame, dict[str, tuple]]:
    """Trains head and encoder, in turn or together.

    Returns:
        Their histories, joined. For `val` and `test`, which were not trained on, the outputs and the matching rows of
        the index. For a head that was fitted exactly, `val` has all galaxies it was fitted to, with the outputs of
        heads that had not seen them.
    """
    common, state = (model, answer, chosen, reading, settings, run.out / "state"), run.out / "state"
    if not settings.frozen:
        stages = [train_head] if answer.recipe.head_first and settings.start.pretrained else []
        history = pd.concat([stage(*common) for stage in [*stages, train_encoder]])
        return history, represent_splits(model, chosen, ["val", "test"], state / "outputs", reading)
    if executor is not None:
        represent_for_head(model, chosen, reading, settings, state, executor)  # what follows reads this
    solved = solve_head(*common)
    history = train_head(*common) if solved is None else solved[0].history
    x = represent_for_head(model, chosen, reading, settings, state)
    head = model.layers[-1]  # small enough to be called without being compiled
    outputs = {split: (keras.ops.convert_to_numpy(head(x[split][0])), x[split][1]) for split in ("val", "test")}
    if solved is not None:
        outputs["val"] = solved[0].left_out, solved[1]
    return history, outputs


def _keep_galaxies(run: Run, answer: Answer, chosen: Records) -> None:
    """Writes which galaxies were used for training, validation and test, so that another run can use the same."""
    index = chosen.index()
    table = index[[name for name in ("id_str", "split", *answer.label_cols, "ebv") if name in index]]
    write_whole(run.out / "galaxies.parquet", lambda path: table.to_parquet(path, index=False))


def _provenance(model: keras.Model, chosen: Records) -> dict[str, str]:
    weights = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
    return {"weights": weights, "records": chosen.digest, "morphtools": morphtools.__version__}


def _finish(
    run: Run, results, chosen: Records, history: pd.DataFrame, card: Card, settings: FinetuneSettings, more: dict
) -> None:
    """Writes `metrics.json`, which marks the run as finished, and removes its state."""
    used, scores = chosen.splits["train"] + chosen.splits["val"], results.scores(settings.seed)
    sky = " of the simulated sky" if settings.inputs.simulated else ""
    balanced = ", all classes with the same weight in training" if settings.balance else ""
    trained = {"head": "frozen", "all": "trained"}.get(str(settings.depth), f"top {settings.depth} blocks trained")
    title = (
        f"{settings.name} from {used} labels{sky}{balanced}: {card.encoder['name']} ({card.name} weights, {trained}), "
        f"tested on {chosen.splits['test']} galaxies"
    )
    card = dataclasses.replace(
        card,
        name=run.out.name,
        surveys=("simulated sky",) if sky else (settings.survey,) if settings.survey else (),
        data=f"{title}; the weights: {card.data}" if card.data else title,
        scores={name: score["value"] for name, score in scores.items() if np.isfinite(score["value"])},
        url=None,
    )
    write_card(card, run.out / "model.keras")
    failures = run.out / "failures.csv"
    run.write_metrics(
        {
            "title": title,
            "baseline": results.baseline(),
            "galaxies": chosen.splits,
            "failures": len(pd.read_csv(failures)) if failures.exists() else 0,
            "findings": chosen.findings(),
            "epochs": history.groupby("stage")["epoch"].size().to_dict() if "epoch" in history else {},
            "test": scores,
            "provenance": results.provenance,
        }
        | more
    )
    shutil.rmtree(run.out / "state")
