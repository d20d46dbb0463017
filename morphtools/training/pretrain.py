"""Pretraining: trains an encoder on unlabelled galaxies."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from morphtools.models import guarded
from morphtools.models.cards import PROJECTION, Card, write_card
from morphtools.models.encoders import build_encoder, settle_batch_norm
from morphtools.models.preparation import pixel_scale_of
from morphtools.survey.label_columns import find_labels
from morphtools.training.feeding import feed
from morphtools.training.fitting import train_epochs
from morphtools.training.labels import bright_galaxies, given_galaxies
from morphtools.training.learner import Prepared, build_learner, prepare_start
from morphtools.training.learning_figures import learning_curve
from morphtools.training.monitor import Watched, alarms, baselines, chance, represented, scores, watched_galaxies
from morphtools.training.pretrain_settings import PretrainSettings
from morphtools.training.projections import keep_projection as write_projection
from morphtools.training.runs import Run, open_run
from morphtools.training.settings import Inputs, LearnerSettings, Optimization, Start, config_of
from tfrecords_builder.build import build_records
from tfrecords_builder.files import write_whole
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.records import Records
from tfrecords_builder.tables_out import write_csv

log = logging.getLogger(__name__)


def pretrain(
    method: str = "byol",
    *,
    records: str | Path | None = None,
    catalog: str | Path | None = None,
    images: str | Path | None = None,
    encoder: str | None = None,
    weights: str | Path | None = None,
    image_size: int | None = None,
    view_size: int | None = None,
    small_images: bool = False,
    flux: str | None = None,
    augmentations: str | Path | list[dict] | None = None,
    without: str | None = None,
    epochs: int = 20,
    batch_size: int = 128,
    optimizer: str = "adam",
    learning_rate: float = 1e-3,
    weight_decay: float = 0.0,
    schedule: str = "cosine",
    warmup_epochs: float = 0.0,
    dimension: int | None = None,
    hidden: int | None = None,
    queue: int | None = None,
    momentum: float | None = None,
    temperature: float | None = None,
    mixed_precision: bool = False,
    drop: float | None = None,
    average: float | None = None,
    clip: float | None = None,
    in_memory: bool | None = None,
    label: str | None = None,
    watched: int = 2000,
    keep_projection: bool = False,
    seed: int = 0,
    out: str | Path | None = None,
) -> Run:
    """Trains an encoder without labels, and uses labels only to watch whether it learns.

    The train split is used, and the test split never. After every epoch, nearest neighbours and a linear probe measure
    how well the representations predict the labels of the records, beside the baselines, and `figures/learning.png` is
    drawn again. Galaxies come from `records`, from `catalog` and `images`, or, with neither, from a small simulated
    sky. An interrupted call resumes, with the same result; a finished run is returned as it is. All devices of the
    machine are used. `load_pretrained(run.out)` loads the encoder.

    Args:
        method: `byol`, `moco` or `simclr`.
        records: Folder of records.
        catalog: Table with `id_str` and `file_loc`, and any labels to watch.
        images: Folder or zip archive that `file_loc` refers to; by default the catalogue's folder.
        encoder: `efficientnet_b0`, `resnet18` or another of `build_encoder`; by default `resnet18`.
        weights: Weights to start from, as for `load_pretrained`, instead of `encoder`; by default random weights.
        image_size: Side in pixels to which images are resized when read; by default that of the records or weights.
        view_size: Side in pixels of the views, if they are cut from larger images; by default `image_size`.
        small_images: Whether the encoder has the first layers for images of about 64 pixels.
        flux: What a new encoder does with flux first: `asinh` (default), `linear`, so that it is not stretched, or
            `maximum`, which divides every image by its brightest pixel (see `build_encoder`).
        augmentations: A preset (`hayat2021`, `mohale2023`, `rgb`, `stein2022`, `zoobot`), a YAML file, or a list (see
            `build_augmentations`); by default `rgb` for pictures and `hayat2021` for flux.
        without: An augmentation to leave out: `RandomNoise`, `RandomView.rotation`, …, or several, joined by `+` (see
            `ablate_augmentations`).
        epochs: Number of epochs.
        batch_size: Galaxies per step, over all devices.
        optimizer: `adam`, `adamw` or `sgd` (momentum 0.9).
        learning_rate: The highest.
        weight_decay: For `sgd` added to the gradient, as in the papers; for `adamw` decoupled, and not for biases and
            normalisation.
        schedule: `cosine` (to zero at the end, and the momentum of BYOL to one) or `constant`.
        warmup_epochs: Epochs in which the learning rate rises from zero.
        dimension: Dimension of the projection; by default that of the method.
        hidden: Width of BYOL's hidden layers; by default 4096.
        queue: Number of keys in MoCo's queue; by default 65536, or half the number of galaxies if that is smaller.
        momentum: Momentum of the second network of MoCo and BYOL; by default that of the method.
        temperature: Temperature of MoCo and SimCLR; by default 0.1.
        mixed_precision: Whether to compute in bfloat16, which is faster on a GPU.
        drop: Stochastic depth of EfficientNet-Lite: how often the last block is skipped in training; by default never.
        average: Momentum of a running average of the weights, which is watched and kept; by default none. It is lowered
            in a short training, so that only the last fortieth of the steps counts.
        clip: Maximum norm of the gradients of all weights together; by default they are not clipped.
        in_memory: Whether images are decoded once and kept in the memory of the device. By default if they take at most
            half of it, on an accelerator or without TensorFlow.
        label: Columns to watch, separated by commas; by default those that look like labels.
        watched: Number of galaxies to watch, from the val split first.
        keep_projection: Whether to keep, beside the encoder, the space in which views were compared, in the folder
            `projection`: `represent("RUN/projection", …)` represents galaxies in it, and everything else that takes
            weights takes it as well.
        seed: Decides initial weights, order and views.
        out: Run folder; by default `morphtools-runs/METHOD`.

    Returns:
        The run, with `metrics`, `summary` and its folder `out`.

    Raises:
        ValueError: An argument or the galaxies cannot be used; the message explains what and why.
        FileNotFoundError: A path does not exist.
        FileExistsError: `out` contains something else.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083; Mohale & Lochner 2023, arXiv:2311.14157.
    """
    settings = PretrainSettings(
        learner=LearnerSettings(method, dimension, hidden, momentum, queue, temperature),
        inputs=Inputs(catalog, images, records),
        start=Start(weights, encoder, image_size, small_images=small_images, view_size=view_size, flux=flux),
        augmentations=augmentations,
        without=without,
        optimization=Optimization(
            epochs, batch_size, learning_rate, weight_decay, average, warmup_epochs, clip, optimizer, schedule
        ),
        drop=drop,
        mixed_precision=mixed_precision,
        in_memory=in_memory,
        label=label,
        watched=watched,
        keep_projection=keep_projection,
        seed=seed,
    ).checked()
    return _pretrain(settings, out or Path("morphtools-runs") / method)


def _pretrain(settings: PretrainSettings, out: str | Path) -> Run:
    """Carries out `pretrain` with checked settings."""
    with open_run(out, "pretrain", config_of(settings, pretrain)) as run:
        if run.finished:
            return run
        records = _galaxies(run, settings)
        labels = find_labels(records.index(), settings.label)
        prepared = prepare_start(records, settings)
        learner = build_learner(prepared, settings)
        run.keep()
        most, reading = settings.watched, prepared.reading
        galaxies = watched_galaxies(records, labels, learner.views, most=most, reading=reading)
        to_beat = _baselines(run, prepared, galaxies, settings)
        history = _train(run, prepared, learner, galaxies, to_beat, settings)
        card = _card(prepared, history, settings)
        if settings.keep_projection:
            write_projection(learner, prepared, card, run.out / PROJECTION, _settling(galaxies, settings))
        _finish(run, prepared, card, history, to_beat)
    return run


def _galaxies(run: Run, settings: PretrainSettings) -> Records:
    """The records; built in the run's folder if none were given."""
    if settings.inputs.records is not None:
        return Records.open(settings.inputs.records)
    folder, size, seed = run.out / "state" / "records", settings.start.image_size, settings.seed
    if (folder / "records.json").exists():
        return Records.open(folder)
    given = given_galaxies(settings.inputs)
    catalog, source = given[:2] if given else bright_galaxies(size, seed, field_radii=6.0)
    build_records(catalog, folder, images=source, image_size=size, seed=seed)
    return Records.open(folder)


def _baselines(run: Run, prepared: Prepared, galaxies: Watched, settings: PretrainSettings) -> dict[str, dict]:
    """The scores of the baselines to beat; computed once."""
    path = run.out / "state" / "baselines.json"
    if not path.exists():
        encoders = {"random encoder": prepared.start}
        if settings.start.pretrained:
            keras.utils.set_random_seed(settings.seed)
            fresh = build_encoder(input_shape=prepared.shape, **prepared.encoder)
            settle_batch_norm(fresh, galaxies.images[:64])
            encoders = {"random encoder": fresh, "starting weights": prepared.start}
        measured = baselines(galaxies, encoders, prepared.noise, settings.seed)
        write_whole(path, json.dumps(measured))
        for name, row in measured.items():
            if _known(row):
                log.info("to beat: %s%s", name, _known(row))
    return json.loads(path.read_text())


def _train(
    run: Run, prepared: Prepared, learner, galaxies: Watched, to_beat: dict, settings: PretrainSettings
) -> pd.DataFrame:
    """Trains for all epochs, each with scores, checkpoint and figure; the encoder is left in `prepared.start`."""
    how, method, seed, encoder = settings.optimization, str(settings.learner.method), settings.seed, prepared.start
    queue = learner.queue.shape[0] if method == "moco" else None
    guess = chance(method, queue=queue, batch_size=how.batch_size)
    a_epoch = prepared.records.splits["train"] // how.batch_size * how.batch_size

    def judge(epoch: int, loss: float, seconds: float) -> dict:
        encoder.set_weights(learner.encoder.get_weights())
        row = {"epoch": epoch, "loss": loss, "galaxies_per_second": a_epoch / seconds}
        return row | scores(represented(encoder, galaxies), galaxies.labels, seed=seed)

    options: dict[str, Any] = {"batch_size": how.batch_size, "seed": seed, "in_memory": settings.in_memory}
    history = train_epochs(
        learner,
        feed(learner, prepared.records, prepared.reading, state=run.out / "state", **options)[0],
        judge,
        epochs=how.epochs,
        state=run.out / "state" / "learner.npz",
        name=method,
        seed=seed,
        after_epoch=lambda history: _report(run, history, to_beat, guess, settings),
    )
    encoder.set_weights(learner.encoder.get_weights())
    if batches := _settling(galaxies, settings):
        settle_batch_norm(encoder, *batches)
    return pd.DataFrame(history)


def _settling(galaxies: Watched, settings: PretrainSettings) -> list[np.ndarray]:
    """Batches of images to settle averaged weights, which need their own statistics; otherwise none."""
    average, images = settings.optimization.average, galaxies.images
    return np.array_split(images, max(1, len(images) // 64)) if average else []


def _report(run: Run, history: list[dict], to_beat: dict, guess: float, settings: PretrainSettings) -> None:
    """Logs an epoch, and writes `history.csv` and the curve so far."""
    row = history[-1]
    log.info(
        "epoch %d of %d: loss %.4f (a guess: %.2f), rank %.0f%s, %.0f galaxies/s",
        row["epoch"],
        settings.optimization.epochs,
        row["loss"],
        guess,
        row["effective_rank"],
        _known(row),
        row["galaxies_per_second"],
    )
    for alarm in alarms(row, guess):
        log.warning("epoch %d: %s", row["epoch"], alarm)
    table = pd.DataFrame(history)
    write_csv(table, run.out / "history.csv")
    title = f"{settings.learner.method}, {row['epoch']} of {settings.optimization.epochs} epochs"
    figure = learning_curve(table, to_beat, guess, title)
    write_figure(run.out / "figures" / "learning.png", figure, dpi=130)


def _known(row: dict) -> str:
    """The k-NN scores in words."""
    scores = ", ".join(f"{name.removeprefix('knn ')} {row[name]:.3f}" for name in _scored(row))
    return f", k-NN {scores}" if scores else ""


def _scored(row: dict) -> list[str]:
    return [name for name in row if name.startswith("knn ") and not name.endswith((" low", " high"))]


def _whole(prepared: Prepared, settings: PretrainSettings) -> tuple[int, int] | None:
    """Size (H, W) of the images, if the encoder saw only their middle."""
    if not settings.start.view_size and "crop" not in prepared.reading:
        return None
    return prepared.reading["image_size"]


def _card(prepared: Prepared, history: pd.DataFrame, settings: PretrainSettings) -> Card:
    """The card of the encoder."""
    records, last = prepared.records, history.iloc[-1].to_dict()
    began = f"starting from {settings.start.weights}" if settings.start.pretrained else "from random weights"
    sky = " of the simulated sky" if settings.inputs.simulated else ""
    data = (
        f"{records.splits['train']} unlabelled galaxies{sky}, {settings.learner.method}, {len(history)} epochs, {began}"
    )
    if settings.start.view_size:
        data += f"; views are the middle of images of {prepared.reading['image_size'][0]} pixels"
    is_flux = prepared.noise is not None
    return Card(
        name=f"{prepared.encoder['name']}_{settings.learner.method}",
        kind="encoder",
        encoder=prepared.encoder,
        bands=records.bands if prepared.reading["stretch"] is None else ("r", "g", "b"),
        range="flux" if is_flux else "picture",
        image_size=prepared.shape[:2],
        middle_of=_whole(prepared, settings),
        stretch=prepared.reading["stretch"],
        pixel_scale=pixel_scale_of(records, prepared.reading),
        data=data,
        scores={name: round(float(last[name]), 4) for name in _scored(last)},
    )


def _finish(run: Run, prepared: Prepared, card: Card, history: pd.DataFrame, to_beat: dict) -> None:
    """Writes encoder, card and `metrics.json`, which marks the run as finished, and removes its state."""
    last = history.iloc[-1]
    encoder = guarded.Functional(prepared.start.input, prepared.start.output, name=prepared.start.name)
    write_whole(run.out / "model.keras", encoder.save)
    write_card(card, run.out / "model.keras")
    run.write_metrics(
        {
            "title": f"{prepared.encoder['name']}: {card.data}; scores of 5 nearest neighbours",
            "galaxies": prepared.records.splits,
            "epochs": len(history),
            "loss": float(last["loss"]),
            "test": {
                name.removeprefix("knn "): {
                    "value": float(last[name]),
                    "low": float(last[f"{name} low"]),
                    "high": float(last[f"{name} high"]),
                }
                for name in card.scores
            },
            "last": {name: float(last[name]) for name in history},
            "baselines": to_beat,
            "provenance": {"records": prepared.records.digest},
        }
    )
    shutil.rmtree(run.out / "state")
