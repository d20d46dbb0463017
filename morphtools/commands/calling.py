"""From what was typed to the call of a verb."""

import inspect
import os
import sys
import tempfile
from pathlib import Path


def typed(options: dict) -> dict:
    """The options that were typed: all others keep the defaults of the function."""
    return {name: value for name, value in options.items() if value is not None}


def import_quietly():
    """Imports TensorFlow without what it prints about the machine, which no setting of its own silences.

    Standard error is kept aside at the level of the file descriptor, and shown if the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            import tensorflow

            tensorflow.config.list_physical_devices()
        except BaseException:
            aside.seek(0)
            os.write(shown, aside.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)


def call(verb, config: Path | None, given: dict):
    """Calls a verb with its defaults < the config file < the flags that were given.

    Raises:
        ValueError: An argument that has no default is in neither.
    """
    arguments = {}
    if config is not None:
        from morphtools.config import read_config

        arguments = read_config(config, inspect.signature(verb).parameters)
    arguments |= given
    parameters = inspect.signature(verb).parameters.values()
    missing = [p.name for p in parameters if p.default is p.empty and p.name not in arguments]
    if missing:
        raise ValueError(f"{verb.__name__.replace('_', '-')} needs {' and '.join(missing)}")
    return verb(**arguments)
