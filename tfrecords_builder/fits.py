"""Reads FITS pixels from the bytes of one file.

Files with one of the plain layouts below are read directly, a few times faster than with astropy. Everything else
(scaled integers, extensions, tile compression, odd headers) is left to astropy.
"""

import io
import re
import warnings

import numpy as np

from tfrecords_builder.bounded import LIMITS, Limits, not_an_image, unpacked
from tfrecords_builder.hdus import extension_name, image_hdu, pixel_values
from tfrecords_builder.headers import band_axis, camera
from tfrecords_builder.masks import bad_pixels
from tfrecords_builder.pixels import Image, bands_last, from_values, with_mask

_TYPES = {b"8": ">u1", b"16": ">i2", b"32": ">i4", b"64": ">i8", b"-32": ">f4", b"-64": ">f8"}
_LEAVE = (b"BSCALE  ", b"BZERO   ", b"BLANK   ", b"GROUPS  ", b"XTENSION", b"EXTNAME ", b"EXTTYPE ", b"DES_EXT ")
_LEAVE += (b"PRODTYPE", b"IMTYPE  ", b"HDUCLAS1", b"HDUCLAS2", b"HDUCLAS3")
# with these, astropy counts axes for hours, seeks backwards without end, or multiplies text in memory
_ENDLESS = re.compile(
    rb"(?:(?:NAXIS  |ZNAXIS |TFIELDS) *= *\d{4,}|(?:Z?NAXIS\d+|[PG]COUNT) *= *(?:-\d+|'[^']{0,60}'?))"
)


def read_fits(
    data: bytes,
    *,
    hdu: str | int | tuple | None = None,
    mask: str | int | None = None,
    mask_bits: str | int | tuple | None = None,
    limits: Limits = LIMITS,
) -> Image:
    """Reads the image in a FITS file.

    Args:
        data: The bytes of the file; gzip and bzip2 are unpacked.
        hdu: Name or number of the extension, or one per band; by default the one that `image_hdu` chooses.
        mask: Name or number of an extension of the same size, non-zero where a pixel is bad; or a weight map.
        mask_bits: The bits that mark bad pixels (see `tfrecords_builder.masks`).
        limits: Maximum number of bytes to unpack, and of pixels.

    Returns:
        (H, W, C) float32; the third axis of a cube is the bands, named by `BANDS` or `BAND0`, `BAND1`, … if present.

    Raises:
        ValueError: It cannot be read; the message gives the reason.
    """
    try:
        data = unpacked(data, limits)
    except ValueError as error:
        raise ValueError(f"not a readable FITS file: {error}") from error
    plain = _plain(data) if hdu is None and mask is None else None
    if plain is not None:
        pixels, names, (pixel_scale, telescope) = plain
        if pixels.size > limits.pixels:
            raise ValueError(f"{pixels.size} values; max_pixels allows {limits.pixels}")
        image = from_values(pixels)
        return image._replace(bands=names, pixel_scale=pixel_scale, telescope=telescope)
    return _by_astropy(data, hdu, mask, mask_bits, limits)


def _plain(data: bytes) -> tuple[np.ndarray, tuple[str, ...] | None, tuple[float | None, str]] | None:
    """Pixels, band names and camera of a file with one unscaled primary image; None: leave it to astropy."""
    end = data.find(b"END" + b" " * 77)
    if not data.startswith(b"SIMPLE  =                    T") or end < 0 or end % 80:
        return None
    cards = {data[at : at + 8]: data[at + 9 : at + 80] for at in range(0, end, 80)}
    if any(key in cards for key in _LEAVE) or (b"BAND0   " in cards and b"BANDS   " not in cards):
        return None
    try:
        kind = _TYPES[_value(cards[b"BITPIX  "])]
        n_axes = int(_value(cards[b"NAXIS   "]))
        shape = tuple(int(_value(cards[b"NAXIS%d  " % i])) for i in range(n_axes, 0, -1))
    except (KeyError, ValueError):
        return None
    size = int(np.dtype(kind).itemsize) * int(np.prod(shape, dtype=float)) if n_axes in (2, 3) else 0
    start = -(-(end + 80) // 2880) * 2880
    if size <= 0 or start + size > len(data):
        return None
    if any(data.find(image, start + size) >= 0 for image in (b"XTENSION= 'IMAGE", b"ZIMAGE  =")):
        return None  # `image_hdu` decides between them
    pixels = np.frombuffer(data, kind, int(np.prod(shape)), start).reshape(shape)
    names = _value(cards[b"BANDS   "]).strip(b"' ").decode("ascii", "replace") if b"BANDS   " in cards else ""
    names = tuple(names) if len(names) == shape[0] and n_axes == 3 else None

    def header(key: str) -> str:
        return _value(cards.get(key.ljust(8).encode(), b"")).decode("ascii", "replace")

    return _bands_last(pixels, header), names, camera(header)


def _bands_last(pixels: np.ndarray, header) -> np.ndarray:
    axis = band_axis(header, pixels.shape)
    return bands_last(pixels) if axis is None else np.moveaxis(pixels, axis, -1)


def _value(card: bytes) -> bytes:
    return card.split(b"/", 1)[0].strip()


def _by_astropy(data: bytes, hdu, mask, mask_bits, limits: Limits) -> Image:
    from astropy.io import fits

    if not data.startswith(b"SIMPLE"):
        raise ValueError(f"not a FITS file: {not_an_image(data)}")
    check_header(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(io.BytesIO(data), memmap=False, lazy_load_hdus=False, do_not_scale_image_data=True) as hdus:
                chosen = image_hdu(hdus) if hdu is None else hdu
                name = extension_name(hdus, chosen) if hdu is None else ""
                planes = [_named(hdus, key) for key in (chosen if isinstance(chosen, tuple) else (chosen,))]
                parts = [pixel_values(_stored(plane, len(data), limits), plane.header) for plane in planes]
                plane = None if mask is None else _named(hdus, mask)
                plane = None if plane is None else (_stored(plane, len(data), limits), plane.header)
                names = _band_names(hdus[0].header)
                pixel_scale, telescope = camera(planes[0].header.get)
                telescope = telescope or camera(hdus[0].header.get)[1]
    except Exception as error:  # astropy raises many kinds of exceptions, which all mean the same here
        raise ValueError(f"not a readable FITS file: {error or type(error).__name__}") from error
    if len({part.shape for part in parts}) > 1 or (len(parts) > 1 and parts[0].ndim != 2):
        raise ValueError(f"extensions of shapes {', '.join(str(p.shape) for p in parts)}; they must be equal and 2-D")
    image = from_values(_bands_last(parts[0], planes[0].header.get) if len(parts) == 1 else np.stack(parts, axis=-1))
    names = names if len(names) == image.shape[2] and len(parts) == 1 else None
    bad = None if plane is None else bad_pixels(*plane, mask_bits, str(mask))
    return with_mask(image, bad)._replace(bands=names, hdu=name, pixel_scale=pixel_scale, telescope=telescope)


def _named(hdus, key):
    try:
        return hdus[key]
    except (KeyError, IndexError):
        names = ", ".join(f"{i} {hdu.name}".strip() for i, hdu in enumerate(hdus))
        raise ValueError(f"it has no extension {key!r}; the extensions are {names}") from None


def _stored(hdu, size: int, limits: Limits) -> np.ndarray:
    shape = tuple(hdu.shape) if hdu.is_image else ()
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"{hdu.name or 'the first extension'} is not an image (shape {shape})")
    if np.prod(shape, dtype=float) > limits.pixels:
        raise ValueError(f"{np.prod(shape, dtype=float):.0f} values (shape {shape}); max_pixels allows {limits.pixels}")
    check_whole(hdu, size)
    return np.squeeze(hdu.data) if hdu.data.ndim > 3 else hdu.data


def check_header(data: bytes) -> None:
    """Raises ValueError if a header has more than 999 or a negative number of axes or columns, or text for a number."""
    match = _ENDLESS.search(data)
    if match:
        raise ValueError(f"not a readable FITS file: its header has {match[0].decode()}")


def check_whole(hdu, size: int) -> None:
    """Raises ValueError if a file of `size` bytes ends before its pixels do; astropy would pad them."""
    place = hdu.fileinfo()
    compressed = "ZIMAGE" in hdu.header or type(hdu).__name__ == "CompImageHDU"
    promised = place["datLoc"] + (place["datSpan"] - 2879 if compressed else hdu.size)
    if promised > size:
        raise ValueError(f"truncated: the header promises {promised} bytes, the file has {size}")


def _band_names(header) -> tuple[str, ...]:
    if isinstance(header.get("BANDS"), str):
        return tuple(header["BANDS"].strip())
    return tuple(str(header[f"BAND{i}"]).strip() for i in range(100) if f"BAND{i}" in header)
