"""The command `morphtools`: one command per verb, no science."""

import logging
import re
import sys
from functools import partial

import click

import morphtools
from morphtools.commands import (
    anomalies,
    archives,
    browsing,
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
from morphtools.commands.helping import Verbs


class _Commands(Verbs):
    """Turns an error that the user can fix into one line and exit code 2."""

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
            click.echo("\nmorphtools: stopped; run the same command again to resume", err=True)
            sys.exit(130)


def as_typed(message: str, command: click.Command | None) -> str:
    """A message with the arguments of a function as options: `column` is --column, adapt_bands=True is --adapt-bands.

    Args:
        message: Its arguments are in backticks, or recognised by their underscores, such as image_size.
        command: The command that failed.
    """
    for option in command.params if command else ():
        typed = next((name for name in option.opts if name.startswith("--")), None)
        if typed:
            value = rf"(?<![\w'./-]){option.name}=(\([^)]*\)|'[^']*'|[\w.]+)"
            message = re.sub(value, partial(_with_value, typed), message)
            message = message.replace(f"`{option.name}`", typed)
            if "_" in option.name:
                message = re.sub(rf"(?<![\w'./-]){option.name}(?![\w'./])", typed, message)
    return message


def _with_value(option: str, match: re.Match) -> str:
    value = match[1]
    return option if value == "True" else " ".join([option, re.sub("[()' ]", "", value)])


@click.command()
@click.option("--speed", is_flag=True, help="Also measure which settings are fastest on this machine (takes a minute).")
@click.option("--weights", help="Whose encoder --speed measures: a name, run folder or file (the default weights).")
def doctor(speed, weights):
    """Check this installation and suggest fixes.

        morphtools doctor

    To see whether --mixed-precision is faster here for the encoder that you use:

        morphtools doctor --speed --weights morphtools-runs/rings-500
    """
    import_quietly()
    if weights is not None and not speed:
        raise click.UsageError("--weights is for --speed: give both")
    report, healthy = morphtools.doctor(speed, weights)
    click.echo(report)
    sys.exit(0 if healthy else 1)


GROUPS = {
    "Data: from positions and files to galaxies": (
        archives.fetch_cutouts,
        archives.add_ebv,
        tables.cross_match,
        tables.select_galaxies,
        records.build_records,
        records.inspect_records,
        records.upload,
        records.simulate_survey,
        tables.convert_table,
        tables.make_moc,
        tables.send_to_topcat,
    ),
    "Train: from labels, votes or images alone to a model": (
        training.finetune,
        training.train,
        pretraining.pretrain,
        pretraining.show_augmentations,
        weights.import_weights,
    ),
    "Predict: from a model to answers for every galaxy": (
        inference.predict,
        inference.represent,
        weights.export,
    ),
    "Explore: from representations to pictures and tables": (
        explore.find_similar,
        explore.find_outliers,
        explore.make_map,
        explore.cluster,
        explore.find_artifacts,
        explore.reduce_representations,
        explore.represent_pixels,
    ),
    "Judge: your opinion of single galaxies": (
        browsing.explore,
        anomalies.find_anomalies,
        explore.suggest_labels,
    ),
    "Prove: how well it works": (
        training.learning_curve,
        inference.evaluate_predictions,
        photoz.evaluate_photoz,
        pretraining.evaluate_representations,
        explore.evaluate_retrieval,
        pretraining.compare_weights,
        anomalies.benchmark_anomalies,
        pretraining.ablate_augmentations,
        pretraining.compare_starts,
    ),
    "Look up": (doctor, inference.list_pretrained, schemas.list_schemas, inference.cite),
}


@click.group(
    cls=_Commands,
    groups=GROUPS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="morphtools VERB --help explains a verb and has an example. To complete verbs and options with the tab key, "
    "add this line to ~/.bashrc (for zsh, zsh_source in ~/.zshrc):\n\n"
    '\b\neval "$(_MORPHTOOLS_COMPLETE=bash_source morphtools)"',
)
@click.version_option(morphtools.__version__)
def main():
    """Find, classify and understand galaxies with a few hundred labels.

    Without any data of your own, this trains and tests a classifier on simulated galaxies:

    \b
        morphtools finetune --task rings --labels 500
    """  # noqa: D301 (click does not fill the paragraph after \b)
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("%(message)s"))
    for name in ("morphtools", "tfrecords_builder"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.handlers = [console]
        logger.propagate = False
