"""The command `morphtools`: one command per verb, no science."""

import inspect
import logging
import re
import sys

import click

import morphtools
from morphtools.commands import (
    anomalies,
    archives,
    explore,
    inference,
    photoz,
    pretraining,
    records,
    schemas,
    tables,
    training,
    weights,
)
from morphtools.commands.calling import import_quietly


class _Commands(click.Group):
    """Turns what a user can mend into one line and exit code 2."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except (ValueError, OSError, ImportError) as error:
            where = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
            what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            click.echo(
                f"morphtools: {as_typed(f'{what}{where}', self.commands.get(context.invoked_subcommand))}", err=True
            )
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo("\nmorphtools: stopped; the same command goes on from here", err=True)
            sys.exit(130)


def as_typed(message: str, command: click.Command | None) -> str:
    """A message with the arguments of a function as options: `column` is --column, adapt_bands=True is --adapt-bands.

    Args:
        message: Arguments in it stand in backticks, or are told by their underscores, such as image_size.
        command: The command that failed.
    """
    for option in command.params if command else ():
        typed = next((name for name in option.opts if name.startswith("--")), None)
        if typed:
            value = rf"(?<![\w'./-]){option.name}=(\([^)]*\)|'[^']*'|[\w.]+)"
            message = re.sub(value, lambda match, typed=typed: _with_value(typed, match[1]), message)
            message = message.replace(f"`{option.name}`", typed)
            if "_" in option.name:
                message = re.sub(rf"(?<![\w'./-]){option.name}(?![\w'./])", typed, message)
    return message


def _with_value(option: str, value: str) -> str:
    return option if value == "True" else " ".join([option, re.sub("[()' ]", "", value)])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(morphtools.__version__)
def main():
    """Find, classify and understand galaxies with a few hundred labels."""
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("%(message)s"))
    for name in ("morphtools", "tfrecords_builder"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.handlers = [console]
        logger.propagate = False


@main.command()
def doctor():
    """Show versions, devices and weights, and how to mend what is wrong.

    morphtools doctor
    """
    import_quietly()
    report, healthy = morphtools.doctor()
    click.echo(report)
    sys.exit(0 if healthy else 1)


for _command in (
    anomalies.benchmark_anomalies,
    anomalies.find_anomalies,
    training.finetune,
    training.learning_curve,
    training.train,
    pretraining.pretrain,
    pretraining.show_augmentations,
    pretraining.evaluate_representations,
    pretraining.ablate_augmentations,
    inference.predict,
    inference.represent,
    inference.list_pretrained,
    inference.cite,
    weights.import_weights,
    weights.export,
    archives.fetch_cutouts,
    archives.add_ebv,
    records.build_records,
    records.inspect_records,
    records.simulate_survey,
    schemas.list_schemas,
    explore.reduce_representations,
    explore.represent_pixels,
    explore.find_similar,
    explore.make_map,
    explore.cluster,
    explore.find_artifacts,
    explore.suggest_labels,
    explore.evaluate_retrieval,
    photoz.evaluate_photoz,
    tables.cross_match,
    tables.convert_table,
    tables.send_to_topcat,
    tables.make_moc,
):
    # an example stays on one line, however narrow the terminal, so that it can be copied (click fills other paragraphs)
    _command.help = re.sub(r"^(?= *morphtools )", "\b\n", inspect.cleandoc(_command.help), flags=re.MULTILINE)
    main.add_command(_command)
