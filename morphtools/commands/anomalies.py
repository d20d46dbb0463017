"""Commands that look for galaxies that are interesting to you."""

from pathlib import Path

import click

import morphtools
from morphtools.commands.calling import call, typed

_GALAXIES = (
    click.option("--catalog", type=click.Path(), help="Table with id_str, and file_loc for pictures."),
    click.option("--images", type=click.Path(), help="Folder, zip or stack of the catalogue's images."),
    click.option("--records", type=click.Path(), help="Records, instead of catalog and images."),
    click.option("--threshold", type=float, help="Fraction above which a galaxy is an anomaly (0.9)."),
    click.option("--ratings", type=int, help="How many in all (200)."),
    click.option("--batch-size", type=int, help="How many at a time (10)."),
    click.option("--tradeoff", type=float, help="Improvement that is worth nothing yet, in ratings (0.5)."),
    click.option("--components", type=int, help="Number of principal components (40)."),
    click.option("--config", type=click.Path(path_type=Path), help="YAML file with any of these."),
)


def _galaxies(command):
    """Adds the options that both commands have."""
    for option in reversed(_GALAXIES):
        command = option(command)
    return command


@click.command()
@click.argument("representations", type=click.Path(), required=False)
@click.option("--oracle", help="Column of a vote fraction that rates in your place.")
@click.option("--examples", help="Known examples to start with, as 1237,5812.")
@click.option("--kernel", help="rational_quadratic (default), matern, walmsley2022 or mohale2023.")
@click.option("--acquisition", help="expected_improvement (default), upper_bound or mean.")
@click.option("--diversity", help="How a batch keeps apart: none (default), believer or liar.")
@click.option("--start", help="First batch: random (default) or spacing.")
@click.option("--rater", help="Your name, kept with every rating (me).")
@click.option("--seed", type=int, help="Of the random start (0).")
@click.option("--out", type=click.Path(), help="Folder of the session (morphtools-runs/anomalies).")
@_galaxies
def find_anomalies(config, **options):
    """Rate a few galaxies, and get all of them ranked by your interest.

    Type a rating from 0 to 5 for each galaxy of the contact sheet; stop when you like, and go on later.

        morphtools find-anomalies representations --catalog galaxies.csv --images jpegs

        morphtools find-anomalies representations --catalog votes.csv --oracle odd_fraction
    """
    given = typed(options)
    if "examples" in given:
        given["examples"] = tuple(name.strip() for name in given["examples"].split(","))
    loop = call(morphtools.find_anomalies, config, given)
    ratings = loop.ratings()["rating"].notna().sum()
    click.echo(f"{ratings} ratings in {loop.out}" + (": scores.csv has every galaxy" if ratings else ""))


@click.command()
@click.argument("representations", nargs=-1)
@click.option("--column", help="Vote fraction, or 0/1: the truth.")
@click.option("--share", type=float, help="Instead of the threshold, the share of galaxies that are anomalies.")
@click.option("--methods", help="As rational_quadratic,neighbour_score (all).")
@click.option("--acquisitions", help="As mean,upper_bound (expected_improvement).")
@click.option("--diversities", help="As none,liar (none).")
@click.option("--starts", help="As random,spacing (random).")
@click.option("--repeats", type=int, help="How often, with other seeds (15).")
@click.option("--seed", type=int, help="Of the first repeat (0).")
@click.option("--out", type=click.Path(), help="Folder for the results (morphtools-runs/benchmark-anomalies).")
@_galaxies
def benchmark_anomalies(config, **options):
    """Compare ways of finding anomalies on galaxies whose truth is known.

    morphtools benchmark-anomalies cnn=representations --catalog votes.csv --column odd_fraction
    """
    given = typed(options)
    folders = given.pop("representations")
    if folders:
        pairs = (folder.rpartition("=") for folder in folders)
        given["representations"] = {name or "representations": folder for name, _, folder in pairs}
    for name in ("methods", "acquisitions", "diversities", "starts"):
        if name in given:
            given[name] = tuple(each.strip() for each in given[name].split(","))
    table = call(morphtools.benchmark_anomalies, config, given)
    click.echo(table.round(3).to_string(index=False))
