"""The `Image` type, and conversions between arrays and images."""

import io
from typing import Any, NamedTuple

import numpy as np


class Image(NamedTuple):
    """One image: encoded JPEG/PNG bytes kept as they are, or float32 pixels (H, W, C).

    Attributes:
        data: The bytes or pixels.
        shape: (H, W, C).
        mask: (H, W, C) bool, true where a pixel is bad; None: none is known to be.
        bands: Names of the bands, if the file gives them.
        flag: What is odd about it, in words.
        findings: What is odd about it: kinds of `tfrecords_builder.findings`.
        hdu: Name or number of the FITS extension it was found in; empty if the user named it or there is only one.
        pixel_scale: Arcsec per pixel, if the file gives it.
        telescope: Name of the telescope, if the file gives it.
    """

    data: Any
    shape: tuple[int, int, int]
    mask: np.ndarray | None = None
    bands: tuple[str, ...] | None = None
    flag: str = ""
    findings: tuple[str, ...] = ()
    hdu: str = ""
    pixel_scale: float | None = None
    telescope: str = ""


def from_pixels(pixels: np.ndarray) -> Image:
    """Makes an image from an array (H, W) or (H, W, C).

    uint8 is a picture, kept as a PNG with the same levels; everything else is measured values (see `from_values`).

    Raises:
        ValueError: It has another shape, is not numeric, or is missing everywhere; or it is uint8 with a number of
            bands that no picture has, or other integers with the levels of a picture.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.dtype != np.uint8:
        image = from_values(pixels)
        if pixels.dtype.kind in "iu" and pixels.shape[2] == 3 and pixels.min() >= 0 and 128 <= pixels.max() <= 255:
            raise ValueError(
                f"{pixels.dtype} from 0 to 255 in 3 bands: save pictures as uint8, measured values as floats"
            )
        return image
    if pixels.ndim != 3 or 0 in pixels.shape or pixels.shape[2] not in (1, 3):
        raise ValueError(
            f"uint8 of shape {pixels.shape}: pictures have 1 or 3 bands (leave transparency out); "
            "save measured values as floats"
        )
    return Image(to_png(pixels), pixels.shape)


def from_values(pixels: np.ndarray) -> Image:
    """Makes an image of measured values of any numeric type: float32, NaN where missing.

    Raises:
        ValueError: It is not (H, W) or (H, W, C), holds other things than numbers, they are missing everywhere, or most
            do not fit into float32.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.ndim != 3 or 0 in pixels.shape or pixels.dtype.kind not in "fiub":
        raise ValueError(f"{pixels.dtype} of shape {pixels.shape}; expected numbers (height, width) or with bands")
    data: Any = np.empty(pixels.shape, np.float32)
    with np.errstate(over="ignore"):
        for band in range(pixels.shape[2]):  # one at a time: three times faster than all at once
            data[..., band] = pixels[..., band]
    check_range(pixels)
    if not (np.isfinite(data[tuple(n // 2 for n in data.shape)]) or np.isfinite(data).any()):  # the centre suffices
        raise ValueError("every pixel is missing")
    return Image(data, data.shape)


def check_range(pixels: np.ndarray) -> None:
    """Raises ValueError if 64-bit numbers do not fit into 32 bits. Single ones such as 1e300 mean missing."""
    if pixels.dtype.kind != "f" or pixels.dtype.itemsize <= 4:
        return
    sizes, limits = np.abs(pixels[np.isfinite(pixels) & (pixels != 0)]), np.finfo(np.float32)
    if sizes.size and (sizes.max() < 1e3 * limits.tiny or np.median(sizes) > limits.max):
        raise ValueError(f"has values such as {np.median(sizes):.3g}, outside the range of float32: use another unit")


def to_png(levels: np.ndarray) -> bytes:
    """Encodes uint8 levels (H, W), (H, W, 1) or (H, W, 3) as PNG."""
    from PIL import Image as Picture

    file = io.BytesIO()
    flat = levels[..., 0] if levels.ndim == 3 and levels.shape[2] == 1 else levels
    Picture.fromarray(np.ascontiguousarray(flat)).save(file, "png", compress_level=1)
    return file.getvalue()


def to_pixels(image: Image) -> np.ndarray:
    """(H, W, C) float32: 0–1 for an encoded image, otherwise the pixels, NaN where they are bad."""
    if isinstance(image.data, bytes):
        from PIL import Image as Picture

        picture = np.asarray(Picture.open(io.BytesIO(image.data)).convert("L" if image.shape[2] == 1 else "RGB"))
        return picture.reshape(*picture.shape[:2], -1).astype(np.float32) / 255.0
    return image.data if image.mask is None else np.where(image.mask, np.float32(np.nan), image.data)


def good_pixels(image: Image) -> np.ndarray:
    """(H, W, C) bool for an image in pixels: true where a pixel is neither missing nor bad."""
    good = np.isfinite(image.data)
    return good if image.mask is None else good & ~image.mask


def bands_last(pixels: np.ndarray, bands: int | None = None) -> np.ndarray:
    """Moves the bands last: they are the axis of length `bands`, the one beside a square, or else the shortest."""
    if pixels.ndim != 3:
        return pixels
    first, middle, last = pixels.shape
    if bands is None:
        bands = first if middle == last else last if first == middle else min(first, last)
    return np.moveaxis(pixels, 0, -1) if first == bands else pixels


def with_mask(image: Image, bad: np.ndarray | None) -> Image:
    """Marks the bad pixels of an image, where `bad` (H, W), (C, H, W) or (H, W, C) is non-zero.

    Raises:
        ValueError: The shapes differ, or no good pixel is left.
    """
    if bad is None:
        return image
    bad = bands_last(np.asarray(bad) != 0, image.shape[2])
    bad = bad if bad.ndim == 3 else bad[..., np.newaxis]
    if bad.shape[:2] != image.shape[:2] or bad.shape[2] not in (1, image.shape[2]):
        raise ValueError(f"the mask has shape {bad.shape}, but the image has {image.shape}")
    bad = np.broadcast_to(bad, image.shape)
    if bad.all() or not (np.isfinite(image.data) & ~bad).any():
        raise ValueError("every pixel is masked")
    return image._replace(mask=bad) if bad.any() else image


def join_bands(parts: list[Image]) -> Image:
    """Joins several images with one band each; findings are those of the first."""
    for part in parts:
        if isinstance(part.data, bytes) or part.shape != (*parts[0].shape[:2], 1):
            raise ValueError(f"files of single bands must contain measured values of the same size, got {part.shape}")
    mask = None
    if any(part.mask is not None for part in parts):
        empty = np.zeros(parts[0].shape, bool)
        mask = np.concatenate([empty if part.mask is None else part.mask for part in parts], axis=-1)
    pixels = np.concatenate([part.data for part in parts], axis=-1)
    hdus = ",".join(dict.fromkeys(part.hdu for part in parts))
    camera: dict[str, Any] = {"pixel_scale": parts[0].pixel_scale, "telescope": parts[0].telescope}
    odd: dict[str, Any] = {"flag": parts[0].flag, "findings": parts[0].findings}
    return Image(pixels, pixels.shape, mask, hdu=hdus.strip(","), **camera, **odd)
