"""Resamples cutouts to another pixel grid: coarser, finer, or that of another image.

Surface brightness is conserved: a pixel is the mean of the area under it, whatever the pixel sizes. Fluxes per pixel
remain fluxes per pixel *of the original mosaic*: to compare two bands with different pixels, divide each by the area
of its pixels. Bad pixels are left out of the mean; a pixel is missing or masked if less than half of it is good.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tfrecords_builder.wcs import Grid, sky_frame

MARGIN = 6  # pixels of the coarser grid: the width of the kernel of `reprojected`


def resample(pixels: np.ndarray, mask: np.ndarray | None, box: tuple, size: int):
    """Resamples the part `box` (left, top, right, bottom) to size × size pixels, antialiased.

    Args:
        pixels: (H, W, C), NaN where missing.
        mask: (H, W, C) bool, true where bad; or None.
        box: In pixels; 0 is the outer edge of the first.
        size: Pixels.

    Returns:
        (size, size, C) pixels and mask.
    """
    from PIL import Image as Picture

    def resized(planes: np.ndarray) -> np.ndarray:
        pictures = [Picture.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in planes]
        shape: dict[str, Any] = {"size": (size, size), "resample": Picture.Resampling.BILINEAR, "box": tuple(box)}
        return np.stack([np.asarray(picture.resize(**shape)) for picture in pictures])

    return _mean_of_good(pixels, mask, resized)


def check_reproject() -> None:
    """Raises ImportError with instructions if the package reproject is not installed."""
    try:
        import reproject  # noqa: F401
    except ImportError:
        raise ImportError("aligning bands needs the package reproject: pip install 'morphtools[align]'") from None


def reprojected(pixels: np.ndarray, mask: np.ndarray | None, source: Grid, target: Grid, shape: tuple[int, int]):
    """Resamples an image to the grid of another.

    Args:
        pixels: (H, W, C), NaN where missing; a margin of `MARGIN` missing pixels keeps the edge from spreading.
        mask: (H, W, C) bool, true where bad; or None.
        source: The grid of the pixels.
        target: The grid of the result.
        shape: (h, w) of the result.

    Returns:
        (h, w, C) pixels, NaN outside, and mask or None.

    Reference:
        DeForest 2004, Solar Physics 219, 3 (`reproject_adaptive` with a Gaussian kernel).
    """
    from astropy.wcs.utils import custom_wcs_to_frame_mappings
    from reproject import reproject_adaptive

    def resampled(planes: np.ndarray) -> np.ndarray:
        options = {"kernel": "gaussian", "conserve_flux": False, "boundary_mode": "ignore", "return_footprint": False}
        with custom_wcs_to_frame_mappings(sky_frame), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            out = reproject_adaptive((planes, source.wcs), target.wcs, shape, **options)
        return np.nan_to_num(out, copy=False)

    return _mean_of_good(pixels, mask, resampled)


def _mean_of_good(pixels: np.ndarray, mask: np.ndarray | None, resampled: Callable):
    """Applies a linear resampling of planes (K, H, W) to pixels and mask, leaving bad pixels out of the means."""
    planes = np.moveaxis(pixels, -1, 0)
    present = np.isfinite(planes)
    good = present if mask is None else present & ~np.moveaxis(mask, -1, 0)
    values = resampled(np.where(good, planes, 0).astype(np.float32)) / np.maximum(_share(good, resampled), 1e-6)
    values = np.where(_share(present, resampled) < 0.5, np.nan, values).astype(np.float32)
    out = np.ascontiguousarray(np.moveaxis(values, 0, -1))
    if mask is None:
        return out, None
    bad = _share(np.moveaxis(~mask, -1, 0), resampled) < 0.5
    return out, np.moveaxis(np.broadcast_to(bad, values.shape), 0, -1)


def _share(good: np.ndarray, resampled: Callable) -> np.ndarray:
    return np.ones(()) if good.all() else resampled(good.astype(np.float32))
