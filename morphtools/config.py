"""Configuration files: the keyword arguments of one function, in YAML."""

from collections.abc import Iterable
from pathlib import Path

from tfrecords_builder.naming import unknown
from tfrecords_builder.yaml_files import read_yaml


def read_config(path: str | Path, allowed: Iterable[str]) -> dict:
    """Reads keyword arguments from a YAML file.

    Args:
        path: The file.
        allowed: Names of the arguments the function takes.

    Returns:
        Argument by name.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is not YAML, not a mapping, or has a key that is not an argument.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no config at {path}")
    config = read_yaml(path)
    if not isinstance(config, dict):
        raise ValueError(f"{path} must contain one 'argument: value' per line")
    for key in config:
        if key not in allowed:
            raise ValueError(f"{path}: {unknown('argument', key, allowed)}")
    return config
