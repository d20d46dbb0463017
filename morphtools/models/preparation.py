"""How records have to be read for given weights, and weights be loaded for given records."""

from typing import NamedTuple

from morphtools.models.cards import Card
from morphtools.survey.stretch import stretches_for
from tfrecords_builder.naming import unknown
from tfrecords_builder.records import Records


class Preparation(NamedTuple):
    """What brings records and weights together.

    Attributes:
        reading: Keyword arguments of `load_dataset`: `image_size` (H, W) and `stretch`.
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
    adapt_bands: bool = False,
) -> Preparation:
    """Finds out how to show records to weights as they were trained, or why that cannot be.

    Images of another size are resized to that of the card; flux becomes pictures by the card's stretch.

    Args:
        card: Of the weights.
        records: What they shall be applied to.
        stretch: Name of a stretch to use instead of the card's.
        image_size: Side, or (H, W), to use instead of the card's.
        adapt_bands: Whether to adapt the first convolution to other bands (see `load_pretrained`).

    Raises:
        ValueError: The records hold other images than the weights were trained on; says how to mend it.
    """
    where, is_flux = f"the records in {records.folder}", records.encoding != "encoded"
    if card.range == "flux" and not is_flux:
        raise ValueError(f"{card.name} takes flux, {where} hold pictures: build records from FITS or arrays")
    if stretch is not None and (card.range == "flux" or not is_flux):
        reason = f"{card.name} takes flux as it is" if card.range == "flux" else f"{where} hold pictures already"
        raise ValueError(f"{reason}: no stretch ({stretch!r})")
    bands = records.bands
    if is_flux and card.range == "picture":
        stretch = _stretch(card, records, stretch or card.stretch, where)
        bands = ("r", "g", "b")
    elif card.range == "picture" and len(bands) == len(card.bands):
        bands = card.bands  # the channels of a picture, whatever they are called
    if bands != card.bands and not adapt_bands:
        raise ValueError(_other_bands(card, bands, where))
    height, width = _size(card, records, image_size, where)
    noise = records.noise if card.range == "flux" and len(bands) != len(card.bands) else None
    return Preparation(
        {"image_size": (height, width), "stretch": stretch},
        {"input_shape": (height, width, len(bands)), "noise": noise},
    )


def _stretch(card: Card, records: Records, name: str | None, where: str) -> str:
    usable = stretches_for(records.bands)
    if name in usable:
        return name
    of = ", ".join(records.bands)
    if not usable:
        raise ValueError(f"{card.name} takes pictures, {where} hold flux in the bands {of}, which no stretch can show")
    said = f"give one of the stretches {', '.join(usable)}" if name is None else unknown("stretch", name, usable)
    raise ValueError(f"{card.name} takes pictures, {where} hold flux in the bands {of}: {said}")


def _other_bands(card: Card, bands: tuple[str, ...], where: str) -> str:
    said = f"{card.name} takes the bands {', '.join(card.bands)}, {where} have {', '.join(bands)}: "
    if sorted(bands) == sorted(card.bands):
        return said + f"build the records with bands in that order, {','.join(card.bands)}"
    return (
        said + "adapt_bands=True spreads the first convolution over them, which is exact for images grey in all bands"
    )


def _size(card: Card, records: Records, size, where: str) -> tuple[int, int]:
    if size is not None:
        return (size, size) if isinstance(size, int) else tuple(size)
    height, width = card.image_size
    if abs(records.shape[1] / records.shape[0] * height / width - 1) > 0.02:
        raise ValueError(
            f"{card.name} takes {height}×{width} pixels, {where} have {records.shape[0]}×{records.shape[1]} and would "
            "be squeezed: give image_size=(height, width), or build records of that shape"
        )
    return height, width
