"""Commands between catalogues and other programs: cross-matches and formats."""

from pathlib import Path

import click

import morphtools
from morphtools.commands.calling import call, typed


def _pair(context, parameter, value: str | None) -> tuple[str, str] | None:
    """Two words separated by a comma; either may be empty."""
    if value is None:
        return None
    first, comma, second = value.partition(",")
    if not comma or "," in second:
        raise click.BadParameter(f"{value!r} is not two names with a comma between them")
    return first.strip(), second.strip()


@click.command()
@click.argument("a", type=click.Path())
@click.argument("b", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--radius", help="Largest separation, as 1.98arcsec or 0.5arcmin (1.98 arcsec).")
@click.option("--find", help="one-to-one (default: closest pairs first), nearest (for each row of A), or all.")
@click.option("--suffixes", callback=_pair, help="After names that both tables have, as _a,_b (nothing and _b).")
@click.option("--unmatched", is_flag=True, default=None, help="Keep rows of A without a match.")
@click.option("--deduplicate", help="Separation within which rows of one table are one object, as 0.5arcsec.")
@click.option("--position-a", callback=_pair, help="Columns of A with the position, as RA2,DEC2 (found by name).")
@click.option("--position-b", callback=_pair, help="The same of B.")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file with any of these.")
def cross_match(a, b, out, config, **options):
    """Join two tables by position on the sky: OUT has the columns of A and B, and separation_arcsec.

    morphtools cross-match galaxies.csv gz2_hart16.fits labelled.parquet --radius 1.98arcsec
    """
    match = call(morphtools.cross_match, config, typed(options) | {"a": a, "b": b, "out": out})
    click.echo(f"{match.summary}; see {out}")


@click.command()
@click.argument("table", type=click.Path())
@click.argument("out", type=click.Path())
def convert_table(table, out):
    """Write TABLE as OUT: csv, tsv, parquet, fits, ecsv, vot or xml, by their endings.

    morphtools convert-table predictions/predictions.parquet predictions.vot
    """
    morphtools.convert_table(table, out)
    click.echo(f"see {out}")


@click.command()
@click.argument("table", type=click.Path())
@click.option("--only", type=click.Path(), help="Table whose id_str are the galaxies to send.")
@click.option("--name", help="What the table is called there (its file's name).")
@click.option("--timeout", type=float, help="Seconds within which a program has to load it (30).")
def send_to_topcat(table, **options):
    """Send TABLE to TOPCAT, Aladin and other programs that are running on this machine (by SAMP).

    morphtools send-to-topcat labelled.parquet --only similar/similar.csv
    """
    programs = morphtools.send_to_topcat(table, **typed(options))
    click.echo(f"loaded by {', '.join(programs)}")


@click.command()
@click.argument("catalog", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--order", type=int, help="HEALPix order of the cells (10: 3.4 arcmin).")
def make_moc(catalog, out, **options):
    """Write the MOC of CATALOG, the cells of the sky that hold its galaxies, as fits, json or txt.

    morphtools make-moc galaxies.csv galaxies-moc.fits --order 8
    """
    fraction = morphtools.make_moc(catalog, out, **typed(options))
    click.echo(f"{fraction:.3g} of the sky in {out}")
