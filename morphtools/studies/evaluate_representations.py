"""Evaluation of representations as in the papers: probes against number of labels, and stationarity."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from morphtools.data.batches import read_batches
from morphtools.explore.maps import umap_of
from morphtools.models.cards import Card, find_card
from morphtools.models.encoders import any_way_up
from morphtools.models.preparation import prepare
from morphtools.models.pretrained import load_pretrained
from morphtools.studies.evaluation import label_efficiency
from morphtools.studies.stationarity import Moved, stationarity, stationarity_figure
from morphtools.survey.label_columns import find_labels
from morphtools.training.probes import principal_components
from morphtools.training.runs import Run, open_run
from morphtools.training.starting import random_encoder
from tfrecords_builder.plain_figure import Figure, write_figure
from tfrecords_builder.records import Records
from tfrecords_builder.tables_out import write_csv

log = logging.getLogger(__name__)

_MOVED = 200  # maximum number of galaxies to rotate, shift and add noise to


def evaluate_representations(
    weights: str,
    records: str | Path,
    *,
    label: str | None = None,
    labels: str = "25,50,100,200,500,1000",
    repeats: int = 5,
    galaxies: int = 4000,
    orientations: int = 8,
    controls: bool = False,
    seed: int = 0,
    out: str | Path = "morphtools-runs/representations",
) -> Run:
    """Compares representations: how well they predict labels, and how far a galaxy moves when its image changes.

    For every label, a linear classifier (L-BFGS) and five neighbours learn from galaxies drawn from the train and val
    splits and are tested on the test split. A random encoder and the principal components of the pixels are measured in
    the same way. Then 200 test galaxies are rotated, shifted, mirrored, blurred and made noisier (see `stationarity`);
    records without labels have only this part.

    Args:
        weights: What to compare, separated by commas: names, run folders or paths, as for `load_pretrained`.
        records: Folder of records.
        label: Columns to learn, separated by commas; by default those that look like labels.
        labels: Numbers of labels, separated by commas.
        repeats: Draws of each number.
        galaxies: Most galaxies to draw labels from, and most to test on.
        orientations: How many orientations of an image to average over: 8, 4, 2 or 1. Over eight, quarter turns and
            mirror images change nothing.
        controls: Whether to add two controls: the pixels of images divided by their maximum, and for everything that is
            compared, the two coordinates of a UMAP map as features.
        seed: Seed of the draws.
        out: Folder: `scores.csv`, `stationarity.csv`, `figures/`, `metrics.json`.

    Returns:
        The run, with `metrics`, `summary` and its folder `out`.

    Raises:
        ValueError: There is no such column, or weights and records do not fit.
        FileNotFoundError: A path does not exist.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, section 3.2, figure 9 and appendix C.3.
    """
    arguments: dict[str, Any] = {"weights": str(weights), "records": str(records), "label": label, "labels": labels}
    arguments |= {"repeats": repeats, "galaxies": galaxies, "orientations": orientations, "seed": seed}
    arguments["controls"] = controls
    try:
        numbers = [int(each) for each in labels.split(",")]
    except ValueError:
        raise ValueError(f"labels must be numbers such as 50,100,500, got {labels!r}") from None
    opened = Records.open(records)
    columns = find_labels(opened.index(), label)
    if not columns:
        log.warning("no column of the records looks like a label: only how far galaxies move is measured")
    encoders = _encoders(opened, weights, orientations, seed)
    with open_run(out, "evaluate-representations", arguments) as run:
        if run.finished:
            return run
        views, motions = dict[str, dict[str, np.ndarray]](), dict[str, Moved]()
        for name, (encoder, reading, noise) in encoders.items():
            log.info("representing by %s", name)
            sets = {part: _read(opened, columns, part, galaxies, reading) for part in ("fit", "test")}
            images = {part: each for part, (each, _) in sets.items()}
            whole = _read(opened, columns, "test", _MOVED, {k: v for k, v in reading.items() if k != "crop"})[0]
            see = partial(_seen, noise=noise, size=images["test"].shape[1:3])
            views[name] = {part: see(each, encoder=encoder) for part, each in images.items()}
            motions[name] = stationarity(partial(see, encoder=encoder), whole, views[name]["test"], noise, seed)
            if len(motions) == 1:
                views["pixels + PCA"] = _components(images, noise, seed)
                if controls:
                    views["pixels / maximum + PCA"] = _components(images, noise, seed, maximum=True)
                pixels = partial(see, encoder=None)
                motions["pixels"] = stationarity(pixels, whole, pixels(images["test"]), noise, seed)
        if controls:
            views |= {f"UMAP of {name}": _on_map(each, seed) for name, each in views.items()}
        tables = {part: table for part, (_, table) in sets.items()}
        scores = [
            _score(each, tables, numbers, repeats, seed).assign(representation=name) for name, each in views.items()
        ]
        distances = [each.table.assign(representation=name) for name, each in motions.items()]
        _finish(run, pd.concat(scores), pd.concat(distances), next(iter(motions.values())), opened)
    return run


def _encoders(records: Records, weights: str, orientations: int, seed: int) -> dict:
    """Encoders by name, with how to read images for them, and the noise of flux images; a random one last."""
    encoders = {}
    for name in weights.split(","):
        card = Card.open(find_card(name.strip()))
        prepared = prepare(card, records)
        encoder = load_pretrained(name.strip(), orientations=orientations, **prepared.loading)
        noise = records.noise if card.range == "flux" else None
        encoders[Path(name.strip()).name] = encoder, prepared.reading, noise
    fresh = random_encoder(records, card, prepared, seed)
    fresh = keras.Sequential([keras.Input(fresh.input_shape[1:]), *any_way_up(fresh, orientations)])
    return encoders | {"random encoder": (fresh, prepared.reading, noise)}


def _read(records: Records, labels: dict, part: str, most: int, reading: dict):
    """Images and labels of some galaxies, labelled ones if there are any, to fit (train and val splits) or to test."""
    ids = records.index(["id_str"])["id_str"].to_numpy()
    table = pd.DataFrame({name: each.to_numpy() for name, each in labels.items()}, index=ids)
    if labels:
        table = table[table.notna().any(axis=1)]
    images, names = [], []
    for split in ("test",) if part == "test" else ("train", "val"):
        for batch in read_batches(records, split, batch_size=256, **reading):
            if len(names) >= most:
                break
            ids = batch["id_str"]
            rows = np.flatnonzero(pd.Index(ids).isin(table.index))[: most - len(names)]
            images.append(batch["image"][rows])
            names += list(ids[rows])
    if not names:
        raise ValueError(f"no {'labelled ' if labels else ''}galaxies to {part} in the records at {records.folder}")
    return np.concatenate(images), table.loc[names]


def _seen(images: np.ndarray, *, encoder: keras.Model | None, noise, size: tuple[int, int]) -> np.ndarray:
    """Representations of the middle of images; without an encoder, its pixels (flux as asinh in units of the noise)."""
    y, x = ((whole - part) // 2 for whole, part in zip(images.shape[1:3], size, strict=True))
    images = images[:, y : y + size[0], x : x + size[1]]
    if encoder is not None:
        return encoder.predict(images, batch_size=32, verbose=0)
    images = images if noise is None else np.arcsinh(images / np.asarray(noise, np.float32))
    return images.reshape(len(images), -1)


def _score(views: dict, tables: dict, numbers: list[int], repeats: int, seed: int) -> pd.DataFrame:
    rows = []
    for name in tables["fit"]:
        known = {part: tables[part][name].notna().to_numpy() for part in tables}
        x = {part: views[part][known[part]] for part in tables}
        y = {part: tables[part][name].to_numpy()[known[part]] for part in tables}
        if min(len(each) for each in y.values()) < 10:
            log.warning("%s is left out: too few galaxies have it", name)
            continue
        options: dict[str, Any] = {"numbers": numbers, "repeats": repeats, "seed": seed}
        rows.append(label_efficiency(x["fit"], y["fit"], x["test"], y["test"], **options).assign(label=name))
    return pd.concat(rows) if rows else pd.DataFrame()


def _components(images: dict[str, np.ndarray], noise, seed: int, maximum: bool = False) -> dict[str, np.ndarray]:
    """Principal components of the pixels of both parts, with images divided by their maximum if requested."""
    both = np.concatenate(list(images.values()))
    if maximum:
        both = both / np.maximum(both.max(axis=(1, 2, 3), keepdims=True), 1e-12)
    elif noise is not None:
        both = np.arcsinh(both / np.asarray(noise, np.float32))
    return _parts(principal_components(both, seed=seed), images)


def _on_map(views: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """The coordinates of both parts on one UMAP map."""
    return _parts(umap_of(np.concatenate(list(views.values())), seed=seed), views)


def _parts(both: np.ndarray, like: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"fit": both[: len(like["fit"])], "test": both[len(like["fit"]) :]}


def _finish(run: Run, scores: pd.DataFrame, moved: pd.DataFrame, first: Moved, records: Records) -> None:
    write_csv(moved, run.out / "stationarity.csv")
    write_figure(run.out / "figures" / "stationarity.png", stationarity_figure(moved, first), dpi=130)
    groups, value = moved.groupby(["change", "representation"], sort=False), "displacement"
    title = "distance moved over the distance of two galaxies, with the range over amounts"
    if len(scores):
        write_csv(scores, run.out / "scores.csv")
        write_figure(run.out / "figures" / "labels.png", _labels_figure(scores), dpi=130)
        most = scores[(scores["probe"] == "linear") & (scores["labels"] == scores["labels"].max())]
        groups, value = most.groupby(["label", "representation"]), "score"
        title = f"a linear probe from {scores['labels'].max()} labels, with the range over its draws"
    test = {
        ": ".join(names): dict(
            zip(("value", "low", "high"), map(float, rows[value].agg(["mean", "min", "max"])), strict=True)
        )
        for names, rows in groups
    }
    (run.out / "state").rmdir()
    run.write_metrics(
        {"title": title, "test": test, "stationarity": moved.to_dict("records"), "records": records.digest}
    )


def _labels_figure(scores: pd.DataFrame) -> Figure:
    names = list(scores["label"].unique())
    figure = Figure(figsize=(3.7 * len(names) + 0.3, 3.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for representation, rows in scores[(scores["label"] == name)].groupby("representation", sort=False):
            for probe, style in (("linear", "-o"), ("knn", ":")):
                mean = rows[rows["probe"] == probe].groupby("labels")["score"].mean()
                label = representation if probe == "linear" else None
                colour = axes.lines[-1].get_color() if probe == "knn" else None
                axes.plot(mean.index, mean, style, ms=3, lw=1.4, label=label, color=colour)
        low, high = axes.get_ylim()
        axes.set(xscale="log", xlabel="labels", ylim=(max(low, -0.25), min(high, 1.02)))
        axes.set_title(f"{name} (line: linear, dots: 5 neighbours)", fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7)
    return figure
