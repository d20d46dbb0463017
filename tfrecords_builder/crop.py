"""Crops images to the central source, so that galaxies are not compared by their neighbours and sky."""

import numpy as np

from tfrecords_builder.findings import note
from tfrecords_builder.gaps import filled
from tfrecords_builder.pixels import Image, to_pixels, to_png

_SIGMA = 4.0
_FEWEST = 5  # pixels on a side: a smaller box is a noise peak
_MARGIN = 2.0


def crop_box(pixels: np.ndarray) -> tuple[slice, slice]:
    """Finds the part of an image that contains the central source.

    The sky is the sigma-clipped median of the mean over bands; pixels more than 4 standard deviations above it are
    sources, and the source at the centre of the image counts. Its bounding box is doubled, extended to the aspect
    ratio of the image, and moved inside.

    Args:
        pixels: (H, W, C); NaN where missing.

    Returns:
        Rows and columns of the part, which has the aspect ratio of the image.

    Raises:
        ValueError: There is no source at the centre, or it is too small.

    Reference:
        Mohale & Lochner 2023, arXiv:2311.14157, section 2.1.
    """
    from astropy.stats import sigma_clipped_stats
    from scipy import ndimage

    known = np.isfinite(pixels).any(axis=-1)
    grey = filled(pixels).mean(axis=-1)  # pixels missing in one band must not look like a source
    if not known.any():
        raise ValueError("every pixel is missing")
    _, sky, noise = sigma_clipped_stats(grey[known])
    sources, _ = ndimage.label(known & (grey > sky + _SIGMA * noise), np.ones((3, 3)))
    height, width = grey.shape
    middle = sources[(height - 1) // 2 : height // 2 + 1, (width - 1) // 2 : width // 2 + 1].max()
    if not middle:
        raise ValueError(f"nothing at the centre is brighter than {_SIGMA:g} sigma")
    rows, columns = ndimage.find_objects(sources)[middle - 1]
    tall, wide = rows.stop - rows.start, columns.stop - columns.start
    if max(tall, wide) < _FEWEST:
        raise ValueError(f"the central source has only {tall}×{wide} pixels")
    share = min(1.0, _MARGIN * max(tall / height, wide / width))
    return _around(rows, share, height), _around(columns, share, width)


def _around(found: slice, share: float, size: int) -> slice:
    """`share` of `size` pixels with `found` in the middle, moved to where there are pixels."""
    length = round(share * size)
    start = round((found.start + found.stop - length) / 2)
    start = min(max(start, 0), size - length)
    return slice(start, start + length)


def crop(image: Image) -> Image:
    """Crops an image as `crop_box` decides; if that fails, returns it whole, with the reason in its flag.

    JPEG and PNG become PNG, to avoid a second lossy compression.
    """
    pixels = to_pixels(image)
    try:
        part = crop_box(pixels)
    except ValueError as error:
        return note(image, "not_cropped", f"not cropped: {error}")
    if isinstance(image.data, bytes):
        data = to_png(np.round(255 * pixels[part]).astype(np.uint8))
    else:
        data = np.ascontiguousarray(image.data[part])
    mask = None if image.mask is None else image.mask[part]
    return image._replace(data=data, shape=pixels[part].shape, mask=mask, pixel_scale=None)  # differs if resized
