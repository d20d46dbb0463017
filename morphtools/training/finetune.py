"""Fine-tuning: classes or redshifts of galaxies from a few hundred labels."""

import dataclasses
import hashlib
import logging
import shutil
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pandas as pd

import morphtools
from morphtools.models.cards import Card, find_card, write_card
from morphtools.models.encoders import any_way_up, build_encoder, unfreeze
from morphtools.survey.tasks import RedshiftTask, Task, get_task
from morphtools.training import finetune_classes, finetune_redshifts
from morphtools.training.representing import represent_splits
from morphtools.training.runs import Run, open_run, plain_arguments
from morphtools.training.stages import OPTIMIZERS, represent_for_head, train_encoder, train_head
from morphtools.training.starting import checked_start, starting_encoder
from tfrecords_builder.build import build_records
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import band_names, unknown
from tfrecords_builder.records import Records
from tfrecords_builder.table_files import for_spreadsheets

log = logging.getLogger(__name__)


def finetune(
    task: str = "rings",
    labels: int = 500,
    *,
    catalog: str | Path | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    column: str | None = None,
    bands: tuple[str, ...] | str | None = None,
    weights: str | Path = "efficientnet_lite0_gz2",
    encoder: str = "resnet18",
    small_images: bool = False,
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
    bins: int = 180,
    redshift_range: tuple[float, float] = (0.0, 0.4),
    pdf: str = "softmax",
    estimate: str = "mean",
    test_labels: int = 2000,
    seed: int = 0,
    out: str | Path | None = None,
) -> Run:
    """Trains a classifier, or redshift PDFs, from a few hundred labelled galaxies, and tests on galaxies never seen.

    With `depth="head"` the encoder is frozen, its representations are averaged over orientations of an image and
    computed once, and only the head is trained on them. Otherwise the top of the encoder is trained with the head on
    random views. For classes the head is trained alone before, and both stages stop when the validation loss has not
    fallen for some epochs (Walmsley et al.). For redshifts both are trained from the first epoch on, the learning rate
    falling to a tenth at 60% and 90% of the epochs (Hayat et al.). Batch normalisation stays frozen for classes and is
    trained with the rest for redshifts. Random weights have nothing to lose: unless they stay frozen, head, encoder and
    batch normalisation are trained together from the first epoch on, for every task. The best weights are kept.

    Galaxies come from `catalog` and `images`, or from `records`, or, with neither, from a small simulated sky. The same
    call continues a run that was killed, to the same result; a finished run is returned as it is.

    Args:
        task: What to ask: `rings`, `bars`, `spirals`, `edge-on`, `mergers` or `smooth`; or `photoz`.
        labels: Labelled galaxies to use, for training and validation together.
        catalog: Table (csv, parquet, FITS, …) with `id_str`, `file_loc` and a column that answers the task; for
            redshifts also `ebv`, E(B-V) of the Galaxy's dust.
        images: Folder or zip archive in which `file_loc` is found; by default the catalogue's folder.
        records: Folder of records, instead of `catalog` and `images`.
        column: Column with the labels (0/1), vote fractions or redshifts, where its name is one's own.
        bands: Names of the bands in the order of the files, as `g,r,z`, where these do not tell.
        weights: Pretrained weights to start from (see `load_pretrained`), or `random`.
        encoder: Architecture where `weights` are `random` (see `build_encoder`).
        small_images: Whether that has the stem for images of some 64 pixels.
        image_size: Side in pixels; by default that of the weights, or of the images where these are `random`.
        view_size: Side in pixels of the middle that the encoder sees, if it does not see all of an image; training
            cuts it out of the rotated image.
        stretch: What turns flux into pictures (see `morphtools.survey.stretch`); by default that of the weights. A
            random encoder takes flux as it is, unless there is one.
        survey: Whose bands they are (see `morphtools.survey.extinction`), to undo the dimming by the Galaxy's dust by
            `ebv`, here and whenever the model is used. By default, for redshifts, the survey whose camera takes these
            bands; `none` leaves images as they are.
        orientations: How many orientations of an image to average over: 8, 4, 2 or 1. Time is proportional to it.
        depth: How much of the encoder to train: `head` (nothing), a number of blocks from the top, or `all`.
        epochs: Most epochs per stage; by default 5·10⁶ / galaxies, and 100 for an encoder with redshifts.
        batch_size: Galaxies per step.
        optimizer: Of the encoder: `adam`, or `sgd` with momentum 0.9. A frozen encoder's head is trained by Adam.
        learning_rate: For the head.
        encoder_learning_rate: For the encoder, and for classes the head too while it is trained, where it is at most a
            tenth of the former; for redshifts at most the same. By default a tenth for redshifts, a hundredth for
            classes; for random weights the same.
        in_memory: Where the encoder is trained, whether the images are decoded once into the memory of the device, and
            views are drawn there. By default where they take at most half of it, on an accelerator or on JAX.
        bins: Number of redshift bins.
        redshift_range: Where they lie.
        pdf: `softmax`, bins free of each other; or `mixture`, five Gaussians evaluated on the bins.
        estimate: What of the PDF is the redshift in one number: `mean` or `mode`.
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
        Walmsley et al. 2022, arXiv:2110.12735, section 4; Hayat et al. 2021, arXiv:2012.13083, section 4.
    """
    asked = get_task(task)
    kind = _KINDS[type(asked)]
    arguments = _checked({k: v for k, v in locals().items() if k not in ("asked", "kind", "out")}, kind)
    out = Path(out or Path("morphtools-runs") / f"{task}-{labels}")
    with open_run(out, "finetune", arguments) as run:
        if run.finished:
            return run
        chosen = _choose(run, asked, kind, arguments)
        encoder, card, reading = starting_encoder(chosen, arguments, run.out / "state", kind.survey(chosen, arguments))
        run.keep()
        model = _assemble(encoder, kind, chosen, arguments)
        history = _train(run, model, kind, chosen, reading, arguments)
        write_whole(run.out / "history.csv", lambda path: history.to_csv(path, index=False))
        write_whole(run.out / "model.keras", model.save)
        _keep_galaxies(run, chosen)
        said = _ask(model, chosen, reading, arguments, run.out / "state")
        provenance = _provenance(model, chosen)
        for split, name in {"val": "validation", "test": "predictions"}.items():
            predictions = kind.predictions(*said[split], asked, arguments, provenance)
            predictions.save(run.out / f"{name}.parquet")
        kind.draw(run.out / "figures", predictions, chosen, history)
        card = dataclasses.replace(card, **kind.described(asked, arguments))
        _finish(run, predictions, kind.scores(predictions, seed), chosen, history, card, arguments)
    return run


_KINDS = {Task: finetune_classes, RedshiftTask: finetune_redshifts}


def _checked(arguments: dict, kind: ModuleType) -> dict:
    """The arguments as plain numbers and text, with absolute paths, once they make sense."""
    arguments["bands"] = band_names(arguments["bands"])
    plain_arguments(arguments)
    try:
        low, high = arguments["redshift_range"]
        arguments["redshift_range"] = [float(low), float(high)]
    except (TypeError, ValueError):
        raise ValueError(f"redshift_range is two numbers, got {arguments['redshift_range']!r}") from None
    if not arguments["catalog"] and not arguments["records"] and arguments["weights"] != "random":
        # the simulated sky is flux, shipped weights take pictures; rendered at their size, nothing is resized
        start = Card.open(find_card(arguments["weights"]))
        arguments["stretch"] = arguments["stretch"] or (kind.STRETCH if start.range == "picture" else None)
        arguments["image_size"] = arguments["image_size"] or start.image_size[0]
    if str(arguments["depth"]).isdigit():
        arguments["depth"] = int(arguments["depth"])
    _check_rates(arguments, kind)
    architecture = checked_start(arguments)
    if arguments["depth"] != "head":
        unfreeze(build_encoder(architecture, (64, 64, 3)), arguments["depth"])
    kind.head(arguments)  # says what is wrong with its arguments
    return arguments


def _check_rates(arguments: dict, kind: ModuleType) -> None:
    """Fills in the encoder's learning rate; ValueError where optimizer and rates make no sense."""
    if arguments["optimizer"] not in OPTIMIZERS:
        raise ValueError(unknown("optimizer", arguments["optimizer"], OPTIMIZERS))
    rate, pretrained = arguments["learning_rate"], arguments["weights"] != "random"
    if arguments["encoder_learning_rate"] is None:
        arguments["encoder_learning_rate"] = rate / kind.SLOWER if pretrained else rate
    most = rate / 10 if kind.HEAD_FIRST else rate
    if pretrained and arguments["encoder_learning_rate"] > most:
        raise ValueError(
            f"encoder_learning_rate must be at most {'a tenth of ' if kind.HEAD_FIRST else ''}learning_rate ({rate}), "
            f"got {arguments['encoder_learning_rate']}: larger steps destroy what the encoder knows"
        )


def _choose(run: Run, task: Task | RedshiftTask, kind: ModuleType, arguments: dict) -> Records:
    """Draws the labelled galaxies and puts them, and only them, into records of the run."""
    drawn, source, bands = kind.choose(task, arguments)
    drawn = drawn[[name for name in ("id_str", "file_loc", "label", "split", "ebv") if name in drawn]]
    options = {"images": source, "bands": arguments["bands"] or bands, "image_size": arguments["image_size"]}
    if arguments["records"]:
        given = Records.open(arguments["records"])
        size = arguments["image_size"] or given.shape[0]
        options["pixel_scale"] = given.pixel_scale and given.pixel_scale * given.shape[0] / size
    chosen = build_records(drawn, run.out / "state" / "records", **options)
    failures = chosen.folder / "failures.parquet"
    if failures.exists():
        write_whole(
            run.out / "failures.csv", lambda path: for_spreadsheets(pd.read_parquet(failures)).to_csv(path, index=False)
        )
        log.warning("galaxies that cannot be used are listed in %s", run.out / "failures.csv")
    kind.check_usable(chosen)
    log.info("galaxies for training: %d, for validation: %d, for the test: %d", *chosen.splits.values())
    return chosen


def _assemble(encoder: keras.Model, kind: ModuleType, chosen: Records, arguments: dict) -> keras.Model:
    """Encoder and head, one after the other; a model from image to what the head says."""
    unfreeze(encoder, "head")
    whole, head = any_way_up(encoder, arguments["orientations"]), kind.head(arguments)
    model = keras.Sequential([keras.Input(encoder.input_shape[1:]), *whole, head])
    labels = chosen.index(["split", "label"])
    kind.first_guess(head, labels.loc[labels["split"] == "train", "label"].to_numpy(), arguments)
    return model


def _train(run: Run, model, kind: ModuleType, chosen: Records, reading: dict, arguments: dict) -> pd.DataFrame:
    """Trains head and encoder, one after the other or together; their histories one below the other."""
    frozen, pretrained = arguments["depth"] == "head", arguments["weights"] != "random"
    stages = [train_head] if frozen or (kind.HEAD_FIRST and pretrained) else []
    stages += [] if frozen else [train_encoder]
    return pd.concat([stage(model, kind, chosen, reading, arguments, run.out / "state") for stage in stages])


def _keep_galaxies(run: Run, chosen: Records) -> None:
    """Writes which galaxies were for training, validation and test, so that others can be given the same."""
    index = chosen.index()
    table = index[[name for name in ("id_str", "split", "label", "ebv") if name in index]]
    write_whole(run.out / "galaxies.parquet", lambda path: table.to_parquet(path, index=False))


def _ask(model: keras.Model, chosen: Records, reading: dict, arguments: dict, state: Path) -> dict[str, tuple]:
    """What the model says of the galaxies that validated and of the test, which nothing before has touched.

    For each split the values and the rows of the index that belong to them.
    """
    if arguments["depth"] != "head":
        return represent_splits(model, chosen, ["val", "test"], state / "said", reading)
    known = represent_for_head(model, chosen, reading, arguments, state)
    head = model.layers[-1]  # small enough to be asked without being compiled
    return {split: (keras.ops.convert_to_numpy(head(known[split][0])), known[split][1]) for split in ("val", "test")}


def _provenance(model: keras.Model, chosen: Records) -> dict[str, str]:
    weights = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
    return {"weights": weights, "records": chosen.digest, "morphtools": morphtools.__version__}


def _finish(run: Run, predictions, scores: dict, chosen: Records, history: pd.DataFrame, card: Card, arguments) -> None:
    """Writes `metrics.json`, the sign that everything is there, and clears the state away."""
    used = chosen.splits["train"] + chosen.splits["val"]
    sky = "" if arguments["catalog"] or arguments["records"] else " of the simulated sky"
    trained = {"head": "frozen", "all": "trained"}.get(arguments["depth"], f"top {arguments['depth']} blocks trained")
    title = (
        f"{arguments['task']} from {used} labels{sky}: {card.encoder['name']} ({card.name} weights, {trained}), "
        f"tested on {chosen.splits['test']} galaxies"
    )
    card = dataclasses.replace(
        card,
        name=run.out.name,
        data=f"{title}; {card.data}" if card.data else title,
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
            "findings": chosen.findings(),
            "epochs": history.groupby("stage").size().to_dict(),
            "test": scores,
            "provenance": predictions.provenance,
        }
    )
    shutil.rmtree(run.out / "state")
