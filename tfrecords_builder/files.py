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

# what readers make of flipped bits: a zip whose member is said to be encrypted is a RuntimeError
_DAMAGED = (AttributeError, EOFError, KeyError, MemoryError, OSError, RuntimeError, TypeError, ValueError)


def write_whole(path: str | Path, content: str | bytes | Callable[[Path], object]) -> None:
    """Writes a file under a temporary name beside `path`, then renames it.

    Args:
        path: Where the file shall appear; an existing one is replaced.
        content: Text, bytes, or a function that writes to the path it is given.

    Raises:
        OSError: The disk is full, or the folder may not be written to; names `path`.
    """
    path = Path(path)
    # a name of its own on every machine that shares the folder; keeps the ending: savers go by it
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
    except OSError as error:  # a full disk: say which file could not be written
        if error.errno is None and isinstance(error, FileNotFoundError):  # of what was read to write it
            raise
        raise OSError(error.errno, f"cannot write: {error.strerror or error}", str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Removes what `write_whole` was writing in a folder when it was killed; no other process may write there."""
    for path in folder.glob(".[0-9]*.partial.*"):
        path.unlink(missing_ok=True)


def write_arrays(path: str | Path, /, **arrays: Any) -> None:
    """Writes an `.npz` file, whole or not at all; its members have checksums."""
    write_whole(path, lambda new: np.savez(new, **arrays))


def read_arrays(path: str | Path, *names: str) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file, with their checksums verified.

    Args:
        path: The file.
        names: Those that must be among them.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged; names it.
    """
    with Path(path).open("rb") as file:  # by ourselves: numpy leaves the file of a damaged archive open
        try:
            with np.load(file, allow_pickle=False) as arrays:
                contents = {name: arrays[name] for name in arrays.files}
        except (*_DAMAGED, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path} is damaged: {error}") from None
    missing = [name for name in names if name not in contents]
    if missing:
        raise ValueError(f"{path} is damaged: it has no {some(missing)}")
    return contents
