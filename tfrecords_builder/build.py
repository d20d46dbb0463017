"""From a catalogue and its images to TFRecord shards."""

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from tfrecords_builder.catalog import check_catalog
from tfrecords_builder.files import write_whole
from tfrecords_builder.images import Image, Source, open_images
from tfrecords_builder.naming import some
from tfrecords_builder.records import Galaxy, Records, check_same_bands, write_shard
from tfrecords_builder.splits import SPLITS, hash_uniform, split_of

log = logging.getLogger(__name__)

_GALAXIES_PER_SHARD = 4096


def build_records(
    catalog: pd.DataFrame,
    out: str | Path,
    *,
    images: str | Path | Source,
    image_size: int | None = None,
    bands: tuple[str, ...] | None = None,
    pixel_scale: float | None = None,
    max_failures: float = 0.1,
    seed: int = 0,
) -> Records:
    """Writes a catalogue and its images as TFRecord shards with splits.

    Split and shard of a galaxy follow from a hash of its `id_str`; a column `split` decides instead where the catalogue
    has one. Shards appear whole, `records.json` last: a
    build that was killed is simply started again. An image that cannot be used is skipped and listed with the
    reason in `failures.parquet`.

    Args:
        catalog: One row per galaxy with `id_str`, `file_loc`; numeric columns become labels.
        out: Folder for the records; made if it is not there.
        images: Folder or zip archive in which `file_loc` is found, or a source function (`file_loc` → `Image`).
            JPEG and PNG bytes are stored as they are; FITS pixels as float32.
        image_size: Side in pixels at which the images are to be read; by default that of the first one.
        bands: Names of the bands in order; by default numbered, or r, g, b of a colour picture.
        pixel_scale: Arcsec per pixel.
        max_failures: Largest share of images that may be unusable.
        seed: Seed of splits and shards.

    Returns:
        The records, readable at once.

    Raises:
        ValueError: The catalogue is not sound, or too many images cannot be used.
        FileExistsError: `out` holds records made of something else.
    """
    catalog = check_catalog(catalog)
    read = open_images(images)
    out = Path(out)
    settings = {"image_size": image_size, "bands": bands, "pixel_scale": pixel_scale, "seed": seed}
    digest = _digest(catalog, settings)
    if (out / "records.json").exists():
        records = Records.open(out)
        if records.digest != digest:
            raise FileExistsError(f"{out} holds records of another catalogue or other settings; choose another folder")
        return records
    out.mkdir(parents=True, exist_ok=True)

    label_cols = tuple(c for c in catalog.columns if pd.api.types.is_numeric_dtype(catalog[c]))
    catalog = _deal(catalog, seed)
    first = _first_usable(catalog, read)
    shape = (image_size or first.shape[0], image_size or first.shape[1], first.shape[2])
    failures, checksums, offsets, noise = [], {}, {}, []

    def galaxies(rows: pd.DataFrame, progress) -> Iterator[Galaxy]:
        for row in rows.to_dict("records"):
            progress.update()
            try:
                image = read(row["file_loc"])
                if isinstance(image.data, bytes) != isinstance(first.data, bytes):
                    raise ValueError("mixes FITS with JPEG or PNG")
                check_same_bands(image, shape)
            except ValueError as error:
                failures.append({"id_str": row["id_str"], "file_loc": row["file_loc"], "reason": str(error)})
                if len(failures) > max_failures * len(catalog):
                    raise _too_many(failures, len(catalog), max_failures) from None
                continue
            if row["split"] == "train" and isinstance(image.data, np.ndarray):
                noise.append(_mad(image.data))
            yield Galaxy(row["id_str"], image, {c: _as_float(row[c]) for c in label_cols})

    try:
        with tqdm(total=len(catalog), desc="building records", unit="galaxy", disable=None) as progress:
            for name, rows in catalog.groupby("shard"):
                written, checksums[name] = write_shard(out / name, galaxies(rows, progress))
                offsets |= written
    except ValueError:
        for path in out.glob("*.tfrecord*"):
            if path.name.removesuffix(".partial").lstrip(".") in set(catalog["shard"]):
                path.unlink()
        raise

    catalog["offset"] = catalog["id_str"].map(offsets).astype("Int64")
    catalog = catalog[catalog["offset"].notna()].reset_index(drop=True)
    write_whole(out / "index.parquet", catalog.to_parquet)
    if failures:
        log.warning("%d images cannot be used and are skipped, see failures.parquet", len(failures))
        write_whole(out / "failures.parquet", pd.DataFrame(failures).to_parquet)
    counts = catalog["split"].value_counts()
    records = Records(
        folder=out,
        shape=shape,
        bands=tuple(bands) if bands else _band_names(first),
        encoding="encoded" if isinstance(first.data, bytes) else "float32",
        label_cols=label_cols,
        splits={split: int(counts.get(split, 0)) for split in SPLITS},
        noise=tuple(float(x) for x in np.nanmedian(noise, axis=0)) if noise else None,
        pixel_scale=pixel_scale,
        seed=seed,
        checksums=checksums,
        digest=digest,
    )
    records.save()
    return records


def _deal(catalog: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Adds the columns `split` (where there is none) and `shard`, and sorts into the order of writing."""
    catalog = catalog.drop(columns=["shard", "offset"], errors="ignore")
    n_shards = -(-len(catalog) // _GALAXIES_PER_SHARD)
    split = catalog["split"] if "split" in catalog.columns else [split_of(i, seed) for i in catalog["id_str"]]
    order = np.array([hash_uniform(i, seed, salt="shard") for i in catalog["id_str"]])
    shard = [f"{s}-{int(u * n_shards):05d}.tfrecord" for s, u in zip(split, order, strict=True)]
    return catalog.assign(split=split, shard=shard).iloc[np.argsort(order)].reset_index(drop=True)


def _first_usable(catalog: pd.DataFrame, read: Source) -> Image:
    failures = []
    for row in catalog.itertuples():
        try:
            return read(row.file_loc)
        except ValueError as error:
            failures.append({"id_str": row.id_str, "reason": str(error)})
            if len(failures) == 100:
                break
    raise _too_many(failures, len(catalog), 0.0)


def _too_many(failures: list[dict], total: int, allowed: float) -> ValueError:
    shown = some([f"{f['id_str']}: {f['reason']}" for f in failures], 2)
    return ValueError(f"{len(failures)} of {total} images cannot be used ({allowed:.0%} may fail): {shown}")


def _digest(catalog: pd.DataFrame, settings: dict) -> str:
    hasher = hashlib.sha256(json.dumps([settings, list(catalog.columns)]).encode())
    hasher.update(pd.util.hash_pandas_object(catalog, index=False).to_numpy().tobytes())
    return hasher.hexdigest()


def _mad(pixels: np.ndarray) -> np.ndarray:
    """Per band, the scaled median absolute deviation of the finite pixels: the noise of a mostly empty image."""
    flat = np.where(np.isfinite(pixels), pixels, np.nan).reshape(-1, pixels.shape[-1])
    return 1.4826 * np.nanmedian(np.abs(flat - np.nanmedian(flat, axis=0)), axis=0)


def _as_float(value) -> float:
    return float("nan") if pd.isna(value) else float(value)


def _band_names(image: Image) -> tuple[str, ...]:
    if isinstance(image.data, bytes):
        return ("r", "g", "b") if image.shape[2] == 3 else ("grey",)
    return tuple(f"band{i}" for i in range(image.shape[2]))
