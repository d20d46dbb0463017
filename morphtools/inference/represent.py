"""Representations of a catalogue's galaxies by pretrained weights."""

import hashlib
import json
import shutil
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import keras

from morphtools.inference.representations import Representations
from morphtools.inference.stream import all_computed, galaxies_per_batch, list_failures, open_galaxies, stream
from morphtools.models.cards import Card, find_card
from morphtools.models.preparation import prepare
from morphtools.models.pretrained import load_pretrained
from tfrecords_builder.claims import claim, inputs_of
from tfrecords_builder.listing import catalog_of
from tfrecords_builder.records import Records


def represent(
    weights: str | Path,
    out: str | Path,
    *,
    catalog: str | Path | None = None,
    images: str | Path | None = None,
    records: str | Path | None = None,
    split: str | None = None,
    batch_size: int | None = None,
    orientations: int = 8,
    image_size: int | tuple[int, int] | None = None,
    crop: int | None = None,
    stretch: str | None = None,
    survey: str | None = None,
    adapt_bands: bool = False,
    bands: tuple[str, ...] | str | None = None,
    mixed_precision: bool = False,
    part: str | None = None,
    executor: Executor | None = None,
) -> Representations:
    """Represents every galaxy once, as the mean over the orientations of its image.

    The store only grows: an interrupted call resumes, and galaxies added to the records (`build_records(…,
    append=True)`) are added to it. Representations made by other weights or from other records are refused.

    Args:
        weights: As for `load_pretrained`: a name, the folder of a run, or a path.
        out: Folder of the store.
        catalog: Table with `id_str` and `file_loc`; or a folder or zip archive of images.
        images: Folder or zip archive that `file_loc` refers to; by default the catalogue's folder.
        records: Folder of records, instead of `catalog` and `images`.
        split: Only this split of the records; by default all.
        batch_size: Galaxies at a time; by default as many as suit the caches of a CPU. A GPU prefers several hundred.
        orientations: How many orientations of an image to average over: 8, 4, 2 or 1.
        image_size: Side, or (H, W), in pixels; by default that of the weights.
        crop: Side in pixels of the middle of the images that is represented; by default the whole image. Maps,
            clusters and galleries show the same middle.
        stretch: How flux becomes pictures; by default as for the weights.
        survey: Survey of the bands (see `morphtools.survey.extinction`), to undo the extinction by Galactic dust by
            `ebv`; by default as for the weights.
        adapt_bands: Whether to adapt the weights to other bands (see `load_pretrained`); a single band always is, which
            is exact.
        bands: Names of the bands in the order of the files, such as `g,r,z`, if the files do not name them.
        mixed_precision: Whether the encoder computes in bfloat16. `doctor(speed=True)` measures whether that is faster
            here. The store then holds another space, with its own maps and clusters.
        part: `"2/5"`: only the second fifth of the records' shards, for processes side by side. The one that finds
            every galaxy represented finishes the store.
        executor: Where to compute instead, a shard at a time, as for `build_records`; the bytes are the same.

    Returns:
        The store, in the order of the shards; what could not be represented is listed in `failures.csv`.

    Raises:
        ValueError: Weights and records do not fit, or the store holds something else; the message explains what to do.
        FileNotFoundError: A path does not exist.
    """
    out, catalog = Path(out), catalog_of(catalog, images)
    card = Card.open(find_card(weights))
    inputs = {"weights": card.sha256} | inputs_of(catalog, images)
    inputs |= {"records": origin(Records.open(records))} if records is not None else {}
    old, part_of_it = "representations.json", part is not None
    with claim(out, "represent", {}, inputs, old=old, others=True, part=part_of_it) as claimed:
        opened, splits = open_galaxies(out, catalog, images, records, split, part, bands, executor)
        options: dict[str, Any] = {"stretch": stretch, "image_size": image_size, "survey": survey}
        options["crop"] = crop
        options["adapt_bands"] = adapt_bands or len(opened.bands) == 1
        prepared = prepare(card, opened, **options)
        model = load_pretrained(weights, orientations=orientations, mixed_precision=mixed_precision, **prepared.loading)
        provenance: dict[str, Any] = {"weights": card.sha256, "records": origin(opened), "orientations": orientations}
        provenance |= prepared.reading | ({"mixed_precision": True} if mixed_precision else {})
        claimed.keep()
        if part is not None:
            claimed.share()
        options = {"batch_size": batch_size, "part": part, "executor": executor, "reading": prepared.reading}
        store = represent_galaxies(model, opened, out, splits, provenance=provenance, **options)
        if part is None:
            _finish(out, opened, splits)
    if part is not None and all_computed(opened, out, splits):
        with claim(out, "represent", {}, inputs, old=old, others=True, wait=True):
            _finish(out, opened, splits)
    return store


def _finish(out: Path, records: Records, splits: list[str]) -> None:
    """Lists what could not be represented; removes what only an unfinished store needs."""
    _, damaged = list_failures(out, records, out, splits)
    if not damaged:
        shutil.rmtree(out / "state", ignore_errors=True)


def represent_galaxies(
    model: keras.Model,
    records: Records,
    out: Path,
    splits: list[str],
    *,
    provenance: dict,
    batch_size: int | None = None,
    part: str | None = None,
    executor: Executor | None = None,
    reading: dict | None = None,
) -> Representations:
    """The output of any model (B, H, W, C) → (B, D) for records; arguments as for `stream`."""
    store = Representations.create(out, model.output_shape[-1], {k: str(v) for k, v in provenance.items()})
    stream(
        model,
        records,
        out,
        store.table,
        splits=splits,
        batch_size=batch_size or galaxies_per_batch(model),
        part=part,
        executor=executor,
        reading=reading,
        label=f"representing {' '.join(splits)}",
    )
    return store


def origin(records: Records) -> str:
    """A hash of the shards of the first build, which stays the same when galaxies are added later."""
    first = sorted((name, checksum) for name, checksum in records.checksums.items() if "-added" not in name)
    return hashlib.sha256(json.dumps(first).encode()).hexdigest()
