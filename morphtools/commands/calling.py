"""How typed options become the call of a function."""

import inspect
import logging
import shutil
import sys
from pathlib import Path

import click

from tfrecords_builder.quiet import quietly

IN_MEMORY = "Decode images once and keep them in device memory (if they fit, on a GPU or without TensorFlow)."


def typed(options: dict) -> dict:
    """The options that were typed; all others keep the defaults of the function."""
    return {name: value for name, value in options.items() if value is not None}


def joined(context, option, values: tuple[str, ...]) -> str | None:
    """What was typed for an option that can be repeated, with commas between; None if it was not typed."""
    return ",".join(values) or None


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


def call(verb, config: Path | None, given: dict):
    """Calls a verb: flags override the config file, which overrides the defaults.

    Raises:
        ValueError: A required argument is given in neither.
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


def on_cluster(given: dict, scheduler: str | None) -> dict:
    """The arguments of a call, with the executor of a Dask scheduler if there is one.

    Raises:
        ImportError: Dask is not installed.
        OSError: No scheduler answers.
    """
    if scheduler is None:
        return given
    try:
        from distributed import Client
    except ImportError:
        raise ImportError("scheduler needs Dask: pip install 'morphtools[dask]'") from None
    return given | {"executor": Client(scheduler).get_executor()}
