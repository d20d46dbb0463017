"""Our JSON files: written with a checksum; anything wrong with them is reported in one sentence."""

import dataclasses
import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import google_crc32c

from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import some


def write_json(path: str | Path, fields: dict) -> None:
    """Writes a file, complete or not at all, with a checksum among its fields.

    Args:
        path: File to write.
        fields: Plain values by name; none may be called `checksum`.
    """
    write_whole(path, json.dumps(fields | {"checksum": _checksum(fields)}, indent=1))


def read_json(path: str | Path) -> dict:
    """Reads the fields of a file written by `write_json`, or of one without a checksum.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is damaged or was edited; the message names it.
    """
    path = Path(path)
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(fields, dict):
        raise ValueError(f"{path} is damaged: it contains no fields")
    if "checksum" in fields and fields.pop("checksum") != _checksum(fields):
        raise ValueError(f"{path} is damaged or was edited by hand: its checksum does not match its content")
    return fields


def _checksum(fields: dict) -> str:
    text = json.dumps(json.loads(json.dumps(fields)), sort_keys=True)
    return f"{google_crc32c.value(text.encode()):08x}"


def check_fields(kind: type, fields: dict, path: str | Path) -> dict:
    """Checks fields against the types of a dataclass.

    Args:
        kind: The dataclass; fields without a default are required.
        fields: Values from JSON by name.
        path: Their file.

    Returns:
        The fields, with tuples where the dataclass has tuples.

    Raises:
        ValueError: A field is missing, unknown or of another type; the message names the file and the field.
    """
    hints, checked = get_type_hints(kind), {}
    expected = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(fields.keys() - expected.keys())
    if unknown:
        raise ValueError(f"{path} has unknown fields ({some(unknown)}): perhaps a newer version of morphtools wrote it")
    missing = dataclasses.MISSING
    for name, field in expected.items():
        if name not in fields:
            if field.default is missing and field.default_factory is missing:
                raise ValueError(f"{path} is damaged: it has no {name!r}")
        elif not _fits(fields[name], hints[name]):
            raise ValueError(f"{path} is damaged: {name!r} cannot be {str(fields[name])[:60]!r}")
        else:
            value = fields[name]
            checked[name] = tuple(value) if isinstance(value, list) else value
    return checked


def _fits(value, kind) -> bool:
    """Whether a value from JSON has a type; lists count as tuples, integers as floats."""
    arguments = get_args(kind)
    if kind is Any:
        return True
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(value, each) for each in arguments)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            return False
        kinds = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        return len(value) == len(kinds) and all(_fits(v, k) for v, k in zip(value, kinds, strict=True))
    if get_origin(kind) is dict:
        return isinstance(value, dict) and all(_fits(each, arguments[1]) for each in value.values())
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return isinstance(value, NoneType if kind is None else get_origin(kind) or kind)
