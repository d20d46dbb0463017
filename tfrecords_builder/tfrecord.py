"""The wire format, without TensorFlow: TFRecord frames around `tf.train.Example` messages.

Importing TensorFlow would cost every worker seconds, and its writer most of the time of a build; the parts we need of
both formats fit on a page. The tests compare the result with TensorFlow's own, byte for byte.

Reference: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details and
https://protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np

from tfrecords_builder.copies import open_file


def encode(features: Mapping[str, bytes | np.float32 | tuple[int, ...]]) -> list[bytes]:
    """Encodes one `tf.train.Example` in pieces, which avoids copying the pixels.

    Args:
        features: Bytes, one float32, or integers ≥ 0 by name.

    Returns:
        Pieces whose concatenation is what `SerializeToString(deterministic=True)` gives.
    """
    pieces = []
    for name in sorted(features):
        value = features[name]
        if isinstance(value, np.float32):
            pieces += [_float_head(name), value.tobytes()]
        elif isinstance(value, bytes):
            pieces += [_bytes_head(name, len(value)), value]
        else:
            numbers = b"".join(_varint(n) for n in value)
            pieces.append(_field(1, _field(1, name.encode()) + _field(2, _field(3, _field(1, numbers)))))
    return [b"\x0a" + _varint(sum(map(len, pieces))), *pieces]


def frame(pieces: list[bytes]) -> list[bytes]:
    """Frames a TFRecord: length (8 bytes), its CRC (4), the data, its CRC (4)."""
    length = struct.pack("<Q", sum(map(len, pieces)))
    crc = 0
    for piece in pieces:
        crc = google_crc32c.extend(crc, piece)
    return [length, _masked(google_crc32c.value(length)), *pieces, _masked(crc)]


def read_frame(file: BinaryIO) -> bytes | None:
    """Reads the TFRecord at the current position of `file`; None at the end.

    Raises:
        ValueError: The frame is truncated or a CRC does not match: "damaged at byte …".
    """
    start = file.tell()
    head = file.read(12)
    if not head:
        return None
    if len(head) < 12:
        raise ValueError(f"damaged at byte {start}: the record is cut off")
    (length,) = struct.unpack("<Q", head[:8])
    if _masked(google_crc32c.value(head[:8])) != head[8:]:
        raise ValueError(f"damaged at byte {start}: the length of the record (checksum)")
    data = file.read(length)
    crc = file.read(4)
    if len(data) < length or len(crc) < 4:
        raise ValueError(f"damaged at byte {start}: the record is cut off")
    if _masked(google_crc32c.value(data)) != crc:
        raise ValueError(f"damaged at byte {start}: the content of the record (checksum)")
    return data


def read_record(path: Path, offset: int) -> bytes:
    """Reads the record at an offset in a shard.

    Args:
        path: The shard.
        offset: Start of the record, in bytes.

    Raises:
        FileNotFoundError: The shard does not exist.
        ValueError: The record is damaged; the message names shard and byte.
    """
    try:
        with open_file(path) as file:
            file.seek(int(offset))
            data = read_frame(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"the shard {path} is missing") from None
    except ValueError as error:
        raise ValueError(f"the shard {path.name} is {error}") from None
    if data is None:
        raise ValueError(f"the shard {path.name} is cut off before byte {offset}")
    return data


def scan(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields every record of a file with its offset, after checking the CRCs."""
    with open_file(path, ahead=2**24) as file:
        while True:
            offset = file.tell()
            data = read_frame(file)
            if data is None:
                return
            yield offset, data


def decode(example: bytes) -> dict[str, Any]:
    """Decodes the features of a `tf.train.Example`, the inverse of `encode`.

    Raises:
        ValueError: It is not a valid message.
    """
    try:
        features = {}
        ((_, body),) = _fields(example)
        for _, entry in _fields(body):
            parts = dict(_fields(entry))
            ((kind, values),) = _fields(parts[2])
            ((_, payload),) = _fields(values)
            features[bytes(parts[1]).decode()] = _value(kind, payload)
        return features
    except (IndexError, KeyError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"a record is not a tf.train.Example written by morphtools: {error}") from error


def _value(kind: int, payload: memoryview):
    if kind == 1:
        return bytes(payload)
    if kind == 2:
        return struct.unpack("<f", payload)[0]
    numbers, at = [], 0
    while at < len(payload):
        number, at = _read_varint(payload, at)
        numbers.append(number)
    return tuple(numbers)


def _fields(message: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
    view, at = memoryview(message), 0
    while at < len(view):
        tag, at = _read_varint(view, at)
        length, at = _read_varint(view, at)
        if tag & 7 != 2 or at + length > len(view):
            raise ValueError("unexpected field")
        yield tag >> 3, view[at : at + length]
        at += length


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = view[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(payload)) + payload


@lru_cache(4096)
def _float_head(name: str) -> bytes:
    entry = _field(1, name.encode()) + _field(2, _field(2, _field(1, b"1234")))
    return _field(1, entry)[:-4]


@lru_cache(4096)
def _bytes_head(name: str, length: int) -> bytes:
    head = b""
    for number in (1, 1, 2):  # from the inside: BytesList.value, Feature.bytes_list, the map entry's value
        head = bytes([number << 3 | 2]) + _varint(len(head) + length) + head
    head = _field(1, name.encode()) + head
    return b"\x0a" + _varint(len(head) + length) + head


def _masked(crc: int) -> bytes:
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
