"""Training on votes: one encoder for all questions of a question tree."""

import dataclasses
import logging
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from morphtools.answers import class_figures as figures
from morphtools.answers.calibration import evaluate_votes, mean_concentrations
from morphtools.answers.recalibration import fit_recalibration
from morphtools.answers.to_read import choose
from morphtools.answers.votes import Votes
from morphtools.inference.predict import ask_every_way
from morphtools.inference.represent import represent_galaxies
from morphtools.models import guarded
from morphtools.models.cards import Card, write_card
from morphtools.models.dirichlet import DirichletMultinomialLoss
from morphtools.models.encoders import any_way_up, settle_batch_norm
from morphtools.survey.schemas import Schema, get_schema
from morphtools.survey.vote_columns import read_votes
from morphtools.training.devices import all_devices
from morphtools.training.familiar import keep_familiarity
from morphtools.training.feeding import feed
from morphtools.training.fitting import fit
from morphtools.training.labels import bright_galaxies, given_galaxies, warn_of_twins, without_twins
from morphtools.training.optimizers import build_optimizer
from morphtools.training.runs import Run, open_run
from morphtools.training.settings import Inputs, LearnerSettings, Optimization, Start, config_of
from morphtools.training.starting import some_images
from morphtools.training.tested_galaxies import write_tested
from morphtools.training.train_settings import TrainSettings
from morphtools.training.vote_model import assemble, without_training
from tfrecords_builder.build import build_records
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import some
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.records import Records
from tfrecords_builder.tables_out import write_csv

log = logging.getLogger(__name__)


def train(
    schema: str | Path = "gz_decals_dr5",
    *,
    catalog: str | Path | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    weights: str | Path = "random",
    encoder: str = "efficientnet_b0",
    method: str | None = None,
    method_weight: float | None = None,
    dimension: int | None = None,
    hidden: int | None = None,
    momentum: float | None = None,
    augmentations: str | Path | None = None,
    image_size: int | None = None,
    stretch: str | None = None,
    epochs: int = 30,
    patience: int = 8,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-4,
    average: float = 0.999,
    warmup_epochs: float | None = None,
    clip: float | None = None,
    drop: float | None = None,
    mixed_precision: bool = False,
    in_memory: bool | None = None,
    seed: int = 0,
    out: str | Path | None = None,
) -> Run:
    """Trains an encoder with a Dirichlet-multinomial head on the votes for all questions of a tree.

    Galaxies may have votes for some of the questions only. Training stops when the validation loss has not fallen for
    `patience` epochs, and keeps the best weights; the validation split also calibrates how certain the answers are. The
    test split, which is not used before, gives a report question by question. Several GPUs share every batch. If the
    run is interrupted, the same call resumes after its last epoch, with the same result. Without galaxies of your own,
    it trains on a small simulated sky.

    Args:
        schema: A campaign, several joined by commas, or a YAML file (see `get_schema`).
        catalog: Table with `id_str`, `file_loc` and votes (see `read_votes`).
        images: Folder or zip archive that `file_loc` refers to; by default the catalogue's folder.
        records: Folder of records with the schema's columns, instead of `catalog` and `images`; better for a survey.
        weights: Pretrained weights to start from (see `load_pretrained`), or `random`.
        method: `byol`, `moco` or `simclr`, to learn from views of the galaxies as well as from their votes.
        method_weight: Weight of the loss of `method` relative to that of the votes; by default 1.
        dimension: Dimension of the projection of `method`; by default that of the method, like the next two.
        hidden: Width of BYOL's hidden layers.
        momentum: Momentum of the second network of MoCo and BYOL.
        encoder: Architecture if `weights` are `random` (see `build_encoder`).
        augmentations: A preset or YAML file (see `build_augmentations`); by default any rotation, flips, zoom and
            shift, and for pictures other contrasts and colours.
        image_size: Side in pixels; by default that of the weights, or of the images if these are `random`.
        stretch: How flux becomes a picture (see `morphtools.survey.stretch`); by default as for the weights. A random
            encoder takes flux as it is, unless a stretch is given.
        epochs: Number of epochs, over which the learning rate falls to 0 as a cosine.
        patience: In epochs.
        batch_size: Galaxies per step, over all devices.
        learning_rate: The highest of AdamW, reached after `warmup_epochs`.
        weight_decay: Of AdamW; not for biases and normalisation.
        average: Momentum of the running average of the weights, which is validated and kept; 0 for none. It is lowered
            in a short training, so that only the last fortieth of the steps counts.
        warmup_epochs: Epochs in which the learning rate rises from 0; by default 2, but at most a fifth of all.
        clip: Maximum norm of the gradients of all weights together; by default 5 for each weight on its own.
        drop: Stochastic depth of EfficientNet-Lite: how often the last block is skipped in training; by default never.
        mixed_precision: Whether to compute in bfloat16 where that is safe. Faster on recent GPUs only.
        in_memory: Whether images are decoded once and kept in the memory of the device. By default if they take at most
            half of it, on an accelerator or without TensorFlow.
        seed: Decides initial weights, order and views.
        out: Run folder; by default `morphtools-runs/votes`.

    Returns:
        The run, with `metrics`, `summary` and its folder `out`; it can be given to `predict` and `represent`.

    Raises:
        ValueError: An argument, the schema or the votes cannot be used; the message explains what and why.
        FileNotFoundError: A path does not exist.
        FileExistsError: `out` contains something else.

    Reference:
        Walmsley et al. 2022, arXiv:2102.08414, section 4.
    """
    settings = TrainSettings(
        schema=schema,
        inputs=Inputs(catalog, images, records),
        start=Start(weights, encoder, image_size, stretch),
        learner=LearnerSettings(method, dimension, hidden, momentum),
        method_weight=method_weight,
        augmentations=augmentations,
        optimization=Optimization(epochs, batch_size, learning_rate, weight_decay, average, warmup_epochs, clip),
        patience=patience,
        drop=drop,
        mixed_precision=mixed_precision,
        in_memory=in_memory,
        seed=seed,
    ).checked()
    return _train(settings, out or Path("morphtools-runs") / "votes")


def _train(settings: TrainSettings, out: str | Path) -> Run:
    """Carries out `train` with checked settings."""
    tree = get_schema(settings.schema)
    with open_run(out, "train", config_of(settings, train)) as run:
        if run.finished:
            return run
        chosen = _records(run, tree, settings)
        run.keep()
        with all_devices()[0]:
            baseline = _mean_answers(chosen, tree)
            model, trained, head, card, reading = assemble(run, tree, chosen, settings)
            head.begin_with(baseline)
            history = _fit(run, model, tree, chosen, reading, settings)
        encoder = without_training(trained, card, settings)
        whole = guarded.Sequential([keras.Input(encoder.input_shape[1:]), *any_way_up(encoder), head])
        settle_batch_norm(encoder, *some_images(chosen, reading))
        _calibrate(run, whole, tree, chosen, reading)
        write_whole(run.out / "model.keras", whole.save)
        used = chosen.index(["id_str", "split"])
        write_whole(run.out / "galaxies.parquet", lambda path: used.to_parquet(path, index=False))
        data = f"{chosen.splits['train']} galaxies with votes of {tree.name}" + (f"; {card.data}" if card.data else "")
        described = {"name": run.out.name, "kind": "votes", "schema": tree.to_dict(), "classes": None, "url": None}
        card = dataclasses.replace(card, **described, data=data, scores={})
        card = write_card(card, run.out / "model.keras")
        # from galaxies that the encoder was not trained on, so it need not see a whole survey again
        like = keep_familiarity(run.out, whole, chosen, reading, run.out / "state" / "represented", fit_to=("val",))
        more = {"epochs": len(history), "unfamiliar": like}
        _evaluate(run, whole, tree, chosen, card, reading, baseline, more, settings.inputs.catalog)
    return run


def _records(run: Run, tree: Schema, settings: TrainSettings) -> Records:
    """The records; built in the run's folder from the catalogue, or a simulated sky, if none were given."""
    if settings.inputs.records:
        records = Records.open(settings.inputs.records)
        missing = [column for column in tree.label_cols if column not in records.label_cols]
        if missing:
            raise ValueError(f"{records.folder} has no column {some(missing)}: build the records with these votes")
        read_votes(records.index(["id_str", *tree.label_cols]), tree)  # refuses what cannot be votes
    else:
        size = settings.start.image_size
        given = given_galaxies(settings.inputs)
        if given is None:
            sky = {"schema": tree.name, "field_radii": 8.0}
            given = *bright_galaxies(size, settings.seed, **sky), tuple("grz")
        catalog, source, bands = given
        votes = read_votes(catalog, tree)
        names = catalog[[name for name in ("id_str", "file_loc", "split") if name in catalog]]
        galaxies = without_twins(pd.concat([names, votes], axis=1)[(votes > 0).any(axis=1)], seed=0)
        options: dict[str, Any] = {"images": source, "bands": bands, "image_size": size}
        build_records(galaxies, run.out / "state" / "records", **options)
        records = Records.open(run.out / "state" / "records")
    warn_of_twins(records)
    empty = [split for split in ("train", "val", "test") if not records.splits.get(split)]
    if empty or records.splits["train"] < settings.optimization.batch_size:
        what = (
            f"no galaxies for {some(empty)}"
            if empty
            else f"fewer galaxies for training than batch_size, {records.splits['train']}"
        )
        raise ValueError(f"{records.folder} has {what}")
    log.info("%s", ", ".join(f"{number} galaxies for {split}" for split, number in records.splits.items()))
    return records


def _mean_answers(chosen: Records, tree: Schema) -> np.ndarray:
    """Concentrations (A,) of the best model that gives every galaxy the same answer; training starts from them."""
    index = chosen.index(["split", *tree.label_cols])
    trained = index[index["split"] == "train"].fillna(0.0)
    for question in tree.questions:
        votes = trained[list(question.label_cols)].to_numpy()
        several = votes[votes.sum(axis=1) > 1]
        if len(several) >= 100 and (several.max(axis=1) == several.sum(axis=1)).all():
            log.warning("%s: the votes for a galaxy always agree; a class is better given as one vote", question.text)
    return mean_concentrations(trained[list(tree.label_cols)].to_numpy(), tree)


def _optimizer(steps: int, how: Optimization) -> keras.optimizers.Optimizer:
    """AdamW with two epochs of warm-up, but at most a fifth of all."""
    warmup = min(int((2 if how.warmup_epochs is None else how.warmup_epochs) * steps), steps * how.epochs // 5)
    clip = {"clipnorm": 5.0} if how.clip is None else None  # of each weight on its own, as in earlier runs
    return build_optimizer(how, steps * how.epochs, warmup=warmup, clip=clip)


def _fit(
    run: Run, model: keras.Model, tree: Schema, chosen: Records, reading: dict, settings: TrainSettings
) -> pd.DataFrame:
    """Trains on the training split, and writes the history and its curve after every epoch."""
    how, seed, state = settings.optimization, settings.seed, run.out / "state"
    model.compile(_optimizer(chosen.splits["train"] // how.batch_size, how), DirichletMultinomialLoss(tree.membership))
    options: dict[str, Any] = {"batch_size": how.batch_size, "seed": seed, "in_memory": settings.in_memory}
    batches, validation = feed(model, chosen, reading, tree.label_cols, state=state, **options)

    def report(history):
        row, table = history[-1], pd.DataFrame(history)
        log.info("epoch %d: loss %.4f, validation %.4f", row["epoch"], row["loss"], row["val_loss"])
        table["kept"] = table.index == table["val_loss"].argmin()
        write_csv(table, run.out / "history.csv")
        curve = figures.training_curve(table, "−log likelihood of the votes")
        write_figure(run.out / "figures" / "training_curve.png", curve)

    return fit(
        model,
        batches,
        validation,
        epochs=how.epochs,
        patience=settings.patience,
        state=state / "fit.npz",
        stage="votes",
        seed=seed,
        after_epoch=report,
    )


def _answers(run: Run, model, tree: Schema, chosen: Records, split: str, reading: dict):
    """Names (N,), votes (N, A) and concentrations (8, N, A), one for every orientation, of a split."""
    every = ask_every_way([model], every_view=True)
    flat = keras.Model(every.input, keras.layers.Flatten()(every.output))
    store = represent_galaxies(flat, chosen, run.out / "state" / split, [split], provenance={}, reading=reading)
    votes = chosen.index(["id_str", *tree.label_cols]).set_index("id_str").loc[store.id_str].fillna(0.0)
    concentrations = store.values().reshape(len(store), -1, len(tree.label_cols))
    return store.id_str, votes.to_numpy(), concentrations.transpose(1, 0, 2)


def _calibrate(run: Run, model, tree: Schema, chosen: Records, reading: dict) -> None:
    """Recalibrates the model on the validation split."""
    _, votes, concentrations = _answers(run, model, tree, chosen, "val", reading)
    factors = fit_recalibration(votes, concentrations, tree)
    model.layers[-1].recalibrate(*(factors.T @ tree.membership))


def _evaluate(
    run: Run,
    model,
    tree: Schema,
    chosen: Records,
    card: Card,
    reading: dict,
    baseline,
    more: dict,
    catalog: str | Path | None,
) -> None:
    """Predicts the test split, which was not used before, and reports; writes `metrics.json` last."""
    provenance = {"weights": card.sha256, "records": chosen.digest}
    ids, votes, concentrations = _answers(run, model, tree, chosen, "test", reading)
    table = evaluate_votes(votes, concentrations, tree, out=run.out, baseline=baseline)
    answer = Votes(tree)
    predictions = answer.tables(ids, concentrations, 0.9)[1]
    read = answer.to_read(predictions, choose(answer, None, [chosen.telescope, *card.surveys]))
    write_tested(run.out, read, catalog=catalog, records=chosen)
    predictions = predictions[[name for name in predictions if "_concentration" not in name]]
    write_whole(run.out / "predictions.parquet", predictions.to_parquet)
    seen = table[table["galaxies"] > 0]
    galaxies = len(ids)
    per_galaxy = {name: (seen[name] * seen["galaxies"]).sum() / galaxies for name in ("loss", "baseline_loss")}
    means = {name: np.average(seen[name].fillna(0), weights=seen["votes"]) for name in ("explained", "coverage_90")}
    run.write_metrics(
        {
            "title": f"{tree.name}: {card.encoder['name']} trained on {chosen.splits['train']} galaxies, "
            f"tested on {galaxies} ({len(seen)} questions, see questions.csv)",
            "galaxies": chosen.splits,
            "test": {name: {"value": float(value)} for name, value in (per_galaxy | means).items()},
            "questions": table.set_index("question").to_dict("index"),
            "provenance": provenance,
        }
        | more
    )
    shutil.rmtree(run.out / "state")
