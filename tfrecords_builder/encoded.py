"""Reads pictures of other programs: JPEG and PNG bytes are kept, other kinds become PNG or pixels.

Images with 8 bits per band are pictures, stored as JPEG or PNG; with more bits they are measurements: pixels, in a
single band.
"""

import io
import warnings

import numpy as np

from tfrecords_builder.bounded import LIMITS, Limits, not_an_image
from tfrecords_builder.findings import note
from tfrecords_builder.pixels import Image, from_pixels, from_values, to_png
from tfrecords_builder.prepare import examine_picture

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # others, such as EPS, run programs
_BANDS = {"L": 1, "1": 1, "LA": 1, "P": 3, "PA": 3, "RGB": 3, "RGBA": 3}
DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_ORIENTATION = 0x0112


def read_picture(data: bytes, limits: Limits = LIMITS) -> Image:
    """Reads a JPEG, PNG, WebP, GIF, BMP or TIFF.

    Transparency is ignored and reported as a finding. A picture with an orientation tag is turned upright.

    Args:
        data: The bytes of the file.
        limits: Maximum number of pixels.

    Returns:
        JPEG and PNG: the bytes unchanged; other kinds with 8 bits: a PNG with the same pixels; grey images with 16 bits
        or more: pixels (H, W, 1).

    Raises:
        ValueError: It cannot be used; the message gives the reason.
    """
    from PIL import Image as Picture
    from PIL import ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Picture.open(io.BytesIO(data), formats=_FORMATS)
            _check(picture, limits)
            picture.load()  # a truncated file opens but does not load
            upright = picture.getexif().get(_ORIENTATION, 1) in (0, 1)
            as_it_came = upright and picture.format in ("JPEG", "PNG", "MPO")
            losses = _losses(picture, data)
            picture = picture if upright else ImageOps.exif_transpose(picture)
    except Picture.UnidentifiedImageError:
        raise ValueError(f"not a readable {_kind(data)}") from None
    except Picture.DecompressionBombError as error:
        raise ValueError(f"has more pixels than Pillow opens: {error}") from None
    except ValueError:
        raise
    except Exception as error:  # Pillow raises many kinds of exceptions, which all mean the same here
        raise ValueError(f"not a readable {_kind(data)}: {error or type(error).__name__}") from error
    if picture.mode in DEEP:
        return from_values(np.asarray(picture))
    if picture.mode not in _BANDS:
        inks = "printing inks (CMYK)" if picture.mode == "CMYK" else f"colours in mode {picture.mode}"
        raise ValueError(f"stores {inks}; save it as an RGB picture")
    bands = _BANDS[picture.mode]
    if not as_it_came:
        data = to_png(np.asarray(picture.convert("L" if bands == 1 else "RGB")))
    image = examine_picture(Image(data, (picture.height, picture.width, bands)), picture)
    for kind in losses:
        image = note(image, kind)
    return image


def from_array(pixels: np.ndarray) -> Image:
    """Makes an image of an array from a file: a picture, which is examined, or measured values (see `from_pixels`)."""
    image = from_pixels(pixels)
    if isinstance(image.data, np.ndarray):
        return image
    from PIL import Image as Picture

    return examine_picture(image, Picture.open(io.BytesIO(image.data)))


def _check(picture, limits: Limits) -> None:
    """Raises ValueError for an unusable picture, before it is decoded."""
    numbers = picture.width * picture.height * _BANDS.get(picture.mode, 1)
    if numbers > limits.pixels:
        size = f"{picture.width}×{picture.height}"
        raise ValueError(f"a picture of {size} pixels: {numbers} values, but max_pixels allows {limits.pixels}")
    right, bottom = (max((tile[1][axis] for tile in picture.tile), default=0) for axis in (2, 3))
    if picture.format == "TIFF" and right * bottom < picture.width * picture.height:  # Pillow would add zeros
        raise ValueError("truncated: its strips end before the last row")
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":  # in camera files, the others are previews
        raise ValueError(f"contains {frames} pictures; save the one to use as a separate file")


def _losses(picture, data: bytes) -> list[str]:
    """Findings about parts of a picture that are ignored."""
    deep = picture.format == "PNG" and data[24:25] == b"\x10"
    if picture.format == "TIFF":
        deep = max(picture.tag_v2.get(258, (8,))) > 8
    clear = picture.has_transparency_data and picture.convert("RGBA").getchannel("A").getextrema()[0] < 255
    return ["fewer_bits"] * deep + ["transparent"] * clear


def _kind(data: bytes) -> str:
    """Describes an unreadable file: the kind it claims to be, and what it is instead."""
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "TIFF: it is damaged or of a kind that Pillow cannot read; save it as FITS"
    kinds = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG", "PNG"), (b"RIFF", "WebP"), (b"GIF8", "GIF"), (b"BM", "BMP"))
    for start, kind in kinds:
        if data.startswith(start):
            return f"{kind}: it is damaged"
    return f"JPEG, PNG, WebP, GIF, BMP or TIFF: {not_an_image(data)}"
