"""Commands that match, convert and send tables."""

import click

import morphtools
from morphtools.commands.calling import call, echo_table
from morphtools.commands.options import CONFIG


def _pair(context, parameter, value: str | None) -> tuple[str, str] | None:
    """Two words separated by a comma; either may be empty."""
    if value is None:
        return None
    first, comma, second = value.partition(",")
    if not comma or "," in second:
        raise click.BadParameter(f"{value!r} must be two names separated by a comma, such as RA,DEC")
    return first.strip(), second.strip()


@click.command()
@click.argument("a", type=click.Path())
@click.argument("b", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--radius", help="Maximum separation, such as 1.98arcsec or 0.5arcmin (1.98 arcsec).")
@click.option("--find", help="one-to-one (default, closest pairs first), nearest (to each row of A), or all.")
@click.option(
    "--suffixes", callback=_pair, help="Suffixes of columns that both tables have, such as _a,_b (none and _b)."
)
@click.option("--unmatched", is_flag=True, default=None, help="Keep rows of A without a match.")
@click.option("--deduplicate", help="Separation within which rows of one table are the same object, such as 0.5arcsec.")
@click.option(
    "--position-a", callback=_pair, help="Columns of A with the position, such as RA2,DEC2 (recognised by name)."
)
@click.option("--position-b", callback=_pair, help="Columns of B with the position.")
@CONFIG
def cross_match(**options):
    """Join two tables by position on the sky.

    OUT has the columns of A and B, and separation_arcsec.

    morphtools cross-match galaxies.csv gz2_hart16.fits labelled.parquet --radius 1.98arcsec
    """
    match = call(morphtools.cross_match, options)
    click.echo(f"{match.summary}; see {options['out']}")


@click.command()
@click.argument("table", type=click.Path())
@click.argument("out", type=click.Path())
def convert_table(table, out):
    """Convert a table to csv, parquet, FITS or VOTable.

    The extensions decide: csv, tsv, parquet, fits, ecsv, vot or xml.

    morphtools convert-table predictions/predictions.parquet predictions.vot
    """
    morphtools.convert_table(table, out)
    click.echo(f"see {out}")


@click.command()
@click.argument("catalog", type=click.Path())
@click.argument("out", type=click.Path())
@click.option(
    "--cuts", required=True, help="gz2, gz2_odd, gz_decals, gz_decals_votes, mohale2023, photoz_pasquet2019, or YAML."
)
@click.option(
    "--column", multiple=True, metavar="CUT=TABLE", help="Name in the table of a column of the cuts; can be repeated."
)
def select_galaxies(catalog, out, cuts, column):
    """Apply the quality cuts of a paper or your own.

    Prints how many galaxies each cut leaves. Cuts are YAML: columns, operators and values.

    morphtools select-galaxies nsa.fits galaxies.parquet --cuts gz_decals --column petrotheta=PETRO_TH
    """
    names = dict(_equal(text) for text in column)
    selection = morphtools.select_galaxies(catalog, out, cuts, names=names)
    echo_table(selection.steps)
    click.echo(f"{selection.galaxies} galaxies in {out}")


def _equal(text: str) -> list[str]:
    parts = [part.strip() for part in text.split("=")]
    if len(parts) != 2 or not all(parts):
        raise ValueError(f"--column must look like petrotheta=PETRO_TH, got {text!r}")
    return parts


@click.command()
@click.argument("table", type=click.Path())
@click.option("--only", type=click.Path(), help="Table with the id_str of the galaxies to send.")
@click.option("--name", help="Name of the table there (the file's name).")
@click.option("--timeout", type=float, help="Seconds to wait for a program to load it (30).")
def send_to_topcat(**options):
    """Send a table to TOPCAT, Aladin and the like.

    Any program on this machine that listens to SAMP receives it.

    morphtools send-to-topcat labelled.parquet --only similar/similar.csv
    """
    click.echo(f"loaded by {', '.join(call(morphtools.send_to_topcat, options))}")


@click.command()
@click.argument("catalog", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--order", type=int, help="HEALPix order of the cells (10: 3.4 arcmin).")
def make_moc(**options):
    """Write the sky coverage of a catalogue as a MOC.

    The MOC lists the cells of the sky that contain its galaxies, as fits, json or txt.

    morphtools make-moc galaxies.csv galaxies-moc.fits --order 8
    """
    fraction = call(morphtools.make_moc, options)
    click.echo(f"{fraction:.3g} of the sky in {options['out']}")
