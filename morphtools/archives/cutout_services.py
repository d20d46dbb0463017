"""The cutout services of surveys, and what can be requested from them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from morphtools.archives import cutout_requests
from morphtools.archives.cutout_requests import Order
from morphtools.archives.polite import PoliteClient
from tfrecords_builder.fields import FIELDS
from tfrecords_builder.naming import some, unknown


@dataclass(frozen=True)
class Service:
    """A cutout service.

    Attributes:
        base_url: Its public address.
        get: Requests one position: (order, client, ra, dec) → the bytes of a complete, checked image.
        bands: Its bands; empty if they depend on the HiPS.
        default_bands: The bands if none are requested.
        pixel_scale: Its native pixel scale in arcsec per pixel; None if it has none.
        rescales: Whether other pixel scales can be requested.
        sizes: Smallest and largest side in pixels. Beyond these, the Legacy Surveys and SDSS silently send
            another size; the limits of the others are ours.
        formats: Its formats, the default first.
        per_second: Maximum requests per second. No service publishes a limit; these are guesses at what is considerate.
        at_once: Maximum requests at a time; MAST asks for at most 10 for Pan-STARRS.
        note: What users should know about its images.
    """

    base_url: str
    get: Callable[[Order, PoliteClient, float, float], bytes]
    bands: str | tuple[str, ...]
    default_bands: tuple[str, ...]
    pixel_scale: float | None
    rescales: bool
    sizes: tuple[int, int]
    formats: tuple[str, ...]
    per_second: float = 4.0
    at_once: int = 4
    note: str = ""


_VIEWER = "https://www.legacysurvey.org/viewer"
_GRZ = ("g", "r", "z")
_PLAIN: dict[str, Any] = {"rescales": True, "sizes": (1, 3000), "formats": ("fits", "jpeg")}
SERVICES = {
    "legacy-dr10": Service(_VIEWER, partial(cutout_requests.legacy, "ls-dr10"), "griz", _GRZ, 0.262, **_PLAIN),
    "legacy-dr9": Service(_VIEWER, partial(cutout_requests.legacy, "ls-dr9"), "grz", _GRZ, 0.262, **_PLAIN),
    "sdss": Service(
        "https://skyserver.sdss.org/dr18/SkyServerWS",
        cutout_requests.sdss,
        "irg",
        ("i", "r", "g"),
        0.396127,
        rescales=True,
        sizes=(64, 2048),
        formats=("jpeg",),
        per_second=2.0,
        at_once=2,
        note="SDSS sends pictures only, with i, r and g as red, green and blue; for FITS use --survey "
        "'hips:CDS/P/SDSS9/{band}'",
    ),
    "hips": Service(
        "https://alasky.cds.unistra.fr/hips-image-services",
        cutout_requests.hips,
        (),
        (),
        None,
        rescales=True,
        sizes=(1, 4096),
        formats=("fits", "jpeg"),
        note="hips2fits interpolates between the pixels of the HiPS, so noise is correlated and flux per pixel is not "
        "conserved",
    ),
    "panstarrs": Service(
        "https://ps1images.stsci.edu/cgi-bin",
        cutout_requests.panstarrs,
        "grizy",
        ("g", "r", "i"),
        0.25,
        rescales=False,
        sizes=(1, 6000),
        formats=("fits", "jpeg"),
        note="MAST warns that Pan-STARRS stacks are not linear in flux (asinh); values are kept as they are",
    ),
    "euclid-q1": Service(
        "https://irsa.ipac.caltech.edu",
        cutout_requests.euclid,
        ("VIS", "Y", "J", "H"),
        ("VIS",),
        0.1,
        rescales=False,
        sizes=(1, 4096),
        formats=("fits",),
        per_second=2.0,
        note="mosaics of MER, all bands on pixels of 0.1 arcsec",
    ),
}


def place_order(
    survey: str,
    size: str | int,
    *,
    bands: tuple[str, ...] | None = None,
    format: str | None = None,
    pixel_scale: float | str | None = None,
    base_url: str | None = None,
) -> tuple[Service, Order]:
    """Returns the service of a survey and the order, after checking everything before a request is sent.

    Args:
        survey: A key of `SERVICES`, or `hips:NAME`.
        size: Side, as 152, `"152px"` or `"20arcsec"`.
        bands: Names of the bands.
        format: `fits` or `jpeg`.
        pixel_scale: Arcsec per pixel, or a rule of `tfrecords_builder.fields`.
        base_url: Another address of the service.

    Raises:
        ValueError: The service does not offer this.
    """
    name, _, hips = survey.partition(":")
    if name not in SERVICES or (name == "hips") != bool(hips):
        raise ValueError(unknown("survey", survey, [*(key for key in SERVICES if key != "hips"), "hips:NAME"]))
    service = SERVICES[name]
    format = service.formats[0] if format is None else format
    if format not in service.formats:
        raise ValueError(f"{name} has no {format} (it has {', '.join(service.formats)})")
    bands = service.default_bands if bands is None else tuple(bands)
    _check_bands(name, service, hips, bands, format)
    field = pixel_scale if isinstance(pixel_scale, str) else None
    if field is not None:
        _check_field(name, service, field, size)
        pixel_scale = service.pixel_scale or 1.0  # for the checks below; every galaxy has its own scale
    given = service.pixel_scale if pixel_scale is None else pixel_scale
    if given is None:
        raise ValueError("a HiPS has no fixed pixel scale: give `pixel_scale` in arcsec")
    if pixel_scale is not None and not service.rescales and pixel_scale != service.pixel_scale:
        raise ValueError(f"{name} has pixels of {service.pixel_scale} arcsec only, got {pixel_scale}")
    scale = float(given)
    if not 0 < scale < 3600:
        raise ValueError(f"the pixel scale must be arcsec per pixel, more than 0, got {scale:g}")
    side = _pixels(size, scale)
    if not service.sizes[0] <= side <= service.sizes[1]:
        raise ValueError(
            f"{name} has cutouts of {service.sizes[0]} to {service.sizes[1]} pixels, got {side}: give another size"
            + (" or pixel scale" if service.rescales else "")
        )
    address = (base_url or service.base_url).rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise ValueError(f"the base URL must begin with http:// or https://, got {address}")
    return service, Order(address, side, scale, bands, format, hips or None, field)


def _check_field(name: str, service: Service, field: str, size: str | int) -> None:
    if field not in FIELDS:
        raise ValueError(unknown("pixel scale", field, FIELDS) + ", or a number of arcsec")
    if not service.rescales:
        raise ValueError(f"{name} has pixels of {service.pixel_scale} arcsec only, so the field {field} is impossible")
    if "arcsec" in str(size) or '"' in str(size):
        raise ValueError(
            f"with the field {field} the size must be in pixels, got {size}: the field sets the size in arcsec"
        )


def _check_bands(name: str, service: Service, hips: str, bands: tuple[str, ...], format: str) -> None:
    if len(set(bands)) != len(bands):
        raise ValueError(f"a band is named twice: {', '.join(bands)}")
    missing = [band for band in bands if service.bands and band not in service.bands]
    if missing:
        raise ValueError(f"{name} has no band {some(missing)}; it has {', '.join(service.bands)}")
    if hips and format == "fits" and not bands:
        raise ValueError(f"hips:{hips} as FITS: give `bands`, the name of its band, or of each {{band}}")
    if "{band}" in hips and format == "jpeg":
        raise ValueError("pictures of one HiPS per band cannot be combined: request FITS, or a HiPS in colour")
    if name == "sdss" and bands != service.default_bands:
        raise ValueError("SDSS draws its pictures from i, r and g, in this order: leave `bands` out")
    if name == "panstarrs" and format == "jpeg" and len(bands) not in (1, 3):
        raise ValueError(f"pictures of panstarrs have 1 or 3 bands, got {len(bands)}")


def _pixels(size: str | int, pixel_scale: float) -> int:
    """A side in pixels; a side in arcsec is rounded to whole pixels."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(px|pix|pixels|arcsec|\")?\s*", str(size))
    if not match:
        raise ValueError(f"cannot read the size {size!r}; expected for example 152px or 20arcsec")
    number, unit = float(match[1]), match[2]
    if unit in ("arcsec", '"'):
        return round(number / pixel_scale)
    if number != int(number):
        raise ValueError(f"the size must be a whole number of pixels, got {size}")
    return int(number)
