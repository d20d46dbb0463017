"""Bytes of untrusted files: regular files only, inside the allowed folder, and never more than allowed."""

import bz2
import gzip
import io
import os
import stat
import unicodedata
import zipfile
import zlib
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from tfrecords_builder.naming import some

_CHUNK = 2**20
_RATIO = 100  # no table packs better


class Limits(NamedTuple):
    """What files of images may ask for.

    Attributes:
        bytes: Most bytes of one file, and of what it unpacks to.
        pixels: Most numbers of one image: height × width × bands.
        outside: Whether `file_loc` may lead out of the images folder.
    """

    bytes: int = 2**30
    pixels: int = 2**28
    outside: bool = False


LIMITS = Limits()


def check_regular(path: Path) -> os.stat_result:
    """The status of a file.

    Raises:
        ValueError: It is not a regular file: a pipe would be waited for, a device read for ever.
        OSError: There is none.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise ValueError(f"{path.name} is {kind}, not a file")
    return status


def locate(folder: Path, name: str, limits: Limits) -> Path:
    """The regular file `name` of a folder; an absolute name is allowed where it lies inside.

    Raises:
        ValueError: There is none, or it lies outside, also by way of `..` or a link, and that is not allowed.
    """
    try:
        path = Path(os.path.realpath(folder / _spelled(folder, name)))
        if not limits.outside and not path.is_relative_to(os.path.realpath(folder)):
            raise ValueError(
                f"{name} points outside the images folder {folder}; give a folder that holds it, or outside=True"
            )
        check_regular(path)
    except OSError as error:
        raise ValueError(f"cannot read {name}: {error.strerror or error}") from error
    except ValueError as error:  # also a name with a zero byte
        raise ValueError(str(error) if name in str(error) else f"cannot read {name}: {error}") from None
    return path


def _spelled(folder: Path, name: str) -> str:
    """The name as the files have it: macOS writes an accented letter as two characters, catalogues as one."""
    forms = () if name.isascii() else (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))
    return next((form for form in forms if os.path.lexists(folder / form)), name)


def read_file(folder: Path, name: str, limits: Limits) -> bytes:
    """The bytes of the file that `locate` gives.

    Raises:
        ValueError: It cannot be read, with the reason.
    """
    path = locate(folder, name, limits)
    try:
        size = path.stat().st_size
        if size > limits.bytes:
            raise ValueError(f"{name} has {size} bytes; max_bytes allows {limits.bytes}")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {name}: {error.strerror or error}") from error


def read_member(archive: Path, name: str, limits: Limits) -> bytes:
    """The bytes of a member of a zip archive; folders in front of `name` may be missing where only one fits.

    Raises:
        ValueError: It is not there, more than one is, it is damaged, or larger than allowed.
    """
    try:
        file, members = _archive(archive, check_regular(archive).st_mtime_ns)
        info = file.getinfo(_member(file, members, name, archive))
        if info.file_size > limits.bytes:
            raise ValueError(f"{name} unpacks to {info.file_size} bytes; max_bytes allows {limits.bytes}")
        return file.read(info)  # never more than its `file_size`
    except ValueError:
        raise
    except Exception as error:  # zipfile raises many kinds, which all mean the same here
        raise ValueError(f"cannot read {name} in {archive.name}: {error or type(error).__name__}") from error


def _member(file: zipfile.ZipFile, members: dict[str, list[str]], name: str, archive: Path) -> str:
    if name in file.NameToInfo:
        return name
    fitting = [member for member in members.get(name.rpartition("/")[2], ()) if member.endswith(f"/{name}")]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ValueError(f"{name} could be any of {some(fitting)} in {archive.name}; give file_loc with its folder")
    inside = [info.filename for info in file.infolist() if not info.is_dir()]
    raise ValueError(f"no {name} in {archive.name}, which holds {some(inside) or 'no file'}")


@lru_cache(8)
def _archive(path: Path, changed: int) -> tuple[zipfile.ZipFile, dict[str, list[str]]]:
    """An open archive, and its members by the last part of their names; an open file does not travel to workers."""
    file, members = zipfile.ZipFile(path), defaultdict(list)
    for name in file.namelist():
        if not name.startswith("__MACOSX/"):
            members[name.rpartition("/")[2]].append(name)
    return file, dict(members)


class _Unpacked(gzip.GzipFile):
    """A gzip file as it unpacks, as long as that is no more than anybody's table."""

    def read(self, size=-1):
        return self._checked(super().read(size))

    def read1(self, size=-1):
        return self._checked(super().read1(size))

    def _checked(self, data: bytes) -> bytes:
        packed = Path(self.name).stat().st_size
        if self.tell() > max(LIMITS.bytes, _RATIO * packed):
            raise ValueError(
                f"its {packed} bytes unpack to more than {self.tell() - len(data)}, like a gzip bomb; "
                "unpack it first if that is correct"
            )
        return data


def open_table(path: Path) -> io.BufferedIOBase:
    """A file of a table, to read its bytes; unpacked if its name ends in .gz.

    Reading ends in a ValueError where it unpacks to more than a gigabyte and a hundred times its size.
    """
    return _Unpacked(path) if path.suffix.lower() == ".gz" else path.open("rb")


def unpacked(data: bytes, limits: Limits) -> bytes:
    """The content of gzip and bzip2 files; other bytes as they are.

    Raises:
        ValueError: It is damaged, or larger than allowed; no more than that is ever unpacked.
    """
    if data[:2] == b"\x1f\x8b":
        kind, stream = "gzip", gzip.GzipFile(fileobj=io.BytesIO(data))
    elif data[:3] == b"BZh":
        kind, stream = "bzip2", bz2.BZ2File(io.BytesIO(data))
    else:
        return data
    out = bytearray()
    try:
        while chunk := stream.read(_CHUNK):
            out += chunk
            if len(out) > limits.bytes:
                break
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ValueError(f"damaged {kind}: {error}") from error
    if len(out) > limits.bytes:
        raise ValueError(f"unpacks to more than the {limits.bytes} bytes that max_bytes allows")
    return bytes(out)


def not_an_image(data: bytes) -> str:
    """What bytes that are not an image look like, in words."""
    if not data:
        return "the file is empty"
    if data.lstrip()[:1] == b"<":
        return "it is an HTML or XML page, perhaps the answer of a server"
    return f"it starts with {data[:8]!r}"
