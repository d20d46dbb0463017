"""Chooses the HDU of a FITS file that contains the image, and reads its pixel values, for files and mosaics alike.

Open files with `do_not_scale_image_data=True`: astropy's own scaling leaves undefined unsigned integers as numbers.
"""

import re

import numpy as np

_PLANE = re.compile(  # whole words of a name, between digits and punctuation: WHT, VAR_RNOISE, 3-4.RMS, wtmap
    r"(?:^|[^a-z])(?:inv|inverse)?[ _-]?"
    r"(?:wht|wgt|wt|weight|err|error|dq|dqmask|mask|msk|var|variance|ivar|unc|uncert|uncertainty|rms|sigma|std|stdev|"
    r"stddev|noise|bpm|bad|badpix|badpixel|flag|flg|qual|quality|exp|exptime|exposure|nexp|con|ctx|context|cov|coverage|"
    r"seg|segm|segmentation|area|samp|time|psf|kernel|bkg|background|resid|residual)s?"
    r"[ _-]?(?:map|image|img|plane)?(?:$|[^a-z])"
)
_KINDS = ("EXTNAME", "EXTTYPE", "DES_EXT", "PRODTYPE", "IMTYPE", "HDUCLAS1", "HDUCLAS2", "HDUCLAS3")


def is_plane(header) -> bool:
    """Whether a header belongs to a weight, mask or error map, a PSF, a sky or residuals rather than an image."""
    kinds = (str(header.get(key, "")).lower() for key in _KINDS)
    return any(_PLANE.search(kind) and "sub" not in kind for kind in kinds)  # background-subtracted is an image


def holds_image(hdu) -> bool:
    """Whether an HDU has pixels on at least two axes."""
    return bool(hdu.is_image and hdu.shape is not None and len(hdu.shape) >= 2 and 0 not in hdu.shape)


def image_hdu(hdus) -> int:
    """The number of the HDU with the image: the first with pixels that is not a weight, mask or error map.

    An unnamed primary image that is zero everywhere is a placeholder if another image follows. A named image that is
    blank remains the image: its weight map is never used instead.

    Args:
        hdus: An open `HDUList`.

    Raises:
        ValueError: There is no image, or only weight, mask and error maps.
    """
    images = [i for i, hdu in enumerate(hdus) if holds_image(hdu)]
    if not images:
        raise ValueError("it contains no image")
    candidates = [i for i in images if not is_plane(hdus[i].header)]
    if not candidates:
        names = ", ".join(extension_name(hdus, i) or str(i) for i in images)
        raise ValueError(f"contains no image, only the weight, mask or error map {names}; to read that, give it as hdu")
    first = candidates[0]
    if first == 0 and len(candidates) > 1 and not _own_name(hdus[0].header) and _all_zero(hdus[0]):
        return candidates[1]
    return first


def extension_name(hdus, number: int) -> str:
    """The `EXTNAME` of an image or else its number; empty if there is no other.

    A primary image without others may be called as the detector it was cut from, each file by another one.
    """
    name, alone = _own_name(hdus[number].header), sum(holds_image(hdu) for hdu in hdus) == 1
    return "" if alone and (number == 0 or not name) else name or str(number)


def _own_name(header) -> str:
    name = str(header.get("EXTNAME", "")).strip().upper()
    return "" if name in ("PRIMARY", "COMPRESSED_IMAGE") else name  # names that programs give to any image


def _all_zero(hdu) -> bool:
    rows = max(1, 2**20 // hdu.shape[-1])
    planes = np.ndindex(hdu.shape[:-2])
    parts = ((*plane, slice(start, start + rows)) for plane in planes for start in range(0, hdu.shape[-2], rows))
    return not any(np.any(hdu.section[part]) for part in parts)


def pixel_values(stored: np.ndarray, header) -> np.ndarray:
    """The values of stored pixels: `BLANK` becomes NaN, `BSCALE` and `BZERO` are applied.

    Args:
        stored: Values in the file, unscaled (`do_not_scale_image_data=True`), of any shape.
        header: Header of their HDU.

    Returns:
        The values unchanged if nothing is to be done; unsigned integers stay integers.
    """
    scale, zero = (_number(header, key, default) for key, default in (("BSCALE", 1.0), ("BZERO", 0.0)))
    integers = stored.dtype.kind in "iu"
    blank = _number(header, "BLANK", np.nan) if integers else np.nan  # meaningless for floating-point numbers
    missing = stored == int(header["BLANK"]) if blank.is_integer() else np.zeros(stored.shape, bool)
    if scale == 1 and not missing.any():
        if zero == 0:
            return stored
        if integers and stored.dtype.itemsize < 8 and zero.is_integer():
            return stored.astype(np.int64) + int(zero)
    if stored.dtype.kind == "i" and stored.dtype.itemsize == 8 and zero == 2**63:  # exact, while a sum would round
        stored, zero = stored.astype(np.int64).view(np.uint64) ^ np.uint64(2**63), 0.0
    kind = stored.dtype.newbyteorder("=") if not integers else np.float64 if stored.dtype.itemsize > 2 else np.float32
    values = stored.astype(kind)  # identical to astropy
    if scale != 1:
        values *= scale
    if zero != 0:
        values += zero
    values[missing] = np.nan
    return values


def _number(header, key: str, default: float) -> float:
    value = header.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} must be a number, got {value!r}")
    return float(value)
