import json
import struct

import numpy as np
import pytest

from morphtools.models.safetensors import read_safetensors, write_safetensors


def packed(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_tensors_are_read_as_the_format_describes_them(tmp_path):
    body = struct.pack("<4f", 1, 2, 3, 4) + struct.pack("<2q", -5, 6) + struct.pack("<2e", 0.5, 7) + b"\x80\x3f\x20\xc0"
    header = {
        "__metadata__": {"format": "pt"},
        "a": entry("F32", [2, 2], 0, 16),
        "b": entry("I64", [2], 16, 32),
        "c": entry("F16", [2, 1], 32, 36),
        "d": entry("BF16", [2], 36, 40),
        "scalar": entry("F32", [], 0, 4),
    }
    (tmp_path / "x.safetensors").write_bytes(packed(header, body))
    got = read_safetensors(tmp_path / "x.safetensors")
    expected = {"a": [[1, 2], [3, 4]], "b": [-5, 6], "c": [[0.5], [7]], "d": [1.0, -2.5], "scalar": 1}
    assert {name: values.tolist() for name, values in got.items()} == expected


def test_what_was_written_is_read(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {"a": rng.normal(size=(3, 2, 2)).astype("float32"), "b.c": rng.normal(size=5).astype("float32")}
    write_safetensors(tensors, tmp_path / "x.safetensors", {"format": "pt"})
    got = read_safetensors(tmp_path / "x.safetensors")
    for name, values in tensors.items():
        np.testing.assert_array_equal(got[name], values)
    data = (tmp_path / "x.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    assert length % 8 == 0 and json.loads(data[8 : 8 + length])["__metadata__"] == {"format": "pt"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"abc",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        packed(b"not json"),
        packed(b"[1]"),
        packed({"a": 1}),
        packed({"a": entry("F32", [1], 0, 8)}, b"\0" * 8),
        packed({"a": entry("F32", [2], 0, 8)}, b"\0" * 4),
        packed({"a": entry("F32", [-1, -2], 0, 8)}, b"\0" * 8),
        packed({"a": entry("F32", [2], -8, 0)}, b"\0" * 8),
        packed({"a": entry("F32", [2.0], 0, 8)}, b"\0" * 8),
        packed({"a": entry("F999", [2], 0, 8)}, b"\0" * 8),
        packed({"a": {"dtype": "F32"}}),
    ],
)
def test_a_damaged_file_is_named_in_one_sentence(tmp_path, data):
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match=r"x\.safetensors is damaged or not a safetensors file"):
        read_safetensors(tmp_path / "x.safetensors")
