"""Checks that files are unchanged, by the CRC-32C of their content, at several gigabytes per second."""

import contextlib
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import google_crc32c
import pyarrow as pa

from tfrecords_builder.copies import present, renew


def file_checksum(path: str | Path) -> str:
    """Eight hexadecimal digits; a process does not read an unchanged file twice."""
    status = Path(path).stat()
    return _checksum(str(path), status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(65536)
def _checksum(path: str, size: int, changed: int, inode: int) -> str:
    crc = 0
    with Path(path).open("rb") as file:
        while block := file.read(2**22):
            crc = google_crc32c.extend(crc, block)
    return f"{crc:08x}"


def check_file(path: Path, checksum: str | None) -> Path:
    """Returns the path of a file if its content is unchanged; a copy of an object is made, or made again.

    Args:
        path: The file.
        checksum: Checksum of its content when it was written; None if none was kept.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It has changed.
    """
    if not is_written(present(path), checksum):
        raise ValueError(f"{path} is damaged: its content is not what was written (checksum)")
    return path


def is_written(path: Path, checksum: str | None) -> bool:
    """Whether a file has the checksum it was written with, if that was kept; a copy with another is made again."""
    if checksum is None or file_checksum(path) == checksum:
        return True
    if not renew(path):
        return False
    _checksum.cache_clear()  # a copy has the time of its object, and may have the inode of an earlier copy
    return file_checksum(path) == checksum


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns any exception a reader raises for a damaged file into one sentence that names the file.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It cannot be read.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        if str(path) in str(error) and type(error) is ValueError:
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} is damaged: {reason}") from error
