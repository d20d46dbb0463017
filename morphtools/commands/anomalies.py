"""Commands that find galaxies you consider interesting."""

from pathlib import Path

import click

import morphtools
from morphtools.commands.calling import call, echo_table, typed
from morphtools.commands.handing_on import handing_on

_GALAXIES = (
    click.option("--catalog", type=click.Path(), help="Table with id_str, and file_loc to draw galaxies."),
    click.option("--images", type=click.Path(), help="Folder, zip or stack of the catalogue's images."),
    click.option("--records", type=click.Path(), help="Records, instead of catalog and images."),
    click.option("--threshold", type=float, help="Vote fraction above which a galaxy is an anomaly (0.9)."),
    click.option("--ratings", type=int, help="Ratings in total (200)."),
    click.option("--batch-size", type=int, help="Galaxies to rate at a time (10)."),
    click.option(
        "--tradeoff", type=float, help="Exploration: improvement in rating to ignore, ξ of expected improvement (0.5)."
    ),
    click.option("--components", type=int, help="Number of principal components (40)."),
    click.option("--config", type=click.Path(path_type=Path), help="YAML file with any of these options."),
)


def _galaxies(command):
    """Adds the options that both commands share."""
    for option in reversed(_GALAXIES):
        command = option(command)
    return command


@click.command()
@click.argument("representations", type=click.Path(), required=False)
@click.option("--oracle", help="Column of a vote fraction that rates instead of you.")
@click.option("--examples", help="Known examples to start with, such as 1237,5812.")
@click.option("--kernel", help="rational_quadratic (default), matern, walmsley2022 or mohale2023.")
@click.option("--acquisition", help="expected_improvement (default), upper_bound or mean.")
@click.option("--diversity", help="How the galaxies of a batch are kept different: none (default), believer or liar.")
@click.option("--start", help="First batch: random (default), spacing or outliers.")
@click.option("--rater", help="Your name, kept with every rating (me).")
@click.option("--own", is_flag=True, default=None, help="Learn from your own ratings only, not those of all raters.")
@click.option(
    "--similar", is_flag=True, default=None, help="Like --own, but starting from other raters of similar taste."
)
@click.option("--merge", help="Other sessions, such as bobs,evas, whose ratings are added to this one.")
@click.option("--exclude", type=click.Path(), help="Table of galaxies to leave out, such as artifacts.csv.")
@click.option("--seed", type=int, help="Seed of the random start (0).")
@click.option("--out", type=click.Path(), help="Session folder (morphtools-runs/anomalies).")
@_galaxies
@handing_on
def find_anomalies(config, **options):
    """Rate a few galaxies and rank all by your interest.

    Type a rating from 0 to 5 for each galaxy of the contact sheet. Stop whenever you like; the same command
    continues later.

        morphtools find-anomalies representations --catalog galaxies.csv --images jpegs

        morphtools find-anomalies representations --catalog votes.csv --oracle odd_fraction
    """
    from morphtools.explore.tables import with_known

    given = typed(options)
    for option in ("examples", "merge"):
        if option in given:
            given[option] = tuple(name.strip() for name in given[option].split(","))
    loop = call(morphtools.find_anomalies, config, given)
    ratings = loop.ratings()["rating"].notna().sum()
    whose = "of your own " if loop.own else ""
    click.echo(f"{ratings} ratings {whose}in {loop.out}" + (": scores.csv has every galaxy" if ratings else ""))
    return (lambda: with_known(loop.scores(), given.get("catalog"))) if ratings else None


@click.command()
@click.argument("representations", nargs=-1)
@click.option("--column", help="Column with the truth: a vote fraction, or 0 and 1.")
@click.option("--share", type=float, help="Fraction of galaxies that are anomalies, instead of a threshold.")
@click.option("--methods", help="Methods to compare, such as rational_quadratic,neighbour_score (all).")
@click.option("--acquisitions", help="Acquisition functions, such as mean,upper_bound (expected_improvement).")
@click.option("--diversities", help="Ways to keep a batch diverse, such as none,liar (none).")
@click.option("--starts", help="First batches, such as random,spacing (random).")
@click.option("--features", help="Among whitened, plain, with_ellipses and ellipses (whitened,ellipses).")
@click.option("--repeats", type=int, help="Repetitions, each with another seed (15).")
@click.option("--seed", type=int, help="Seed of the first repetition (0).")
@click.option("--out", type=click.Path(), help="Folder for the results (morphtools-runs/benchmark-anomalies).")
@_galaxies
def benchmark_anomalies(config, **options):
    """Compare ways of finding known anomalies.

    morphtools benchmark-anomalies cnn=representations --catalog votes.csv --column odd_fraction
    """
    given = typed(options)
    folders = given.pop("representations")
    if folders:
        pairs = (folder.rpartition("=") for folder in folders)
        given["representations"] = {name or "representations": folder for name, _, folder in pairs}
    for name in ("methods", "acquisitions", "diversities", "starts", "features"):
        if name in given:
            given[name] = tuple(each.strip() for each in given[name].split(","))
    table = call(morphtools.benchmark_anomalies, config, given)
    echo_table(table)
