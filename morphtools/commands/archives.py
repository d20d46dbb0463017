"""Commands that query image archives and add sky maps to catalogues."""

import contextlib

import click

import morphtools
from morphtools.commands.calling import call
from morphtools.commands.options import Listed

_SCALE = "sfd98: as the map gives it, which dereddening expects (default); sf11: times 0.86."


@click.command()
@click.argument("positions", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--survey", required=True, help="legacy-dr10, legacy-dr9, sdss, panstarrs, euclid-q1 or hips:NAME.")
@click.option("--size", required=True, help="Side of the images, such as 152px or 20arcsec.")
@click.option("--bands", type=Listed(), help="Bands in order, such as g,r,z (depends on the survey).")
@click.option("--format", help="fits (default, except for sdss) or jpeg.")
@click.option("--pixel-scale", help="Arcsec per pixel (the survey's own; required for a HiPS), or gz_decals: by size.")
@click.option("--ebv-map", type=click.Path(), help="Dust map for a column ebv, as in add-ebv.")
@click.option("--ebv-scale", help=_SCALE)
@click.option(
    "--contact",
    help="Your address, such as you@example.org; sent with every request so that the service can reach you.",
)
@click.option("--per-second", type=float, help="Maximum requests per second (depends on the survey, 2 to 4).")
@click.option("--at-once", type=int, help="Maximum requests in flight (depends on the survey, 2 to 4).")
@click.option("--max-positions", type=int, help="Refuse tables longer than this (100000).")
@click.option("--base-url", help="Another address for the service.")
def fetch_cutouts(**options):
    """Download an image of every position from a survey.

    The same command resumes if interrupted, and tries failures again.

    morphtools fetch-cutouts galaxies.csv cutouts --survey legacy-dr10 --size 152px --bands g,r,z --contact me@uni.edu
    """
    with contextlib.suppress(TypeError, ValueError):  # a number, or the name of a rule
        options["pixel_scale"] = float(options["pixel_scale"])
    cutouts = call(morphtools.fetch_cutouts, options)
    failed = f"; {cutouts.failed} without an image, see {cutouts.folder / 'failures.csv'}" if cutouts.failed else ""
    click.echo(f"{cutouts.galaxies} cutouts in {cutouts.folder}{failed}\nnext: {cutouts.command}")


@click.command()
@click.argument("catalog", type=click.Path())
@click.argument("out", type=click.Path())
@click.option(
    "--map",
    required=True,
    type=click.Path(),
    help="Folder with SFD_dust_4096_ngp.fits and _sgp.fits, a HEALPix map, or sfd or csfd from the package dustmaps.",
)
@click.option("--scale", help=_SCALE)
def add_ebv(**options):
    """Add E(B-V) from a dust map to a catalogue.

    CATALOG needs the columns ra and dec.

    morphtools add-ebv galaxies.csv galaxies-with-dust.parquet --map maps/sfd
    """
    table = call(morphtools.add_ebv, options)
    column = table.columns[-1]
    click.echo(f"{options['out']}: {len(table)} rows, median {column} {table[column].median():.3f}")
