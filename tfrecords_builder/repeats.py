"""Galaxies whose images are the same, byte for byte: listed twice, or copied from a file that holds several."""

from collections.abc import Iterable

import google_crc32c
import numpy as np
import pyarrow as pa

from tfrecords_builder.pixels import Image


def image_hash(image: Image) -> int:
    """A number of 64 bits that follows from the pixels or bytes of an image: the CRC-32C of each half."""
    data = image.data if isinstance(image.data, bytes) else np.ascontiguousarray(image.data).tobytes()
    half = len(data) // 2
    number = google_crc32c.value(data[:half]) << 32 | google_crc32c.value(data[half:])
    return number - 2**63  # as a signed integer


def repeated(hashes: Iterable[pa.ChunkedArray]) -> np.ndarray:
    """The hashes that occur more than once, in order; 8 bytes a galaxy are in memory."""
    every = np.sort(np.concatenate([np.empty(0, np.int64), *(each.drop_null().to_numpy() for each in hashes)]))
    return every[1:][every[1:] == every[:-1]]


def with_repeats(rows: pa.Table, hashes: np.ndarray) -> pa.Table:
    """Rows of an index, with the finding `repeated` where the image is one of several; blank images are all the same.

    Args:
        rows: `findings` and `image_hash`; rows of earlier versions, without them, are returned as they are.
        hashes: As returned by `repeated`.
    """
    if not {"findings", "image_hash"} <= set(rows.column_names):
        return rows
    kinds = rows["findings"].to_pandas().fillna("").str.split()
    again = np.isin(rows["image_hash"].fill_null(-(2**63)).to_numpy(), hashes)
    again &= np.array([not {"blank", "repeated"} & set(each) for each in kinds], bool)
    words = [" ".join([*each, "repeated"] if here else each) for each, here in zip(kinds, again, strict=True)]
    return rows.set_column(rows.column_names.index("findings"), "findings", pa.array(words, pa.string()))
