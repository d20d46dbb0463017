"""Object storage (`s3://`, `gs://`, whatever fsspec knows): requests that are repeated, with errors in words.

fsspec is not imported before a path is a URL. pathlib writes `s3://` as `s3:/`; both are read.
"""

import errno
import io
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_URL = re.compile(r"([a-zA-Z][\w+.-]+):/+(.*)", re.DOTALL)
_ATTEMPTS = 3  # each of which repeats a failed request a few times itself
_NO_SUCH_RANGE = "requested range"  # in the answer of S3 to a question for bytes beyond the end
_THREADS = 32  # requests under way: one waits long, and many wait no longer


def url_of(path: object) -> str:
    """The URL that a path is, without a slash at its end; "" if it is none."""
    match = _URL.fullmatch(str(path)) if isinstance(path, str | Path) else None
    if match is None:
        return ""
    protocol = match[1].lower()
    return f"{protocol}://{'/' if protocol == 'file' else ''}{match[2].rstrip('/')}"


def is_remote(path: object) -> bool:
    """Whether a path is a URL, and not of this machine's own files."""
    url = url_of(path)
    return url != "" and not url.startswith("file://")


def check_here(out: str | Path) -> None:
    """Raises ValueError where a URL is given for results: locks and renames need a file system."""
    if is_remote(out):
        raise ValueError(f"results cannot be made at {url_of(out)}: give a folder, then `morphtools upload` it there")


def about(url: str) -> dict:
    """What is known of an object or folder: `type`, `size`, and more, by the names of its file system."""
    return _ask(url, lambda fs, place: fs.info(place))


def is_folder(url: str | Path) -> bool:
    """Whether a URL is the beginning of names of objects, not an object."""
    return about(url_of(url))["type"] == "directory"


def files_in(url: str, below: bool = False) -> dict[str, dict]:
    """What `about` tells of all objects in a folder, by name.

    Args:
        url: Of the folder.
        below: Whether to go down into folders, too.
    """

    def list_files(fs, place: str) -> dict[str, dict]:
        place = place.rstrip("/")
        entries = fs.find(place, detail=True).values() if below else fs.ls(place, detail=True)
        return {entry["name"][len(place) + 1 :]: entry for entry in entries if entry["type"] == "file"}

    return {name: entry for name, entry in _ask(url, list_files).items() if name}


def fetch(url: str, path: Path) -> None:
    """Copies an object to a file."""
    _ask(url, lambda fs, place: fs.get_file(place, str(path)))


def read_object(url: str, most: int | None = None) -> bytes:
    """The content of an object.

    Raises:
        ValueError: It has more than `most` bytes.
    """
    if most is None:
        return _ask(url, lambda fs, place: fs.cat_file(place))
    data = _section(url, 0, most + 1)
    if len(data) > most:
        raise ValueError(f"{url} has more than the {most} bytes that max_bytes allows")
    return data


def write_object(url: str, content: bytes | Path) -> None:
    """Writes an object: bytes, or a file."""
    if isinstance(content, bytes):
        _ask(url, lambda fs, place: fs.pipe_file(place, content))
    else:
        _ask(url, lambda fs, place: fs.put_file(str(content), place))


class ObjectFile(io.RawIOBase):
    """An object as a file to be read: every reading is a request, so it wants an `io.BufferedReader` around it."""

    def __init__(self, url: str):
        self._url, self._at = url, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Goes to a place, from the beginning or from where it is."""
        self._at = offset + (self._at if whence == os.SEEK_CUR else 0)
        return self._at

    def readinto(self, buffer) -> int:
        """Reads as many bytes as fit."""
        data = _section(self._url, self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def in_threads(work: Callable[[Any], Any], items: Iterable, threads: int = _THREADS) -> Iterator:
    """What `work` returns for all items, in order; no more are under way, or waiting to be taken, than threads."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _section(url: str, start: int, length: int) -> bytes:
    """Some bytes of an object, fewer at its end."""
    try:
        return _ask(url, lambda fs, place: fs.cat_file(place, start=start, end=start + length))
    except OSError as error:
        if _NO_SUCH_RANGE in str(error):
            return b""
        raise


def _ask(url: str, work: Callable[[Any, str], Any]) -> Any:
    """What `work` returns, given the file system of a URL and the path there; repeated where it fails.

    Raises:
        FileNotFoundError: There is nothing.
        PermissionError: It may not be accessed.
        ImportError: A package is not installed.
        ValueError: This is not a URL of a known kind.
        ConnectionError: Anything else; all of them name the URL.
    """
    fs, place = _file_system(url)
    reason: Exception = OSError()
    for _ in range(_ATTEMPTS):
        try:
            return work(fs, place)
        except FileNotFoundError as error:
            bucket = ": the bucket does not exist" if "bucket does not exist" in str(error) else ""
            raise FileNotFoundError(f"there is nothing at {url}{bucket}") from None
        except PermissionError as error:
            raise PermissionError(f"{url} may not be accessed: {error}") from None
        except Exception as error:  # every file system has its own exceptions
            if "credentials" in type(error).__name__.lower():
                raise PermissionError(f"{url} may not be accessed: {error} (docs/object-storage.md)") from None
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            if full or _NO_SUCH_RANGE in str(error):
                raise
            reason = error
    raise ConnectionError(
        f"{url} cannot be accessed: {str(reason) or type(reason).__name__}; the same call resumes"
    ) from reason


def _file_system(url: str) -> tuple[Any, str]:
    protocol = url.partition("://")[0]
    if urlsplit(url).password is not None:
        raise ValueError(f"{protocol}://…: URLs with a password are not read; see docs/object-storage.md")
    try:
        import fsspec

        options: dict[str, Any] = {"auto_mkdir": True} if protocol == "file" else {"use_listings_cache": False}
        if protocol == "s3":
            options["config_kwargs"] = {"max_pool_connections": _THREADS}
        return fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        install = "pip install 'morphtools[s3]'" if protocol == "s3" or error.name == "fsspec" else str(error)
        raise ImportError(f"{protocol}:// needs packages that are not installed: {install}") from None
    except ValueError as error:
        raise ValueError(f"{url} cannot be read: {error}") from None
