"""Turns serialized records into tensors, inside a `tf.data` pipeline."""

import numpy as np

from tfrecords_builder.gaps import sky_of
from tfrecords_builder.records import Records


def parse(serialized, records: Records, image_size: int | tuple[int, int] | None = None, *, fill: bool = False) -> dict:
    """Parses serialized records inside a `tf.data` pipeline.

    Args:
        serialized: String tensor: scalar, or a batch (B,), which is faster, of records whose images are all stored in
            one shape (`records.uniform`, not `encoded`).
        records: The records they come from.
        image_size: Side, or (H, W), to resize to; by default that of `records`.
        fill: Whether missing and bad pixels get the sky of their image, the median of its good pixels in that band.

    Returns:
        `image` ([B,] H, W, C) float32: 0–1 if encoded, else the stored pixels with NaN where missing; `mask` alike,
        true where a pixel is bad, if any galaxy of the records has such; `id_str`; and every label column as float32.
        Where images are resized, a pixel is the mean of the good ones below it, and missing or bad where less than
        half is good. With `fill` there is neither NaN nor `mask`.
    """
    import tensorflow as tf

    batch = serialized.shape.rank == 1
    features = {name: tf.io.FixedLenFeature([], tf.float32) for name in records.label_cols}
    features |= {name: tf.io.FixedLenFeature([], tf.string) for name in ("id_str", "image")}
    features["shape"] = tf.io.FixedLenFeature([3], tf.int64)
    if records.masked:
        features["mask"] = tf.io.FixedLenFeature([], tf.string, "")
    galaxy = (tf.io.parse_example if batch else tf.io.parse_single_example)(serialized, features)
    shape = galaxy.pop("shape")
    if batch:
        shape = (tf.shape(serialized)[0], *records.shape)
    if records.encoding == "encoded":
        # decodes PNG as well; the default method is faster but wrong by up to 10 levels
        image = tf.io.decode_jpeg(galaxy["image"], channels=records.shape[2], dct_method="INTEGER_ACCURATE")
        image = tf.ensure_shape(tf.cast(image, tf.float32) / 255.0, (None, None, records.shape[2]))
        mask = None
    else:
        kind = tf.float32 if records.encoding == "float32" else tf.float16
        image = tf.cast(tf.reshape(tf.io.decode_raw(galaxy["image"], kind, little_endian=True), shape), tf.float32)
        mask = _unpack(galaxy.pop("mask"), shape) if records.masked else None
    size = image_size or records.shape[:2]
    height, width = size if isinstance(size, tuple | list) else (size, size)
    sky = None
    if fill and (records.incomplete or records.masked):
        sky = _sky(image, mask, records.sky or (0.0,) * records.shape[2])
        image, mask = image if mask is None else tf.where(mask, np.nan, image), None
    resized = _resized(image, mask, height, width)
    if sky is not None:
        resized["image"] = tf.where(tf.math.is_finite(resized["image"]), resized["image"], sky)
    return galaxy | resized


def _good(image, mask):
    import tensorflow as tf

    return tf.math.is_finite(image) if mask is None else tf.math.is_finite(image) & ~mask


def _sky(image, mask, fallback: tuple[float, ...]):
    """([B,] 1, 1, C): the sky of images with missing or bad pixels; it is not computed for complete images."""
    import tensorflow as tf

    def measure(image, good):
        sky = np.zeros((*image.shape[:-3], 1, 1, image.shape[-1]), np.float32)
        for place in np.ndindex(image.shape[:-3]):
            if not good[place].all():
                sky[place] = sky_of(image[place], good[place], np.nan_to_num(fallback))
        return sky

    good = _good(image, mask)
    shape = (*image.shape[:-3], 1, 1, image.shape[-1])
    complete = tf.zeros(tf.concat([tf.shape(image)[:-3], [1, 1, image.shape[-1]]], axis=0))
    sky = tf.cond(tf.reduce_all(good), lambda: complete, lambda: tf.numpy_function(measure, [image, good], tf.float32))
    return tf.ensure_shape(sky, shape)


def _unpack(packed, shape):
    """Unpacks bits (a scalar string or a batch; empty means none is set) to booleans of `shape`."""
    import tensorflow as tf

    pixels = tf.reduce_prod(shape[-3:] if not isinstance(shape, tuple) else tf.constant(shape[-3:], tf.int64))
    length = tf.cast((pixels + 7) // 8, tf.int32)
    byte = tf.io.decode_raw(packed, tf.uint8, fixed_length=length)  # pads empty strings with zeros
    bits = tf.bitwise.right_shift(byte[..., tf.newaxis], tf.cast(tf.range(8), tf.uint8)) & 1
    bits = tf.reshape(bits, tf.concat([tf.shape(byte)[:-1], [8 * length]], axis=0))[..., :pixels]
    return tf.reshape(bits, shape) > 0


def _resized(image, mask, height: int, width: int) -> dict:
    """Resizes the image, and the mask if any, to (height, width); unchanged if they have that size."""
    import tensorflow as tf

    out = {"image": image} if mask is None else {"image": image, "mask": mask}
    if tuple(image.shape[-3:-1]) == (height, width):
        return out

    def scaled(values):  # antialiased: the same galaxy with fewer pixels
        return tf.image.resize(values, (height, width), antialias=True)

    def resize():
        good = _good(image, mask)
        return tf.cond(tf.reduce_all(good), lambda: scaled(image), lambda: resize_good(good))

    def resize_good(good):
        """The mean of the good pixels under each; NaN if more than half of the unmasked ones are missing."""
        complete = tf.reduce_all(good, axis=(-3, -2, -1), keepdims=True)  # bit-identical to a batch of complete images
        there = tf.cast(good, tf.float32)
        share = scaled(there)
        known = share if mask is None else scaled(tf.cast(tf.math.is_finite(image), tf.float32))
        weight, enough = tf.where(complete, 1.0, tf.maximum(share, 1e-6)), complete | (known >= 0.5)
        zero = tf.math.multiply_no_nan(image, there)  # where not good; `tf.where` would take as long as the resizing
        return tf.where(enough, scaled(zero) / weight, np.nan)

    def resize_mask():
        return scaled(tf.cast(mask, tf.float32)) > 0.5

    same = tf.reduce_all(tf.equal(tf.shape(image)[-3:-1], [height, width]))
    static = (*image.shape[:-3], height, width, image.shape[-1])
    out["image"] = tf.ensure_shape(tf.cond(same, lambda: image, resize), static)
    if mask is not None:
        out["mask"] = tf.ensure_shape(tf.cond(same, lambda: mask, resize_mask), static)
    return out
