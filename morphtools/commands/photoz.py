"""Commands for photometric redshifts."""

from pathlib import Path

import click

import morphtools
from morphtools.commands.calling import arguments, echo_table, import_quietly
from morphtools.commands.options import CONFIG, galaxies


def _by_name(folders: tuple[str, ...]) -> dict[str, str] | None:
    """`name=folder`, or a folder that is its own name; None if nothing was typed."""
    pairs = [folder.rpartition("=") for folder in folders]
    return {name or Path(folder).name: folder for name, _, folder in pairs} or None


@click.command()
@click.argument("predictions", nargs=-1)
@galaxies("Table with id_str and redshifts (that of the first run).", "Folder, zip archive or stack of images.")
@click.option("--magnitude", help="Magnitude column to bin by.")
@click.option(
    "--baselines",
    is_flag=True,
    default=None,
    help="Compare with magnitudes and colours, with neighbours and with the mean.",
)
@click.option(
    "--representations",
    multiple=True,
    help="Representations in which to find neighbours, as NAME=FOLDER; can be repeated.",
)
@click.option("--recalibrate", is_flag=True, default=None, help="Also score PDFs recalibrated on validation galaxies.")
@click.option("--threshold", type=float, help="|Δz|/(1+z) above which a redshift is an outlier (0.05).")
@click.option("--bins", type=int, help="Bins of redshift and magnitude (8).")
@click.option("--resamples", type=int, help="Bootstrap samples (1000).")
@click.option("--seed", type=int, help="Seed of bootstrap samples and folds (0).")
@click.option("--out", type=click.Path(), help="Output folder (morphtools-runs/photoz).")
@CONFIG
def evaluate_photoz(**options):
    """Score photometric redshifts and their PDFs.

    PREDICTIONS are runs of finetune or their predictions.parquet, as NAME=RUN. With --baselines, methods
    without a network are scored too.

    morphtools evaluate-photoz my-redshifts --baselines --recalibrate

    morphtools evaluate-photoz pretrained=run-1 scratch=run-2 --records records --magnitude mag_r
    """
    given = arguments(
        morphtools.evaluate_photoz,
        options | {name: _by_name(options[name]) for name in ("predictions", "representations")},
    )
    if given["baselines"]:
        import_quietly()  # for the representations
    table = morphtools.evaluate_photoz(**given)
    shown = ["method", "galaxies", "bias", "sigma_mad", "outlier_fraction", "crps", "log_likelihood", "ks_p"]
    echo_table(table[shown], "{:.4g}")
    click.echo(f"see {given['out']}: scores.csv with intervals, and pictures")
