"""Ellipses at several brightness levels: 24 numbers for a galaxy's shape, as used before learned representations."""

from collections.abc import Iterable

import numpy as np
from astropy.stats import sigma_clipped_stats
from photutils.segmentation import SegmentationImage, SourceCatalog
from scipy.ndimage import label

from tfrecords_builder.gaps import filled

PERCENTILES = (90, 80, 70, 60, 50, 0)
FEATURES = tuple(f"{name}_{p}" for name in ("residual", "offset", "aspect", "angle") for p in PERCENTILES)


def ellipse_features(images: Iterable[np.ndarray]) -> np.ndarray:
    """Measures how the isophotes of galaxies differ from nested, aligned ellipses.

    The galaxy is the connected region around the middle that is above the sky (one deviation above the clipped median).
    At several percentiles of its brightness, the brighter region closest to the centre of the innermost one is compared
    with the ellipse of its second moments: `residual` is the fraction of the image by which they differ; `offset`
    (pixels), `aspect` (ratio of ratios) and `angle` (0–90°) compare the ellipse with the innermost.

    Args:
        images: (H, W, C) or (H, W) pictures or fluxes of any size; bands are averaged, missing pixels are sky.

    Returns:
        (N, 24) in the order of `FEATURES`, not scaled; a row of NaN if there is nothing in the middle.

    Reference:
        Lochner & Bassett 2021, arXiv:2010.11202 (with contours of OpenCV in place of moments).
    """
    rows = [_one(filled(image if image.ndim == 3 else image[..., np.newaxis]).mean(axis=-1)) for image in images]
    return np.array(rows).reshape(len(rows), len(FEATURES))


def scale_features(features: np.ndarray) -> np.ndarray:
    """Scales features to mean 0 and deviation 1; those that could not be measured become the median."""
    features = np.where(np.isfinite(features), features, np.nanmedian(features, axis=0))
    return (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), np.finfo(float).tiny)


def _one(image: np.ndarray) -> np.ndarray:
    galaxy = _galaxy(image)
    if galaxy is None:
        return np.full(len(FEATURES), np.nan)
    levels = np.percentile(image[galaxy], PERCENTILES)
    levels[-1] = -np.inf  # the whole galaxy
    centre, regions = (np.array(image.shape) - 1) / 2, []
    for level in levels:
        region = _closest(galaxy & (image > level), centre)
        if region is None:
            return np.full(len(FEATURES), np.nan)
        regions.append(region)
        if len(regions) == 1:
            centre = np.argwhere(region).mean(axis=0)
    return _compare(np.array(regions))


def _galaxy(image: np.ndarray) -> np.ndarray | None:
    """The pixels above the sky around the middle."""
    _, median, deviation = sigma_clipped_stats(image, sigma=3)
    labels, _ = label(image > median + deviation)
    height, width = image.shape
    middle = labels[height // 2 - 1 : height // 2 + 2, width // 2 - 1 : width // 2 + 2]
    return labels == middle.max() if middle.any() else None


def _closest(mask: np.ndarray, centre: np.ndarray) -> np.ndarray | None:
    """The connected region whose centroid is closest to `centre`; single pixels only as a last resort."""
    labels, number = label(mask)
    if not number:
        return None
    y, x = np.nonzero(labels)
    which = labels[y, x]
    area = np.bincount(which)[1:]
    distance = np.hypot(
        *(np.bincount(which, at)[1:] / area - middle for at, middle in zip((y, x), centre, strict=True))
    )
    return labels == 1 + np.argmin(distance + (area < 5) * sum(mask.shape))


def _compare(regions: np.ndarray) -> np.ndarray:
    """(6, H, W) regions, the innermost first → (24,) features."""
    count, height, width = regions.shape
    # stacked into one image, because a catalogue is slow to set up
    numbered = regions * np.arange(1, count + 1)[:, np.newaxis, np.newaxis]
    table = SourceCatalog(
        regions.reshape(-1, width).astype(float), SegmentationImage(numbered.reshape(-1, width).astype(np.int32))
    )
    x, y = np.atleast_2d(table.centroid).T
    y = y - height * np.arange(count)
    long, short = 2 * np.sqrt(np.asarray(table.covariance_eigvals.value).T)  # semi-axes of a uniformly filled ellipse
    angle = table.orientation.to_value("rad")
    down, across = np.mgrid[:height, :width]
    panel = np.index_exp[:, np.newaxis, np.newaxis]
    across, down, cos, sin = across - x[panel], down - y[panel], np.cos(angle)[panel], np.sin(angle)[panel]
    along, aside = across * cos + down * sin, down * cos - across * sin
    inside = np.hypot(along / long[panel], aside / short[panel]) <= 1
    turned = np.rad2deg(np.abs(angle - angle[0])) % 180
    aspect = long / short
    return np.concatenate(
        [
            (inside != regions).mean(axis=(1, 2)),
            np.hypot(x - x[0], y - y[0]),
            aspect / aspect[0],
            np.minimum(turned, 180 - turned),
        ]
    )
