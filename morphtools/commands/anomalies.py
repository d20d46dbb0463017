"""Commands that find galaxies you consider interesting."""

import click

import morphtools
from morphtools.commands.calling import arguments, call, echo_table
from morphtools.commands.handing_on import handing_on
from morphtools.commands.options import CONFIG, EXCLUDE, Listed, galaxies, with_options

_SEARCH = with_options(
    galaxies("Table with id_str, and file_loc to draw galaxies.", "Folder, zip or stack of the catalogue's images."),
    click.option("--threshold", type=float, help="Vote fraction above which a galaxy is an anomaly (0.9)."),
    click.option("--ratings", type=int, help="Ratings in total (200)."),
    click.option("--batch-size", type=int, help="Galaxies to rate at a time (10)."),
    click.option(
        "--tradeoff", type=float, help="Exploration: improvement in rating to ignore, ξ of expected improvement (0.5)."
    ),
    click.option("--components", type=int, help="Number of principal components (40)."),
    CONFIG,
)


@click.command()
@click.argument("representations", type=click.Path(), required=False)
@click.option("--oracle", help="Column of a vote fraction that rates instead of you.")
@click.option("--examples", type=Listed(), help="Known examples to start with, such as 1237,5812.")
@click.option("--kernel", help="rational_quadratic (default), matern, walmsley2022 or mohale2023.")
@click.option("--acquisition", help="expected_improvement (default), upper_bound or mean.")
@click.option("--diversity", help="How the galaxies of a batch are kept different: none (default), believer or liar.")
@click.option("--start", help="First batch: random (default), spacing or outliers.")
@click.option("--rater", help="Your name, kept with every rating (me).")
@click.option("--own", is_flag=True, default=None, help="Learn from your own ratings only, not those of all raters.")
@click.option(
    "--similar", is_flag=True, default=None, help="Like --own, but starting from other raters of similar taste."
)
@click.option("--merge", type=Listed(), help="Other sessions, such as bobs,evas, whose ratings are added to this one.")
@EXCLUDE
@click.option("--seed", type=int, help="Seed of the random start (0).")
@click.option("--out", type=click.Path(), help="Session folder (morphtools-runs/anomalies).")
@_SEARCH
@handing_on
def find_anomalies(**options):
    """Rate a few galaxies and rank all by your interest.

    Type a rating from 0 to 5 for each galaxy of the contact sheet. Stop whenever you like; the same command
    continues later.

        morphtools find-anomalies representations --catalog galaxies.csv --images jpegs

        morphtools find-anomalies representations --catalog votes.csv --oracle odd_fraction
    """
    from morphtools.explore.tables import with_known

    given = arguments(morphtools.find_anomalies, options)
    loop = morphtools.find_anomalies(**given)
    ratings = loop.ratings()["rating"].notna().sum()
    whose = "of your own " if loop.own else ""
    click.echo(f"{ratings} ratings {whose}in {loop.out}" + (": scores.csv has every galaxy" if ratings else ""))
    return (lambda: with_known(loop.scores(), given["catalog"])) if ratings else None


@click.command()
@click.argument("representations", nargs=-1)
@click.option("--column", help="Column with the truth: a vote fraction, or 0 and 1.")
@click.option("--share", type=float, help="Fraction of galaxies that are anomalies, instead of a threshold.")
@click.option("--methods", type=Listed(), help="Methods to compare, such as rational_quadratic,neighbour_score (all).")
@click.option(
    "--acquisitions", type=Listed(), help="Acquisition functions, such as mean,upper_bound (expected_improvement)."
)
@click.option("--diversities", type=Listed(), help="Ways to keep a batch diverse, such as none,liar (none).")
@click.option("--starts", type=Listed(), help="First batches, such as random,spacing (random).")
@click.option(
    "--features", type=Listed(), help="Among whitened, plain, with_ellipses and ellipses (whitened,ellipses)."
)
@click.option("--repeats", type=int, help="Repetitions, each with another seed (15).")
@click.option("--seed", type=int, help="Seed of the first repetition (0).")
@click.option("--out", type=click.Path(), help="Folder for the results (morphtools-runs/benchmark-anomalies).")
@_SEARCH
def benchmark_anomalies(representations, **options):
    """Compare ways of finding known anomalies.

    morphtools benchmark-anomalies cnn=representations --catalog votes.csv --column odd_fraction
    """
    pairs = (folder.rpartition("=") for folder in representations)
    named = {name or "representations": folder for name, _, folder in pairs} or None
    echo_table(call(morphtools.benchmark_anomalies, options | {"representations": named}))
