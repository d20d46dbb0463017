"""Options that hand the table of a verb on: to a file in another format, or to TOPCAT."""

import functools
from collections.abc import Callable
from pathlib import Path

import click

import morphtools


def handing_on(callback: Callable) -> Callable:
    """Adds `--table` and `--samp` to a command; its callback returns a table with `id_str`, what makes it, or None."""

    @click.option("--table", type=click.Path(), help="Also write the table here; .csv, .parquet, .fits, .vot or .ecsv.")
    @click.option("--samp", is_flag=True, default=None, help="Also send the table to TOPCAT or Aladin.")
    @functools.wraps(callback)
    def command(*arguments, table, samp, **options):
        if table is not None:
            from tfrecords_builder.tables_out import ending_of

            ending_of(table)  # an unknown format is an error before the work begins
        result = callback(*arguments, **options)
        if result is None or (table is None and not samp):
            return
        result = result() if callable(result) else result
        if table is not None:
            morphtools.write_table(result, table)
            click.echo(f"{len(result)} rows in {table}")
        if samp:
            name = Path(table).name if table is not None else click.get_current_context().info_name
            click.echo(f"loaded by {', '.join(morphtools.send_to_topcat(result, name=name))}")

    return command
