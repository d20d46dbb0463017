"""Writes files as PyTorch does, without it."""

import collections
import io
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest

STORAGES = {"float32": "Float", "float64": "Double", "float16": "Half", "uint16": "BFloat16", "int64": "Long"}


class _Storage:
    def __init__(self, key, values):
        self.key, self.values = key, values


class _Pickler(pickle.Pickler):
    """Writes arrays as PyTorch writes tensors: a call of its function, and a name for the numbers."""

    def __init__(self, file, legacy, layout):
        super().__init__(file, protocol=2)
        self.legacy, self.layout, self.storages = legacy, layout, {}

    def reducer_override(self, x):
        if not isinstance(x, np.ndarray):
            return NotImplemented
        storage = _Storage(str(len(self.storages)), x.ravel())
        self.storages[storage.key] = storage
        steps = tuple(s // x.itemsize for s in x.strides)
        arguments = (storage, 0, *(self.layout or (x.shape, steps)), False, collections.OrderedDict())
        return sys.modules["torch._utils"]._rebuild_tensor_v2, arguments

    def persistent_id(self, x):
        if not isinstance(x, _Storage):
            return None
        kind = getattr(sys.modules["torch"], f"{STORAGES[x.values.dtype.name]}Storage")
        return ("storage", kind, x.key, "cpu", x.values.size, *([None] if self.legacy else []))


@pytest.fixture
def torch_save(monkeypatch):
    """A function that writes content to a path as `torch.save` does: bfloat16 given as uint16, `layout` instead of
    the true shapes and strides."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in STORAGES.values():
        setattr(torch, f"{kind}Storage", type(f"{kind}Storage", (), {"__module__": "torch"}))

    def _rebuild_tensor_v2():
        raise AssertionError("only its name is written")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2, torch._utils = _rebuild_tensor_v2, utils

    def save(content, path, legacy=False, layout=None):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "torch", torch)
            patch.setitem(sys.modules, "torch._utils", utils)
            file = io.BytesIO()
            pickler = _Pickler(file, legacy, layout)
            pickler.dump(content)
        _pack(file.getvalue(), path, pickler.storages, legacy)
        return path

    return save


@pytest.fixture
def pack():
    """A function that puts a pickle without tensors into a file like PyTorch's."""
    return _pack


def _pack(pickled, path, storages=(), legacy=False):
    """The pickle and the numbers it refers to, in one file."""
    if not legacy:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/byteorder", "little")
            for key in storages:
                archive.writestr(f"archive/data/{key}", storages[key].values.tobytes())
        return
    parts = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    parts += [pickled, pickle.dumps(sorted(storages), 2)]
    for key in sorted(storages):
        values = storages[key].values
        parts += [values.size.to_bytes(8, "little"), values.tobytes()]
    path.write_bytes(b"".join(parts))
