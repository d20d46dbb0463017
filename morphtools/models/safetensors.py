"""Tensors as bytes behind a header of JSON: the format `safetensors`, in which nothing can be executed.

Reference:
    github.com/huggingface/safetensors, section "Format".
"""

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_builder.files import write_whole

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2"}
_TYPES |= {"I8": "i1", "U8": "u1", "BOOL": "?"}
_LONGEST_HEADER = 100_000_000  # bytes, as in the original


def read_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    """Reads all tensors of a file.

    Args:
        path: The file.

    Returns:
        By name; numbers of half the precision of `bfloat16` as float32.

    Raises:
        ValueError: The file is damaged, or not of this format.
    """
    data = Path(path).read_bytes()
    try:
        (length,) = struct.unpack_from("<Q", data)
        if length > min(_LONGEST_HEADER, len(data) - 8):
            raise ValueError("its header is longer than the file")
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        body = memoryview(data)[8 + length :]
        return {name: _tensor(body, **entry) for name, entry in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError, struct.error) as error:
        raise ValueError(f"{path} is damaged or not a safetensors file: {error}") from error


def _tensor(body: memoryview, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    begin, end = data_offsets
    if any(type(n) is not int or n < 0 for n in (begin, end, *shape)) or end > len(body):
        raise ValueError(f"a tensor of shape {shape} from byte {begin} to {end} of {len(body)}")
    if end - begin != math.prod(shape) * np.dtype(_TYPES[dtype]).itemsize:
        raise ValueError(f"{end - begin} bytes for a tensor {dtype} of shape {shape}")
    values = np.frombuffer(body[begin:end], _TYPES[dtype]).reshape(shape)
    return from_bfloat16(values) if dtype == "BF16" else values


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """The numbers whose upper half of a float32 is given as uint16."""
    return (bits.astype("<u4") << 16).view("<f4")


def write_safetensors(tensors: dict[str, np.ndarray], path: str | Path, metadata: dict[str, str] | None = None) -> None:
    """Writes tensors as float32.

    Args:
        tensors: By name.
        path: Path of the file.
        metadata: Text by name, for the header.
    """
    arrays = {name: np.ascontiguousarray(values, "<f4") for name, values in tensors.items()}
    header: dict[str, Any] = {"__metadata__": metadata or {}}
    begin = 0
    for name, values in arrays.items():
        end = begin + values.nbytes
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    write_whole(path, struct.pack("<Q", len(text)) + text + b"".join(x.tobytes() for x in arrays.values()))
