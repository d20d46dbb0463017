"""Which pixels are bad: masks of 0 and 1, masks of bits, and weight maps."""

import re

import numpy as np

from tfrecords_builder.hdus import pixel_values
from tfrecords_builder.naming import some

_WEIGHTS = re.compile(r"(?:WHT|WGT|WEIGHTS?|IVAR|INVVAR|INVVARIANCE)(?:[_-].*)?")
_ZERO = "zero"


def bad_pixels(stored: np.ndarray, header, bits: str | int | tuple | None = None, name: str = "") -> np.ndarray:
    """Which pixels of a mask, or of a weight map, are bad.

    A mask is not zero where a pixel is bad. Where it holds bits, as those of LSST, HSC, Euclid, SDSS or HST, `bits`
    says which of them count, for most are not defects (the bit DETECTED covers every galaxy). A weight map, known by
    its name (WHT, WEIGHT, IVAR, INVVAR) or by `bits="zero"`, is zero where a pixel is bad.

    Args:
        stored: Numbers of the mask as the file holds them, of any shape.
        header: Of the mask.
        bits: Names that the header gives a number (`MP_SAT` is `SAT`), and numbers of bits, counted from 0, in a tuple
            or with commas between them; or "zero".
        name: What errors call the mask, if it has no EXTNAME.

    Returns:
        bool, of the shape of `stored`.

    Raises:
        ValueError: It is not a mask, or has no such bits.
    """
    name = str(header.get("EXTNAME", "")).strip() or str(name) or "the mask"
    values = _unsigned(stored, header)
    if bits in (_ZERO, (_ZERO,)) or (bits is None and is_weight_map(name)):
        return ~(values > 0)  # NaN is bad as well
    if values.dtype.kind == "f":
        values = _whole(values, name)
    if bits is None:
        if plane_bits(header):
            raise ValueError(
                f"{name} has named bits; choose those that are bad with mask_bits (--mask-bits): {_names(header)}"
            )
        return values != 0
    return (values & bit_mask(bits, header, name)) != 0


def is_weight_map(name: str | int) -> bool:
    """Whether an extension is a weight map by its name: WHT, WEIGHT, IVAR, INVVAR, and these with a band behind."""
    return _WEIGHTS.fullmatch(str(name).upper()) is not None


def bit_mask(bits: str | int | tuple, header, name: str) -> int:
    """The number with the bits set that `bits` names.

    >>> bit_mask("SAT,5", {"MP_SAT": 1}, "MASK")
    34
    """
    planes, chosen = plane_bits(header), 0
    for bit in split_bits(bits):
        number = planes.get(bit.upper().removeprefix("MP_")) if not bit.isdigit() else int(bit)
        if number is None:
            there = f"it has {_names(header)}" if planes else "its header names none; give numbers, counted from 0"
            raise ValueError(f"{name} has no bit {bit!r}; {there}")
        if not 0 <= number < 63:
            raise ValueError(f"{name} has no bit {number}; bits are counted from 0, so 8 is bit 3")
        chosen |= 1 << number
    return chosen


def split_bits(bits: str | int | tuple | list) -> list[str]:
    """`"SAT,5"` as `["SAT", "5"]`."""
    parts = bits.split(",") if isinstance(bits, str) else bits if isinstance(bits, tuple | list) else [bits]
    return [str(part).strip() for part in parts if str(part).strip()]


def plane_bits(header) -> dict[str, int]:
    """The bits that a header names, as LSST does: `MP_SAT = 1`."""
    cards = {str(key).upper(): header[key] for key in header if str(key).upper().startswith("MP_")}
    return {key[3:]: value for key, value in cards.items() if isinstance(value, int) and not isinstance(value, bool)}


def _names(header) -> str:
    bits = plane_bits(header)
    return some(sorted(bits, key=lambda name: bits[name]), 20)


def _unsigned(stored: np.ndarray, header) -> np.ndarray:
    """The values of a mask, with all 64 bits of an unsigned one."""
    if stored.dtype.kind == "i" and stored.dtype.itemsize == 8 and header.get("BZERO") == 2**63:
        return (stored.astype(np.int64).view(np.uint64) ^ np.uint64(2**63)).view(np.int64)
    if stored.dtype.kind == "b":
        return stored.astype(np.int64)
    values = pixel_values(stored, header)
    return values.astype(np.int64) if values.dtype.kind in "iu" else values


def _whole(values: np.ndarray, name: str) -> np.ndarray:
    """Whole numbers of a mask that is stored as floating point; NaN, which is undefined, as all bits."""
    good = values[np.isfinite(values)]
    if (good != np.round(good)).any() or (np.abs(good) > 2**53).any():
        fraction = float(good[good != np.round(good)][0]) if (good != np.round(good)).any() else float(good.max())
        raise ValueError(
            f"{name} is not a mask: it holds numbers like {fraction:.4g}; if it is a weight map, zero where a pixel is "
            f"bad, give mask_bits as zero (--mask-bits zero)"
        )
    return np.where(np.isfinite(values), values, -1).astype(np.int64)
