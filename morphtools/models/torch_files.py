"""Reads the tensors of PyTorch's own files (`.pth`, `.pt`, `.bin`) without PyTorch, and nothing but tensors.

Such a file is a pickle, which could run any program when it is read. Here a pickle can name the parts of a tensor and
dictionaries; anything else that it names ends the reading.
"""

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from morphtools.models.safetensors import from_bfloat16

_TYPES = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": "<u2", "Long": "<i8", "Int": "<i4"}
_TYPES |= {"Short": "<i2", "Char": "i1", "Byte": "u1", "Bool": "?"}
_IGNORED = {("zoobot.shared.schemas", name) for name in ("Schema", "Question", "Answer")}  # in Zoobot's checkpoints
_MAGIC = 0x1950A86A20F9469CFC6C  # of files before PyTorch 1.6


def read_torch(path: str | Path) -> dict[str, np.ndarray]:
    """Reads all tensors of a file.

    Args:
        path: Path of a file written by `torch.save`, of any version.

    Returns:
        By name; those of dictionaries in dictionaries as `outer.inner`. Numbers of `bfloat16` as float32.

    Raises:
        ValueError: The file is damaged, not of this kind, or holds more than tensors.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = _read_zip(file) if zipfile.is_zipfile(file) else _read_legacy(file)
    except OSError:
        raise
    except Exception as error:  # a stranger's pickle can fail in any way
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path} cannot be read as a file of PyTorch tensors: {reason}") from error
    return {name: from_bfloat16(x) if x.dtype == "<u2" else x for name, x in _tensors(content).items()}


def _tensors(content) -> dict[str, np.ndarray]:
    """The arrays in dictionaries in dictionaries, however deep."""
    tensors, left, visited = {}, [("", content)], set()
    while left:
        prefix, value = left.pop()
        if isinstance(value, np.ndarray):
            tensors[prefix[:-1]] = value
        elif isinstance(value, dict) and id(value) not in visited:
            visited.add(id(value))
            left += [(f"{prefix}{name}.", inner) for name, inner in reversed(value.items())]
    return tensors


def _read_zip(file) -> object:
    """The format since PyTorch 1.6: a pickle, and the numbers of each storage in a separate file."""
    with zipfile.ZipFile(file) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("it is compressed, which PyTorch's files never are")
        pickles = [name for name in archive.namelist() if name.split("/")[-1] == "data.pkl"]
        if len(pickles) != 1:
            raise ValueError(f"a zip archive with {len(pickles)} files data.pkl")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        storages: dict[str, np.ndarray] = {}

        def storage(dtype: str, key: str, numel: int) -> np.ndarray:
            if key not in storages:
                storages[key] = np.frombuffer(archive.read(f"{folder}data/{key}"), dtype)
            return storages[key]

        return _Unpickler(io.BytesIO(archive.read(pickles[0])), storage).load()


def _read_legacy(file) -> object:
    """The format before: pickles one after the other, then the numbers of all storages."""
    left = file.seek(0, io.SEEK_END)
    file.seek(0)
    magic, _, machine = (_Unpickler(file).load() for _ in range(3))
    if magic != _MAGIC or machine.get("little_endian") is not True:
        raise ValueError("its first bytes are not those of one")
    storages: dict[str, np.ndarray] = {}

    def storage(dtype: str, key: str, numel: int) -> np.ndarray:
        nonlocal left
        if key not in storages:
            left -= numel * np.dtype(dtype).itemsize
            if numel < 0 or left < 0:
                raise ValueError("its tensors are larger than the file")
            storages[key] = np.zeros(numel, dtype)  # filled below: the numbers come last
        return storages[key]

    content = _Unpickler(file, storage).load()
    for key in _Unpickler(file).load():
        values = storages[key]
        if int.from_bytes(file.read(8), "little") != values.size:
            raise ValueError("a storage has another size than its tensors")
        values[:] = np.frombuffer(file.read(values.nbytes), values.dtype)
    return content


class _Dict(dict):
    """An `OrderedDict`, or an object that is not read, without the attributes that a pickle would give it."""

    __slots__ = ()

    def __setstate__(self, state):
        """Ignores what PyTorch stores about versions, and all that an object holds."""


class _Name:
    """The object that a name in a pickle stands for, which cannot be changed."""

    __slots__ = ("_call", "dtype")

    def __init__(self, call: Callable | None = None, dtype: str | None = None):
        object.__setattr__(self, "_call", call)
        object.__setattr__(self, "dtype", dtype)

    def __call__(self, *arguments):
        if self._call is None:
            raise ValueError("a type of numbers is called like a function")
        return self._call(*arguments)

    def __setattr__(self, name, value):
        raise AttributeError(name)

    def __setstate__(self, state):
        raise ValueError("it changes the program")


def _rebuilt(storage, offset: int, shape, strides, *_) -> np.ndarray:
    """A tensor as a view of its storage, `torch._utils._rebuild_tensor_v2`."""
    if not isinstance(storage, np.ndarray) or len(shape) != len(strides) or len(shape) > 8:
        raise ValueError("a tensor without numbers")
    if any(type(n) is not int or n < 0 for n in (offset, *shape, *strides)):
        raise ValueError("a tensor with a negative size")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) and (last >= storage.size or math.prod(shape) > storage.size):
        raise ValueError("a tensor that is larger than its numbers")
    steps = [step * storage.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)


def _parameter(data, *_) -> np.ndarray:
    """`torch._utils._rebuild_parameter`."""
    return data


class _Unpickler(pickle.Unpickler):
    """Allows the names of tensors, and no others."""

    def __init__(self, file, storage: Callable[[str, str, int], np.ndarray] | None = None):
        super().__init__(file)
        self._storage = storage

    def find_class(self, module, name):
        """The names that a pickle may use."""
        if (module, name) == ("collections", "OrderedDict") or (module, name) in _IGNORED:
            return _Dict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            return _Name(_rebuilt if name == "_rebuild_tensor_v2" else _parameter)
        if module == "torch" and name.removesuffix("Storage") in _TYPES and name.endswith("Storage"):
            return _Name(dtype=_TYPES[name.removesuffix("Storage")])
        raise ValueError(
            f"it is refused because it calls for {module}.{name}, which is not part of a tensor: save only the "
            "state_dict of the model, with torch.save"
        )

    def persistent_load(self, pid):
        """The numbers of which a tensor is a view."""
        word, kind, key, _, numel, *view = pid
        if self._storage is None or word != "storage" or any(part is not None for part in view):
            raise ValueError("it refers to something that is not a storage of numbers")
        if not isinstance(kind, _Name) or kind.dtype is None or type(key) is not str or type(numel) is not int:
            raise ValueError("a storage without a type, a name or a size")
        return self._storage(kind.dtype, key, numel)
