"""How records have to be read for given weights, and weights be loaded for given records."""

import logging
import math
from typing import NamedTuple

from morphtools.models.cards import Card
from morphtools.survey.extinction import transmission
from morphtools.survey.stretch import stretches_for, survey_stretch
from tfrecords_builder.naming import unknown
from tfrecords_builder.records import Records

log = logging.getLogger(__name__)


class Preparation(NamedTuple):
    """How records and weights fit together.

    Attributes:
        reading: Keyword arguments of `load_dataset`: `image_size` (H, W) and `stretch`, and where they are needed
            `crop` and `dereddened`.
        loading: Keyword arguments of `load_pretrained`: `input_shape` and `noise`.
    """

    reading: dict
    loading: dict


def prepare(
    card: Card,
    records: Records,
    *,
    stretch: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    crop: int | None = None,
    adapt_bands: bool = False,
    survey: str | None = None,
) -> Preparation:
    """Works out how to show records to weights as in their training, or why that is impossible.

    Images of another size are resized to that of the card, and cut where it was shown the middle of larger ones; flux
    is dereddened if that of the card was, and becomes pictures by the card's stretch, or where that cannot show its
    bands by that of a survey that takes these.

    Args:
        card: Card of the weights.
        records: What they shall be applied to.
        stretch: Name of a stretch to use instead of the card's.
        image_size: Side, or (H, W), to use instead of the card's.
        crop: Side in pixels of the middle of the records' images that is shown; by default all of it.
        adapt_bands: Whether to adapt the first convolution to other bands (see `load_pretrained`).
        survey: Survey of the bands, to deredden them even if the card does not.

    Raises:
        ValueError: The records hold other images than the weights were trained on; the message explains how to fix it.
    """
    where, is_flux = f"the records in {records.folder}", records.encoding != "encoded"
    if card.range == "flux" and not is_flux:
        raise ValueError(f"{card.name} takes flux, {where} hold pictures: build records from FITS or arrays")
    if stretch is not None and (card.range == "flux" or not is_flux):
        reason = f"{card.name} takes flux as it is" if card.range == "flux" else f"{where} hold pictures already"
        raise ValueError(f"{reason}: no stretch ({stretch!r})")
    bands = records.bands
    if is_flux and card.range == "picture":
        stretch = _stretch(card, records, stretch, where)
        bands = ("r", "g", "b")
    elif card.range == "picture" and len(bands) == len(card.bands):
        bands = card.bands  # the channels of a picture, under any names
    if bands != card.bands and not adapt_bands:
        raise ValueError(_other_bands(card, bands, where))
    height, width = _size(card, records, image_size, where)
    reading = {"image_size": (height, width), "stretch": stretch}
    if crop is not None:
        reading |= _middle(records, crop, (height, width), where)
    elif card.middle_of is not None and image_size is None:
        reading |= {"image_size": card.middle_of, "crop": (height, width)}
    _compare_scales(card, pixel_scale_of(records, reading), where)
    noise = records.noise if card.range == "flux" and len(bands) != len(card.bands) else None
    reading |= _dereddened(survey or card.dereddened, records, where)
    return Preparation(reading, {"input_shape": (height, width, len(bands)), "noise": noise})


def _middle(records: Records, crop: int, size: tuple[int, int], where: str) -> dict:
    """`image_size` and `crop` of `load_dataset` that show the middle `crop` pixels of every image in `size` pixels."""
    smaller = min(records.shape[:2])
    if not 1 <= crop <= smaller:
        raise ValueError(f"crop must be from 1 to {smaller}, the side of the images of {where}, got {crop}")
    height, width = (max(side, round(side * whole / crop)) for side, whole in zip(size, records.shape, strict=False))
    return {"image_size": (height, width), "crop": size}


def pixel_scale_of(records: Records, reading: dict) -> float | None:
    """Arcsec per pixel of the images as shown to weights, if known for the records.

    Args:
        records: What is shown.
        reading: Reading of a `Preparation`.
    """
    return records.pixel_scale and records.pixel_scale * records.shape[0] / reading["image_size"][0]


def _compare_scales(card: Card, shown: float | None, where: str) -> None:
    if card.pixel_scale and shown and not 0.8 < shown / card.pixel_scale < 1.25:
        log.warning(
            "%s was trained on pixels of %.3g arcsec, %s have pixels of %.3g arcsec: galaxies look %.2g times "
            "as large as in its training; its answers may be wrong",
            *(card.name, card.pixel_scale, where, shown, card.pixel_scale / shown),
        )


def _dereddened(survey: str | None, records: Records, where: str) -> dict:
    """`dereddened` of `load_dataset` if it is wanted and possible; otherwise a warning names the consequence."""
    if survey is None:
        return {}
    if records.encoding == "encoded":
        log.warning("%s hold pictures, which cannot be dereddened: they are used as they are", where)
        return {}
    first, last = records.bands[0], records.bands[-1]
    through = transmission(0.03, bands=records.bands, survey=survey)
    dimmed, reddened = (-2.5 * math.log10(light) for light in (through[0], through[0] / through[-1]))
    cost = f"at a typical E(B-V) of 0.03, {first} is {dimmed:.2f} mag fainter"
    cost += f" and {first}-{last} {reddened:.2f} mag redder than without dust" if first != last else ""
    if "ebv" not in records.label_cols:
        log.warning("%s have no column ebv, so images cannot be dereddened: %s", where, cost)
        return {}
    unknown_dust = int(records.index(["ebv"])["ebv"].isna().sum())
    if unknown_dust:
        log.warning("%d galaxies have no ebv and are not dereddened: %s", unknown_dust, cost)
    return {"dereddened": survey}


def _stretch(card: Card, records: Records, name: str | None, where: str) -> str:
    usable = stretches_for(records.bands)
    if len(records.bands) == 1 and name in (None, "grey"):  # in any unit: in terms of its noise
        if card.stretch != "grey":
            log.warning("%s was trained on colour pictures and %s have one band: shown in grey", card.name, where)
        return "grey"
    wanted = name or card.stretch
    if wanted is not None and wanted in usable:
        return wanted
    of = ", ".join(records.bands)
    if name is None and card.stretch is not None and usable:
        name = survey_stretch(records.bands)
        log.warning("%s was trained on %s pictures, which cannot show %s: using %s", card.name, card.stretch, of, name)
        return name
    if not usable:
        raise ValueError(
            f"{card.name} takes pictures, {where} hold flux in the bands {of}, which no stretch can show: "
            f"name the bands, in the order of the file, as those of a survey (bands=('g','r','z'))"
            + "; if they are pictures, save them as uint8, from 0 to 255"
            * (len(records.bands) == 3)
        )
    advice = f"give one of the stretches {', '.join(usable)}" if name is None else unknown("stretch", name, usable)
    raise ValueError(f"{card.name} takes pictures, {where} hold flux in the bands {of}: {advice}")


def _other_bands(card: Card, bands: tuple[str, ...], where: str) -> str:
    problem = f"{card.name} takes the bands {', '.join(card.bands)}, {where} have {', '.join(bands)}: "
    if sorted(bands) == sorted(card.bands):
        return problem + f"build the records with bands in that order, {','.join(card.bands)}"
    return (
        problem
        + "adapt_bands=True spreads the first convolution over them, which is exact for images grey in all bands"
    )


def _size(card: Card, records: Records, size, where: str) -> tuple[int, int]:
    if size is not None:
        return (size, size) if isinstance(size, int) else tuple(size)
    height, width = card.middle_of or card.image_size
    if abs(records.shape[1] / records.shape[0] * height / width - 1) > 0.02:
        raise ValueError(
            f"{card.name} takes {height}×{width} pixels, {where} have {records.shape[0]}×{records.shape[1]} and would "
            "be squeezed: give image_size=(height, width), or build records of that shape"
        )
    return card.image_size
