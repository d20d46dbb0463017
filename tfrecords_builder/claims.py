"""Who owns an out folder: one command, with its settings and the content of its inputs."""

import contextlib
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfrecords_builder.copies import here
from tfrecords_builder.files import remove_partial
from tfrecords_builder.json_files import read_json, write_json
from tfrecords_builder.listing import is_listing, list_images
from tfrecords_builder.locks import Lock, lock
from tfrecords_builder.naming import some
from tfrecords_builder.object_storage import check_here, is_remote, url_of
from tfrecords_builder.records import Records
from tfrecords_builder.stacks import STACKS
from tfrecords_builder.yaml_files import read_yaml

log = logging.getLogger(__name__)

_FILE = "claim.json"
_PART = 2**27  # bytes read at each end of a large image archive
_RENAMED = {"parts": "representations"}  # inputs that were renamed since earlier versions


class Claim:
    """An out folder claimed for one call of a command.

    Attributes:
        out: The folder.
        new: Whether this call made the claim; otherwise it continues or returns earlier work.
    """

    def __init__(self, out: Path, new: bool, held: Lock):
        self.out, self.new, self.kept, self._lock = out, new, False, held

    def keep(self) -> None:
        """Marks that the folder now contains work worth keeping, even if something fails later."""
        self.kept = True

    def share(self) -> None:
        """Lets the other parts of the same work in (see `lock`)."""
        self.keep()
        self._lock.share()


@contextlib.contextmanager
def claim(
    out: str | Path,
    verb: str,
    settings: Mapping,
    inputs: Mapping[str, Any],
    *,
    old: str | None = None,
    others: bool = False,
    part: bool = False,
    wait: bool = False,
) -> Iterator[Claim]:
    """Claims an out folder for one call of a command, and keeps other processes out while it runs.

    One rule for all commands: a new folder is created; a folder claimed with the same settings and inputs is continued,
    or its finished result returned; anything else is an error that names the difference. Partial files of killed calls
    are removed. If the call fails before `keep`, the folder it created and everything in it is removed, so that it does
    not block the corrected call.

    Args:
        out: The folder.
        verb: The command.
        settings: The arguments that decide the result: numbers, text, lists and None.
        inputs: What it works on, by name, as returned by `inputs_of` and `identity`.
        old: Name of the file in which versions without `claim.json` kept the settings. If inputs are not in it, a
            warning is logged.
        others: Whether the folder may contain other files: for commands that write a few files of known names.
        part: As for `lock`.
        wait: As for `lock`.

    Yields:
        The claim.

    Raises:
        FileExistsError: The folder contains something else.
        BlockingIOError: Another process is using it.
        ValueError: `claim.json`, or `old`, is damaged; or the folder is a URL.
    """
    check_here(out)
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file; choose another out")
    call = json.loads(json.dumps({"verb": verb, "settings": dict(settings), "inputs": dict(inputs)}))
    with lock(out, part=part, wait=wait) as held:
        theirs = set(_strangers(out)) if others else set()
        claimed = Claim(out, _begin(out, call, old, theirs, held.alone), held)
        try:
            yield claimed
        except (ValueError, OSError):
            if claimed.new and not claimed.kept:
                _clear(out, theirs)
            raise


def _strangers(out: Path) -> list[str]:
    """The names in an unclaimed folder that were not created by this module."""
    return sorted(path.name for path in out.iterdir() if path.name not in (".lock", "state", _FILE))


def _begin(out: Path, call: dict, old: str | None, theirs: set[str], alone: bool) -> bool:
    """Compares a call with the claim in its folder; makes the claim, and returns True, if there is none."""
    if (out / _FILE).exists():
        _check_same(out, read_json(out / _FILE), call)
    elif old is not None and (out / old).exists():
        _check_old(out, old, call)
    else:
        _remove_partial(out, out / "state")
        strangers = [name for name in _strangers(out) if name not in theirs]
        if strangers:
            raise FileExistsError(
                f"{out} already exists and does not contain results of {call['verb']} ({some(strangers)}); "
                "choose another out"
            )
        write_json(out / _FILE, call)
        return True
    if alone:
        _remove_partial(out, out)
    return False


def _remove_partial(out: Path, below: Path) -> None:
    """Removes partial files from one folder, and from another with all its subfolders."""
    for folder in {out, *(path.parent for path in below.rglob(".*.partial.*"))}:
        remove_partial(folder)


def _check_same(out: Path, before: dict, call: dict) -> None:
    if not all(isinstance(before.get(name), type(part)) for name, part in call.items()):
        raise ValueError(f"{out / _FILE} is damaged: it must have verb, settings and inputs")
    if before["verb"] != call["verb"]:
        raise FileExistsError(f"{out} holds results of {before['verb']}, not of {call['verb']}; choose another out")
    settings, inputs = (
        {name: (before[kind].get(name), call[kind].get(name)) for name in call[kind] | before[kind]}
        for kind in ("settings", "inputs")
    )
    # an argument of a later version that was not given: a switch that is off changes nothing
    later = {name for name in settings if name not in before["settings"] and not call["settings"][name]}
    _refuse(out, call["verb"], {name: pair for name, pair in settings.items() if name not in later}, inputs)


def _check_old(out: Path, old: str, call: dict) -> None:
    """Checks a folder of an earlier version: settings and inputs in one file, without newer arguments."""
    before = read_json(out / old) if old.endswith(".json") else _read_yaml(out / old)
    before |= before.pop("provenance", {})
    before |= {new: before[name] for name, new in _RENAMED.items() if name in before}
    settings = {k: (before.get(k), new) for k, new in call["settings"].items() if k in before or new}
    noted = {k: v for k, v in before.items() if k not in call["settings"]}  # only a catalogue's path was kept
    _refuse(out, call["verb"], settings, {k: (noted[k], new) for k, new in call["inputs"].items() if k in noted})
    unknown = [name for name, new in call["inputs"].items() if name not in noted and new is not None]
    if unknown:
        log.warning(
            "%s was made by an earlier version, which did not record the content of its inputs: "
            "%s may have changed since",
            out,
            some(unknown),
        )


def _read_yaml(path: Path) -> dict:
    try:
        content = read_yaml(path)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it contains no settings")
    return content


def _refuse(out: Path, verb: str, settings: dict[str, tuple], inputs: dict[str, tuple]) -> None:
    changed = [f"{name}: {was} → {now}" for name, (was, now) in settings.items() if was != now]
    others = [name for name, (was, now) in inputs.items() if was != now]
    if changed or others:
        differs = [f"other settings ({', '.join(changed)})"] if changed else []
        differs += [f"other inputs (changed: {', '.join(others)})"] if others else []
        raise FileExistsError(f"{out} holds results of {verb} with {' and '.join(differs)}; choose another out")


def _clear(out: Path, theirs: set[str]) -> None:
    """Removes everything this call created in a folder, except its lock."""
    for path in out.iterdir():
        if path.name not in (".lock", *theirs):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def inputs_of(
    catalog: str | Path | None = None, images: str | Path | None = None, records: str | Path | Records | None = None
) -> dict[str, str]:
    """The identities of a command's inputs, for `claim`.

    A catalogue is identified by its content (a folder or archive that is its own catalogue, by the names of its
    images); records by the catalogue and settings they were built from and the checksums of their shards; an archive or
    stack of images as in `identity`; a folder of images by its path, because its files are too many to read. If images
    change under the same names, choose another out.

    Raises:
        FileNotFoundError: A path does not exist.
    """
    inputs = {}
    if catalog is not None:
        path = here(catalog, folders=False).expanduser()
        if not path.is_file() and not is_listing(path):
            raise FileNotFoundError(f"there is no catalogue at {catalog}")
        stack = path.suffix.lower() in STACKS
        named = is_listing(path) and not stack
        inputs["catalog"] = _names_in(path) if named else identity(path, whole=not stack)
    if images is not None:
        path = here(images, folders=False).expanduser()
        if not (is_remote(path) or path.exists()):
            raise FileNotFoundError(f"there is no folder, archive or stack of images at {images}")
        inputs["images" if is_remote(path) or path.is_dir() else "archive"] = identity(path)
    if records is not None:
        records = Records.open(records)
        shards = json.dumps(sorted(records.checksums.items()))
        inputs |= {"records": records.digest, "shards": hashlib.sha256(shards.encode()).hexdigest()}
    return inputs


def _names_in(place: Path) -> str:
    """Identifies a folder or archive that is its own catalogue, by the names of its images."""
    digest = hashlib.sha256()
    for chunk in list_images(place, 2**16):
        digest.update("\n".join(chunk["file_loc"]).encode(errors="surrogateescape"))
    return digest.hexdigest()


def identity(path: str | Path, whole: bool = False) -> str:
    """Identifies an input: a file by its content, a folder by its path.

    For files above 256 MB it is the size with the first and the last 128 MB, which in a zip archive contain the
    checksums of all members.

    Args:
        path: A file or folder.
        whole: Whether to read the whole file, however large.

    Returns:
        SHA-256 in hexadecimal, or the folder's absolute path.

    Raises:
        FileNotFoundError: There is nothing at the path.
    """
    path = here(path, folders=False).expanduser()
    if is_remote(path):
        return url_of(path)
    if path.is_dir():
        return str(path.absolute())
    size = path.stat().st_size
    with path.open("rb") as file:
        if whole or size <= 2 * _PART:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256(str(size).encode() + file.read(_PART))
        file.seek(size - _PART)
        digest.update(file.read())
        return digest.hexdigest()
