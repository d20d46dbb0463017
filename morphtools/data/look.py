"""Shows galaxies before and after a build: a picture, the range of every band, and anything suspicious."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from morphtools.survey.stretch import stretches_for
from tfrecords_builder.bounded import LIMITS, Limits
from tfrecords_builder.build import describe_start
from tfrecords_builder.findings import KINDS, count_findings, sentences
from tfrecords_builder.gaps import filled
from tfrecords_builder.images import open_images, read_images
from tfrecords_builder.listing import images_of
from tfrecords_builder.naming import check_known
from tfrecords_builder.pixels import to_pixels
from tfrecords_builder.plan import order_keys, read_checked
from tfrecords_builder.prepare import examine, missing, prepare
from tfrecords_builder.records import Records
from tfrecords_builder.repeats import image_hash, repeated, with_repeats

Stretch = Callable[[np.ndarray], np.ndarray]
_SIDE = 72  # pixels of a panel
_WAVELENGTHS = {"u": 355, "g": 475, "r": 622, "i": 763, "z": 905, "y": 1000, "j": 1250, "h": 1650, "k": 2200}


class Look(NamedTuple):
    """A look at some galaxies, before or after a build.

    Attributes:
        figure: A matplotlib figure; `savefig` writes it.
        ranges: Per band: lowest, median and highest pixel, share missing.
        findings: Suspicious findings, in words.
        facts: Further facts, in words.
    """

    figure: object
    ranges: pd.DataFrame
    findings: list[str]
    facts: list[str]


def preview_records(
    catalog: pd.DataFrame | str | Path,
    *,
    images=None,
    bands: tuple[str, ...] | None = None,
    template: str | None = None,
    hdu: str | int | tuple | None = None,
    mask: str | int | None = None,
    mask_bits: str | int | tuple | None = None,
    cutout: str | float | None = None,
    align: bool = False,
    crop: bool = False,
    image_size: int | None = None,
    dtype: str = "float32",
    outside: bool = False,
    max_bytes: int = LIMITS.bytes,
    max_pixels: int = LIMITS.pixels,
    stretches: Mapping[str, Stretch] | None = None,
    galaxies: int = 24,
    seed: int = 0,
) -> Look:
    """Shows some galaxies drawn from the start of a catalogue, before anything is built.

    Args:
        catalog: As `build_records` takes it; and so are the arguments up to `max_pixels`.
        images: The images.
        bands: Their bands.
        template: Path with `{columns}`.
        hdu: Extension.
        mask: Extension with the bad pixels.
        mask_bits: Its bits that are bad.
        cutout: Size of cutouts from mosaics.
        align: Whether to resample bands that are on another grid than the first.
        crop: Whether they are cropped to the central source.
        image_size: Side in pixels.
        dtype: Type of the pixels.
        outside: Whether `file_loc` may lead out of the images folder.
        max_bytes: Maximum number of bytes of a galaxy's file.
        max_pixels: Maximum number of values of an image.
        stretches: Functions from pixels (H, W, C) to a colour picture (H, W, 3) in 0–1, by name; by default all of
            `morphtools.survey.stretch` that can show the bands.
        galaxies: Number of galaxies.
        seed: Seed of the draw.

    Returns:
        The picture, the ranges, and the findings, among them every image that cannot be read.
    """
    kind: dict[str, Any] = {"bands": bands, "template": template, "hdu": hdu, "mask": mask, "cutout": cutout}
    kind["image_size"] = image_size
    limits = Limits(max_bytes, max_pixels, outside)
    source = open_images(images_of(catalog, images), **kind, crop=crop, mask_bits=mask_bits, align=align, limits=limits)
    needs = getattr(source, "needs", ("id_str", "file_loc"))
    chunk = next(read_checked(catalog, needs))
    chunk = chunk.iloc[np.argsort(order_keys(chunk["id_str"], seed))].head(galaxies)
    settings = {"image_size": image_size, "bands": bands, "dtype": dtype, "pixel_scale": None, "seed": seed}
    records = describe_start(catalog, source, needs, settings, seed)
    rows, usable, failures, kinds, hashes = chunk.to_dict("records"), {}, [], [], []
    for row, image in zip(rows, read_images(source, rows), strict=True):
        try:  # the checks of the builder itself
            image = prepare(image, records)
        except ValueError as error:
            failures.append(f"{row['id_str']}: {error}")
            continue
        image = examine(image, missing(image)[1])
        usable[row["id_str"]] = to_pixels(image)
        kinds.append(" ".join(image.findings))
        hashes.append(image_hash(image))
    if not usable:
        raise ValueError(f"none of {len(rows)} images can be used: {'; '.join(failures[:2])}")
    table = pa.table({"findings": kinds, "image_hash": hashes})
    kinds = with_repeats(table, repeated([table["image_hash"]]))["findings"].to_pylist()
    findings = [*failures, *sentences(count_findings(kinds), len(kinds))]
    facts = [f"{len(usable)} of {len(rows)} galaxies drawn can be used"]
    return _look(usable, records.bands, stretches, findings, facts)


def inspect_records(
    records: Records | str | Path,
    *,
    stretches: Mapping[str, Stretch] | None = None,
    galaxies: int = 24,
    finding: str | None = None,
) -> Look:
    """Shows some galaxies of existing records, with their splits and votes.

    Args:
        records: The records or their folder.
        stretches: Functions from pixels (H, W, C) to a colour picture (H, W, 3) in 0–1, by name; by default all of
            `morphtools.survey.stretch` that can show the bands.
        galaxies: Number of galaxies.
        finding: Only those with this kind of finding (see `tfrecords_builder.findings`).

    Returns:
        The picture, the ranges and the findings.

    Raises:
        ValueError: No such kind, or no galaxy has it.
    """
    records = Records.open(records)
    index = _with_finding(records, finding) if finding else records.index(["id_str", "split"])
    index = index.iloc[np.linspace(0, len(index) - 1, min(galaxies, len(index))).astype(int)]
    read = records.source()
    pixels = [to_pixels(read(id_str)) for id_str in index["id_str"]]
    names = [f"{row['id_str']} {row['split']}" for row in index.to_dict("records")]
    facts = [
        ", ".join(f"{number} {split}" for split, number in records.splits.items()) + f", {records.failed} failed",
        f"{records.incomplete} with missing and {records.masked} with bad pixels",
        # sums of counts and of 0 and 1; that of positions or redshifts says nothing
        *(f"{name}: {total:g} in all" for name, total in records.totals.items() if total == round(total)),
    ]
    return _look(dict(zip(names, pixels, strict=True)), records.bands, stretches, records.findings(), facts)


def _with_finding(records: Records, kind: str) -> pd.DataFrame:
    check_known("finding", kind, KINDS)
    index = records.index()
    has = index.get("findings", pd.Series("", index.index)).str.split().map(lambda kinds: kind in kinds).astype(bool)
    if not has.any():
        raise ValueError(f"no galaxy of {records.folder} has the finding {kind!r}")
    return index.loc[has, ["id_str", "split"]]


def _look(found: dict[str, np.ndarray], bands, stretches, findings: list[str], facts: list[str]) -> Look:
    number = len(bands)  # a grey picture among coloured ones is read as one of them
    found = {name: np.repeat(p, number, axis=2) if p.shape[2] < number else p for name, p in found.items()}
    ranges = pd.DataFrame({band: _range([p[..., i] for p in found.values()]) for i, band in enumerate(bands)}).T
    findings = [*findings, *suspicions(list(found.values()), bands)]
    stretches = stretches_for(bands) if stretches is None else dict(stretches)
    return Look(_draw(found, bands, ranges, stretches), ranges, findings, facts)


def _range(planes: list[np.ndarray]) -> dict[str, float]:
    values = np.concatenate([plane.ravel() for plane in planes])
    good = values[np.isfinite(values)]
    low, middle, high = np.quantile(good, [0, 0.5, 1]) if len(good) else (np.nan,) * 3
    return {"lowest": low, "median": middle, "highest": high, "missing": 1 - len(good) / len(values)}


def suspicions(images: list[np.ndarray], bands: tuple[str, ...]) -> list[str]:
    """Describes what looks wrong in a sample of galaxies.

    Args:
        images: (H, W, C) each, of any size; NaN where pixels are missing.
        bands: Names of the bands.

    Returns:
        Sentences on bands without pixels, constant bands, an order of bands that disagrees with the colours, and
        galaxies that are not in the middle.
    """
    remarks = []
    for i, band in enumerate(bands):
        planes = [image[..., i][np.isfinite(image[..., i])] for image in images]
        empty = np.mean([plane.size == 0 for plane in planes])
        flat = np.mean([plane.size > 0 and np.ptp(plane) == 0 for plane in planes])
        remarks += [f"band {band} has no pixels in {empty:.0%} of the galaxies"] if empty else []
        remarks += [f"band {band} is constant in {flat:.0%} of the galaxies"] if flat else []
    fluxes = np.array([_central_flux(image) for image in images])
    known = [i for i, band in enumerate(bands) if band[-1:].lower() in _WAVELENGTHS]
    known.sort(key=lambda i: _WAVELENGTHS[bands[i][-1:].lower()])
    if len(known) >= 2 and len(images) >= 8:
        blue, red = fluxes[:, known[0]], fluxes[:, known[-1]]
        both = (blue > 0) & (red > 0)
        bluer = np.mean(blue[both] > red[both]) if both.sum() >= 8 else 0.0
        if bluer > 0.8:  # even blue galaxies are brighter per frequency in the red
            names = bands[known[0]], bands[known[-1]]
            remarks.append(
                f"{bluer:.0%} of the galaxies are brighter in {names[0]} than in {names[1]}: order of bands?"
            )
    away = np.mean([_offset(image) > 0.25 for image in images])
    if away > 0.3:
        remarks.append(f"{away:.0%} of the galaxies are off-centre by more than a quarter of the picture: positions?")
    return remarks


def _central_flux(image: np.ndarray) -> np.ndarray:
    height, width, bands = image.shape
    core = image[height * 3 // 8 : -(-height * 5 // 8), width * 3 // 8 : -(-width * 5 // 8)].reshape(-1, bands)
    sky = np.where(np.isfinite(image), image, np.nan).reshape(-1, bands)
    keep = np.isfinite(sky).any(axis=0) & np.isfinite(core).any(axis=0)
    flux = np.full(bands, np.nan)
    flux[keep] = np.nanmean(core[:, keep], axis=0) - np.nanmedian(sky[:, keep], axis=0)
    return flux


def _offset(image: np.ndarray) -> float:
    """Distance of the brightest spot from the centre, as a fraction of the side; 0 if none exceeds the noise."""
    from PIL import Image as Picture

    plane = filled(image).mean(axis=-1, dtype=np.float32)
    small = np.asarray(Picture.fromarray(plane).resize((16, 16), Picture.Resampling.BOX))
    scatter = 1.4826 * np.median(np.abs(small - np.median(small)))
    if small.max() - np.median(small) <= 5 * scatter:
        return 0.0
    y, x = np.unravel_index(np.argmax(small), small.shape)
    return float(np.hypot(y - 7.5, x - 7.5) / 16)


def _draw(found: dict[str, np.ndarray], bands, ranges: pd.DataFrame, stretches: dict[str, Stretch]):
    from tfrecords_builder.plain_figure import Figure  # without pyplot: nothing global, no window

    columns = {**stretches, **{band: _grey(i, ranges.loc[band]) for i, band in enumerate(bands)}}
    panels = [
        [_panel(draw(filled(pixels) if name in stretches else pixels)) for name, draw in columns.items()]
        for pixels in found.values()
    ]
    names = list(columns), list(found)
    if len(columns) < 3:  # few panels of a galaxy: galaxies side by side, not a tower
        panels, names = [list(each) for each in zip(*panels, strict=True)], names[::-1]
    whole = np.concatenate([np.concatenate(row, axis=1) for row in panels], axis=0)
    across, down = map(len, names)
    figure = Figure(figsize=(2.5 + across * 0.9, 1.1 + down * 0.9), layout="constrained")
    axes = figure.subplots()
    axes.imshow(whole, interpolation="nearest")
    axes.set_xticks(
        _SIDE * (np.arange(across) + 0.5), names[0], rotation=45, fontsize=7 if names[0] == list(found) else None
    )
    axes.set_yticks(_SIDE * (np.arange(down) + 0.5), names[1], fontsize=7)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    return figure


def _grey(band: int, limits: pd.Series) -> Stretch:
    def draw(pixels: np.ndarray) -> np.ndarray:
        plane = pixels[..., band]
        good = plane[np.isfinite(plane)]
        if not len(good):
            return np.full((*plane.shape, 3), (0.6, 0.1, 0.1))
        middle = np.median(good)
        noise = 1.4826 * np.median(np.abs(good - middle)) or 1e-3 * (limits["highest"] - limits["lowest"]) or 1.0
        grey = np.arcsinh((plane - middle) / (2 * noise))
        low, high = np.nanmin(grey), np.nanmax(grey)
        grey = (grey - low) / max(high - low, 1e-6)
        return np.where(np.isfinite(plane)[..., np.newaxis], grey[..., np.newaxis], (0.6, 0.1, 0.1))  # missing: red

    return draw


def _panel(picture: np.ndarray) -> np.ndarray:
    from PIL import Image as Picture

    bytes_ = (255 * np.clip(np.nan_to_num(picture), 0, 1)).astype(np.uint8)
    return np.asarray(Picture.fromarray(bytes_).resize((_SIDE, _SIDE)))
