"""Whose an out folder is: it belongs to a verb, its settings, and the content of what it was made from."""

import contextlib
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfrecords_builder.files import remove_partial
from tfrecords_builder.json_files import read_json, write_json
from tfrecords_builder.listing import is_listing, list_images
from tfrecords_builder.locks import Lock, lock
from tfrecords_builder.naming import some
from tfrecords_builder.records import Records
from tfrecords_builder.stacks import STACKS
from tfrecords_builder.yaml_files import read_yaml

log = logging.getLogger(__name__)

_FILE = "claim.json"
_PART = 2**27  # bytes at each end of a large archive of images
_RENAMED = {"parts": "representations"}  # inputs, since earlier versions


class Claim:
    """An out folder that is claimed for the call of a verb.

    Attributes:
        out: The folder.
        new: Whether this call made the claim; otherwise it continues or returns what an earlier one began.
    """

    def __init__(self, out: Path, new: bool, held: Lock):
        self.out, self.new, self.kept, self._lock = out, new, False, held

    def keep(self) -> None:
        """From now on there is work in the folder that is worth keeping, whatever fails."""
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
    """Claims an out folder for the call of a verb, and keeps other processes out while it is at work.

    One rule for all verbs: a new folder is made; one that was claimed with the same settings and the same inputs is
    continued, or what is finished in it is returned; any other is an error that names what differs. What a killed
    call was writing is removed. If the call fails before `keep`, a folder that it made, and all it put there, goes
    away: it would stand in the way of the corrected call.

    Args:
        out: The folder.
        verb: The command.
        settings: Its arguments that decide the result: numbers, text, lists and None.
        inputs: What it works on, by name, as `inputs_of` and `identity` have it.
        old: Name of the file in which versions without `claim.json` kept the settings. Inputs that are not in it are
            unknown; then the log has a warning.
        others: Whether files of others may be in the folder: for verbs that write a few files of known names.
        part: As for `lock`.
        wait: As for `lock`.

    Yields:
        The claim.

    Raises:
        FileExistsError: The folder holds something else.
        BlockingIOError: Another process is at work in it.
        ValueError: `claim.json`, or `old`, is damaged.
    """
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
    """The names in a folder without a claim that are not of this machinery."""
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
                f"{out} is there already and does not hold results of {call['verb']} ({some(strangers)}); "
                "choose another out"
            )
        write_json(out / _FILE, call)
        return True
    if alone:
        _remove_partial(out, out)
    return False


def _remove_partial(out: Path, below: Path) -> None:
    """Removes partial files from a folder, and from all below another one."""
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
    # an argument that came with a later version and was not given: a switch that is off changes nothing
    later = {name for name in settings if name not in before["settings"] and not call["settings"][name]}
    _refuse(out, call["verb"], {name: pair for name, pair in settings.items() if name not in later}, inputs)


def _check_old(out: Path, old: str, call: dict) -> None:
    """A folder of an earlier version: its settings and inputs in one file, arguments that came later not among them."""
    before = read_json(out / old) if old.endswith(".json") else _read_yaml(out / old)
    before |= before.pop("provenance", {})
    before |= {new: before[name] for name, new in _RENAMED.items() if name in before}
    settings = {k: (before.get(k), new) for k, new in call["settings"].items() if k in before or new}
    noted = {k: v for k, v in before.items() if k not in call["settings"]}  # there, a catalogue is but a path
    _refuse(out, call["verb"], settings, {k: (noted[k], new) for k, new in call["inputs"].items() if k in noted})
    unknown = [name for name, new in call["inputs"].items() if name not in noted and new is not None]
    if unknown:
        log.warning(
            "%s was made by an earlier version, which did not note the content of its inputs: "
            "whether it is still that of %s is unknown",
            out,
            some(unknown),
        )


def _read_yaml(path: Path) -> dict:
    try:
        content = read_yaml(path)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it holds no settings")
    return content


def _refuse(out: Path, verb: str, settings: dict[str, tuple], inputs: dict[str, tuple]) -> None:
    changed = [f"{name}: {was} → {now}" for name, (was, now) in settings.items() if was != now]
    others = [name for name, (was, now) in inputs.items() if was != now]
    if changed or others:
        differs = [f"other settings ({', '.join(changed)})"] if changed else []
        differs += [f"other inputs (changed: {', '.join(others)})"] if others else []
        raise FileExistsError(f"{out} holds results of {verb} with {' and '.join(differs)}; choose another out")


def _clear(out: Path, theirs: set[str]) -> None:
    """Removes everything in a folder that this call has made, but for its lock."""
    for path in out.iterdir():
        if path.name not in (".lock", *theirs):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def inputs_of(
    catalog: str | Path | None = None, images: str | Path | None = None, records: str | Path | Records | None = None
) -> dict[str, str]:
    """The identities of what a verb works on, as `claim` wants them.

    Of a catalogue it is the content (of a folder or archive that is its own catalogue, the names of its images), of
    records the catalogue and settings they were built from and the checksums of their shards, of an archive or stack
    of images what `identity` has, of a folder of images its place: these are too many to be read. Where images change
    under the same names, give another out.

    Raises:
        FileNotFoundError: A path is not there.
    """
    inputs = {}
    if catalog is not None:
        path = Path(catalog).expanduser()
        if not path.is_file() and not is_listing(path):
            raise FileNotFoundError(f"there is no catalogue at {catalog}")
        stack = path.suffix.lower() in STACKS
        named = is_listing(path) and not stack
        inputs["catalog"] = _names_in(path) if named else identity(path, whole=not stack)
    if images is not None:
        if not Path(images).expanduser().exists():
            raise FileNotFoundError(f"there is no folder, archive or stack of images at {images}")
        inputs["images" if Path(images).expanduser().is_dir() else "archive"] = identity(images)
    if records is not None:
        records = Records.open(records)
        shards = json.dumps(sorted(records.checksums.items()))
        inputs |= {"records": records.digest, "shards": hashlib.sha256(shards.encode()).hexdigest()}
    return inputs


def _names_in(place: Path) -> str:
    """What tells one folder, or archive, that is its own catalogue from another: the names of its images."""
    digest = hashlib.sha256()
    for chunk in list_images(place, 2**16):
        digest.update("\n".join(chunk["file_loc"]).encode(errors="surrogateescape"))
    return digest.hexdigest()


def identity(path: str | Path, whole: bool = False) -> str:
    """What tells one input from another: the content of a file, the place of a folder.

    Of files beyond 256 MB it is the size with the first and the last 128 MB; those of a zip hold the checksums of all
    its members.

    Args:
        path: Of a file or folder.
        whole: Whether to read all of a file, however large.

    Returns:
        SHA-256 in hexadecimal, or the folder's absolute path.

    Raises:
        FileNotFoundError: There is nothing at the path.
    """
    path = Path(path).expanduser()
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
