"""Bytes of untrusted files: regular files only, inside the allowed folder, and never more than allowed."""

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
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from tfrecords_builder.naming import some

_CHUNK = 2**20
_RATIO = 100  # no table packs better
_Members = dict[str, list[tuple[str, str]]]  # name and name in the archive, by the last part of the name
_PACKINGS: dict[bytes, tuple[str, Callable]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\0": ("xz", lzma.open),
    b"]\0\0": ("lzma", lzma.open),
}
PACKED = (".gz", ".bz2", ".xz", ".lzma")


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


def _member(file: zipfile.ZipFile, members: _Members, name: str, archive: Path) -> str:
    if name in file.NameToInfo:
        return name
    name = unicodedata.normalize("NFC", name)
    same = members.get(name.rpartition("/")[2], [])
    fitting = [member for place, member in same if place == name]
    fitting = fitting or [member for place, member in same if place.endswith(f"/{name}")]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ValueError(f"{name} could be any of {some(fitting)} in {archive.name}; give file_loc with its folder")
    inside = [info.filename for info in file.infolist() if not info.is_dir()]
    raise ValueError(f"no {name} in {archive.name}, which holds {some(inside) or 'no file'}")


@lru_cache(8)
def _archive(path: Path, changed: int) -> tuple[zipfile.ZipFile, _Members]:
    """An open archive, and its members by the last part of their names; an open file does not travel to workers."""
    file, members = zipfile.ZipFile(path), defaultdict(list)
    for info in file.infolist():
        if not info.filename.startswith("__MACOSX/"):
            place = _place(info)
            members[place.rpartition("/")[2]].append((place, info.filename))
    return file, dict(members)


def _place(info: zipfile.ZipInfo) -> str:
    """The name of a member in composed Unicode; macOS writes UTF-8 and does not tell, which reads as code page 437."""
    name = info.filename
    if not name.isascii() and not info.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return unicodedata.normalize("NFC", name)


def packing(start: bytes) -> tuple[str, Callable] | None:
    """The kind of compression that the first bytes of a file tell of, and what opens it; None where there is none."""
    return next((kind for magic, kind in _PACKINGS.items() if start.startswith(magic)), None)


class _Unpacked(io.RawIOBase):
    """A compressed file as it unpacks, as long as that is no more than anybody's table."""

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
    """A file of a table, to read its bytes; unpacked where it is compressed, whatever it is called.

    Reading ends in a ValueError where it unpacks to more than a gigabyte and a hundred times its size.
    """
    with path.open("rb") as file:
        kind = packing(file.read(8))
    return path.open("rb") if kind is None else io.BufferedReader(_Unpacked(path, kind[1](path)), _CHUNK)


def unpacked(data: bytes, limits: Limits) -> bytes:
    """The content of a compressed file; other bytes as they are.

    Raises:
        ValueError: It is damaged, or larger than allowed; no more than that is ever unpacked.
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
    """What bytes that are not an image look like, in words."""
    if not data:
        return "the file is empty"
    if data.lstrip()[:1] == b"<":
        return "it is an HTML or XML page, perhaps the answer of a server"
    return f"it starts with {data[:8]!r}"
