"""From a catalogue and its images to TFRecord shards."""

import hashlib
import json
import logging
from collections import Counter
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from tfrecords_builder.bounded import LIMITS, Limits
from tfrecords_builder.finish import finish
from tfrecords_builder.image_files import Files
from tfrecords_builder.images import Image, Source, open_images, read_images
from tfrecords_builder.listing import images_of
from tfrecords_builder.naming import check_known, some
from tfrecords_builder.object_storage import check_here
from tfrecords_builder.plan import (
    Census,
    deal,
    order_keys,
    read_checked,
    read_plan,
    remove_leftovers,
    remove_plan,
    take_census,
)
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.records import Records, common_scale, scale_as_read, scale_behind
from tfrecords_builder.shards import Job, build_shard, check_failures, discard, read_tally
from tfrecords_builder.sharing import results_of, share_of
from tfrecords_builder.splits import SPLITS

log = logging.getLogger(__name__)

_SHARD_BYTES = 128e6
_NOISE_GALAXIES = 4096


def build_records(
    catalog: pd.DataFrame | str | Path,
    out: str | Path,
    *,
    images: str | Path | Source | None = None,
    image_size: int | None = None,
    bands: tuple[str, ...] | list[str] | None = None,
    template: str | None = None,
    hdu: str | int | tuple | None = None,
    mask: str | int | None = None,
    mask_bits: str | int | tuple | None = None,
    cutout: str | float | None = None,
    align: bool = False,
    crop: bool = False,
    dtype: str = "float32",
    pixel_scale: float | None = None,
    max_failures: float = 0.1,
    outside: bool = False,
    max_bytes: int = LIMITS.bytes,
    max_pixels: int = LIMITS.pixels,
    append: bool = False,
    workers: int = 1,
    executor: Executor | None = None,
    part: str | None = None,
    seed: int = 0,
) -> Records | None:
    """Writes a catalogue and its images as TFRecord shards with splits.

    Hashes of its `id_str` decide a galaxy's split and shard, unless the catalogue has a column `split`. The shards are
    identical, byte for byte, however many workers write them. Files appear complete or not at all, `records.json`
    last: an interrupted build resumes when the same call is repeated, and simultaneous calls share the work.
    Images that cannot be used are skipped and listed with the reason in `failures.parquet`.

    Args:
        catalog: One row per galaxy with `id_str`, `file_loc`; numeric columns become labels. A path is read in chunks.
            A folder, zip archive or stack of images can take its place (see `list_images`).
        out: Folder for the records; created if it does not exist.
        images: Folder, zip archive or stack that `file_loc` refers to, or a source function (`file_loc` → `Image`); by
            default the catalogue's folder.
            Pictures (also uint8 arrays) are stored as JPEG or PNG; FITS and other arrays as numbers, unchanged.
        image_size: Side in pixels at which images are read and cutouts made; by default the most common size.
        bands: Names of the bands in order; by default as in the first file, numbered, or r, g, b for pictures.
        template: Path of a galaxy's file with `{columns}`, and `{band}` if every band has its own file.
        hdu: Extension of the FITS files, or one per band; array of an npz or h5 stack.
        mask: Extension that is non-zero where a pixel is bad; a weight map (WHT, WEIGHT, IVAR) is zero there.
        mask_bits: Bits of the mask that mark bad pixels, by name or number (`"SAT,BAD"`, `"0,3"`); `"zero"`: it is a
            weight map, whatever its name (see `tfrecords_builder.masks`).
        cutout: Size of cutouts from mosaics: `128`, `"30 arcsec"`, `"4*petro_radius arcsec"`, `"gz_decals"`.
        align: Whether to resample bands that are not on the grid of the first (needs reproject); otherwise such
            galaxies fail.
        crop: Whether to crop images to the central source (`tfrecords_builder.crop`); needs `image_size`.
        dtype: `float32`, or `float16` for half the space.
        pixel_scale: Arcsec per pixel as read; by default from the FITS headers, or the records the images come from.
        max_failures: Maximum share of images that may be unusable.
        outside: Whether `file_loc` may lead out of the images folder (by an absolute path, `..` or a link).
        max_bytes: Maximum size of a galaxy's file in bytes, packed and unpacked.
        max_pixels: Maximum number of values of an image: height × width × bands.
        append: Whether to add new galaxies to the records in `out`.
        workers: Number of processes. More than one needs `if __name__ == "__main__":` in a script.
        executor: Where to run instead, for example `dask.distributed.Client(address).get_executor()`; its machines
            must see the same files.
        part: `"2/5"` builds only the second fifth of the shards. When all parts are done, the same call without
            `part` finishes the records.
        seed: Seed of splits and shards.

    Returns:
        The finished records; None for a part.

    Raises:
        ValueError: The catalogue has errors, or too many images cannot be used.
        FileExistsError: `out` contains records made from something else.
    """
    check_known("dtype", dtype, ("float32", "float16"))
    if crop and image_size is None:
        raise ValueError("cropped images differ in size: give image_size, the side in pixels to which to resize them")
    if image_size is not None and not 1 <= image_size <= max_pixels**0.5:
        raise ValueError(f"image_size must be from 1 to {int(max_pixels**0.5)}, as max_pixels allows; got {image_size}")
    check_here(out)
    out = Path(out)
    settings: dict = {"image_size": image_size, "bands": bands and list(bands)}
    settings |= {"pixel_scale": pixel_scale, "seed": seed}
    settings |= {"template": template, "hdu": hdu, "mask": mask, "cutout": cutout, "dtype": dtype}
    kind = {name: settings[name] for name in ("bands", "template", "hdu", "mask", "cutout", "image_size")}
    limits = Limits(max_bytes, max_pixels, outside)
    chosen: dict = {"crop": crop or None, "mask_bits": mask_bits, "align": align or None}
    chosen |= {"limits": limits if limits != LIMITS else None}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    source = open_images(images_of(catalog, images), **kind, **chosen)
    settings["pixel_scale"] = pixel_scale or scale_behind(source, image_size)
    settings |= chosen  # included only if chosen, so that records built without them keep their digest
    needs = getattr(source, "needs", ("id_str", "file_loc"))
    census = take_census(catalog, needs)
    digest = _hash(settings, census.digest)

    plan = (out / ".build").absolute()
    planned = read_plan(plan)
    before = _records_in(out)
    if before is not None:
        if planned is not None and planned["digest"] == before.digest:  # killed between its last two steps
            remove_plan(plan, before.digest)
            planned = None
        if not append and before.digest != digest:
            raise FileExistsError(
                f"{out} contains records of another catalogue or other settings; choose another out, or append"
            )
        if not append:
            if planned is None:
                remove_leftovers(out, before.digest)
            return None if part else before
        _check_same(before, settings, census)
        digest = _hash(before.digest, digest)

    try:
        if planned is None:
            records = before or _describe(out, _typical(catalog, needs, source, seed), settings, census, digest)
            out.mkdir(parents=True, exist_ok=True)
            planned = _plan(catalog, census, plan, records, needs=needs, digest=digest)
            _check_unfinished(out, plan, digest)
        if planned["digest"] != digest:
            raise FileExistsError(
                f"{out} contains an unfinished build of another catalogue or other settings; choose another out"
            )
        shards, records = planned["shards"], Records.from_fields(out.absolute(), planned["records"], plan)
        train_shards = sum(name.startswith("train-") for name in shards)
        noise_galaxies = max(16, -(-_NOISE_GALAXIES // max(1, train_shards)))
        job = Job(plan, source, records, max_failures, noise_galaxies)
        _run(job, share_of(shards, part), workers, executor, whole=part is None)
        if part:
            return None
        records = finish(job, shards, digest, out)
    except (FileNotFoundError, FileExistsError) as error:
        after = _records_in(out)
        if after is not None and after.digest == digest:  # another process has finished the same build
            return None if part else after
        if isinstance(error, FileNotFoundError) and plan.name in str(error):
            raise FileNotFoundError(f"another process has finished the build in {out}: run it again") from error
        raise
    records.log_findings()
    return records


def _records_in(out: Path) -> Records | None:
    return Records.open(out) if (out / "records.json").exists() else None


def _check_unfinished(out: Path, plan: Path, digest: str) -> None:
    """Withdraws a new plan if other processes have finished the build in the meantime."""
    after = _records_in(out)
    if after is not None and after.digest == digest:
        remove_plan(plan, digest)
        raise FileExistsError(f"the records in {out} are finished")


def _hash(*parts) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _check_same(before: Records, settings: dict, census: Census) -> None:
    """Raises ValueError if the new galaxies do not fit the existing records."""
    problems = [f"no column {name!r}" for name in before.label_cols if name not in census.label_cols]
    side = before.shape[0] if before.shape[0] == before.shape[1] else None
    for name, there in (("seed", before.seed), ("bands", list(before.bands)), ("image_size", side)):
        if settings[name] is not None and settings[name] != there:
            problems.append(f"{name} {settings[name]} where they have {there}")
    if before.encoding not in ("encoded", settings["dtype"]):
        problems.append(f"dtype {settings['dtype']} where they have {before.encoding}")
    if problems:
        raise ValueError(f"cannot be added to the records in {before.folder}: {'; '.join(problems)}")


def _typical(catalog, needs: tuple[str, ...], source, seed: int) -> Image:
    """An image of the most common shape and kind, among some drawn from the first chunk."""
    chunk = next(read_checked(catalog, needs))
    chunk = chunk.iloc[np.argsort(order_keys(chunk["id_str"], seed))]
    images, failures = [], []
    for row in chunk.head(100).to_dict("records"):
        (image,) = read_images(source, [row])
        if isinstance(image, Image):
            images.append(image)
            if len(images) == 15:
                break
        else:
            failures.append(f"{row['id_str']}: {image}")
    if not images:
        hint = source.elsewhere(row) if isinstance(source, Files) else ""
        raise ValueError(f"{len(failures)} of {len(chunk)} images cannot be used: {some(failures, 2)}{hint}")
    kinds = [(isinstance(image.data, bytes), image.shape, image.hdu) for image in images]
    typical = images[kinds.index(Counter(kinds).most_common(1)[0][0])]
    return typical._replace(pixel_scale=common_scale(typical.pixel_scale, [image.pixel_scale for image in images]))


def describe_start(catalog, source, needs: tuple[str, ...], settings: dict, seed: int) -> Records:
    """The records that a build would make, judged by the start of the catalogue; every image must fit them.

    Args:
        catalog: As for `build_records`.
        source: Source of the images.
        needs: Required columns.
        settings: `image_size`, `bands`, `dtype`, `pixel_scale` and `seed` of the build.
        seed: Seed of the build.
    """
    start = next(read_checked(catalog, needs))
    return _describe(Path(), _typical(start, needs, source, seed), settings, take_census(start, needs), "")


def _describe(out: Path, first: Image, settings: dict, census: Census, digest: str) -> Records:
    """The future records, except for what is counted and measured during the build."""
    encoded, size = isinstance(first.data, bytes), settings["image_size"]
    bands = settings["bands"] or first.bands
    if not bands and encoded:
        bands = ("r", "g", "b") if first.shape[2] == 3 else ("grey",)
    bands = tuple(bands or (f"band{i}" for i in range(first.shape[2])))
    if len(bands) != first.shape[2]:
        raise ValueError(f"bands names {len(bands)} bands ({', '.join(bands)}), but the images have {first.shape[2]}")
    return Records(
        folder=out,
        shape=(size or first.shape[0], size or first.shape[1], first.shape[2]),
        bands=bands,
        encoding="encoded" if encoded else settings["dtype"],
        label_cols=census.label_cols,
        splits=dict.fromkeys(SPLITS, 0),
        noise=None,
        pixel_scale=settings["pixel_scale"] or scale_as_read(first, size or first.shape[0]),
        seed=settings["seed"],
        checksums={},
        digest=digest,
        hdu=first.hdu,
        telescope=first.telescope,
    )


def _plan(catalog, census: Census, plan: Path, records: Records, *, needs, digest: str) -> dict:
    """Assigns the galaxies to shards of a convenient size."""
    bytes_each = 4 * np.prod(records.shape) if records.encoding != "encoded" else 32768
    known, prefix = None, ""
    if records.checksums:
        known = np.sort(order_keys(records.index(["id_str"])["id_str"], records.seed))
        prefix = f"added{1 + len({name.split('-')[1] for name in records.checksums if '-added' in name})}-"
    per_shard = int(np.clip(_SHARD_BYTES / bytes_each, 64, 4096))
    note = {"digest": digest, "records": records.fields()}
    options: dict = {"seed": records.seed, "per_shard": per_shard, "known": known, "note": note}
    deal(catalog, census, plan, needs=needs, prefix=prefix, **options)
    planned = read_plan(plan)
    if planned is None:
        raise FileNotFoundError(f"{plan} was removed by another process")
    return planned


def _run(job: Job, shards: dict[str, int], workers: int, executor: Executor | None, *, whole: bool) -> None:
    """Builds all unfinished shards of the `whole` build or of a part of it.

    Raises:
        ValueError: Too many images cannot be used; their shards are removed again.
        ChildProcessError: A worker died.
    """
    failed, examples, seen = 0, [], 0
    total = sum(shards.values()) + sum(job.records.splits.values())
    try:
        with progress_bar(total=sum(shards.values()), desc="building records", unit="galaxy") as progress:
            for name, tally in results_of(partial(build_shard, job), shards, workers, executor):
                progress.update(shards[name])
                failed, seen = failed + len(tally.failures), seen + shards[name]
                examples = (examples + tally.failures)[:3]
                check_failures(failed, examples, seen=seen, allowed=job.max_failures, total=total)
    except ValueError:
        for name in shards:
            tally = read_tally(job, name)
            if tally is not None and tally.failures:
                discard(job, name)
        if whole and not any(read_tally(job, name) for name in shards):  # other parts use the plan as well
            remove_plan(job.plan)
        raise
    if failed:
        log.warning("%d images cannot be used and are skipped", failed)
