"""Copies of objects on this machine, which are files like any others.

An object is copied when it is opened, and again when its size or its time differ from those of the copy. The copy of
`s3://bucket/a/b` is `objects/s3/bucket/a/b` in the folder `MORPHTOOLS_CACHE`, so the path of a copy, and of one that
is not there yet, tells where it comes from: of records, shards are fetched, or read from afar, when they are needed.
"""

import datetime
import io
import os
from pathlib import Path
from typing import BinaryIO

from tfrecords_builder.files import write_whole
from tfrecords_builder.object_storage import ObjectFile, about, fetch, files_in, in_threads, is_remote, url_of
from tfrecords_builder.progress import progress_bar


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


def path_of(url: str) -> Path:
    """Where the copy of an object is."""
    protocol, _, place = url.partition("://")
    if ".." in place.split("/"):
        raise ValueError(f"{url} has .. in it: give the path without")
    return _folder() / protocol / place


def origin_of(path: Path) -> str:
    """The URL that the file at a path would be a copy of; "" if it would be none."""
    try:
        protocol, *parts = path.relative_to(_folder()).parts
    except ValueError:
        return ""
    return f"{protocol}://{'/'.join(parts)}"


def present(path: Path) -> Path:
    """The path of a file; a copy that is not there is made."""
    if not path.exists() and (url := origin_of(path)):
        _copy(url, about(url))
    return path


def all_present(paths: list[Path]) -> None:
    """Makes the copies that are not there, many at a time."""
    missing = [path for path in paths if not path.exists() and origin_of(path)]
    if missing:
        copies = in_threads(present, missing)
        for _ in progress_bar(copies, total=len(missing), desc=f"copying {missing[0].parent.name}", unit="file"):
            pass


def renew(path: Path) -> bool:
    """Makes a copy anew; returns whether the file at the path is one."""
    if url := origin_of(path):
        _copy(url, about(url), anew=True)
    return url != ""


def open_file(path: Path, ahead: int = 2**17) -> BinaryIO:
    """A file to be read; of a copy that is not there only what is read is fetched, and so many bytes `ahead`."""
    if path.exists() or not (url := origin_of(path)):
        return path.open("rb")
    return io.BufferedReader(ObjectFile(url), ahead)


def _folder() -> Path:
    return Path(os.environ.get("MORPHTOOLS_CACHE") or Path.home() / ".cache" / "morphtools").absolute() / "objects"


def _copy(url: str, there: dict, anew: bool = False) -> Path:
    """The copy of an object, of which `about` tells what is `there`."""
    path, changed = path_of(url), _changed(there)
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
