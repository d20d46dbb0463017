"""Pretraining: an encoder from galaxies nobody labelled."""

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from morphtools.data.batches import read_batches
from morphtools.models.cards import Card, write_card
from morphtools.models.encoders import ENCODERS, build_encoder, settle_batch_norm
from morphtools.survey.label_columns import find_labels
from morphtools.training.fitting import load_state, reseed, save_state, train_epoch
from morphtools.training.labels import unlabelled_galaxies
from morphtools.training.learner import METHODS, OPTIMIZERS, SCHEDULES, Setting, build_learner, prepare_setting
from morphtools.training.learning_figures import learning_curve
from morphtools.training.monitor import alarms, baselines, chance, represented, scores, watched_galaxies
from morphtools.training.on_device import Resident, keep_on_device
from morphtools.training.runs import Run, open_run, plain_arguments
from tfrecords_builder.build import build_records
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import unknown
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.records import Records

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
    seed: int = 0,
    out: str | Path | None = None,
) -> Run:
    """Trains an encoder without labels, and watches with labels whether it learns.

    Galaxies of the train split are used; those of the test split are never seen. After every epoch the nearest
    neighbours and a linear probe tell what the representations know of whatever labels the records hold, beside the
    baselines, and `figures/learning.png` is drawn anew. Galaxies come from `records`, or from `catalog` and `images`,
    or, with neither, from a small simulated sky. The same call goes on after a kill, to the same result; a finished
    run is returned as it is. All devices of the machine are used. `load_pretrained(run.out)` loads the encoder.

    Args:
        method: `byol`, `moco` or `simclr`.
        records: Folder of records.
        catalog: Table with `id_str` and `file_loc`, and labels to watch if there are any.
        images: Folder or zip archive in which `file_loc` is found; by default the catalogue's folder.
        encoder: `efficientnet_b0`, `resnet18` or another of `build_encoder`; by default `resnet18`.
        weights: What to start from, as for `load_pretrained`, instead of `encoder`; by default random weights.
        image_size: Side in pixels to which images are resized when read; by default that of the records or weights.
        view_size: Side in pixels of the views, if they are cut out of larger images; by default `image_size`.
        small_images: Whether the encoder has the stem for images of some 64 pixels.
        augmentations: A preset (`hayat2021`, `mohale2023`, `rgb`, `stein2022`, `zoobot`), a YAML file, or a list (see
            `build_augmentations`); by default `rgb` for pictures and `hayat2021` for flux.
        without: A part of them to leave out, as `RandomNoise` or `RandomView.rotation` (see `ablate_augmentations`).
        epochs: How many.
        batch_size: Galaxies per step, of all devices together.
        optimizer: `adam`, `adamw` or `sgd` (momentum 0.9).
        learning_rate: At its highest.
        weight_decay: Of `sgd` as the papers have it (added to the gradient); of `adamw` decoupled, and not of biases
            and normalisation.
        schedule: `cosine` (to zero at the end, and the momentum of BYOL to one) or `constant`.
        warmup_epochs: Epochs in which the learning rate rises from zero.
        dimension: Of the projection; by default that of the method.
        hidden: Width of BYOL's hidden layers; by default 4096.
        queue: Keys that MoCo remembers; by default 65536, or as many as half of the galaxies if these are fewer.
        momentum: Of the second network of MoCo and BYOL; by default that of the method.
        temperature: Of MoCo and SimCLR; by default 0.1.
        mixed_precision: Whether to compute in bfloat16, which is faster on a GPU.
        drop: Stochastic depth of EfficientNet-Lite: how often the last block is skipped in training; by default never.
        average: Momentum of a running average of the weights, which is what is watched and kept; by default none. In a
            short training it is lower, so that no more than the last fortieth of the steps counts.
        clip: Largest norm of the gradients of all weights together; by default they are not clipped.
        in_memory: Whether the images are decoded once into the memory of the device, and views are drawn there. By
            default they are if they take no more than half of it, on an accelerator or without TensorFlow.
        label: Columns to watch, separated by commas; by default those that look like labels.
        watched: Galaxies to watch it on, of the val split first.
        seed: Decides first weights, order and views.
        out: Run folder; by default `morphtools-runs/METHOD`.

    Returns:
        The run, with `metrics`, `summary` and its folder `out`.

    Raises:
        ValueError: An argument or the galaxies cannot be used; the message says what and why.
        FileNotFoundError: A path is not there.
        FileExistsError: `out` holds something else.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083; Mohale & Lochner 2023, arXiv:2311.14157.
    """
    arguments = _checked({k: v for k, v in locals().items() if k != "out"})
    out = Path(out or Path("morphtools-runs") / method)
    with open_run(out, "pretrain", arguments) as run:
        if run.finished:
            return run
        found = _galaxies(run, arguments)
        labels = find_labels(found.index(), label)
        setting = prepare_setting(found, arguments)
        learner = build_learner(setting, arguments)
        run.keep()
        galaxies = watched_galaxies(setting.records, labels, learner.views, most=watched, reading=setting.reading)
        to_beat = _baselines(run, setting, galaxies, arguments)
        history = _train(run, setting, learner, galaxies, to_beat, arguments)
        _finish(run, setting, history, to_beat, arguments)
    return run


def _checked(arguments: dict) -> dict:
    """The arguments as plain numbers and text, with absolute paths, once they make sense."""
    plain_arguments(arguments, may_be_zero=("seed", "warmup_epochs"))
    if arguments["weights"] and (arguments["encoder"] or arguments["small_images"]):
        raise ValueError("the weights say which encoder it is: give no encoder and no small_images beside them")
    known = {"method": METHODS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES, "encoder": ENCODERS}
    for name, allowed in known.items():
        if arguments[name] not in (*allowed, *([None] if name == "encoder" else [])):
            raise ValueError(unknown(name, arguments[name], allowed))
    takes = METHODS[arguments["method"]][1]
    for name in ("dimension", "hidden", "queue", "momentum", "temperature"):
        if arguments[name] is not None and name not in takes:
            raise ValueError(f"{arguments['method']} has no {name}; it takes {', '.join(takes)}")
    if arguments["queue"] is not None and arguments["queue"] % arguments["batch_size"]:
        raise ValueError(
            f"queue must be a multiple of batch_size ({arguments['batch_size']}), got {arguments['queue']}"
        )
    if arguments["weight_decay"] and arguments["optimizer"] == "adam":
        raise ValueError("adam has no weight_decay: take adamw, or sgd")
    return arguments


def _galaxies(run: Run, arguments: dict) -> Records:
    """The records, built in the run's folder if there were none."""
    if arguments["records"] is not None:
        return Records.open(arguments["records"])
    folder = run.out / "state" / "records"
    if (folder / "records.json").exists():
        return Records.open(folder)
    catalog, source = unlabelled_galaxies(**{k: arguments[k] for k in ("catalog", "images", "image_size", "seed")})
    return build_records(catalog, folder, images=source, image_size=arguments["image_size"], seed=arguments["seed"])


def _baselines(run: Run, setting: Setting, galaxies, arguments: dict) -> dict[str, dict]:
    """What has to be beaten; found once."""
    path = run.out / "state" / "baselines.json"
    if not path.exists():
        encoders = {"random encoder": setting.start}
        if arguments["weights"] is not None:
            keras.utils.set_random_seed(arguments["seed"])
            fresh = build_encoder(input_shape=setting.shape, **setting.encoder)
            settle_batch_norm(fresh, galaxies.images[:64])
            encoders = {"random encoder": fresh, "starting weights": setting.start}
        found = baselines(galaxies, encoders, setting.noise, arguments["seed"])
        write_whole(path, json.dumps(found))
        for name, row in found.items():
            if _known(row):
                log.info("to beat: %s%s", name, _known(row))
    return json.loads(path.read_text())


def _train(run: Run, setting: Setting, learner, galaxies, to_beat: dict, arguments: dict) -> pd.DataFrame:
    """All epochs, each followed by its scores, a checkpoint and the picture."""
    state, seed, batch_size = run.out / "state" / "learner.npz", arguments["seed"], arguments["batch_size"]
    history = load_state(learner, state)[0] if state.exists() else []
    guess = chance(
        arguments["method"],
        queue=learner.queue.shape[0] if arguments["method"] == "moco" else None,
        batch_size=batch_size,
    )
    steps = setting.records.splits["train"] // batch_size
    epochs_of = _epochs(run, setting, learner, arguments)
    progress = progress_bar(initial=len(history), total=arguments["epochs"], desc=arguments["method"], unit="epoch")
    with progress:
        while len(history) < arguments["epochs"]:
            epoch = len(history)
            reseed(learner, seed, epoch)
            began = time.perf_counter()
            loss, raw = train_epoch(learner, epochs_of(epoch))
            if not np.isfinite(loss):
                raise ValueError(f"the loss of epoch {epoch + 1} is {loss}; try a smaller learning rate")
            row = {"epoch": epoch + 1, "loss": loss, "galaxies_per_second": steps * batch_size}
            row["galaxies_per_second"] /= time.perf_counter() - began
            setting.start.set_weights(learner.encoder.get_weights())
            if raw is not None:
                learner.set_weights(raw)
            row |= scores(represented(setting.start, galaxies), galaxies.labels, seed=seed)
            history.append(row)
            progress.update()
            _report(run, history, to_beat, guess, arguments)
            save_state(learner, state, history)
    if arguments["average"]:
        learner.optimizer.finalize_variable_values(learner.trainable_variables)
    setting.start.set_weights(learner.encoder.get_weights())
    if arguments["average"]:  # averaged weights need statistics of their own
        settle_batch_norm(setting.start, *np.array_split(galaxies.images, max(1, len(galaxies.images) // 64)))
    return pd.DataFrame(history)


def _epochs(run: Run, setting: Setting, learner, arguments: dict) -> Callable[[int], Iterable | Callable]:
    """From the number of an epoch to what `train_epoch` takes."""
    records, seed, batch_size = setting.records, arguments["seed"], arguments["batch_size"]
    if keep_on_device(records, ["train"], setting.reading, arguments["in_memory"], run.out / "state"):
        images = Resident(records, "train", setting.reading)
        return lambda epoch: lambda: images.train(learner, batch_size, [seed, epoch])
    options = {"batch_size": batch_size, "shuffle": True, "drop_remainder": True} | setting.reading
    if keras.backend.backend() == "tensorflow":
        from morphtools.data.dataset import load_dataset

        return lambda epoch: load_dataset(records, "train", seed=1000 * seed + epoch, **options).map(
            lambda batch: batch["image"]
        )
    return lambda epoch: (
        (batch["image"], None) for batch in read_batches(records, "train", seed=1000 * seed + epoch, **options)
    )


def _report(run: Run, history: list[dict], to_beat: dict, guess: float, arguments: dict) -> None:
    """An epoch in words, its row in `history.csv`, and the curve so far."""
    row = history[-1]
    log.info(
        "epoch %d of %d: loss %.4f (a guess: %.2f), rank %.0f%s, %.0f galaxies/s",
        row["epoch"],
        arguments["epochs"],
        row["loss"],
        guess,
        row["effective_rank"],
        _known(row),
        row["galaxies_per_second"],
    )
    for alarm in alarms(row, guess):
        log.warning("epoch %d: %s", row["epoch"], alarm)
    table = pd.DataFrame(history)
    write_whole(run.out / "history.csv", lambda path: table.to_csv(path, index=False))
    title = f"{arguments['method']}, {row['epoch']} of {arguments['epochs']} epochs"
    figure = learning_curve(table, to_beat, guess, title)
    write_whole(run.out / "figures" / "learning.png", lambda path: figure.savefig(path, dpi=130))


def _known(row: dict) -> str:
    """What neighbours know, in words."""
    known = ", ".join(f"{name.removeprefix('knn ')} {row[name]:.3f}" for name in _scored(row))
    return f", neighbours know {known}" if known else ""


def _scored(row: dict) -> list[str]:
    return [name for name in row if name.startswith("knn ") and not name.endswith((" low", " high"))]


def _whole(setting: Setting, arguments: dict) -> tuple[int, int] | None:
    """(H, W) of the images of which the encoder saw the middle, if it did not see all of them."""
    if not arguments["view_size"] and "crop" not in setting.reading:
        return None
    side = setting.reading["image_size"] or setting.records.shape[:2]
    return (side, side) if isinstance(side, int) else tuple(side)


def _finish(run: Run, setting: Setting, history: pd.DataFrame, to_beat: dict, arguments: dict) -> None:
    """Writes encoder, card and `metrics.json`, the sign that everything is there, and clears the state away."""
    records, last = setting.records, history.iloc[-1]
    write_whole(run.out / "model.keras", setting.start.save)
    began = f"starting from {arguments['weights']}" if arguments["weights"] else "from random weights"
    sky = "" if arguments["catalog"] or arguments["records"] else " of the simulated sky"
    data = f"{records.splits['train']} unlabelled galaxies{sky}, {arguments['method']}, {len(history)} epochs, {began}"
    if arguments["view_size"]:
        data += f"; views are the middle of images of {setting.reading['image_size'] or records.shape[0]} pixels"
    is_flux = setting.noise is not None
    scored = {name: round(float(last[name]), 4) for name in _scored(last.to_dict())}
    card = Card(
        name=f"{setting.encoder['name']}_{arguments['method']}",
        kind="encoder",
        encoder=setting.encoder,
        bands=records.bands if setting.reading["stretch"] is None else ("r", "g", "b"),
        range="flux" if is_flux else "picture",
        image_size=setting.shape[:2],
        middle_of=_whole(setting, arguments),
        stretch=setting.reading["stretch"],
        pixel_scale=records.pixel_scale if setting.reading["image_size"] is None else None,
        data=data,
        scores=scored,
    )
    write_card(card, run.out / "model.keras")
    run.write_metrics(
        {
            "title": f"{setting.encoder['name']}: {data}; what 5 neighbours know of a label",
            "galaxies": records.splits,
            "epochs": len(history),
            "loss": float(last["loss"]),
            "test": {
                name.removeprefix("knn "): {
                    "value": float(last[name]),
                    "low": float(last[f"{name} low"]),
                    "high": float(last[f"{name} high"]),
                }
                for name in scored
            },
            "last": {name: float(last[name]) for name in history},
            "baselines": to_beat,
            "provenance": {"records": records.digest},
        }
    )
    shutil.rmtree(run.out / "state")
