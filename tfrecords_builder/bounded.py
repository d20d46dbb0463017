"""Reads untrusted files: only regular ones, inside the allowed folder, and never more bytes than allowed."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import unicodedata
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from tfrecords_builder.copies import path_of_mosaic
from tfrecords_builder.naming import some
from tfrecords_builder.object_storage import is_remote, read_object, url_of

_CHUNK = 2**20
_RATIO = 100  # no table compresses better
_Members = dict[str, list[tuple[str, str]]]  # name and name in the archive, by the last part of the name
_PACKINGS: dict[bytes, tuple[str, Callable]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\0": ("xz", lzma.open),
    b"]\0\0": ("lzma", lzma.open),
}
PACKED = (".gz", ".bz2", ".xz", ".lzma")


class Limits(NamedTuple):
    """What image files may demand.

    Attributes:
        bytes: Maximum size of one file, packed and unpacked.
        pixels: Maximum number of values of one image: height × width × bands.
        outside: Whether `file_loc` may lead out of the images folder.
    """

    bytes: int = 2**30
    pixels: int = 2**28
    outside: bool = False


LIMITS = Limits()


def check_regular(path: Path) -> os.stat_result:
    """Returns the status of a regular file.

    Raises:
        ValueError: It is not a regular file: reading a pipe or a device might never end.
        OSError: It does not exist.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise ValueError(f"{path.name} is {kind}, not a file")
    return status


def locate(folder: Path, name: str, limits: Limits) -> Path:
    """Finds the regular file `name` in a folder, or where its copy will be; an absolute name may lie inside.

    Raises:
        ValueError: It does not exist, or it lies outside (also through `..` or a link) and that is not allowed.
    """
    if is_remote(folder):
        with in_words(name):
            return path_of_mosaic(_object(folder, name))
    try:
        path = Path(os.path.realpath(folder / _spelled(folder, name)))
        if not limits.outside and not path.is_relative_to(os.path.realpath(folder)):
            raise ValueError(
                f"{name} points outside the images folder {folder}; give a folder that contains it, or outside=True"
            )
        check_regular(path)
    except OSError as error:
        raise ValueError(f"cannot read {name}: {error.strerror or error}") from error
    except ValueError as error:  # also a name with a zero byte
        raise ValueError(str(error) if name in str(error) else f"cannot read {name}: {error}") from None
    return path


def _spelled(folder: Path, name: str) -> str:
    """The name as spelled on disk: macOS writes an accented letter as two characters, Windows a slash the other way."""
    forms = () if name.isascii() else [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    forms = [name, *forms, *([name.replace("\\", "/")] if "\\" in name else [])]
    return name if len(forms) == 1 else next((form for form in forms if os.path.lexists(folder / form)), name)


def _object(folder: Path, name: str) -> str:
    """The URL of an object below that of a folder.

    Raises:
        ValueError: The name leads elsewhere.
    """
    place = url_of(folder)
    inside = name.removeprefix(f"{place}/")
    if inside.startswith("/") or ".." in inside.split("/") or is_remote(inside):
        raise ValueError(f"{name} points outside the images folder {place}; give a folder that holds it")
    return f"{place}/{inside}"


@contextlib.contextmanager
def in_words(name: str) -> Iterator[None]:
    """Turns what concerns one object into a ValueError; where nothing can be read, that is an OSError still."""
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        raise ValueError(f"cannot read {name}: {error}") from None


def read_file(folder: Path, name: str, limits: Limits) -> bytes:
    """Reads the file that `locate` finds.

    Raises:
        ValueError: It cannot be read; the message gives the reason.
    """
    if is_remote(folder):
        with in_words(name):
            return read_object(_object(folder, name), limits.bytes)
    path = locate(folder, name, limits)
    try:
        size = path.stat().st_size
        if size > limits.bytes:
            raise ValueError(f"{name} has {size} bytes; max_bytes allows {limits.bytes}")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {name}: {error.strerror or error}") from error


def read_member(archive: Path, name: str, limits: Limits) -> bytes:
    """Reads a member of a zip archive; leading folders of `name` may be omitted if only one member fits.

    Raises:
        ValueError: It does not exist, is ambiguous, damaged, or larger than allowed.
    """
    try:
        file, members = _archive(archive, check_regular(archive).st_mtime_ns)
        info = file.getinfo(_member(file, members, name, archive))
        if info.file_size > limits.bytes:
            raise ValueError(f"{name} unpacks to {info.file_size} bytes; max_bytes allows {limits.bytes}")
        return file.read(info)  # never more than its `file_size`
    except ValueError:
        raise
    except Exception as error:  # zipfile raises many kinds of exceptions, which all mean the same here
        raise ValueError(f"cannot read {name} in {archive.name}: {error or type(error).__name__}") from error


def _member(file: zipfile.ZipFile, members: _Members, name: str, archive: Path) -> str:
    if name in file.NameToInfo:
        return name
    name = unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./")
    same = members.get(name.rpartition("/")[2], [])
    fitting = [member for place, member in same if place == name]
    fitting = fitting or [member for place, member in same if place.endswith(f"/{name}")]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ValueError(f"{name} could be any of {some(fitting)} in {archive.name}; give file_loc with its folder")
    inside = [info.filename for info in file.infolist() if not info.is_dir()]
    raise ValueError(f"there is no {name} in {archive.name}, which contains {some(inside) or 'no file'}")


@lru_cache(8)
def _archive(path: Path, changed: int) -> tuple[zipfile.ZipFile, _Members]:
    """An open archive, and its members by file name. Cached here, because open files cannot be sent to workers."""
    file, members = zipfile.ZipFile(path), defaultdict(list)
    for info in file.infolist():
        if not info.filename.startswith("__MACOSX/"):
            place = _place(info)
            members[place.rpartition("/")[2]].append((place, info.filename))
    return file, dict(members)


def _place(info: zipfile.ZipInfo) -> str:
    """The name of a member, with slashes, in composed Unicode.

    macOS writes UTF-8 without marking it, which reads as code page 437.
    """
    name = info.filename
    if not name.isascii() and not info.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return unicodedata.normalize("NFC", name).replace("\\", "/")


def packing(start: bytes) -> tuple[str, Callable] | None:
    """The kind of compression that the first bytes of a file show, and what opens it; None if there is none."""
    return next((kind for magic, kind in _PACKINGS.items() if start.startswith(magic)), None)


class _Unpacked(io.RawIOBase):
    """A compressed file that stops unpacking beyond the size of any plausible table."""

    def __init__(self, path: Path, stream) -> None:
        self._stream, self._packed, self._bytes = stream, path.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._stream.read(len(buffer))
        if self._bytes + len(data) > max(LIMITS.bytes, _RATIO * self._packed):
            raise ValueError(
                f"its {self._packed} bytes unpack to more than {self._bytes}, like a bomb; "
                "unpack it first if that is correct"
            )
        self._bytes += len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def open_table(path: Path) -> io.BufferedReader:
    """Opens the file of a table; unpacks it if it is compressed, whatever its name.

    Reading raises ValueError if it unpacks to more than a gigabyte and more than a hundred times its size.
    """
    with path.open("rb") as file:
        kind = packing(file.read(8))
    return path.open("rb") if kind is None else io.BufferedReader(_Unpacked(path, kind[1](path)), _CHUNK)


def unpacked(data: bytes, limits: Limits) -> bytes:
    """Unpacks compressed files; returns other bytes unchanged.

    Raises:
        ValueError: It is damaged or larger than allowed; unpacking stops at the limit.
    """
    kind = packing(data)
    if kind is None:
        return data
    out = bytearray()
    try:
        stream = kind[1](io.BytesIO(data))
        while chunk := stream.read(_CHUNK):
            out += chunk
            if len(out) > limits.bytes:
                break
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise ValueError(f"damaged {kind[0]}: {error}") from error
    if len(out) > limits.bytes:
        raise ValueError(f"unpacks to more than the {limits.bytes} bytes that max_bytes allows")
    return bytes(out)


def not_an_image(data: bytes) -> str:
    """Describes bytes that are not an image."""
    if not data:
        return "the file is empty"
    if data.lstrip()[:1] == b"<":
        return "it is an HTML or XML page, perhaps a server's error message"
    return f"it starts with {data[:8]!r}"
