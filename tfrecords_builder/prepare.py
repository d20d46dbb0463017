"""An image on its way into a shard: made to fit the records, bad pixels marked, sky and noise measured.

Pixels are never altered; they are only put into the order of the bands, or surrounded by missing ones.
"""

import numpy as np

from tfrecords_builder.pixels import Image
from tfrecords_builder.records import Records

_NOISE_PIXELS = 512  # of one band and galaxy: enough for a median


def prepare(image: Image | ValueError, records: Records) -> Image:
    """The image as it is stored: the bands in their order, the aspect of the records, dead pixels masked.

    Raises:
        ValueError: It does not fit into the records.
    """
    if isinstance(image, ValueError):
        raise image
    encoded = isinstance(image.data, bytes)
    if encoded != (records.encoding == "encoded"):
        raise ValueError("mixes FITS with JPEG or PNG")
    height, width, bands = image.shape
    if bands != records.shape[2] and (not encoded or bands > records.shape[2]):
        raise ValueError(f"has {bands} bands where the records have {records.shape[2]}")
    if image.bands and image.bands != records.bands and set(image.bands) & set(records.bands):
        image = _in_order(image, records.bands)
    aspect = records.shape[0] / records.shape[1]
    if abs(height / width - aspect) > 0.02:
        if encoded:
            raise ValueError(f"is {height}×{width} pixels where the records are {records.shape[0]}×{records.shape[1]}")
        image = _padded(image, aspect)
    if (
        records.encoding == "float16"
        and np.abs(image.data, where=np.isfinite(image.data), out=np.zeros(image.shape)).max() > 65504
    ):
        raise ValueError("has values beyond the ±65504 of float16; store it as float32")
    return image if encoded else _without_dead(image, records.bands)


def _in_order(image: Image, bands: tuple[str, ...]) -> Image:
    if set(image.bands) != set(bands):
        raise ValueError(f"has the bands {', '.join(image.bands)} where the records have {', '.join(bands)}")
    order = [image.bands.index(band) for band in bands]
    mask = None if image.mask is None else image.mask[..., order]
    return image._replace(data=np.ascontiguousarray(image.data[..., order]), mask=mask, bands=bands)


def _padded(image: Image, aspect: float) -> Image:
    height, width, _ = image.shape
    tall, wide = max(height, round(width * aspect)), max(width, round(height / aspect))
    margins = [
        ((tall - height) // 2, -((height - tall) // 2)),
        ((wide - width) // 2, -((width - wide) // 2)),
        (0, 0),
    ]
    pixels = np.pad(image.data, margins, constant_values=np.nan)
    mask = None if image.mask is None else np.pad(image.mask, margins)
    flag = _flags(image.flag, f"{height}×{width} pixels, padded to {tall}×{wide}")
    return image._replace(data=pixels, shape=pixels.shape, mask=mask, flag=flag)


def _without_dead(image: Image, bands: tuple[str, ...]) -> Image:
    """Masks pixels that are exactly zero in a band with noise: no sky is, they were never exposed."""
    zero = image.data == 0
    if np.count_nonzero(zero) <= 0.01 * zero[..., 0].size:
        return image
    share = zero.mean(axis=(0, 1))
    dead = (share > 0.01) & (image.data < 0).any(axis=(0, 1))  # without noise zero is a value like any other
    if not dead.any():
        return image
    mask = zero & dead if image.mask is None else zero & dead | image.mask
    flag = ", ".join(f"{part:.0%} of {band}" for part, band in zip(share[dead], np.array(bands)[dead], strict=True))
    return image._replace(mask=mask, flag=_flags(image.flag, f"exactly zero: {flag}"))


def _flags(*flags: str) -> str:
    return "; ".join(flag for flag in flags if flag)


def missing(image: Image) -> tuple[bool, float]:
    """Whether pixels are missing, and the share of those that are missing or bad."""
    if isinstance(image.data, bytes):
        return False, 0.0
    good = np.isfinite(image.data)
    gaps = not good.all()
    if image.mask is not None:
        good &= ~image.mask
    return gaps, 1.0 - float(np.count_nonzero(good)) / good.size


def measure(image: Image) -> list[float]:
    """Per band the median of the good pixels, then 1.4826 × their median absolute deviation."""
    flat = image.data.reshape(-1, image.shape[2])
    step = -(-len(flat) // _NOISE_PIXELS) | 1  # odd: not always the same columns of an even image
    sample = flat[::step].T.copy()
    if image.mask is not None:
        sample[image.mask.reshape(flat.shape)[::step].T] = np.nan
    level = _median(sample)
    return [*level.tolist(), *(1.4826 * _median(np.abs(sample - level[:, np.newaxis]))).tolist()]


def _median(sample: np.ndarray) -> np.ndarray:
    """Of every row, the finite values' median; the upper one of an even number. NumPy's takes four times as long."""
    middle = sample.shape[1] // 2
    if np.isfinite(sample).all():
        return np.partition(sample, middle, axis=1)[:, middle]
    rows = (np.sort(row[np.isfinite(row)]) for row in sample)
    return np.array([row[len(row) // 2] if len(row) else np.nan for row in rows])
