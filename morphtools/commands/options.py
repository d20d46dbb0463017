"""Options that several commands share, and the type of those that are typed as a list."""

from collections.abc import Callable
from pathlib import Path

import click


class Listed(click.ParamType):
    """Values with commas between; the function gets a tuple.

    Args:
        kind: Turns the text of one value into that value, or raises ValueError.
        example: A valid list, for the message about an invalid one.
    """

    name = "text"

    def __init__(self, kind: Callable = str, example: str = "a,b"):
        self.kind, self.example = kind, example

    def convert(self, value, parameter, context) -> tuple:
        """Splits the text that was typed."""
        try:
            return tuple(self.kind(part.strip()) for part in value.split(","))
        except ValueError:
            raise ValueError(f"{parameter.opts[0]} must be a list such as {self.example}, got {value!r}") from None


def number(text: str) -> int | float:
    """A number of galaxies, or with a decimal point a share of them."""
    return float(text) if "." in text else int(text)


def joined(context, option, values: tuple[str, ...]) -> str | None:
    """What was typed for an option that can be repeated, with commas between; None if it was not typed."""
    return ",".join(values) or None


def with_options(*options: Callable) -> Callable[[Callable], Callable]:
    """A decorator that adds options to a command, in this order."""

    def add(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def galaxies(
    catalog: str = "Table with id_str and any other columns.",
    images: str = "Folder, zip or stack of images; alone, all of them.",
    records: str = "Folder of records, instead of catalog and images.",
) -> Callable[[Callable], Callable]:
    """A decorator that adds `--catalog`, `--images` and `--records` with these helps."""
    helps = {"--catalog": catalog, "--images": images, "--records": records}
    return with_options(*(click.option(name, type=click.Path(), help=text) for name, text in helps.items()))


CONFIG = click.option("--config", type=click.Path(path_type=Path), help="YAML file with any of these options.")
EXCLUDE = click.option("--exclude", type=click.Path(), help="Table of galaxies to leave out, such as artifacts.csv.")
SCHEDULER = click.option("--scheduler", help="Address of a Dask scheduler, such as tcp://host:8786.")
IN_MEMORY = click.option(
    "--in-memory/--no-in-memory",
    default=None,
    help="Decode images once and keep them in device memory (if they fit, on a GPU or without TensorFlow).",
)
