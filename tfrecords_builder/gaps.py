"""What is shown where pixels are missing or bad: the sky of the image, the median of its good pixels in that band."""

import numpy as np


def sky_of(pixels: np.ndarray, good: np.ndarray, fallback=0.0) -> np.ndarray:
    """Per band, the median of the good pixels.

    Args:
        pixels: (H, W, C).
        good: (H, W, C) bool, true where a pixel is neither missing nor bad.
        fallback: Per band or for all, where a band has no good pixel.

    Returns:
        (C,) float32.
    """
    bands = (band[kept] for band, kept in zip(np.moveaxis(pixels, -1, 0), np.moveaxis(good, -1, 0), strict=True))
    fallback = np.broadcast_to(np.asarray(fallback, np.float32), pixels.shape[-1:])
    return np.array([np.median(b) if b.size else f for b, f in zip(bands, fallback, strict=True)], np.float32)


def filled(pixels: np.ndarray, good: np.ndarray | None = None, fallback=0.0) -> np.ndarray:
    """Pixels with the sky of the image where they are missing or bad.

    Args:
        pixels: (H, W, C); NaN where missing.
        good: (H, W, C) bool; by default all that are finite.
        fallback: As for `sky_of`.

    Returns:
        (H, W, C); the array itself where nothing is missing.
    """
    good = np.isfinite(pixels) if good is None else good
    return pixels if good.all() else np.where(good, pixels, sky_of(pixels, good, fallback)).astype(pixels.dtype)
