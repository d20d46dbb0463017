"""A simulated sky with known truth: galaxies, images and volunteers' votes, in memory or as a survey on disk.

Galaxy *i* of a survey with some seed is always the same galaxy, alone or among a million, in any order:
all its random numbers come from streams keyed by (seed, i).
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.sky.frames import Sky, chunks, describe, draw, render
from morphtools.sky.products import fits_bytes, tangent_header
from morphtools.survey import stretch
from morphtools.survey.instruments import camera_for
from tfrecords_builder.claims import claim
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import check_known
from tfrecords_builder.progress import progress_bar
from tfrecords_builder.tables_out import write_csv

PRODUCTS = ("fits", "mosaic")


def simulate_galaxies(
    galaxies=1000,
    *,
    image_size=64,
    bands="grz",
    seed=0,
    start=0,
    schema="gz_decals_dr5",
    fractions=None,
    magnitude_limit=17.0,
    pixel_scale=None,
    field_radii=None,
    artifact_rate=0.0,
    crowding=1.0,
    depth=1.0,
):
    """Simulates galaxies in memory.

    Args:
        galaxies: How many.
        image_size: Pixels on a side.
        bands: Any of *grz* (the Legacy Surveys' DECam) or of *ugriz* (SDSS), in the order of the channels.
        seed: Seed of the survey.
        start: Number of the first galaxy; galaxies 0..99 followed by 100..199 are the same as 0..199.
        schema: The volunteers' question tree, gz_decals_dr5 or gz2; the ring campaign always comes with it.
        fractions: Shares of some classes, e.g. `{"ring": 0.5}`: half the galaxies have a ring and the
            others have none. Classes: smooth, spiral, bar, ring, edge_on, merger, irregular.
        magnitude_limit: Faintest r magnitude.
        pixel_scale: Arcsec per pixel; None is the camera's own.
        field_radii: Instead of a pixel scale, the side of each image in the galaxy's half-light radii (Galaxy
            Zoo showed about 17).
        artifact_rate: Share of the images with an artefact.
        crowding: Density of stars and faint galaxies relative to a field at high latitude.
        depth: Divides the noise.

    Returns:
        The catalogue (one row per galaxy: position, redshift, E(B-V), pixel scale, vote counts, and the truth
        in `true_*` columns) and float32 images (N, image_size, image_size, C) in nanomaggies per pixel.

    Raises:
        ValueError: An invalid setting.
    """
    sky = Sky(
        bands=bands,
        image_size=image_size,
        seed=seed,
        schema=schema,
        fractions=fractions,
        magnitude_limit=magnitude_limit,
        pixel_scale=pixel_scale,
        field_radii=field_radii,
        artifact_rate=artifact_rate,
        crowding=crowding,
        depth=depth,
    )
    parts = chunks(sky, start, galaxies)
    tables, images = [], np.empty((galaxies, image_size, image_size, len(bands)), np.float32)
    with progress_bar(total=galaxies, desc="simulating", unit="galaxy") as progress:
        for ids in parts:
            truth = draw(sky, ids)
            images[ids - start] = np.moveaxis(render(sky, ids, *truth), 1, -1)
            tables.append(describe(sky, ids, *truth))
            progress.update(len(ids))
    return pd.concat(tables, ignore_index=True), images


def simulate_survey(
    out,
    *,
    galaxies=1000,
    bands="grz",
    image_size=128,
    seed=0,
    schema="gz_decals_dr5",
    products="fits",
    fractions=None,
    magnitude_limit=17.0,
    pixel_scale=None,
    field_radii=None,
    artifact_rate=0.02,
    crowding=1.0,
    depth=1.0,
    field_side=8,
):
    """Writes a mock survey: FITS images and `catalog.csv`.

    Safe to stop and run again: files are written completely or not at all, and existing ones are kept. A
    folder that contains another survey is refused.

    Args:
        out: Folder to write into; made if missing.
        galaxies: How many.
        bands: See `simulate_galaxies`, as all arguments not named here.
        image_size: Pixels on a side of each galaxy's image.
        seed: Seed of the survey.
        schema: The volunteers' question tree.
        products: "fits", one cutout (C, H, W) per galaxy, or "mosaic", one image (C, F, F) per field of
            `field_side` x `field_side` galaxies, each in the middle of its own tile. The tiles are
            separate pointings: their backgrounds and seeing do not join smoothly.
        fractions: Shares of some classes.
        magnitude_limit: Faintest r magnitude.
        pixel_scale: Arcsec per pixel; None is the camera's own.
        field_radii: Side of each image in half-light radii; for cutouts only, since a mosaic has one pixel
            scale.
        artifact_rate: Share of the images with an artefact.
        crowding: Density of stars and faint galaxies.
        depth: Divides the noise.
        field_side: Galaxies on a side of a mosaic.

    Returns:
        The catalogue, as written, with `file_loc` relative to `out`.

    Raises:
        ValueError: An invalid setting.
        FileExistsError: a folder that holds a survey with other settings, or something else.
    """
    check_known("product", products, PRODUCTS)
    if products == "mosaic" and field_radii:
        raise ValueError("a mosaic has one pixel scale: field_radii is for products='fits'")
    sky = Sky(
        bands=bands,
        image_size=image_size,
        seed=seed,
        schema=schema,
        fractions=fractions,
        magnitude_limit=magnitude_limit,
        pixel_scale=pixel_scale,
        field_radii=field_radii,
        artifact_rate=artifact_rate,
        crowding=crowding,
        depth=depth,
    )
    out = Path(out)
    layout = {"products": products} | ({"field_side": field_side} if products == "mosaic" else {})
    with claim(out, "simulate-survey", asdict(sky) | layout, {}, old="survey.json", others=True) as claimed:
        claimed.keep()
        (out / "images").mkdir(exist_ok=True)
        write = _write_cutouts if products == "fits" else _write_mosaics
        tables = []
        with progress_bar(total=galaxies, desc="simulating", unit="galaxy") as progress:
            for table in write(sky, out, galaxies, field_side):
                tables.append(table)
                progress.update(len(table))
        catalog = pd.concat(tables, ignore_index=True)
        write_csv(catalog, out / "catalog.csv")
    return catalog


def pictures(catalog, images, *, bands="grz", name=None):
    """Colour pictures of mock galaxies, float32 (N, H, W, 3) in 0..1.

    Published stretches are meant for a survey's own pixels: brightness is first brought to those.

    Args:
        catalog: With `pixel_scale` in arcsec.
        images: (N, H, W, C) in nanomaggies per pixel.
        bands: Names of the C bands.
        name: a key of `stretch.STRETCHES`; by default dr2_rgb for *grz* and sdss_rgb where i is among the
            bands.
    """
    native = camera_for(bands).pixel_scale
    scale = np.asarray(catalog["pixel_scale"], np.float32)[:, None, None, None]
    name = name or stretch.survey_stretch(bands)
    return stretch.STRETCHES[name](images * (native / scale) ** 2, bands=bands)


def _write_cutouts(sky, out, galaxies, _):
    """Yield the catalogue chunk by chunk, after writing its cutouts."""
    for ids in chunks(sky, 0, galaxies):
        truth = draw(sky, ids)
        catalog = describe(sky, ids, *truth)
        catalog.insert(1, "file_loc", [f"images/{name}.fits" for name in catalog["id_str"]])
        missing = np.array([not (out / f).exists() for f in catalog["file_loc"]])
        images = render(sky, ids, *truth) if missing.any() else ()
        for row, image in zip(catalog.itertuples(), images, strict=False):
            if missing[row.Index]:
                header = tangent_header(row.ra, row.dec, row.pixel_scale, sky.image_size, sky.bands, sky.camera)
                header |= {"OBJECT": row.id_str, "EBV": row.ebv, "REDSHIFT": row.redshift}
                write_whole(out / row.file_loc, fits_bytes(image, header))
        yield catalog


def _write_mosaics(sky, out, galaxies, side):
    """Yield the catalogue field by field, after writing its mosaic.

    A field is always full, even if fewer galaxies are requested, so that a survey that grows keeps its files.
    """
    from astropy.wcs import WCS

    row, column = np.divmod(np.arange(side * side), side)
    x, y = ((k + 0.5) * sky.image_size - 0.5 for k in (column, row))
    for number, first in enumerate(range(0, galaxies, side * side)):
        parts = chunks(sky, first, side * side)
        truths = [draw(sky, ids) for ids in parts]
        described = [describe(sky, ids, *truth) for ids, truth in zip(parts, truths, strict=True)]
        catalog = pd.concat(described, ignore_index=True)
        centre, scale = (catalog["ra"][0], catalog["dec"][0]), catalog["pixel_scale"][0]
        header = tangent_header(*centre, scale, side * sky.image_size, sky.bands, sky.camera)
        name = f"images/field{number:05d}.fits"
        if not (out / name).exists():
            tiles = np.concatenate([render(sky, i, *truth) for i, truth in zip(parts, truths, strict=True)])
            wall = tiles.reshape(side, side, *tiles.shape[1:]).transpose(2, 0, 3, 1, 4)
            mosaic = wall.reshape(len(sky.bands), side * sky.image_size, side * sky.image_size)
            write_whole(out / name, fits_bytes(mosaic, header | {"OBJECT": f"field {number}"}))
        catalog["ra"], catalog["dec"] = WCS(header, naxis=2).all_pix2world(x, y, 0)
        for place, (key, values) in enumerate((("file_loc", name), ("x", x), ("y", y)), start=1):
            catalog.insert(place, key, values)
        yield catalog[: galaxies - first]
