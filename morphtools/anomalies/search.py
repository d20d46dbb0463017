"""`find_anomalies`: a session of ratings typed in a terminal or notebook, or given by a column."""

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from morphtools.anomalies.anomaly_figures import ranking_curves
from morphtools.anomalies.loop import AnomalyLoop
from morphtools.anomalies.ranking import ranking_metrics
from morphtools.anomalies.ratings import HIGHEST
from morphtools.anomalies.simulation import vote_fractions
from morphtools.answers import class_figures as figures
from morphtools.explore.figures import contact_sheet
from morphtools.explore.pictures import Pictures, thumbnails
from morphtools.explore.showing import show
from morphtools.inference.representations import Representations
from tfrecords_builder.files import write_whole
from tfrecords_builder.locks import lock
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.tables_out import write_chunks

_ROW, _ROWS = 10, 25  # galaxies in a row of the history, and its rows at most
_TOP = 48  # galaxies in the gallery of the ranking
_HELP = "0 (dull) to 5 (what you look for), s skip, u undo, q stop"


def find_anomalies(
    representations: str | Path | Representations,
    *,
    catalog: str | Path | pd.DataFrame | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    oracle: str | None = None,
    threshold: float = 0.9,
    ratings: int = 200,
    batch_size: int = 10,
    examples: tuple[str, ...] = (),
    kernel: str = "rational_quadratic",
    acquisition: str = "expected_improvement",
    tradeoff: float = 0.5,
    diversity: str = "none",
    start: str = "random",
    components: int = 40,
    rater: str = "me",
    own: bool = False,
    similar: bool = False,
    merge: tuple[str | Path, ...] = (),
    exclude: str | Path | pd.DataFrame | None = None,
    seed: int = 0,
    out: str | Path = "morphtools-runs/anomalies",
) -> AnomalyLoop:
    """Finds galaxies that interest you: asks you to rate some, and ranks all by your interest.

    Galaxies are shown in `contact_sheet.png` (in a notebook, below the cell) and you type a rating for each. Stop when
    you like: every rating is kept, and the same call continues. In the end, or when you stop, `scores.csv` has every
    galaxy, the most interesting first; `top.png` shows the first of them, `history.png` those rated, in order.

    With `oracle` you rate nothing: the rating of a galaxy is five times its vote fraction, rounded. `metrics.json`
    and `recall.png` say how well this found the galaxies with a fraction above `threshold`.

    Args:
        representations: Representations of all galaxies among which to search, or their folder.
        catalog: Table with `id_str`, `file_loc` for the pictures, and the column of an oracle.
        images: Folder, zip archive or stack in which the catalogue's `file_loc` is found.
        records: Or records of these galaxies, for pictures and the column.
        oracle: Column of a vote fraction (0–1) that rates in your place; where it is unknown, a galaxy is skipped.
        threshold: Fraction above which a galaxy counts as an anomaly.
        ratings: How many in all.
        batch_size: Galaxies shown at a time.
        examples: `id_str` of known examples, rated 5 to start with.
        kernel: As all that follow, see `AnomalyLoop`.
        acquisition: What is shown next.
        tradeoff: ε of the expected improvement, in ratings.
        diversity: How the galaxies of a batch keep apart.
        start: The first batch, unless there are examples.
        components: Number of principal components.
        rater: Your name, kept with every rating.
        own: Whether only your own ratings count, so that the ranking follows your taste; results are then in a folder
            of your own, such as `of-ann`. By default the ratings of all who rate in `out` are averaged.
        similar: As `own`, but the search starts from what others who rate in `out` would like: you are first shown the
            favourites of each, and after ten ratings those count whose taste is like yours, if anybody's is.
        merge: Folders of other sessions about these galaxies, whose ratings are added to this one.
        exclude: Table with the `id_str` of galaxies to leave out, such as `artifacts.csv`.
        seed: Seed of a random start.
        out: Folder of the session.

    Returns:
        The session, with `scores()` and `ratings()`.

    Raises:
        ValueError: The session belongs to other representations, or the column is not a fraction.
    """
    settings: dict[str, Any] = {"kernel": kernel, "acquisition": acquisition, "diversity": diversity}
    if ratings < 1 or batch_size < 1:
        raise ValueError(f"ratings and batch_size must be positive, got {ratings} and {batch_size}")
    store = Representations.open(representations)
    pictures = Pictures(records, catalog, images, store) if records is not None or images is not None else None
    fractions = None if oracle is None else vote_fractions(store.id_str, oracle, catalog, records)
    name = rater if oracle is None else f"column {oracle}"
    settings |= {"tradeoff": tradeoff, "start": start, "components": components, "seed": seed}
    settings |= {"rater": name, "own": own, "similar": similar, "exclude": exclude}
    loop = AnomalyLoop(store, out, **settings)
    with lock(loop.out, name=f".lock-{hashlib.sha256(name.encode()).hexdigest()[:12]}"):  # one per rater
        for other in merge:
            loop.merge(other)
        known = set(loop.ratings()["id_str"])
        loop.rate({example: HIGHEST for example in examples if example not in known})
        if fractions is None:
            _ask_person(loop, pictures, ratings, batch_size)
        else:
            _ask_column(loop, fractions, ratings, batch_size)
        if loop.ratings()["rating"].notna().any():
            _write_results(loop, pictures, None if fractions is None else fractions > threshold)
    return loop


def _rated(loop: AnomalyLoop) -> int:
    return int(loop.ratings()["rating"].notna().sum())


def _ask_column(loop: AnomalyLoop, fractions: pd.Series, ratings: int, batch_size: int) -> None:
    with progress_bar(total=ratings, initial=_rated(loop), desc="rating", unit="galaxy") as bar:
        while (left := ratings - _rated(loop)) > 0 and (batch := loop.suggest(min(batch_size, left))):
            values = (HIGHEST * fractions[batch]).round()
            loop.rate({name: None if np.isnan(value) else value for name, value in values.items()})
            bar.update(int(values.notna().sum()))


def _ask_person(loop: AnomalyLoop, pictures: Pictures | None, ratings: int, batch_size: int) -> None:
    """Shows batch after batch until there are enough ratings, nothing is left, or the person stops."""
    while _rated(loop) < ratings and (batch := loop.suggest(batch_size)):
        if pictures is not None:
            _show(loop, pictures, batch)
        print(_HELP)
        numbers, waiting = {name: f"{i:>4}" for i, name in enumerate(batch, 1)}, deque(batch)
        while waiting:
            name = waiting[0]
            try:
                answer = input(f"{numbers.get(name, '   ·')}  {name}: ").strip().lower()
            except (EOFError, NotImplementedError):  # the end of a pipe, or a notebook that runs unattended
                return
            if answer == "q":
                return
            if answer == "u":
                waiting.extendleft(loop.undo())
                continue
            try:
                loop.rate({name: None if answer == "s" else float(answer)})
                waiting.popleft()
            except ValueError:
                print(_HELP)


def _show(loop: AnomalyLoop, pictures: Pictures, batch: list[str]) -> None:
    """Writes the contact sheet of a batch, and shows it in a notebook."""
    captions = [f"{i}\n{name[:22]}" for i, name in enumerate(batch, 1)]
    title = f"How interesting are these? {_rated(loop)} rated so far"
    path = loop.out / "contact_sheet.png"
    write_figure(path, figures.gallery(thumbnails(pictures, batch, 192), captions, title, columns=5))
    show(path)


def _history(loop: AnomalyLoop, pictures: Pictures):
    """The rated galaxies in the order in which they were rated, ten in a row: what the search learned to ask for.

    Reference:
        Mohale & Lochner 2023, arXiv:2311.14157, figure 10.
    """
    rated = loop.ratings().dropna(subset="rating").reset_index(drop=True)
    starts = range(0, len(rated), _ROW)
    rows = [rated.iloc[start : start + _ROW] for start in starts][:: -(-len(starts) // _ROWS)]
    captions = [f"{row.index[0] + 1}–{row.index[-1] + 1}\nmean rating {row['rating'].mean():.1f}" for row in rows]
    title = "What was rated, in order" + (
        "" if len(rows) == len(starts) else f" (one row of {-(-len(starts) // _ROWS)})"
    )
    return contact_sheet([thumbnails(pictures, row["id_str"]) for row in rows], captions, title)


def _write_results(loop: AnomalyLoop, pictures: Pictures | None, anomalous: pd.Series | None) -> None:
    """Writes `scores.csv`; with pictures `top.png`, `history.png`; with the truth `metrics.json`, `recall.png`."""
    out = loop.out
    if loop.own:
        out = out / f"of-{quote(loop.rater, safe=' ')}"
        out.mkdir(exist_ok=True)
    first, ranked, new, number = [], [], [], 0

    def noted() -> Iterator[pd.DataFrame]:
        nonlocal number
        for table in loop.ranked():
            first.append(table.head(_TOP if not first else 0))
            number += len(table)
            if anomalous is not None:
                ranked.append(anomalous[table["id_str"]].to_numpy())
                new.append(ranked[-1][table["raters"].to_numpy() == 0])
            yield table

    write_chunks(noted(), out / "scores.csv")
    if pictures is not None:
        top = pd.concat(first)
        captions = [
            f"{i}: {row.score:.1f} ± {row.uncertainty:.1f}{f', rated {row.rating:.2g}' if row.raters else ''}\n"
            f"{row.id_str[:22]}"
            for i, row in enumerate(top.itertuples(), 1)
        ]
        shown = thumbnails(pictures, top["id_str"], 128)
        title = f"The {len(top)} most interesting of {number} galaxies, after {_rated(loop)} ratings"
        write_figure(out / "top.png", figures.gallery(shown, captions, title))
        write_figure(out / "history.png", _history(loop, pictures))
    if anomalous is not None:
        _write_recall(out, np.concatenate(ranked), np.concatenate(new), _rated(loop))


def _write_recall(out: Path, ranked: np.ndarray, new: np.ndarray, ratings: int) -> None:
    """How early the ranking has the anomalies: (N,) bool of all galaxies, and of those that were not rated."""
    metrics: dict[str, Any] = {"galaxies": len(ranked), "anomalies": int(ranked.sum()), "ratings": ratings}
    metrics |= {"rated_anomalies": int(ranked.sum() - new.sum()), "all": ranking_metrics(ranked)}
    metrics["unrated"] = ranking_metrics(new)
    clean = json.loads(json.dumps(metrics), parse_constant=lambda name: None)
    write_whole(out / "metrics.json", json.dumps(clean, indent=1))
    write_figure(out / "recall.png", ranking_curves({"this session": [ranked]}))
