"""Compares starts for learning without labels: the same pretraining from several weights, epoch by epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from morphtools.models.cards import Card, find_card
from morphtools.training.learning_figures import scores_by_epoch
from morphtools.training.pretrain import pretrain
from tfrecords_builder.naming import some
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.tables_out import write_csv

STARTS = ("random", "efficientnet_lite0_imagenet", "efficientnet_lite0_gz2")
_DECIDED = ("weights", "encoder", "small_images", "records", "catalog", "images", "out")


def compare_starts(
    pretraining: Mapping,
    records: str | Path,
    *,
    starts: str | Sequence[str] = STARTS,
    out: str | Path = "morphtools-runs/starts",
) -> pd.DataFrame:
    """Pretrains the same encoder from several starts, and compares what five neighbours predict after every epoch.

    Every start is a run of `pretrain` in `out/START`; the same call resumes if interrupted, and one with more starts
    keeps those that are finished. The figure is drawn again after every run.

    Args:
        pretraining: Keyword arguments of `pretrain`, as in `configs/pretrain/`, except the encoder and its weights.
        records: Folder of records, with labels to watch.
        starts: Weights to start from (see `load_pretrained`), all of one architecture, and `random` for none; a list,
            or text separated by commas.
        out: Folder of the runs, of `starts.csv` and of `starts.png`.

    Returns:
        A row per start and epoch, 0 being the start itself: `start`, `epoch`, and for every label `knn LABEL` with its
        95% range over random splits, `… low` and `… high`: an accuracy, or R² of numbers.

    Raises:
        ValueError: The starts differ in architecture, or `pretraining` has an argument that is decided here.

    Reference:
        Mohale & Lochner 2023, arXiv:2311.14157, section 5.1.
    """
    starts = [start.strip() for start in starts.split(",")] if isinstance(starts, str) else list(starts)
    if decided := [name for name in _DECIDED if pretraining.get(name) is not None]:
        raise ValueError(f"compare_starts decides {some(decided)}: remove it from the settings of the pretraining")
    shared = dict(pretraining) | _shared(starts, pretraining)
    out, tables, pixels = Path(out), [], {}
    for start in starts:
        start_options = {"encoder": shared["encoder"]} if start == "random" else {"weights": start}
        run = pretrain(**shared | {"encoder": None} | start_options, records=records, out=out / Path(start).name)
        pixels = run.metrics["baselines"]["pixels + PCA"]
        tables.append(_epochs(start, run))
        table = pd.concat(tables, ignore_index=True)
        figure = scores_by_epoch(table, pixels, title=f"{shared['encoder']}, {pretraining.get('method', 'byol')}")
        write_csv(table, out / "starts.csv")
        write_figure(out / "starts.png", figure)
    return table


def _shared(starts: list[str], pretraining: Mapping) -> dict:
    """The architecture and the size of images that all starts have in common."""
    if len({Path(start).name for start in starts}) < len(starts):
        raise ValueError(f"every start needs its own name, got {', '.join(starts)}")
    cards = {start: Card.open(find_card(start)) for start in starts if start != "random"}
    if not cards:
        raise ValueError("at least one start must be weights: their architecture is that of all")
    names = {start: card.encoder["name"] for start, card in cards.items()}
    if len(set(names.values())) > 1:
        renamed = ", ".join(f"{start} is {name}" for start, name in names.items())
        raise ValueError(f"starts are compared within one architecture, but {renamed}")
    size = pretraining.get("image_size") or next(iter(cards.values())).image_size[0]
    return {"encoder": next(iter(names.values())), "image_size": size}


def _epochs(start: str, run) -> pd.DataFrame:
    """A row per epoch of a run, and before them one of its start."""
    baselines = run.metrics["baselines"]
    first = baselines.get("starting weights") or baselines["random encoder"]
    history = pd.DataFrame([{"epoch": 0} | first, *pd.read_csv(run.out / "history.csv").to_dict("records")])
    scores = [name for name in first if name.startswith("knn ")]
    return history[["epoch", *scores]].assign(start=start)[["start", "epoch", *scores]]
