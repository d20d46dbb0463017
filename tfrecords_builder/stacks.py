"""Stacks: many galaxies in one npy, npz or h5 file; `file_loc` is the row."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfrecords_builder.naming import unknown
from tfrecords_builder.pixels import Image, bands_last, from_pixels


class Stack(NamedTuple):
    """Source of the rows of an array (N, H, W), (N, H, W, C) or (N, C, H, W).

    Attributes:
        path: The file.
        name: Of the array in an npz or h5 file; by default the only one that could be a stack, or `images`.
        bands: Number of bands, if known; by default the shorter axis holds them.
    """

    path: Path
    name: str | None = None
    bands: int | None = None

    def __call__(self, file_loc: str) -> Image:
        """The image in row `file_loc`."""
        stack = _load(str(self.path), self.name, self.path.stat().st_mtime_ns)
        try:
            row = int(file_loc)
        except ValueError:
            raise ValueError(f"file_loc must be a row of {self.path.name}, not {file_loc!r}") from None
        if not 0 <= row < len(stack):
            raise ValueError(f"row {row} of {self.path.name}, which has {len(stack)}")
        try:
            pixels = np.asarray(stack[row])
        except OSError as error:
            raise ValueError(f"row {row} of {self.path.name} is damaged: {error}") from error
        return from_pixels(bands_last(pixels, self.bands))

    def read(self, rows: Iterable[dict]) -> Iterator[Image | ValueError]:
        """Every row's image."""
        for row in rows:
            try:
                yield self(row["file_loc"])
            except ValueError as error:
                yield error


@lru_cache(2)
def _load(path: str, name: str | None, changed: int):
    """The array: npy is mapped and h5 read row by row, an npz unpacked as a whole."""
    try:
        if path.endswith(".npy"):
            return _checked(np.load(path, mmap_mode="r", allow_pickle=False), path)
        if path.endswith(".npz"):
            arrays = np.load(path, allow_pickle=False)
            return _checked(arrays[_choose(arrays, arrays.files, name, path)], path)
        import h5py

        arrays = h5py.File(path, "r")
        return _checked(arrays[_choose(arrays, [k for k in arrays if hasattr(arrays[k], "shape")], name, path)], path)
    except ValueError:
        raise
    except Exception as error:  # every library has its own exceptions for a broken file
        raise ValueError(f"cannot read the stack {path}: {error}") from error


def _choose(arrays, names: list[str], name: str | None, path: str) -> str:
    if name is not None:
        if name not in arrays:
            raise ValueError(unknown(f"array of {Path(path).name}", name, names))
        return name
    if "images" in names:
        return "images"
    fitting = [n for n in names if arrays[n].ndim in (3, 4)]
    if len(fitting) != 1:
        raise ValueError(f"{Path(path).name} has {len(fitting)} arrays that could be images; name one of {names}")
    return fitting[0]


def _checked(stack, path: str):
    if len(stack.shape) not in (3, 4) or stack.dtype.kind not in "fiub":
        raise ValueError(f"{Path(path).name}: {stack.dtype} of shape {stack.shape} is no stack of images")
    return stack
