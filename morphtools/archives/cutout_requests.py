"""Requests one image from the cutout service of a survey.

Sources: the code of the Legacy Surveys' viewer (github.com/legacysurvey/imagine, `get_cutout`),
the help of SDSS SkyServer's `ImgCutout`, the PS1 Image Cutout Service page of MAST and its `ps1image` notebook, IRSA's
pages on SIA v2 and on cutouts of its image server, and `astroquery.hips2fits`. Every function takes an order, the
client and a position in degrees. It returns the bytes of a complete, checked image, or raises ValueError (there is no
image) or ConnectionError (no usable answer).
"""

import io
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from morphtools.archives.cutout_files import check_image, join_bands, read_fits_image
from morphtools.archives.polite import PoliteClient
from tfrecords_builder.bounded import not_an_image
from tfrecords_builder.naming import some

_EUCLID_MARGIN = 2  # extra pixels, cut off here, because how the service rounds is not documented


@dataclass(frozen=True)
class Order:
    """What is requested at every position.

    Attributes:
        base_url: Address of the service.
        size: Side in pixels.
        pixel_scale: Arcsec per pixel.
        bands: Names of the bands.
        format: `fits` or `jpeg`.
        hips: Name of the HiPS, for hips2fits; `{band}` in it stands for each band.
        field: Rule of `tfrecords_builder.fields` for the pixel scale of each galaxy.
    """

    base_url: str
    size: int
    pixel_scale: float
    bands: tuple[str, ...]
    format: str
    hips: str | None = None
    field: str | None = None


def legacy(layer: str, order: Order, client: PoliteClient, ra: float, dec: float) -> bytes:
    """Requests an image of a layer from the viewer of the Legacy Surveys."""
    page = "cutout.fits" if order.format == "fits" else "jpeg-cutout"
    place = {"ra": f"{ra:.7f}", "dec": f"{dec:.7f}", "layer": layer, "size": order.size}
    place |= {"pixscale": f"{order.pixel_scale:g}", "bands": "".join(order.bands)}
    return client.get(f"{order.base_url}/{page}", place, partial(check_image, order))


def sdss(order: Order, client: PoliteClient, ra: float, dec: float) -> bytes:
    """Requests a picture from SDSS SkyServer."""
    place: dict[str, Any] = {"ra": f"{ra:.7f}", "dec": f"{dec:.7f}", "scale": f"{order.pixel_scale:g}"}
    place |= {"width": order.size, "height": order.size}
    return client.get(f"{order.base_url}/ImgCutout/getjpeg", place, partial(check_image, order))


def hips(order: Order, client: PoliteClient, ra: float, dec: float) -> bytes:
    """Requests an image from hips2fits of the CDS: of one HiPS, or one per band."""
    place = {"ra": f"{ra:.7f}", "dec": f"{dec:.7f}", "width": order.size, "height": order.size}
    place |= {"fov": f"{order.size * order.pixel_scale / 3600:.9g}", "projection": "TAN", "coordsys": "icrs"}
    place |= {"format": "fits" if order.format == "fits" else "jpg"}
    url = f"{order.base_url}/hips2fits"
    if order.hips is None:
        raise ValueError("hips2fits needs the name of a HiPS")
    if "{band}" not in order.hips:
        return client.get(url, {"hips": order.hips, **place}, partial(check_image, order))
    names = [order.hips.replace("{band}", band) for band in order.bands]
    planes = [client.get(url, {"hips": name, **place}, partial(_plane, order)) for name in names]
    return join_bands(planes, order.bands)


def _plane(order: Order, data: bytes) -> bytes:
    return check_image(order, data, bands=1)


def panstarrs(order: Order, client: PoliteClient, ra: float, dec: float) -> bytes:
    """Requests from MAST the names of the stacked images at a position, then a cutout of each."""
    place = {"ra": f"{ra:.7f}", "dec": f"{dec:.7f}"}
    query = {**place, "filters": "".join(order.bands), "type": "stack"}
    stacks = client.get(f"{order.base_url}/ps1filenames.py", query, _stacks)
    _need(order.bands, stacks, "stacked image")
    names = [stacks[band] for band in order.bands]
    url, place = f"{order.base_url}/fitscut.cgi", place | {"size": order.size}
    if order.format == "jpeg":  # the reddest band is red
        colours = dict(zip(("red", "green", "blue"), reversed(names), strict=False))
        return client.get(url, {**place, "format": "jpg", **colours}, partial(check_image, order))
    place["format"] = "fits"
    return join_bands([client.get(url, {**place, "red": name}, partial(_plane, order)) for name in names], order.bands)


def _stacks(data: bytes) -> dict[str, str]:
    """Reads the file of every band from the plain-text table that `ps1filenames.py` returns."""
    lines = data.decode(errors="replace").split("\n")
    names = lines[0].split()
    if "filter" not in names or "filename" not in names:
        raise ConnectionError(f"the service sent no list of files: {not_an_image(data)}")
    rows = [dict(zip(names, line.split(), strict=False)) for line in lines[1:] if line.strip()]
    return {row["filter"]: row["filename"] for row in reversed(rows)}


def euclid(order: Order, client: PoliteClient, ra: float, dec: float) -> bytes:
    """Requests from IRSA the mosaics at a position, then a cutout of each band of one tile."""
    position = f"circle {ra:.7f} {dec:.7f} {1 / 3600:.6f}"
    query = {"COLLECTION": "euclid_DpdMerBksMosaic", "POS": position, "RESPONSEFORMAT": "VOTABLE"}
    tiles = client.get(f"{order.base_url}/SIA", query, _tiles)
    _need(order.bands, {band for tile in tiles.values() for band in tile}, "mosaic")
    cut = {"center": f"{ra:.7f},{dec:.7f}deg", "size": f"{order.size + 2 * _EUCLID_MARGIN}px", "gzip": "false"}
    reason = ValueError(f"no tile has all of {', '.join(order.bands)}")
    for tile in (tile for tile in tiles.values() if set(order.bands) <= set(tile)):  # tiles overlap at their edges
        try:
            planes = [client.get(tile[b], cut, partial(_centred, order, ra, dec)) for b in order.bands]
            return join_bands(planes, order.bands)
        except ValueError as error:
            reason = error
    raise reason


def _tiles(data: bytes) -> dict[str, dict[str, str]]:
    """Reads the address of every band's mosaic, by tile, from the VOTable of an SIA query."""
    from astropy.table import Table

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = Table.read(io.BytesIO(data), format="votable", use_names_over_ids=True)
        columns = ("dataproduct_subtype", "facility_name", "energy_bandpassname", "obs_id", "access_url")
        rows = [tuple(str(row[name]).strip() for name in columns) for row in table]
    except Exception as error:  # astropy raises many kinds of exceptions, which all mean the same here
        raise ConnectionError(f"the service sent no list of images: {not_an_image(data)}") from error
    tiles = {}
    for subtype, facility, band, observation, url in rows:
        if subtype == "science" and facility.lower() == "euclid" and url.startswith(("http://", "https://")):
            tiles.setdefault(observation[:9], {})[band] = url  # the id of the tile
    return tiles


def _centred(order: Order, ra: float, dec: float, data: bytes) -> bytes:
    """Cuts a slightly larger cutout to size; returns a FITS file."""
    from astropy.coordinates import SkyCoord
    from astropy.io import fits
    from astropy.nddata import Cutout2D
    from astropy.nddata.utils import NoOverlapError, PartialOverlapError
    from astropy.wcs import WCS

    pixels, header = read_fits_image(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs = WCS(header, naxis=2)
    try:
        cut = Cutout2D(pixels, SkyCoord(ra, dec, unit="deg"), order.size, wcs, mode="strict")
    except (NoOverlapError, PartialOverlapError):
        raise ValueError("the cutout extends beyond the edge of the mosaic") from None
    file = io.BytesIO()
    fits.PrimaryHDU(np.ascontiguousarray(cut.data), cut.wcs.to_header()).writeto(file)
    return _plane(order, file.getvalue())


def _need(bands: tuple[str, ...], there, what: str) -> None:
    if not there:
        raise ValueError("outside the footprint: the service lists no image here")
    missing = [band for band in bands if band not in there]
    if missing:
        raise ValueError(f"no {what} in {some(missing, 8)}")
