"""Compares weights by the classes of nearest neighbours, without training anything."""

import dataclasses
import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from morphtools.explore.pictures import represent_pixels
from morphtools.explore.tables import column_of, in_all, known_of
from morphtools.inference.represent import origin, represent, represent_galaxies
from morphtools.inference.representations import Representations
from morphtools.models.cards import Card, find_card
from morphtools.models.encoders import any_way_up
from morphtools.models.preparation import prepare
from morphtools.sky.simulate import simulate_survey
from morphtools.studies.frozen_heads import METRICS, frozen_heads
from morphtools.studies.label_savings import in_a_sentence, label_savings, means_by_labels
from morphtools.survey.label_columns import check_classes
from morphtools.training.learning_figures import scores_by_labels
from morphtools.training.probes import knn_scores
from morphtools.training.runs import Run, open_run
from morphtools.training.settings import Inputs, check_numbers, config_of
from morphtools.training.starting import random_encoder
from tfrecords_builder.build import build_records
from tfrecords_builder.catalog import read_catalog
from tfrecords_builder.listing import images_of
from tfrecords_builder.naming import some
from tfrecords_builder.plain_figure import Figure, write_figure
from tfrecords_builder.records import Records
from tfrecords_builder.tables_out import write_csv

log = logging.getLogger(__name__)

_MOST = 5000  # labelled galaxies, whose distances to each other are kept in memory
_SKY = {"bands": "grz", "image_size": 128, "field_radii": 12.0, "magnitude_limit": 15.5, "artifact_rate": 0.0}


@dataclasses.dataclass(frozen=True)
class CompareSettings:
    """The arguments of `compare_weights`, which documents them."""

    weights: str
    label: str | None
    classes: str | None
    inputs: Inputs
    galaxies: int
    neighbours: int
    splits: int
    labels: tuple[int, ...]
    repeats: int
    orientations: int
    image_size: int | None
    seed: int


def compare_weights(
    weights: str = "efficientnet_lite0_byol_sdss,efficientnet_lite0_gz2",
    *,
    label: str | None = None,
    classes: str | None = None,
    catalog: str | Path | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    galaxies: int = 1000,
    neighbours: int = 5,
    splits: int = 50,
    labels: Sequence[int] = (),
    repeats: int = 5,
    orientations: int = 8,
    image_size: int | None = None,
    seed: int = 0,
    out: str | Path = "morphtools-runs/weights",
) -> Run:
    """Compares weights by how often the nearest neighbours of a galaxy predict its class.

    The galaxies are represented by each of the weights, by a random encoder of the architecture of the first ones, and
    by their pixels. Then, for many random splits into 75% and 25%, the neighbours of a galaxy among the 75% vote on
    its class. Galaxies come from `catalog` and `images`, or from `records`, or, with neither, from a simulated sky
    whose classes are three shapes: smooth, spiral and edge-on. The same call resumes.

    The intervals take into account that splits share their galaxies (Nadeau & Bengio 2003); the scatter over splits
    alone would be several times too small.

    Args:
        weights: What to compare, separated by commas: names, run folders or paths, as for `load_pretrained`.
        label: Column with classes.
        classes: Only galaxies of these classes, separated by commas.
        catalog: Table with `id_str`, `file_loc` and the label.
        images: Folder or zip archive of the images; by default the catalogue's folder.
        records: Folder of records with the label, instead of both.
        galaxies: Number of galaxies to simulate, if there are neither.
        neighbours: How many vote.
        splits: How many random splits.
        labels: Numbers of labels to which a head is fitted on the representations by each of the weights, and tested on
            held-out galaxies (see `frozen_heads`): writes `heads.csv`, `heads_table.csv` and `figures/heads.png`.
        repeats: How often, each with other galaxies.
        orientations: How many orientations of an image to average over: 8, 4, 2 or 1.
        image_size: Side in pixels at which all weights see the images. By default, each sees the size it was trained
            on, so the comparison is of weights and resolution together.
        seed: Seed of the splits, the random encoder and the simulated sky.
        out: Folder: `scores.csv`, `weights.csv`, `figures/weights.png`, `metrics.json`, `representations/`.

    Returns:
        The run, with `metrics`, `summary` and its folder `out`.

    Raises:
        ValueError: There are fewer than two classes, or weights and galaxies do not fit.
        FileNotFoundError: A path does not exist.

    Reference:
        Mohale & Lochner 2023, arXiv:2311.14157 (k = 5, 50 splits); Nadeau & Bengio 2003,
        doi:10.1023/A:1024068626366, equation 8.
    """
    inputs = Inputs(catalog, images, records).checked()
    settings = CompareSettings(
        weights,
        label,
        classes,
        inputs,
        galaxies,
        neighbours,
        splits,
        tuple(labels),
        repeats,
        orientations,
        image_size,
        seed,
    )
    check_numbers(settings)
    if label is None and (catalog or records):
        raise ValueError("which column holds the classes? give `label`")
    with open_run(out, "compare-weights", config_of(settings, compare_weights)) as run:
        if run.finished:
            return run
        found, known = _galaxies(settings, run.out)
        run.keep()
        stores = _represented(found, [name.strip() for name in weights.split(",")], settings, run.out)
        truth = _classes(known, label or "shape", stores, classes, seed)
        values = dict(_values(stores, truth.index))
        scores = pd.DataFrame(
            {name: knn_scores(x, truth, neighbours=neighbours, splits=splits, seed=seed) for name, x in values.items()}
        )
        if labels:
            _write_heads(run.out, frozen_heads(values, truth, labels, repeats=repeats, seed=seed), label or "shape")
        _finish(run, scores, truth, neighbours)
    return run


def _galaxies(settings: CompareSettings, out: Path) -> tuple[Records, pd.DataFrame]:
    """Records, and the table that has the classes."""
    if settings.inputs.records:
        opened = Records.open(settings.inputs.records)
        return opened, opened.index()
    catalog, images = settings.inputs.catalog, settings.inputs.images
    if catalog is None:
        log.warning("no catalog or records given: using galaxies of a simulated sky")
        images = out / "state" / "sky"
        table = simulate_survey(images, galaxies=settings.galaxies, seed=settings.seed, **_SKY)
        edge_on, smooth = (table[f"true_{name}"] > 0 for name in ("edge_on", "smooth"))
        table["shape"] = np.select([smooth, edge_on], ["smooth", "edge-on"], "spiral")
    else:
        table = read_catalog(catalog)
        images = images_of(catalog, images)
    build_records(table, out / "state" / "records", images=images)
    return Records.open(out / "state" / "records"), table


def _represented(records: Records, weights: list[str], settings: CompareSettings, out: Path) -> dict:
    """A store of representations by each of the weights, by a random encoder, and by pixels."""
    folder, stores = out / "representations", {}
    names = [Path(name).name for name in weights] + ["random", "pixels"]
    if len(set(names)) < len(names):
        raise ValueError(f"weights must have different names, and none may be called random or pixels: {some(weights)}")
    for name in weights:
        log.info("representing by %s", name)
        short = Path(name).name
        options: dict[str, Any] = {"orientations": settings.orientations, "image_size": settings.image_size}
        stores[short] = represent(name, folder / short, records=records.folder, **options)
    card, seed = Card.open(find_card(weights[0])), settings.seed
    prepared = prepare(card, records, image_size=settings.image_size, adapt_bands=len(records.bands) == 1)
    encoder = random_encoder(
        records, card, prepared, seed, split=max(records.splits, key=lambda name: records.splits[name])
    )
    model = keras.Sequential([keras.Input(encoder.input_shape[1:]), *any_way_up(encoder, settings.orientations)])
    about = {"weights": f"random {card.encoder['name']}, seed {seed}", "records": origin(records)} | prepared.reading
    log.info("representing by a random encoder")
    (folder / "random").mkdir(parents=True, exist_ok=True)
    stores["random"] = represent_galaxies(
        model, records, folder / "random", [*records.splits], provenance=about, reading=prepared.reading
    )
    stores["pixels"] = represent_pixels(folder / "pixels", records=records)
    return stores


def _classes(known: pd.DataFrame, label: str, stores: dict[str, Representations], only: str | None, seed: int):
    """The classes of the galaxies that all stores have."""
    common = in_all(store.id_str for store in stores.values())
    truth = check_classes(column_of(known_of(common, known), label).dropna()).astype(str)
    if only is not None:
        names = [name.strip() for name in only.split(",")]
        missing = [name for name in names if not (truth == name).any()]
        if missing:
            raise ValueError(f"no galaxy is of the class {some(missing)}; there are {some(sorted(truth.unique()))}")
        truth = truth[truth.isin(names)]
    if truth.nunique() < 2:
        raise ValueError(f"{label} must contain at least two classes, got {some(truth.unique())}")
    if len(truth) > _MOST:
        log.info("%d of %d labelled galaxies, drawn at random", _MOST, len(truth))
        truth = truth.sample(_MOST, random_state=seed)
    return truth


def _values(stores: dict[str, Representations], ids: pd.Index):
    for name, store in stores.items():
        yield name, store.values()[pd.Index(store.id_str).get_indexer(ids)]


def interval(scores: np.ndarray, test_share: float = 0.25) -> tuple[float, float, float]:
    """Mean and 95% interval of scores over random splits of the same galaxies.

    Args:
        scores: (J,) one per split, or differences of two.
        test_share: Fraction of the galaxies that each split tests on.

    Returns:
        The mean, and a t interval whose variance is s² (1/J + n_test/n_train).

    Reference:
        Nadeau & Bengio 2003, doi:10.1023/A:1024068626366, equation 8.
    """
    from scipy.stats import t

    number, mean = len(scores), float(np.mean(scores))
    variance = np.var(scores, ddof=1) * (1 / number + test_share / (1 - test_share))
    half = float(t.ppf(0.975, number - 1) * np.sqrt(variance))
    return mean, mean - half, mean + half


def _finish(run: Run, scores: pd.DataFrame, truth: pd.Series, neighbours: int) -> None:
    order = list(scores.mean().sort_values(ascending=False).index)
    rows = []
    for name, after in itertools.zip_longest(order, order[1:]):
        mean, low, high = interval(scores[name].to_numpy())
        row = {"weights": name, "accuracy": mean, "low": low, "high": high}
        if after is not None:
            row |= dict(
                zip(("lead", "lead_low", "lead_high"), interval((scores[name] - scores[after]).to_numpy()), strict=True)
            )
        rows.append(row)
    table = pd.DataFrame(rows)
    share = truth.value_counts(normalize=True)
    write_csv(scores, run.out / "scores.csv")
    write_csv(table, run.out / "weights.csv")
    write_figure(run.out / "figures" / "weights.png", _figure(table, share.iloc[0], neighbours))
    counts = ", ".join(f"{number} {name}" for name, number in truth.value_counts().items())
    run.write_metrics(
        {
            "title": f"accuracy of {neighbours} neighbours, {len(scores)} splits of {counts}\n  {_order(table)}",
            "test": {
                row["weights"]: {"value": row["accuracy"], "low": row["low"], "high": row["high"]} for row in rows
            },
            "baseline": f"always {share.index[0]}: {share.iloc[0]:.3f}",
        }
    )


def _write_heads(out: Path, results: pd.DataFrame, label: str) -> None:
    """Writes tables of the heads on frozen encoders, and draws their loss against the number of labels."""
    table = means_by_labels(results, list(METRICS))
    saved = label_savings(results, "log_loss", "random").iterrows()
    below = "\n".join(in_a_sentence(row, "log_loss", "random") for _, row in saved)
    log.info("%s", below)
    for name, each in {"heads": results, "heads_table": table}.items():
        write_csv(each, out / f"{name}.csv")
    title = f"{label}: a head on frozen representations, tested on held-out galaxies"
    write_figure(out / "figures" / "heads.png", scores_by_labels(results, table, "log_loss", {}, title, below))


def _order(table: pd.DataFrame) -> str:
    """The weights in one sentence, best first: > if a lead exceeds its interval, ≈ if it does not."""
    signs = [">" if low > 0 else "≈" for low in table["lead_low"][:-1]]
    return " ".join(itertools.chain(*zip(table["weights"], [*signs, ""], strict=True))).strip()


def _figure(table: pd.DataFrame, common: float, neighbours: int) -> Figure:
    figure = Figure(figsize=(6.4, 0.5 * len(table) + 1.2), layout="constrained")
    axes, places = figure.subplots(), np.arange(len(table))[::-1]
    errors = [table["accuracy"] - table["low"], table["high"] - table["accuracy"]]
    axes.errorbar(table["accuracy"], places, xerr=errors, fmt="o", capsize=3)
    axes.axvline(common, color="0.55", ls=":", lw=1)
    axes.text(common, len(table) - 0.5, " always the most common class", fontsize=7, color="0.4", va="bottom")
    axes.set_yticks(places, table["weights"], fontsize=8)
    axes.set(xlabel=f"accuracy of {neighbours} neighbours, with 95% intervals", ylim=(-0.6, len(table) - 0.1))
    axes.set_title("Which weights know the classes?", fontsize=11, pad=14)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
