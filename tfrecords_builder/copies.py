"""Copies of objects on this machine, which are files like any others.

An object is copied when it is opened, and again when its size or its time differ from those of the copy. The copy of
`s3://bucket/a/b` is `objects/s3/bucket/a/b` in the folder `MORPHTOOLS_CACHE`, so the path of a copy, and of one that
is not there yet, tells where it comes from: of records, shards are fetched, or read from afar, when they are needed.

A command needs the copies in `objects` until it ends. Those of mosaics are in `mosaics`, and are removed when another
one needs the room: a survey has more of them than fit on a disk, and each is needed only for a while.
"""

import contextlib
import datetime
import glob
import io
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tfrecords_builder.files import write_whole
from tfrecords_builder.locks import lock
from tfrecords_builder.object_storage import ObjectFile, about, fetch, files_in, in_threads, is_remote, url_of
from tfrecords_builder.progress import progress_bar

_LASTING, _PASSING = "objects", "mosaics"
_PARTIAL = re.compile(r"^\.\d+-[0-9a-f]{8}\.partial\.")  # of `write_whole`
_opening = threading.Lock()


def here(path: str | Path, folders: bool = True) -> Path:
    """The path of a file or folder on this machine: itself, or of a URL its copy, made or renewed.

    Args:
        path: Path of the file or folder, or its URL.
        folders: Whether to copy folders, all files but those in folders inside; otherwise their URL is returned.

    Raises:
        FileNotFoundError: There is nothing at the URL.
        ConnectionError: It cannot be read, or changed meanwhile.
    """
    if not is_remote(path):
        return Path(url_of(path).removeprefix("file://") or path)
    url = url_of(path)
    there = about(url)
    if there["type"] != "directory":
        return _copy(url, there)
    if not folders:
        return Path(path)
    files, folder = files_in(url), path_of(url)
    copies = in_threads(lambda name: _copy(f"{url}/{name}", files[name]), files)
    for _ in progress_bar(copies, total=len(files), desc=f"copying {url}", unit="file"):
        pass
    for path in folder.glob("[!.]*"):
        if path.is_file() and path.name not in files:
            path.unlink()  # there it is gone, too
    return folder


def path_of(url: str, kind: str = _LASTING) -> Path:
    """Where the copy of an object is."""
    protocol, _, place = url.partition("://")
    if ".." in place.split("/"):
        raise ValueError(f"{url} has .. in it: give the path without")
    return _folder() / kind / protocol / place


def path_of_mosaic(url: str) -> Path:
    """Where the copy of an object is while it is `in_use`, and until others need the room."""
    return path_of(url, _PASSING)


def origin_of(path: Path) -> str:
    """The URL that the file at a path would be a copy of; "" if it would be none."""
    try:
        kind, protocol, *parts = path.relative_to(_folder()).parts
    except ValueError:
        return ""
    return f"{protocol}://{'/'.join(parts)}" if kind in (_LASTING, _PASSING) else ""


def present(path: Path) -> Path:
    """The path of a file; a copy that is not there is made."""
    if not path.exists() and (url := origin_of(path)):
        _copy(url, about(url), path=path)
    return path


def all_present(paths: list[Path]) -> None:
    """Makes the copies that are not there, many at a time."""
    missing = [path for path in paths if not path.exists() and origin_of(path)]
    if missing:
        copies = in_threads(present, missing)
        for _ in progress_bar(copies, total=len(missing), desc=f"copying {missing[0].parent.name}", unit="file"):
            pass


def renew(path: Path) -> bool:
    """Makes a copy again; returns whether the file at the path is one."""
    if url := origin_of(path):
        _copy(url, about(url), anew=True, path=path)
    return url != ""


def open_file(path: Path, ahead: int = 2**17) -> BinaryIO:
    """A file to be read; of a copy that is not there only what is read is fetched, and so many bytes `ahead`."""
    if path.exists() or not (url := origin_of(path)):
        return path.open("rb")
    return io.BufferedReader(ObjectFile(url), ahead)


@contextlib.contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Keeps the copy of a mosaic, which is made or renewed first, until it is open: then it may be removed.

    Args:
        path: Of `path_of_mosaic`, or any other file, for which nothing happens.
    """
    if not (url := origin_of(path)):
        yield
        return
    there = about(url)
    with _opening, lock(path.parent, part=True, name=_lock_of(path)) as held:
        if held.alone:
            for left in path.parent.glob(f".[0-9]*.partial.{glob.escape(path.name)}"):
                left.unlink()  # of a process that was killed
            _make_room(path, there["size"])
            _copy(url, there, path=path)
            held.share()
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        yield


def _lock_of(path: Path) -> str:
    return f".{_PARTIAL.sub('', path.name)}.lock"


def _make_room(path: Path, size: int) -> None:
    """Removes copies of mosaics that nobody is opening, those last used longest ago first, until there is room."""
    given = os.environ.get("MORPHTOOLS_CACHE_GB") or "50"
    try:
        most = 1e9 * float(given)
    except ValueError:
        raise OSError(f"MORPHTOOLS_CACHE_GB must be a number of gigabytes, got {given!r}") from None
    copies = []
    for other in (_folder() / _PASSING).rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process has just removed it
            if other != path and other.is_file() and not (other.name[0] == "." and other.suffix == ".lock"):
                copies.append((other.stat().st_atime_ns, other.stat().st_size, other))
    used = sum(each for _, each, _ in copies)
    for _, each, other in sorted(copies):
        if used + size <= most and shutil.disk_usage(path.parent).free > size:
            return
        with contextlib.suppress(OSError), lock(other.parent, name=_lock_of(other)):
            other.unlink()
            used -= each


def _folder() -> Path:
    return Path(os.environ.get("MORPHTOOLS_CACHE") or Path.home() / ".cache" / "morphtools").absolute()


def _copy(url: str, there: dict, anew: bool = False, path: Path | None = None) -> Path:
    """The copy of an object, of which `about` tells what is `there`."""
    path, changed = path or path_of(url), _changed(there)
    if not anew and path.is_file() and (path.stat().st_size, int(path.stat().st_mtime)) == (there["size"], changed):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(new: Path) -> None:
        fetch(url, new)
        versions = [(each["size"], _changed(each), each.get("ETag")) for each in (there, about(url))]
        if versions[0] != versions[1] or new.stat().st_size != there["size"]:
            raise ConnectionError(f"{url} changed while it was read: run the same call again")
        if changed is not None:
            os.utime(new, (changed, changed))

    write_whole(path, write)
    return path


def _changed(there: dict) -> int | None:
    """When an object was written, in seconds; file systems have different names for it, and HTTP has none."""
    names = ("LastModified", "mtime", "updated", "last_modified", "created")
    when = next((there[name] for name in names if there.get(name)), None)
    when = datetime.datetime.fromisoformat(when) if isinstance(when, str) else when
    when = when.timestamp() if isinstance(when, datetime.datetime) else when
    return None if when is None else int(when)
