"""Files that appear whole or not at all."""

import os
import uuid
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfrecords_builder.naming import some

# what readers raise for flipped bits: a zip member marked as encrypted is a RuntimeError
_DAMAGED = (AttributeError, EOFError, KeyError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
_OF_SOURCES = (FileNotFoundError, PermissionError, ConnectionError)


def write_whole(path: str | Path, content: str | bytes | Callable[[Path], object]) -> None:
    """Writes a file under a temporary name beside `path`, then renames it.

    Args:
        path: The file; an existing one is replaced.
        content: Text, bytes, or a function that writes to the path it is given.

    Raises:
        OSError: The disk is full or the folder is not writable; the message names `path`.
    """
    path = Path(path)
    # unique on every machine that shares the folder; keeps the ending, by which savers choose the format
    partial = path.with_name(f".{os.getpid()}-{uuid.uuid4().hex[:8]}.partial.{path.name}")
    try:
        if callable(content):
            content(partial)
        elif isinstance(content, bytes):
            partial.write_bytes(content)
        else:
            partial.write_text(content)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:  # such as a full disk: name the file that could not be written
        if error.errno is None and isinstance(error, _OF_SOURCES):  # about a file that was read, not written
            raise
        raise OSError(error.errno, f"cannot write: {error.strerror or error}", str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Removes partial files left by a killed `write_whole`; no other process may be writing in the folder."""
    for path in folder.glob(".[0-9]*.partial.*"):
        path.unlink(missing_ok=True)


def write_arrays(path: str | Path, /, **arrays: Any) -> None:
    """Writes an `.npz` file, complete or not at all; its members have checksums."""
    write_whole(path, lambda new: np.savez(new, **arrays))


def read_arrays(path: str | Path, *names: str) -> dict[str, np.ndarray]:
    """Reads all arrays of an `.npz` file and verifies their checksums.

    Args:
        path: The file.
        names: Arrays that must be among them.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is damaged; the message names it.
    """
    with Path(path).open("rb") as file:  # opened here, because NumPy leaves damaged archives open
        try:
            with np.load(file, allow_pickle=False) as arrays:
                contents = {name: arrays[name] for name in arrays.files}
        except (*_DAMAGED, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path} is damaged: {error}") from None
    missing = [name for name in names if name not in contents]
    if missing:
        raise ValueError(f"{path} is damaged: it has no {some(missing)}")
    return contents
