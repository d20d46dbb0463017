"""Commands that reach out to archives, and add to catalogues what maps of the sky know."""

import click

import morphtools
from morphtools.commands.calling import typed

_SCALE = "sfd98: as the map has it, which dereddening expects (default); sf11: times 0.86."


@click.command()
@click.argument("positions", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--survey", required=True, help="legacy-dr10, legacy-dr9, sdss, panstarrs, euclid-q1 or hips:NAME.")
@click.option("--size", required=True, help="Side of the images, as 152px or 20arcsec.")
@click.option("--bands", help="Bands in order, as g,r,z (by survey).")
@click.option("--format", help="fits (default, but for sdss) or jpeg.")
@click.option("--pixel-scale", type=float, help="Arcsec per pixel (the survey's own; a HiPS has none).")
@click.option("--ebv-map", type=click.Path(), help="Map of dust for a column ebv: as for add-ebv.")
@click.option("--ebv-scale", help=_SCALE)
@click.option("--contact", help="How the service can reach you, as you@example.org; sent along with every request.")
@click.option("--per-second", type=float, help="Most requests per second (by survey, 2 to 4).")
@click.option("--at-once", type=int, help="Most requests in flight (by survey, 2 to 4).")
@click.option("--max-positions", type=int, help="Refuse longer tables (100000).")
@click.option("--base-url", help="Another address of the service.")
def fetch_cutouts(positions, out, **options):
    """Fetch an image of every position from a survey's cutout service; the same command resumes.

    morphtools fetch-cutouts galaxies.csv cutouts --survey legacy-dr10 --size 152px --bands g,r,z --contact me@uni.edu
    """
    given = typed(options)
    if "bands" in given:
        given["bands"] = tuple(band.strip() for band in given["bands"].split(","))
    cutouts = morphtools.fetch_cutouts(positions, out, **given)
    failed = f"; {cutouts.failed} without an image, see {cutouts.folder / 'failures.csv'}" if cutouts.failed else ""
    click.echo(f"{cutouts.galaxies} cutouts in {cutouts.folder}{failed}\nnext: {cutouts.command}")


@click.command()
@click.argument("catalog", type=click.Path())
@click.argument("out", type=click.Path())
@click.option(
    "--map",
    required=True,
    type=click.Path(),
    help="Folder with SFD_dust_4096_ngp.fits and _sgp.fits, a HEALPix map, or sfd or csfd of the package dustmaps.",
)
@click.option("--scale", help=_SCALE)
def add_ebv(catalog, out, **options):
    """Add E(B-V) of the Galaxy's dust to a catalogue with ra and dec.

    morphtools add-ebv galaxies.csv galaxies-with-dust.parquet --map maps/sfd
    """
    table = morphtools.add_ebv(catalog, out, **typed(options))
    column = table.columns[-1]
    click.echo(f"{out}: {len(table)} rows, median {column} {table[column].median():.3f}")
