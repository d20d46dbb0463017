"""Finds bad pixels from masks of 0 and 1, bit masks and weight maps."""

import re

import numpy as np

from tfrecords_builder.hdus import pixel_values
from tfrecords_builder.naming import some

_WEIGHTS = re.compile(r"(?:WHT|WGT|WEIGHTS?|IVAR|INVVAR|INVVARIANCE)(?:[_-].*)?")
_ZERO = "zero"


def bad_pixels(stored: np.ndarray, header, bits: str | int | tuple | None = None, name: str = "") -> np.ndarray:
    """Which pixels are bad, according to a mask or a weight map.

    A mask is non-zero where a pixel is bad. In bit masks such as those of LSST, HSC, Euclid, SDSS or HST, `bits`
    chooses the bits that count, because most are not defects (DETECTED covers every galaxy). A weight map, recognised
    by its name (WHT, WEIGHT, IVAR, INVVAR) or `bits="zero"`, is zero where a pixel is bad.

    Args:
        stored: Values of the mask as stored in the file, of any shape.
        header: Header of the mask.
        bits: Names that the header defines (`MP_SAT` is `SAT`) and numbers of bits, counted from 0, as a tuple or
            separated by commas; or "zero".
        name: Name of the mask in error messages, if it has no EXTNAME.

    Returns:
        Bool, in the shape of `stored`.

    Raises:
        ValueError: It is not a mask, or it does not have these bits.
    """
    name = str(header.get("EXTNAME", "")).strip() or str(name) or "the mask"
    values = _unsigned(stored, header)
    if bits in (_ZERO, (_ZERO,)) or (bits is None and is_weight_map(name)):
        return ~(values > 0)  # NaN is also bad
    if values.dtype.kind == "f":
        values = _whole(values, name)
    if bits is None:
        if plane_bits(header):
            raise ValueError(
                f"{name} has named bits; choose the bad ones with mask_bits (--mask-bits): {_names(header)}"
            )
        return values != 0
    return (values & bit_mask(bits, header, name)) != 0


def is_weight_map(name: str | int) -> bool:
    """Whether an extension is a weight map by its name: WHT, WEIGHT, IVAR or INVVAR, optionally with a band."""
    return _WEIGHTS.fullmatch(str(name).upper()) is not None


def bit_mask(bits: str | int | tuple, header, name: str) -> int:
    """The number in which the given bits are set.

    >>> bit_mask("SAT,5", {"MP_SAT": 1}, "MASK")
    34
    """
    planes, chosen = plane_bits(header), 0
    for bit in split_bits(bits):
        number = planes.get(bit.upper().removeprefix("MP_")) if not bit.isdigit() else int(bit)
        if number is None:
            known = f"it has {_names(header)}" if planes else "its header names none; give numbers, counted from 0"
            raise ValueError(f"{name} has no bit {bit!r}; {known}")
        if not 0 <= number < 63:
            raise ValueError(f"{name} has no bit {number}; bits are counted from 0, so 8 is bit 3")
        chosen |= 1 << number
    return chosen


def split_bits(bits: str | int | tuple | list) -> list[str]:
    """`"SAT,5"` as `["SAT", "5"]`."""
    parts = bits.split(",") if isinstance(bits, str) else bits if isinstance(bits, tuple | list) else [bits]
    return [str(part).strip() for part in parts if str(part).strip()]


def plane_bits(header) -> dict[str, int]:
    """The bits that a header names, as in LSST: `MP_SAT = 1`."""
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
    """Converts a mask stored as floating point to integers; NaN (undefined) sets all bits."""
    good = values[np.isfinite(values)]
    if (good != np.round(good)).any() or (np.abs(good) > 2**53).any():
        fraction = float(good[good != np.round(good)][0]) if (good != np.round(good)).any() else float(good.max())
        raise ValueError(
            f"{name} is not a mask: it holds numbers like {fraction:.4g}; if it is a weight map, zero where a pixel is "
            f"bad, give mask_bits as zero (--mask-bits zero)"
        )
    return np.where(np.isfinite(values), values, -1).astype(np.int64)
