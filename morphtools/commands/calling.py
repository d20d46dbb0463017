"""How typed options become the call of a function."""

import inspect
import logging
import shutil
import sys
from collections.abc import Callable
from typing import Any

import click

from tfrecords_builder.quiet import quietly

log = logging.getLogger(__name__)


def import_quietly():
    """Imports Keras and lets TensorFlow find its devices, without their messages about the machine and tracing."""
    if sys.stderr.isatty():  # the first import on a machine may take half a minute
        click.echo("loading Keras …", err=True)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with quietly():
        import keras

        if keras.backend.backend() != "tensorflow":
            return
        import tensorflow

        tensorflow.config.list_physical_devices()


def echo_table(table, decimals: str = "{:.3f}", width: int | None = None) -> None:
    """Prints a table, with scores in words; one wider than the terminal in blocks that begin with the first column.

    Args:
        table: A `DataFrame`.
        decimals: Format of floats.
        width: Characters per line; by default those of the terminal, and no limit in a pipe or a file.
    """
    if width is None and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    from morphtools.answers.score_names import score_name

    table = table.rename(columns=score_name)
    text = table.to_string(index=False, float_format=decimals.format)
    if width is not None and max(map(len, text.splitlines())) > width:
        text = table.set_index(table.columns[0]).to_string(float_format=decimals.format, line_width=width)
    click.echo(text)


def arguments(verb: Callable, options: dict) -> dict:
    """All arguments of a verb: what was typed overrides the config file, which overrides the defaults.

    Args:
        verb: The function.
        options: What was typed, by name, None for nothing; also `config`, the path of a YAML file, and `scheduler`.

    Raises:
        ValueError: A required argument is given nowhere.
        ImportError: There is a scheduler, but Dask is not installed.
        OSError: No scheduler answers.
    """
    given = {name: value for name, value in options.items() if value is not None}
    config, scheduler = given.pop("config", None), given.pop("scheduler", None)
    parameters = inspect.signature(verb).parameters
    if config is not None:
        from morphtools.config import read_config

        given = read_config(config, parameters) | given
    missing = [name for name, each in parameters.items() if each.default is each.empty and name not in given]
    if missing:
        raise ValueError(f"{verb.__name__.replace('_', '-')} needs {' and '.join(missing)}")
    if scheduler is not None:
        given["executor"] = _executor(scheduler)
    return {name: each.default for name, each in parameters.items() if name not in given} | given


def call(verb: Callable, options: dict) -> Any:
    """Calls a verb with its `arguments`."""
    return verb(**arguments(verb, options))


def _executor(scheduler: str):
    try:
        from distributed import Client
    except ImportError:
        raise ImportError("scheduler needs Dask: pip install 'morphtools[dask]'") from None
    for name in ("distributed", "distributed.client", "distributed.utils", "tornado", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # tracebacks where one sentence is enough
    log.info("connecting to the scheduler at %s", scheduler)
    return Client(scheduler).get_executor()
