"""`suggest_labels`: the galaxies whose labels would teach a run most."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.answers.class_figures import gallery
from morphtools.answers.kinds import AnyAnswer
from morphtools.answers.predictions import check_table
from morphtools.answers.uncertainty import typical_sigma, uncertainty_of
from morphtools.explore.pca import batches_of
from morphtools.explore.pictures import Pictures, thumbnails
from morphtools.explore.suggestions import choose_diverse
from morphtools.explore.tables import all_but, known_of, left_out
from morphtools.inference.representations import Representations
from morphtools.models.cards import Card, find_card
from tfrecords_builder.plain_figure import write_figure
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.tables_out import write_csv
from tfrecords_builder.yaml_files import read_yaml

_CANDIDATES = 20_000  # the most uncertain, among which to choose
_ROWS = 8192  # at a time


def suggest_labels(
    run: str | Path,
    representations: str | Path | Representations,
    galaxies: int = 50,
    *,
    question: str | None = None,
    exclude: str | Path | pd.DataFrame | None = None,
    catalog: str | Path | pd.DataFrame | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    seed: int = 0,
    out: str | Path = "morphtools-runs/suggestions",
) -> pd.DataFrame:
    """Suggests which galaxies to label next: those that the run is uncertain about, and that differ from each other.

    Galaxies that the run has used, labelled or tested, are left out. How many labels this saves, compared with
    labelling at random, depends on the question.

    Writes `suggestions.csv` and, where there are images, `suggestions.png`. With a catalogue the table has its columns
    too, and is a catalogue itself: fill in its column with the labels, which may be new, and give it to `finetune`,
    alone or with the galaxies that were labelled before. Predictions are in columns `…_predicted`, which no
    task takes for labels.

    Args:
        run: Folder of a run of `finetune`.
        representations: By the run (`represent RUN …`), or by the weights that it started from where these stayed
            frozen.
        galaxies: Number of galaxies to suggest.
        question: Question of a run with several questions or numbers, the one that the labels are for; all by default.
        exclude: Table with `id_str` of more galaxies to leave out, such as artefacts or those labelled already.
        catalog: Table with `id_str` and any other columns.
        images: Folder, zip archive or stack of its images.
        records: Folder of records, instead of images.
        seed: Seed of the draws.
        out: Output folder.

    Returns:
        `rank`, `id_str`, `uncertainty`, what is predicted, and the columns of the catalogue.

    Raises:
        FileNotFoundError: The run or the store does not exist.
        ValueError: The store is of another space, or no galaxies are left.
    """
    store, run = Representations.open(representations), Path(run)
    card = Card.open(find_card(run))
    answer, head = _head(run, card, store)
    used = pd.read_parquet(check_table(run / "galaxies.parquet"), columns=["id_str"])
    keep = all_but(store, np.concatenate([left_out(store, used), left_out(store, exclude)]))
    ids, x, outputs, uncertainty = _most_uncertain(answer, head, question, store, keep)
    rows = choose_diverse(x, uncertainty, galaxies, seed=seed)
    predicted = answer.tables(ids[rows], outputs[rows][np.newaxis], 0.9)[0].rename(columns=_as_predicted)
    table = pd.DataFrame({"rank": np.arange(1, len(rows) + 1), "uncertainty": uncertainty[rows]})
    table = pd.concat([table, predicted], axis=1)
    about = known_of(table["id_str"], catalog).reset_index(drop=True)
    table = table.join(about.rename(columns={name: f"{name}_catalog" for name in about if name in table}))
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_csv(table, out / "suggestions.csv")
    if records is not None or images is not None:
        pictures = thumbnails(Pictures(records, catalog, images, store), table["id_str"], 128)
        captions = [f"{name[:22]}\n{u:.2f}" for name, u in zip(table["id_str"], table["uncertainty"], strict=True)]
        title = f"{len(table)} galaxies to label next, and how uncertain they are"
        write_figure(out / "suggestions.png", gallery(pictures, captions, title))
    return table


def _most_uncertain(
    answer: AnyAnswer, head: Callable, question: str | None, store: Representations, keep: np.ndarray | None
) -> tuple[np.ndarray, ...]:
    """Names, representations, outputs and uncertainties of the most uncertain galaxies; memory holds no others."""
    typical = typical_sigma(answer, (head(x) for _, x in batches_of(store, keep, _ROWS)))
    best: tuple[np.ndarray, ...] = ()
    with progress_bar(total=len(store) if keep is None else int(keep.sum()), desc="scoring", unit="galaxy") as bar:
        for names, x in batches_of(store, keep, _ROWS):
            if not len(names):
                continue
            outputs = np.asarray(head(x))
            new = names, x, outputs, uncertainty_of(answer, outputs, question, typical)
            both = [np.concatenate(pair) for pair in zip(best, new, strict=True)] if best else new
            first = np.argsort(-both[3], kind="stable")[:_CANDIDATES]
            best = tuple(array[first] for array in both)
            bar.update(len(names))
    if not best:
        raise ValueError(f"no galaxies are left to suggest: all {len(store)} are in the run or left out")
    return best


def _as_predicted(name: str) -> str:
    """What a column of predictions is called here: a column `ring` would be taken for labels."""
    return name if name == "id_str" or name.endswith(("predicted", "_sigma")) else f"{name}_predicted"


def _head(run: Path, card: Card, store: Representations):
    """What a run answers, and its head, once the store is of the space that the head was fitted in."""
    import keras

    from morphtools.models.pretrained import load_pretrained

    weights = store.provenance.get("weights")
    settings = read_yaml(run / "config.yaml")
    start = settings.get("weights")
    frozen = settings.get("depth") == "head" and start not in (None, "random")
    spaces = {card.sha256} | ({Card.open(find_card(start)).sha256} if frozen else set())
    if weights not in spaces or "pca" in store.provenance:
        raise ValueError(f"{store.folder} was not made by {run}: represent the galaxies with it (represent {run} …)")
    head = load_pretrained(run, include_top=True).layers[-1]
    return card.question(), lambda x: keras.ops.convert_to_numpy(head(x))
