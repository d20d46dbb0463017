"""Evaluation of representations as in the papers: probes against number of labels, and stationarity."""

import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from morphtools.data.augment import RandomView
from morphtools.data.augment_light import RandomBlur, RandomNoise
from morphtools.data.batches import read_batches
from morphtools.models.cards import Card, find_card
from morphtools.models.encoders import any_way_up
from morphtools.models.preparation import prepare
from morphtools.models.pretrained import load_pretrained
from morphtools.studies.evaluation import displacement, label_efficiency
from morphtools.survey.label_columns import find_labels
from morphtools.training.probes import principal_components
from morphtools.training.runs import Run, open_run
from morphtools.training.starting import random_encoder
from tfrecords_builder.files import write_whole
from tfrecords_builder.plain_figure import Figure, write_figure
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)


def evaluate_representations(
    weights: str,
    records: str | Path,
    *,
    label: str | None = None,
    labels: str = "25,50,100,200,500,1000",
    repeats: int = 5,
    galaxies: int = 4000,
    orientations: int = 8,
    seed: int = 0,
    out: str | Path = "morphtools-runs/representations",
) -> Run:
    """Compares representations: what they know from how many labels, and how far a galaxy moves when it is changed.

    For every label, a linear classifier (L-BFGS) and five neighbours learn from labels drawn from the train and val
    splits and are tested on the test split, beside a random encoder and the principal components of the pixels. Then
    galaxies are rotated, shifted, blurred and noised.

    Args:
        weights: What to compare, separated by commas: names, run folders or paths, as for `load_pretrained`.
        records: Folder of records with labels.
        label: Columns to learn, separated by commas; by default those that look like labels.
        labels: Numbers of labels, separated by commas.
        repeats: Draws of each number.
        galaxies: Most galaxies to draw labels from, and most to test on.
        orientations: How many orientations of an image to average over: 8, 4, 2 or 1.
        seed: Seed of the draws.
        out: Folder: `scores.csv`, `stationarity.csv`, `figures/`, `metrics.json`.

    Returns:
        The run, with `metrics`, `summary` and its folder `out`.

    Raises:
        ValueError: There are no labels, or weights and records do not fit.
        FileNotFoundError: A path is not there.
    """
    arguments: dict[str, Any] = {"weights": str(weights), "records": str(records), "label": label, "labels": labels}
    arguments |= {"repeats": repeats, "galaxies": galaxies, "orientations": orientations, "seed": seed}
    try:
        numbers = [int(each) for each in labels.split(",")]
    except ValueError:
        raise ValueError(f"labels must be numbers such as 50,100,500, got {labels!r}") from None
    opened = Records.open(records)
    found = find_labels(opened.index(), label)
    if not found:
        raise ValueError(f"the records in {opened.folder} have no column that looks like a label; name one with label")
    encoders = _encoders(opened, weights, orientations, seed)
    with open_run(out, "evaluate-representations", arguments) as run:
        if run.finished:
            return run
        scores, moved = [], []
        for name, (encoder, reading, noise) in encoders.items():
            log.info("representing by %s", name)
            sets = {part: _read(opened, found, part, galaxies, reading) for part in ("fit", "test")}
            views = {part: encoder.predict(images, batch_size=32, verbose=0) for part, (images, _) in sets.items()}
            tables = {part: table for part, (_, table) in sets.items()}
            scores.append(_score(views, tables, numbers, repeats, seed).assign(representation=name))
            images = sets["test"][0][:500]
            moved.append({"representation": name} | _stationarity(encoder, images, noise, seed))
            if name == next(iter(encoders)):
                pixels = _pixels(sets, noise, seed)
                scores.append(_score(pixels, tables, numbers, repeats, seed).assign(representation="pixels + PCA"))
                moved.append({"representation": "pixels"} | _stationarity(None, images, noise, seed))
        _finish(run, pd.concat(scores), pd.DataFrame(moved), opened)
    return run


def _encoders(records: Records, weights: str, orientations: int, seed: int) -> dict:
    """Encoder, how to read images for it, and their noise if they are flux, by name; a random one last."""
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
    """Images and labels of at most so many labelled galaxies, to fit (train and val splits) or to test."""
    table = pd.DataFrame({name: each.to_numpy() for name, each in labels.items()})
    table.index = records.index(["id_str"])["id_str"].to_numpy()
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
        raise ValueError(f"no labelled galaxies to {part} in the records at {records.folder}")
    return np.concatenate(images), table.loc[names]


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
    return pd.concat(rows)


def _pixels(sets: dict, noise, seed: int) -> dict:
    both = np.concatenate([images for images, _ in sets.values()])
    both = both if noise is None else np.arcsinh(both / np.asarray(noise, np.float32))
    components = principal_components(both, seed=seed)
    fit = len(sets["fit"][0])
    return {"fit": components[:fit], "test": components[fit:]}


def _stationarity(encoder, images: np.ndarray, noise, seed: int) -> dict[str, float]:
    """How far galaxies move in units of their distances, by what was changed."""
    still: dict[str, Any] = {"rotation": 0.0, "flip": False, "zoom": 0.0, "shift": 0.0}
    changes: dict[str, Any] = {
        "rotated": RandomView(**still | {"rotation": 0.5}, seed=seed),
        "mirrored": RandomView(**still | {"flip": True}, seed=seed),
        "shifted by 5%": RandomView(**still | {"shift": 0.05}, seed=seed),
        "blurred by 1 px": RandomBlur(sigma=(1.0, 1.0), seed=seed),
        "noised": RandomNoise(noise or (0.03,) * images.shape[-1], scale=(1.0, 1.0), seed=seed),
    }

    def show(x):
        if encoder is not None:
            return encoder.predict(x, batch_size=32, verbose=0)
        return x if noise is None else np.arcsinh(x / np.asarray(noise, np.float32))

    before = show(images)
    return {
        name: displacement(before, show(keras.ops.convert_to_numpy(change(images, training=True))), seed)
        for name, change in changes.items()
    }


def _finish(run: Run, scores: pd.DataFrame, moved: pd.DataFrame, records: Records) -> None:
    write_whole(run.out / "scores.csv", lambda path: scores.to_csv(path, index=False))
    write_whole(run.out / "stationarity.csv", lambda path: moved.to_csv(path, index=False))
    for name, figure in {"labels": _labels_figure(scores), "stationarity": _moved_figure(moved)}.items():
        write_figure(run.out / "figures" / f"{name}.png", figure, dpi=130)
    most = scores[(scores["probe"] == "linear") & (scores["labels"] == scores["labels"].max())]
    test = {}
    for (name, representation), rows in most.groupby(["label", "representation"]):
        value, low, high = rows["score"].mean(), rows["score"].min(), rows["score"].max()
        test[f"{name}: {representation}"] = {"value": value, "low": low, "high": high}
    title = f"a linear probe from {scores['labels'].max()} labels, with the range over its draws"
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


def _moved_figure(moved: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    table = moved.set_index("representation")
    width = 0.8 / len(table)
    for i, (name, row) in enumerate(table.iterrows()):
        axes.bar(np.arange(len(row)) + i * width, row, width, label=name)
    axes.axhline(1, color="0.55", ls=":", lw=1)
    axes.set_xticks(np.arange(len(table.columns)) + 0.4 - width / 2, table.columns, fontsize=8)
    axes.set_ylabel("displacement / distance\nof two galaxies", fontsize=8)
    axes.set_title("How far a galaxy moves when its image changes", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=7)
    return figure
