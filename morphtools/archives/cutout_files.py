"""Checks the images that a service sends, and joins FITS files of single bands."""

import io
import warnings
from typing import Any

import numpy as np

from tfrecords_builder.band_files import on_one_grid
from tfrecords_builder.bounded import not_an_image
from tfrecords_builder.encoded import read_picture
from tfrecords_builder.fits import check_header, check_whole
from tfrecords_builder.pixels import to_pixels

_EMPTY = "outside the footprint, or no data: the image is empty"


def check_image(order, data: bytes, bands: int | None = None) -> bytes:
    """Returns the bytes of an image if it is what was requested.

    Args:
        order: The request (`cutout_services.Order`).
        data: The bytes that the service sent.
        bands: The bands it must have; by default those of the order.

    Returns:
        The same bytes.

    Raises:
        ConnectionError: It is not an image, or a damaged one.
        ValueError: It is empty, or has another size or other bands.
    """
    if order.format == "jpeg":
        _check_jpeg(data, order.size)
        return data
    pixels, header = read_fits_image(data)
    wanted = order.bands if bands is None else order.bands[:bands]
    shape = ((len(wanted),) if len(wanted) > 1 else ()) + (order.size, order.size)
    if pixels.shape != shape:
        raise ValueError(f"the image has shape {pixels.shape}, but {shape} was requested")
    came = tuple(str(header.get("BANDS", "")).strip())
    if bands is None and came and came != wanted:
        raise ValueError(f"the image has the bands {','.join(came)}, but {','.join(wanted)} were requested")
    if not (np.isfinite(pixels) & (pixels != 0)).any():
        raise ValueError(_EMPTY)
    return data


def _check_jpeg(data: bytes, size: int) -> None:
    if not data.startswith(b"\xff\xd8\xff"):
        raise ConnectionError(f"the service sent no JPEG: {not_an_image(data)}")
    try:
        image = read_picture(data)
    except ValueError as error:
        raise ConnectionError(str(error)) from error
    if image.shape[:2] != (size, size):
        raise ValueError(f"the picture has {image.shape[1]}×{image.shape[0]} pixels, but {size}×{size} were requested")
    if np.ptp(to_pixels(image), axis=(0, 1)).max() == 0:
        raise ValueError(_EMPTY)


def read_fits_image(data: bytes) -> tuple[np.ndarray, Any]:
    """Reads pixels and header of the first image in a FITS file.

    Raises:
        ConnectionError: It is not a FITS file, or a damaged one.
        ValueError: It has no image.
    """
    from astropy.io import fits

    if not data.startswith(b"SIMPLE"):
        raise ConnectionError(f"the service sent no FITS file: {not_an_image(data)}")
    try:
        check_header(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(io.BytesIO(data), memmap=False, lazy_load_hdus=False) as hdus:
                hdu = next((hdu for hdu in hdus if hdu.is_image and len(hdu.shape) > 1), None)
                if hdu is not None:
                    check_whole(hdu, len(data))
                    return np.asarray(hdu.data), hdu.header.copy()
    except Exception as error:  # astropy raises many kinds of exceptions, which all mean the same here
        raise ConnectionError(f"the service sent a damaged FITS file: {error or type(error).__name__}") from error
    raise ValueError(_EMPTY)


def join_bands(files: list[bytes], bands: tuple[str, ...]) -> bytes:
    """Joins files of one band each, on the same pixels of the sky, into one FITS file.

    Args:
        files: Bytes of the files.
        bands: Names of the bands, kept as BAND0, BAND1 …

    Returns:
        A cube (bands, height, width) of 32-bit floats with the WCS of the first file.

    Raises:
        ValueError: Their pixels are at different places on the sky.
    """
    from astropy.io import fits
    from astropy.wcs import WCS

    on_one_grid([], [(band, file, None) for band, file in zip(bands, files, strict=True)], align=False)
    images = [read_fits_image(file) for file in files]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = WCS(images[0][1], naxis=2).to_header()
    for i, band in enumerate(bands):
        header[f"BAND{i}"] = band
    cube = np.stack([pixels for pixels, _ in images]).astype(np.float32)
    joined = io.BytesIO()
    fits.PrimaryHDU(cube if len(bands) > 1 else cube[0], header).writeto(joined)
    return joined.getvalue()
