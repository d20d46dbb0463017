"""Training on votes: one encoder for every question of a question tree."""

import logging
import shutil
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from morphtools.data.dataset import load_dataset
from morphtools.data.presets import build_augmentations
from morphtools.inference import figures
from morphtools.inference.calibration import evaluate_votes, mean_concentrations
from morphtools.inference.posteriors import vote_tables
from morphtools.inference.represent import represent_galaxies
from morphtools.models.cards import Card, write_card
from morphtools.models.encoders import ENCODERS, any_way_up, build_encoder
from morphtools.models.pretrained import load_pretrained
from morphtools.models.votes import DirichletHead, DirichletMultinomialLoss
from morphtools.survey.schemas import Schema, get_schema
from morphtools.survey.simulate import simulate_galaxies
from morphtools.survey.vote_columns import read_votes
from morphtools.training.fitting import fit
from morphtools.training.runs import LogFile, Run, start_run
from tfrecords_builder.build import build_records
from tfrecords_builder.catalog import check_catalog, read_catalog
from tfrecords_builder.files import write_whole
from tfrecords_builder.images import from_pixels
from tfrecords_builder.naming import some, unknown
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)

_VIEW = {"RandomView": {"zoom": 0.25, "shift": 0.05}}
_DISPLAY = {"RandomDisplay": {"brightness": 0.05, "contrast": 0.2, "grey": 0.3}}


def train(
    schema: str | Path = "gz_decals_dr5",
    *,
    catalog: str | Path | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    encoder: str = "efficientnet_b0",
    weights: str | Path | None = None,
    augmentations: str | Path | None = None,
    image_size: int | None = None,
    epochs: int = 30,
    patience: int = 8,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-4,
    average: float = 0.999,
    mixed_precision: bool = False,
    seed: int = 0,
    out: str | Path | None = None,
) -> Run:
    """Trains an encoder with a Dirichlet-multinomial head on the votes for all questions of a tree.

    Galaxies may have votes for some of the questions only. Training stops when the validation loss has not fallen for
    `patience` epochs and keeps the best weights; the test split, which it never touches, gives a report question by
    question. On several GPUs every batch is dealt to all of them. The same call continues a run that was killed from
    its last epoch, to the same result. Without galaxies of your own it shows itself on a small simulated sky.

    Args:
        schema: A campaign, several joined by commas, or a YAML file (see `get_schema`).
        catalog: Table with `id_str`, `file_loc` and votes (see `read_votes`).
        images: Folder or zip archive in which `file_loc` is found; by default the catalogue's folder.
        records: Folder of records with the schema's columns, instead of `catalog` and `images`; better for a survey.
        encoder: As for `build_encoder`; with `weights`, theirs.
        weights: Pretrained weights to start from (see `load_pretrained`).
        augmentations: A preset or YAML file (see `build_augmentations`); by default any rotation, flips, zoom and
            shift, and for pictures other contrasts and colours.
        image_size: Side in pixels; by default that of the images.
        epochs: Passes over the galaxies; the learning rate falls to 0 over them, as a cosine.
        patience: In epochs.
        batch_size: Galaxies per step, over all devices.
        learning_rate: Highest, of AdamW, reached after two epochs.
        weight_decay: Of AdamW.
        average: Momentum of the running average of the weights, which is what is validated and kept; 0 for none.
        mixed_precision: Whether to compute in bfloat16 where that is safe. Faster on recent GPUs only.
        seed: Decides first weights, order and views.
        out: Run folder; by default `morphtools-runs/votes`.

    Returns:
        The run, with `metrics`, `summary` and its folder `out`; it can be given to `predict` and `represent`.

    Raises:
        ValueError: An argument, the schema or the votes cannot be used; the message says what and why.
        FileNotFoundError: A path is not there.
        FileExistsError: `out` holds something else.

    Reference:
        Walmsley et al. 2022, arXiv:2102.08414, section 4.
    """
    arguments = _checked({k: v for k, v in locals().items() if k != "out"})
    tree = get_schema(schema)
    out = Path(out or Path("morphtools-runs") / "votes")
    begun = (out / "config.yaml").exists()
    run = start_run(out, "train", arguments)
    try:
        with LogFile(run):
            if run.finished:
                log.info("%s is finished already", run.out)
                shutil.rmtree(run.out / "state", ignore_errors=True)
                return run
            chosen = _records(run, tree, arguments)
    except (ValueError, OSError):
        if not begun:
            shutil.rmtree(run.out)
        raise
    strategy = _strategy()
    with LogFile(run), strategy.scope():
        model = _assemble(tree, chosen, arguments)
        history = _fit(run, model, tree, chosen, arguments)
    with LogFile(run):
        encoder, head = model.layers[-2:]
        whole = keras.Sequential([keras.Input(encoder.input_shape[1:]), *any_way_up(encoder), head])
        write_whole(run.out / "model.keras", whole.save)
        card = _card(run, tree, chosen, encoder, arguments)
        _evaluate(run, whole, tree, chosen, card, len(history))
    return run


def _checked(arguments: dict) -> dict:
    """The arguments as plain numbers and text, with absolute paths, once they make sense."""
    for name in ("catalog", "images", "records"):
        if arguments[name] is not None:
            arguments[name] = str(Path(arguments[name]).expanduser().absolute())
    for name in ("schema", "weights", "augmentations"):
        value = arguments[name]
        if value is not None:
            arguments[name] = str(Path(value).absolute()) if Path(value).exists() else str(value)
    if arguments["records"] and (arguments["catalog"] or arguments["images"]):
        raise ValueError("give either records, or a catalog with images, not both")
    if arguments["images"] and not arguments["catalog"]:
        raise ValueError("images need a catalog that says what is on them")
    for name in ("epochs", "patience", "batch_size", "image_size"):
        if arguments[name] is not None and arguments[name] < 1:
            raise ValueError(f"{name} must be at least 1, got {arguments[name]}")
    if arguments["learning_rate"] <= 0 or not 0 <= arguments["average"] < 1:
        raise ValueError("learning_rate must be positive, and average at least 0 and below 1")
    if arguments["encoder"] not in ENCODERS:
        raise ValueError(unknown("encoder", arguments["encoder"], ENCODERS))
    return arguments


def _records(run: Run, tree: Schema, arguments: dict) -> Records:
    """The records given, or some of the run with the votes of the catalogue or of a simulated sky."""
    if arguments["records"]:
        records = Records.open(arguments["records"])
        missing = [column for column in tree.label_cols if column not in records.label_cols]
        if missing:
            raise ValueError(f"{records.folder} has no column {some(missing)}: build the records with these votes")
    else:
        if arguments["catalog"]:
            catalog = check_catalog(read_catalog(arguments["catalog"]))
            source = arguments["images"] or Path(arguments["catalog"]).parent
        else:
            catalog, source = _simulated(tree, arguments)
        votes = read_votes(catalog, tree)
        names = catalog[[name for name in ("id_str", "file_loc", "split") if name in catalog]]
        galaxies = pd.concat([names, votes], axis=1)[(votes > 0).any(axis=1)]
        records = build_records(
            galaxies, run.out / "state" / "records", images=source, image_size=arguments["image_size"]
        )
    empty = [split for split in ("train", "val", "test") if not records.splits.get(split)]
    if empty or records.splits["train"] < arguments["batch_size"]:
        what = (
            f"no galaxies for {some(empty)}"
            if empty
            else f"fewer galaxies for training than batch_size, {records.splits['train']}"
        )
        raise ValueError(f"{records.folder} has {what}")
    log.info("%s", ", ".join(f"{number} galaxies for {split}" for split, number in records.splits.items()))
    return records


def _simulated(tree: Schema, arguments: dict):
    log.warning("no catalog or records given: using a small simulated sky")
    catalog, images = simulate_galaxies(
        1000,
        image_size=arguments["image_size"] or 64,
        seed=arguments["seed"],
        schema=tree.name,
        magnitude_limit=15.5,
        field_radii=8.0,
    )
    catalog["file_loc"] = catalog.index.astype(str)
    return catalog, lambda file_loc: from_pixels(images[int(file_loc)])


def _strategy():
    """One device, or `MirroredStrategy` over all GPUs (on CPUs, over all that were configured)."""
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    names = [device.name for device in devices]
    return tf.distribute.MirroredStrategy(names) if len(names) > 1 else tf.distribute.get_strategy()


def _assemble(tree: Schema, chosen: Records, arguments: dict) -> keras.Model:
    """Views, encoder and head, one after the other; a model from images to concentrations."""
    seed = arguments["seed"]
    keras.utils.set_random_seed(seed)
    side = arguments["image_size"]
    shape = (side, side, chosen.shape[2]) if side else chosen.shape
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if arguments["mixed_precision"] else "float32")
    try:
        if arguments["weights"]:
            encoder = load_pretrained(arguments["weights"], input_shape=shape, noise=chosen.noise)
        else:
            encoder = build_encoder(arguments["encoder"], shape, noise=chosen.noise)
        head = DirichletHead(len(tree.label_cols), seed=seed)
    finally:
        keras.config.set_dtype_policy(policy)
    views = arguments["augmentations"] or ([_VIEW, _DISPLAY] if chosen.encoding == "encoded" else [_VIEW])
    views = build_augmentations(views, bands=chosen.bands, noise=chosen.noise, size=None, seed=seed)
    return keras.Sequential([keras.Input(shape), views, encoder, head])


def _fit(run: Run, model: keras.Model, tree: Schema, chosen: Records, arguments: dict) -> pd.DataFrame:
    """Fits on the training split, with the history and its curve on disk after every epoch."""
    import tensorflow as tf

    seed, size = arguments["seed"], arguments["batch_size"]
    steps = chosen.splits["train"] // size
    total = steps * arguments["epochs"]
    warm = min(2 * steps, total // 5)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, total - warm, warmup_target=arguments["learning_rate"], warmup_steps=warm
    )
    average = {"use_ema": True, "ema_momentum": arguments["average"]} if arguments["average"] else {}
    optimizer = keras.optimizers.AdamW(rate, weight_decay=arguments["weight_decay"], clipnorm=5.0, **average)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, DirichletMultinomialLoss(tree.membership))

    def batches(split, **options):
        dataset = load_dataset(chosen, split, batch_size=size, image_size=arguments["image_size"], **options)

        def votes_of(batch):
            votes = tf.stack([batch[column] for column in tree.label_cols], axis=1)
            return batch["image"], tf.where(tf.math.is_finite(votes), votes, 0.0)

        return dataset.map(votes_of)

    def report(history):
        row, table = history[-1], pd.DataFrame(history)
        log.info("epoch %d: loss %.4f, validation %.4f", row["epoch"] + 1, row["loss"], row["val_loss"])
        table["kept"] = table.index == table["val_loss"].argmin()
        write_whole(run.out / "history.csv", table.to_csv(index=False))
        curve = figures.training_curve(table, "−log likelihood of the votes")
        write_whole(run.out / "figures" / "training_curve.png", lambda path: curve.savefig(path, dpi=150))

    return fit(
        model,
        lambda epoch: batches("train", shuffle=True, drop_remainder=True, seed=1000 * seed + epoch),
        lambda: batches("val"),
        epochs=arguments["epochs"],
        patience=arguments["patience"],
        state=run.out / "state" / "fit.npz",
        stage="votes",
        seed=seed,
        after_epoch=report,
    )


def _card(run: Run, tree: Schema, chosen: Records, encoder: keras.Model, arguments: dict) -> Card:
    """Describes the weights, and lays the card beside them."""
    architecture = {"name": arguments["encoder"], "noise": chosen.noise}
    card = Card(
        name=run.out.name,
        kind="votes",
        encoder=architecture,
        bands=chosen.bands,
        range="picture" if chosen.encoding == "encoded" else "flux",
        image_size=encoder.input_shape[1:3],
        schema=tree.to_dict(),
        pixel_scale=chosen.pixel_scale,
        data=f"{chosen.splits['train']} galaxies with votes of {tree.name}",
    )
    return write_card(card, run.out / "model.keras")


def _evaluate(run: Run, model, tree: Schema, chosen: Records, card: Card, epochs: int) -> None:
    """Predicts the test split, which nothing before has touched, and reports; `metrics.json` is written last."""
    reading = {"image_size": card.image_size}
    provenance = {"weights": card.sha256, "records": chosen.digest}
    store = represent_galaxies(
        model, chosen, run.out / "state" / "test", ["test"], provenance=provenance, reading=reading
    )
    index = chosen.index(["id_str", "split", *tree.label_cols]).set_index("id_str")
    votes = index[list(tree.label_cols)].fillna(0.0)
    ids, concentrations = store.id_str, store.values()
    trained = votes[index["split"] == "train"].to_numpy()
    table = evaluate_votes(
        votes.loc[ids].to_numpy(), concentrations, tree, out=run.out, baseline=mean_concentrations(trained, tree)
    )
    full = vote_tables(ids, concentrations, tree)[1]
    write_whole(run.out / "predictions.parquet", full.to_parquet)
    seen = table[table["galaxies"] > 0]
    galaxies = len(ids)
    per_galaxy = {name: (seen[name] * seen["galaxies"]).sum() / galaxies for name in ("loss", "baseline_loss")}
    means = {name: np.average(seen[name].fillna(0), weights=seen["votes"]) for name in ("explained", "coverage_90")}
    run.write_metrics(
        {
            "title": f"{tree.name}: {card.encoder['name']} trained on {chosen.splits['train']} galaxies, "
            f"tested on {galaxies} ({len(seen)} questions, see questions.csv)",
            "galaxies": chosen.splits,
            "epochs": epochs,
            "test": {name: {"value": float(value)} for name, value in (per_galaxy | means).items()},
            "questions": table.set_index("question").to_dict("index"),
            "provenance": provenance,
        }
    )
    shutil.rmtree(run.out / "state")
