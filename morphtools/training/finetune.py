"""Fine-tuning: a classifier from a few hundred labels."""

import dataclasses
import hashlib
import logging
import shutil
from pathlib import Path

import keras
import numpy as np
import pandas as pd

import morphtools
from morphtools.data.augment import RandomView
from morphtools.data.dataset import load_dataset
from morphtools.inference.metrics import classification_metrics
from morphtools.inference.predictions import Predictions
from morphtools.inference.report import draw_figures
from morphtools.inference.stream import galaxies_per_batch
from morphtools.models.cards import Card, find_card, write_card
from morphtools.models.encoders import any_way_up, build_encoder, unfreeze
from morphtools.models.heads import classification_head
from morphtools.survey.tasks import Task, get_task
from morphtools.training.fitting import fit, patience_of_walmsley
from morphtools.training.labels import labelled_galaxies
from morphtools.training.representing import represent_split, shuffled
from morphtools.training.runs import LogFile, Run, open_run, plain_arguments
from morphtools.training.starting import checked_start, starting_encoder
from tfrecords_builder.build import build_records
from tfrecords_builder.files import write_whole
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)


def finetune(
    task: str = "rings",
    labels: int = 500,
    *,
    catalog: str | Path | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    column: str | None = None,
    weights: str | Path = "mobilenet_v3_small_gz2",
    encoder: str = "resnet18",
    image_size: int | None = None,
    stretch: str | None = None,
    orientations: int = 8,
    depth: int | str = "head",
    epochs: int | None = None,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    encoder_learning_rate: float = 1e-5,
    test_labels: int = 2000,
    seed: int = 0,
    out: str | Path | None = None,
) -> Run:
    """Trains a classifier from a few hundred labelled galaxies and tests it on galaxies it never saw.

    First the head is trained with the encoder frozen, on representations averaged over orientations of an image and
    computed once; then, if `depth` says so, the top of the encoder is trained with it on random views, batch
    normalisation always frozen. Both stages stop when the validation loss has not fallen for some epochs and keep the
    best weights. Galaxies come from `catalog` and `images`, or from `records`, or, with neither, from a small simulated
    sky. The same call continues a run that was killed, to the same result; a finished run is returned as it is.

    Args:
        task: What to ask: `rings`, `bars`, `spirals`, `edge-on`, `mergers` or `smooth`.
        labels: Labelled galaxies to use, for training and validation together.
        catalog: Table (csv, parquet, FITS, …) with `id_str`, `file_loc` and a column that answers the task.
        images: Folder or zip archive in which `file_loc` is found; by default the catalogue's folder.
        records: Folder of records, instead of `catalog` and `images`.
        column: Column with the labels (0/1) or vote fractions, where its name is one's own.
        weights: Pretrained weights to start from (see `load_pretrained`), or `random`.
        encoder: Architecture where `weights` are `random` (see `build_encoder`).
        image_size: Side in pixels; by default that of the weights, or of the images where these are `random`.
        stretch: What turns flux into pictures (see `morphtools.survey.stretch`); by default that of the weights. A
            random encoder takes flux as it is, unless there is one.
        orientations: How many orientations of an image to average over: 8, 4, 2 or 1. Time is proportional to it.
        depth: How much of the encoder to train: `head` (nothing), a number of blocks from the top, or `all`.
        epochs: Most epochs per stage; by default 5·10⁶ / galaxies.
        batch_size: Galaxies per step.
        learning_rate: Of Adam, for the head.
        encoder_learning_rate: Of Adam, for head and encoder in the second stage; at most a tenth of the former.
        test_labels: Most galaxies to test on.
        seed: Decides splits, the draw of labels, first weights and views.
        out: Run folder; by default `morphtools-runs/TASK-LABELS`.

    Returns:
        The run, with `metrics`, `summary` and its folder `out`.

    Raises:
        ValueError: An argument or the catalogue cannot be used; the message says what and why.
        FileNotFoundError: A path is not there.
        FileExistsError: `out` holds something else.

    Reference:
        Walmsley et al. 2022, arXiv:2110.12735, section 4.
    """
    arguments = _checked({k: v for k, v in locals().items() if k != "out"})
    asked = get_task(task)
    out = Path(out or Path("morphtools-runs") / f"{task}-{labels}")
    with open_run(out, "finetune", arguments) as run:
        if run.finished:
            return run
        chosen = _choose(run, asked, arguments)
    with LogFile(run):
        encoder, card, reading = starting_encoder(chosen, arguments, run.out / "state")
        model = _assemble(encoder, arguments)
        history = _train_head(run, model, chosen, reading, arguments)
        if arguments["depth"] != "head":
            history = pd.concat([history, _train_encoder(run, model, chosen, reading, arguments)])
        write_whole(run.out / "history.csv", lambda path: history.to_csv(path, index=False))
        write_whole(run.out / "model.keras", model.save)
        predictions = _predict(run, model, chosen, asked, reading)
        draw_figures(run.out / "figures", predictions, chosen, history)
        _finish(run, predictions, chosen, history, card, arguments)
    return run


def _checked(arguments: dict) -> dict:
    """The arguments as plain numbers and text, with absolute paths, once they make sense."""
    plain_arguments(arguments)
    if not arguments["catalog"] and not arguments["records"] and arguments["weights"] != "random":
        # the simulated sky is flux, shipped weights take pictures; rendered at their size, nothing is resized
        arguments["stretch"] = arguments["stretch"] or "dr2_rgb"
        arguments["image_size"] = arguments["image_size"] or Card.open(find_card(arguments["weights"])).image_size[0]
    if arguments["encoder_learning_rate"] > arguments["learning_rate"] / 10:
        raise ValueError(
            f"encoder_learning_rate must be at most a tenth of learning_rate ({arguments['learning_rate']}), got "
            f"{arguments['encoder_learning_rate']}: larger steps destroy what the encoder knows"
        )
    if str(arguments["depth"]).isdigit():
        arguments["depth"] = int(arguments["depth"])
    architecture = checked_start(arguments)
    if arguments["depth"] != "head":
        unfreeze(build_encoder(architecture, (64, 64, 3)), arguments["depth"])
    return arguments


def _choose(run: Run, task: Task, arguments: dict) -> Records:
    """Draws the labelled galaxies and puts them, and only them, into records of the run."""
    names = ("catalog", "images", "records", "column", "labels", "test_labels", "image_size", "seed")
    drawn, source, bands = labelled_galaxies(task, **{name: arguments[name] for name in names})
    drawn = drawn[["id_str", "file_loc", "label", "split"]]
    options = {"images": source, "bands": bands, "image_size": arguments["image_size"]}
    chosen = build_records(drawn, run.out / "state" / "records", **options)
    failures = chosen.folder / "failures.parquet"
    if failures.exists():
        write_whole(run.out / "failures.csv", lambda path: pd.read_parquet(failures).to_csv(path, index=False))
    left = chosen.index().groupby("split")["label"].nunique()
    if (left < 2).any():
        raise ValueError(f"too few usable images: only one class is left for {left.idxmin()}")
    log.info("%s for training, validation and test", ", ".join(f"{n} galaxies" for n in chosen.splits.values()))
    return chosen


def _assemble(encoder: keras.Model, arguments: dict) -> keras.Model:
    """Encoder and head, one after the other; a model from image to class probabilities."""
    unfreeze(encoder, "head")
    head = classification_head(2, seed=arguments["seed"])
    whole = any_way_up(encoder, arguments["orientations"])
    return keras.Sequential([keras.Input(encoder.input_shape[1:]), *whole, head])


def _train_head(run: Run, model: keras.Model, chosen: Records, reading: dict, arguments: dict) -> pd.DataFrame:
    """Stage 1: the head, on representations computed once."""
    state, seed, head = run.out / "state", arguments["seed"], model.layers[-1]
    represent = keras.Sequential([keras.Input(model.input_shape[1:]), *model.layers[:-1]])
    train, train_rows = represent_split(represent, chosen, "train", state / "train", reading)
    val, val_rows = represent_split(represent, chosen, "val", state / "val", reading)
    train_labels, val_labels = (rows["label"].to_numpy() for rows in (train_rows, val_rows))
    head.standardize.adapt(train[:10_000])
    alone = keras.Sequential([keras.Input(train.shape[1:]), head])
    alone.compile(keras.optimizers.Adam(arguments["learning_rate"]), "sparse_categorical_crossentropy")
    epochs, patience = patience_of_walmsley(len(train))
    return fit(
        alone,
        lambda epoch: shuffled(train, train_labels, arguments["batch_size"], seed=[seed, epoch]),
        lambda: shuffled(val, val_labels, 512, seed=0),
        epochs=arguments["epochs"] or epochs,
        patience=patience,
        state=state / "head.npz",
        stage="head",
        seed=seed,
    )


def _train_encoder(run: Run, model: keras.Model, chosen: Records, reading: dict, arguments: dict) -> pd.DataFrame:
    """Stage 2: the head and the top of the encoder, on images."""
    unfreeze(model.layers[1], arguments["depth"])
    seed = arguments["seed"]
    viewed = keras.Sequential([keras.Input(model.input_shape[1:]), RandomView(seed=seed), *model.layers])
    viewed.compile(keras.optimizers.Adam(arguments["encoder_learning_rate"]), "sparse_categorical_crossentropy")

    def batches(split, batch_size, **options):
        dataset = load_dataset(chosen, split, batch_size=batch_size, **reading, **options)
        return ((batch["image"], batch["label"]) for batch in dataset.as_numpy_iterator())

    epochs, patience = patience_of_walmsley(chosen.splits["train"])
    return fit(
        viewed,
        lambda epoch: batches("train", arguments["batch_size"], shuffle=True, seed=1000 * seed + epoch),
        lambda: batches("val", galaxies_per_batch(model.input_shape[1:], arguments["orientations"])),
        epochs=arguments["epochs"] or epochs,
        patience=patience,
        state=run.out / "state" / "encoder.npz",
        stage="encoder",
        seed=seed,
    )


def _predict(run: Run, model: keras.Model, chosen: Records, task: Task, reading: dict) -> Predictions:
    """Predictions for the test split, which nothing before has touched."""
    probability, rows = represent_split(model, chosen, "test", run.out / "state" / "test", reading)
    weights = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
    predictions = Predictions(
        id_str=rows["id_str"].to_numpy(),
        probability=probability[:, 1],
        label=rows["label"].to_numpy(),
        classes=task.classes,
        provenance={"weights": weights, "records": chosen.digest, "morphtools": morphtools.__version__},
    )
    predictions.save(run.out / "predictions.parquet")
    return predictions


def _finish(run: Run, predictions: Predictions, chosen: Records, history: pd.DataFrame, start: Card, arguments) -> None:
    """Writes `metrics.json`, the sign that everything is there, and clears the state away."""
    used = chosen.splits["train"] + chosen.splits["val"]
    sky = "" if arguments["catalog"] or arguments["records"] else " of the simulated sky"
    trained = {"head": "frozen", "all": "trained"}.get(arguments["depth"], f"top {arguments['depth']} blocks trained")
    title = (
        f"{arguments['task']} from {used} labels{sky}: {start.encoder['name']} ({start.name} weights, {trained}), "
        f"tested on {chosen.splits['test']} galaxies"
    )
    scores = classification_metrics(predictions.label, predictions.probability, seed=arguments["seed"])
    card = dataclasses.replace(
        start,
        name=run.out.name,
        kind="classes",
        classes=predictions.classes,
        schema=None,
        data=f"{title}; {start.data}" if start.data else title,
        scores={name: score["value"] for name, score in scores.items() if np.isfinite(score["value"])},
        url=None,
    )
    write_card(card, run.out / "model.keras")
    failures = run.out / "failures.csv"
    run.write_metrics(
        {
            "title": title,
            "galaxies": chosen.splits,
            "failures": len(pd.read_csv(failures)) if failures.exists() else 0,
            "epochs": history.groupby("stage").size().to_dict(),
            "test": scores,
            "provenance": predictions.provenance,
        }
    )
    shutil.rmtree(run.out / "state")
