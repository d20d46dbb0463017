"""Stacks: many galaxies in one npy, npz or h5 file; `file_loc` is the row. uint8 with 1 or 3 bands is a picture."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tfrecords_builder.bounded import LIMITS, Limits, check_regular
from tfrecords_builder.encoded import from_array
from tfrecords_builder.hdf5 import dataset_names, own_dataset
from tfrecords_builder.naming import some, unknown
from tfrecords_builder.pixels import Image, bands_last
from tfrecords_builder.table_files import report

STACKS = (".npy", ".npz", ".h5", ".hdf5")


class Stack(NamedTuple):
    """Source of the rows of an array (N, H, W), (N, H, W, C) or (N, C, H, W).

    Attributes:
        path: The file.
        name: Name of the array in an npz or h5 file; by default the only one that could be a stack, or `images`.
        bands: Number of bands, if known; by default they are the shorter axis.
        limits: Maximum size of an unpacked npz, and maximum number of pixels of an image.
    """

    path: Path
    name: str | None = None
    bands: int | None = None
    limits: Limits = LIMITS

    def __call__(self, file_loc: str) -> Image:
        """Reads the image in row `file_loc`."""
        stack = _load(str(self.path), self.name, check_regular(self.path).st_mtime_ns, self.limits)
        try:
            row = int(file_loc)
        except ValueError:
            raise ValueError(f"file_loc must be a row of {self.path.name}, got {file_loc!r}") from None
        if not 0 <= row < len(stack):
            raise ValueError(f"there is no row {row} in {self.path.name}, which has {len(stack)} rows")
        try:
            pixels = np.asarray(stack[row])
        except Exception as error:  # h5py raises many kinds of exceptions, which all mean the same here
            raise ValueError(f"row {row} of {self.path.name} is damaged: {error}") from error
        return from_array(bands_last(pixels, self.bands))

    def read(self, rows: Iterable[dict]) -> Iterator[Image | ValueError]:
        """Reads the image of every row."""
        for row in rows:
            try:
                yield self(row["file_loc"])
            except ValueError as error:
                yield error


def tables_of(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """The catalogue of a stack: a galaxy for each row, called by its number, with the other arrays as columns.

    Columns are the arrays in the same npz or h5 file that have one value for each image; one called `id_str` names the
    galaxies.
    """
    images, others = _opened(str(path), None, LIMITS)
    arrays = {name: array() for name, array in others.items()}
    names = [
        name for name, array in arrays.items() if array.shape == images.shape[:1] and array.dtype.kind in "biufSUO"
    ]
    for start in range(0, len(images), rows):
        numbers = np.arange(start, min(start + rows, len(images))).astype(str).astype(object)
        columns = {name: _plain(arrays[name][start : start + rows]) for name in names}
        yield pd.DataFrame({"id_str": numbers} | columns | {"file_loc": numbers})


def _plain(values: np.ndarray) -> np.ndarray:
    """Numbers as they are, texts as text."""
    if values.dtype.kind in "biuf":
        return values
    return np.array([value.decode() if isinstance(value, bytes) else value for value in values.tolist()], object)


@lru_cache(2)
def _load(path: str, name: str | None, changed: int, limits: Limits):
    """The array of images."""
    return _opened(path, name, limits)[0]


def _opened(path: str, name: str | None, limits: Limits) -> tuple[Any, Mapping[str, Callable[[], Any]]]:
    """The images, and what reads each array beside them: npy is mapped, h5 read row by row, an npz unpacked."""
    try:
        if path.lower().endswith(".npy"):
            return _checked(np.load(path, mmap_mode="r", allow_pickle=False), path, limits), {}
        if path.lower().endswith(".npz"):
            arrays = np.load(path, allow_pickle=False)
            _check_members(arrays.zip, path, limits)
            names = _without_objects(arrays, Path(path))
            name = _choose(arrays, names, name, path)
            others = {other: partial(arrays.__getitem__, other) for other in names if other != name}
            return _checked(arrays[name], path, limits), others
        import h5py

        file = h5py.File(path, "r")
        if name is None or ("/" not in name and name not in list(file)):
            name = _choose(file, dataset_names(file), name, path)
        others = {other: partial(own_dataset, file, other) for other in dataset_names(file) if other != name}
        return _checked(own_dataset(file, name), path, limits), others
    except Exception as error:  # every library has its own exceptions for damaged files
        if isinstance(error, ValueError) and Path(path).name in str(error):
            raise
        raise ValueError(f"cannot read the stack {path}: {error or type(error).__name__}") from error


def _check_members(archive, path: str, limits: Limits) -> None:
    """Raises ValueError if a compressed npz would unpack to more than allowed."""
    unpacked = sum(info.file_size for info in archive.infolist() if info.compress_type)
    if unpacked > limits.bytes:
        raise ValueError(f"{Path(path).name} unpacks to {unpacked} bytes; max_bytes allows {limits.bytes}")


def _without_objects(arrays, path: Path) -> list[str]:
    """The names of the arrays that can be read without unpickling anything; a warning names the others."""
    names, objects = [], []
    for member in arrays.zip.namelist():
        with arrays.zip.open(member) as file:
            header = file.read(4096)
        (objects if b"'|O'" in header else names).append(member.removesuffix(".npy"))
    if objects:
        report(path, f"arrays of Python objects are not read: {some(objects, 8)}; save numbers or text instead")
    return names


def _choose(arrays, names: list[str], name: str | None, path: str) -> str:
    if name is not None:
        if name not in arrays or (name not in names and "/" not in name):
            raise ValueError(unknown(f"array of {Path(path).name}", name, names))
        return name
    if "images" in names:
        return "images"
    fitting = [n for n in names if arrays[n].ndim in (3, 4)]
    if len(fitting) != 1:
        inside = some(names or [f"{group}/…" for group in arrays], 8)
        raise ValueError(
            f"{Path(path).name} has {len(fitting)} arrays that could be images; choose one with hdu: {inside}"
        )
    return fitting[0]


def _checked(stack, path: str, limits: Limits):
    if len(stack.shape) not in (3, 4) or stack.dtype.kind not in "fiub":
        raise ValueError(f"{Path(path).name}: {stack.dtype} of shape {stack.shape} is not a stack of images")
    each = math.prod(max(n, 1) for n in stack.shape[1:])
    together = math.prod(getattr(stack, "chunks", None) or (1,))  # what h5 unpacks to read one image
    if max(each, together) > limits.pixels:
        raise ValueError(
            f"{Path(path).name}: {max(each, together)} values are read for an image; max_pixels allows {limits.pixels}"
        )
    return stack
